//! Numbers on their way to a device and back.
//!
//! Why apart: it is where weights, ids and logits lie outside of the device, and the only file that reads or writes a
//! tensor's storage.
//!
//! # Invariants
//! For a GPU they lie in pinned memory of our own, so that the driver makes no copy that nobody wipes. After each
//! transfer what was used of it is overwritten, once the device has read it.

use std::cell::RefCell;

use candle_core::{
    CpuStorage, CudaStorage, Device, InplaceOp1, Layout, Result as CandleResult, Shape, Tensor,
};
use zeroize::Zeroizing;

#[cfg(feature = "cuda")]
use super::pinned::Pinned;
use super::wiped::Wiped;
use crate::matrix::ComputeError;

/// Kinds of numbers that go to a device: all others are made there.
pub(crate) trait Number: Sealed {}

pub(crate) use sealed::Sealed;

mod sealed {
    use super::{CandleResult, CpuStorage};

    #[cfg(feature = "cuda")]
    pub(crate) trait OnCuda:
        candle_core::cuda_backend::CudaDType
        + candle_core::cuda_backend::cudarc::driver::DeviceRepr
        + candle_core::cuda_backend::cudarc::driver::ValidAsZeroBits
    {
    }
    #[cfg(feature = "cuda")]
    impl OnCuda for f32 {}
    #[cfg(feature = "cuda")]
    impl OnCuda for u32 {}
    #[cfg(not(feature = "cuda"))]
    pub(crate) trait OnCuda {}
    #[cfg(not(feature = "cuda"))]
    impl OnCuda for f32 {}
    #[cfg(not(feature = "cuda"))]
    impl OnCuda for u32 {}

    pub(crate) trait Sealed: candle_core::WithDType + zeroize::Zeroize + OnCuda + Default {
        fn of(storage: &mut CpuStorage) -> CandleResult<&mut [Self]>;
    }

    macro_rules! of_storage {
        ($kind:ty, $variant:ident) => {
            impl Sealed for $kind {
                fn of(storage: &mut CpuStorage) -> CandleResult<&mut [Self]> {
                    match storage {
                        CpuStorage::$variant(numbers) => Ok(numbers),
                        _ => Err(candle_core::Error::Msg(
                            "another kind of numbers".to_owned(),
                        )),
                    }
                }
            }
        };
    }
    of_storage!(f32, F32);
    of_storage!(u32, U32);
}

impl Number for f32 {}
impl Number for u32 {}

/// Room for numbers outside of the device.
pub(crate) struct Staging<T: Number> {
    device: Device,
    room: Room<T>,
}

enum Room<T: Number> {
    Plain(Zeroizing<Vec<T>>),
    #[cfg(feature = "cuda")]
    Pinned(Pinned<T>),
}

impl<T: Number> Staging<T> {
    /// Room for so many.
    pub(crate) fn new(device: &Device, length: usize) -> Result<Self, ComputeError> {
        let room = match device {
            Device::Cpu => Room::Plain(Zeroizing::new(vec![T::default(); length])),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => Room::Pinned(Pinned::new(device, length).map_err(|_| ComputeError)?),
            _ => return Err(ComputeError),
        };
        Ok(Self {
            device: device.clone(),
            room,
        })
    }

    pub(crate) fn length(&self) -> usize {
        match &self.room {
            Room::Plain(numbers) => numbers.len(),
            #[cfg(feature = "cuda")]
            Room::Pinned(pinned) => pinned.length(),
        }
    }

    /// Its numbers, once no transfer uses them.
    pub(crate) fn numbers(&mut self) -> Result<&mut [T], ComputeError> {
        match &mut self.room {
            Room::Plain(numbers) => Ok(numbers),
            #[cfg(feature = "cuda")]
            Room::Pinned(pinned) => pinned.numbers().map_err(|_| ComputeError),
        }
    }

    /// The first numbers as a tensor on the device.
    pub(crate) fn send(&mut self, shape: impl Into<Shape>) -> Result<Wiped, ComputeError> {
        let shape = shape.into();
        let count = shape.elem_count();
        let tensor = Wiped::of(Tensor::zeros(shape, T::DTYPE, &self.device))?;
        let sent = self.transfer(tensor.tensor(), count, Way::In);
        self.forget(count)?;
        sent.map(|()| tensor)
    }

    /// Puts numbers into a tensor on the device.
    pub(crate) fn send_all(&mut self, numbers: &[T], shape: impl Into<Shape>) -> Result<Wiped, ComputeError> {
        let room = self.numbers()?.get_mut(..numbers.len()).ok_or(ComputeError)?;
        room.copy_from_slice(numbers);
        self.send(shape)
    }

    /// Fetches the first numbers of a tensor whose rows lie behind each other.
    pub(crate) fn fetch(&mut self, tensor: &Tensor, out: &mut [T]) -> Result<(), ComputeError> {
        let fetched = self.transfer(tensor, out.len(), Way::Out);
        if fetched.is_ok() {
            out.copy_from_slice(self.numbers()?.get(..out.len()).ok_or(ComputeError)?);
        }
        self.forget(out.len())?;
        fetched
    }

    fn transfer(&mut self, tensor: &Tensor, count: usize, way: Way) -> Result<(), ComputeError> {
        if count > self.length() || count > tensor.elem_count() || !tensor.is_contiguous() {
            return Err(ComputeError);
        }
        let transfer = Transfer {
            room: RefCell::new(&mut self.room),
            count,
            way,
        };
        tensor.inplace_op1(&transfer).map_err(|_| ComputeError)
    }

    /// Overwrites what a transfer left.
    fn forget(&mut self, count: usize) -> Result<(), ComputeError> {
        let used = self.numbers()?.get_mut(..count).ok_or(ComputeError)?;
        used.fill(T::default());
        zeroize::optimization_barrier(used);
        Ok(())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    In,
    Out,
}

/// An operation, to candle: the only kind of code that it lets touch a storage.
struct Transfer<'a, T: Number> {
    room: RefCell<&'a mut Room<T>>,
    count: usize,
    way: Way,
}

impl<T: Number> InplaceOp1 for Transfer<'_, T> {
    fn name(&self) -> &'static str {
        "transfer"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> CandleResult<()> {
        let range = layout.start_offset()..layout.start_offset() + self.count;
        let numbers = T::of(storage)?.get_mut(range);
        let mut room = self.room.borrow_mut();
        let (Some(numbers), Room::Plain(room)) = (numbers, &mut **room) else {
            return Err(candle_core::Error::Msg("outside of the storage".to_owned()));
        };
        match (self.way, room.get_mut(..self.count)) {
            (Way::In, Some(room)) => numbers.copy_from_slice(room),
            (Way::Out, Some(room)) => room.copy_from_slice(numbers),
            (_, None) => return Err(candle_core::Error::Msg("outside of the room".to_owned())),
        }
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> CandleResult<()> {
        let range = layout.start_offset()..layout.start_offset() + self.count;
        let stream = storage.device.cuda_stream();
        let slice = storage.as_cuda_slice_mut::<T>()?;
        let mut room = self.room.borrow_mut();
        let Room::Pinned(pinned) = &mut **room else {
            return Err(candle_core::Error::Msg("not pinned".to_owned()));
        };
        let mut view = slice
            .try_slice_mut(range)
            .ok_or_else(|| candle_core::Error::Msg("outside of the storage".to_owned()))?;
        match self.way {
            Way::In => pinned.send(&stream, &mut view, self.count),
            Way::Out => pinned.fetch(&stream, &view, self.count),
        }
        .map_err(candle_core::Error::wrap)
    }

    #[cfg(not(feature = "cuda"))]
    fn cuda_fwd(&self, _storage: &mut CudaStorage, _layout: &Layout) -> CandleResult<()> {
        Err(candle_core::Error::NotCompiledWithCudaSupport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_arrive_come_back_and_are_not_left_in_between() {
        let mut staging = Staging::<f32>::new(&Device::Cpu, 8).unwrap();
        let sent = staging.send_all(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], (3, 2)).unwrap();
        assert_eq!(
            sent.tensor().to_vec2::<f32>().unwrap(),
            [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
        );
        assert_eq!(staging.numbers().unwrap(), [0.0; 8]);
        let mut back = [0.0; 4];
        staging
            .fetch(&sent.tensor().narrow(0, 1, 2).unwrap(), &mut back)
            .unwrap();
        assert_eq!(back, [3.0, 4.0, 5.0, 6.0]);
        assert_eq!(staging.numbers().unwrap(), [0.0; 8]);
        // Longer than the room, or than the tensor; other numbers.
        assert!(staging.send_all(&[1.0; 9], 9).is_err());
        assert!(staging.send(9).is_err());
        assert!(staging.fetch(sent.tensor(), &mut [0.0; 7]).is_err());
        let ids = Staging::<u32>::new(&Device::Cpu, 2)
            .unwrap()
            .send_all(&[7, 8], 2)
            .unwrap();
        assert_eq!(ids.tensor().to_vec1::<u32>().unwrap(), [7, 8]);
        assert!(staging.fetch(ids.tensor(), &mut [0.0; 2]).is_err());
    }
}
