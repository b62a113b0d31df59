//! Keys and values of running sequences on a device, in pages.
//!
//! Why apart: what a device has for whom is decided before anything is computed, as on a CPU.
//!
//! # Invariants
//! A page belongs to one sequence or to nobody. It is overwritten on the device before it is free again; one that could
//! not be is given to nobody any more. The first page is nobody's ever and stays zero: shapes are filled up with it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anchorhold_kernels::kv;
use candle_core::{Result as CandleResult, Tensor};

use super::Device;
use super::wiped::Wiped;
use crate::matrix::ComputeError;

/// What all pages of a model have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageLayout {
    pub(crate) layers: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) number_bytes: u64,
}

impl PageLayout {
    /// Bytes of a page in all layers.
    pub(crate) fn page_bytes(&self) -> u64 {
        2 * self.number_bytes * (self.layers * self.kv_heads * self.head_width * kv::POSITIONS) as u64
    }
}

/// All pages of a model.
pub(crate) struct DevicePages {
    shared: Arc<Shared>,
}

struct Shared {
    /// A tensor a layer, of `(page, head)` rows of [`kv::POSITIONS`] keys each.
    keys: Vec<Wiped>,
    values: Vec<Wiped>,
    layout: PageLayout,
    total: usize,
    free: Mutex<Vec<u32>>,
}

impl DevicePages {
    pub(crate) fn new(device: &Device, layout: PageLayout, total: usize) -> Result<Self, ComputeError> {
        let rows = (total + 1) * layout.kv_heads;
        let kind = device.precision.kind();
        let width = kv::POSITIONS * layout.head_width;
        // Indices on the device have 32 bits.
        let pages = u32::try_from(rows * kv::POSITIONS).map_err(|_| ComputeError)? / kv::POSITIONS as u32;
        let tensors = || {
            (0..layout.layers)
                .map(|_| Wiped::of(Tensor::zeros((rows, width), kind, &device.candle)))
                .collect::<Result<Vec<_>, _>>()
        };
        let free = 1..pages / layout.kv_heads as u32;
        Ok(Self {
            shared: Arc::new(Shared {
                keys: tensors()?,
                values: tensors()?,
                layout,
                total,
                free: Mutex::new(free.rev().collect()),
            }),
        })
    }

    /// Pages that nobody has, and all.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.shared.free().len(), self.shared.total)
    }

    pub(crate) fn bytes(&self) -> u64 {
        (self.shared.total as u64 + 1) * self.shared.layout.page_bytes()
    }

    /// Takes so many pages, or says how many are free.
    pub(crate) fn reserve(&self, count: usize) -> Result<DeviceSequence, usize> {
        let mut free = self.shared.free();
        let rest = free.len().checked_sub(count).ok_or(free.len())?;
        let pages = free.split_off(rest);
        Ok(DeviceSequence {
            shared: Arc::clone(&self.shared),
            pages,
        })
    }

    /// Keys and values of a layer.
    pub(crate) fn layer(&self, layer: usize) -> Result<(&Tensor, &Tensor), ComputeError> {
        let keys = self.shared.keys.get(layer).ok_or(ComputeError)?;
        let values = self.shared.values.get(layer).ok_or(ComputeError)?;
        Ok((keys.tensor(), values.tensor()))
    }

    pub(crate) fn owns(&self, sequence: &DeviceSequence) -> bool {
        Arc::ptr_eq(&self.shared, &sequence.shared)
    }
}

impl Shared {
    fn free(&self) -> MutexGuard<'_, Vec<u32>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wipe(&self, page: u32) -> CandleResult<()> {
        let heads = self.layout.kv_heads;
        for tensor in self.keys.iter().chain(&self.values) {
            tensor
                .tensor()
                .narrow(0, page as usize * heads, heads)?
                .zero_set()?;
        }
        Ok(())
    }
}

/// Pages of one sequence. Overwritten and free again when dropped.
pub(crate) struct DeviceSequence {
    shared: Arc<Shared>,
    pages: Vec<u32>,
}

impl DeviceSequence {
    /// The page of a position, or the one that is nobody's.
    pub(crate) fn page_of(&self, position: usize) -> u32 {
        self.pages.get(position / kv::POSITIONS).copied().unwrap_or(0)
    }
}

impl Drop for DeviceSequence {
    fn drop(&mut self) {
        for page in self.pages.drain(..) {
            if self.shared.wipe(page).is_ok() {
                self.shared.free().push(page);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::DevicePrecision;
    use super::*;

    #[test]
    fn a_page_is_one_sequences_and_is_zero_when_it_comes_back() {
        let device = Device::host(DevicePrecision::F16).unwrap();
        let layout = PageLayout {
            layers: 2,
            kv_heads: 3,
            head_width: 4,
            number_bytes: 2,
        };
        assert_eq!(layout.page_bytes(), 2 * 2 * 2 * 3 * 4 * 32);
        let pages = DevicePages::new(&device, layout, 5).unwrap();
        assert_eq!((pages.counts(), pages.bytes()), ((5, 5), 6 * layout.page_bytes()));
        let first = pages.reserve(2).unwrap();
        let second = pages.reserve(3).unwrap();
        assert_eq!(pages.reserve(1).map(|_| ()), Err(0));
        let mut taken: Vec<u32> = (0..3).map(|page| second.page_of(page * 32)).collect();
        taken.extend([first.page_of(0), first.page_of(63)]);
        taken.sort_unstable();
        assert_eq!(taken, [1, 2, 3, 4, 5]);
        assert_eq!(first.page_of(64), 0, "no page of anybody's");
        let (keys, values) = pages.layer(1).unwrap();
        assert!(pages.layer(2).is_err());
        for tensor in [keys, values] {
            tensor
                .const_set(candle_core::scalar::Scalar::F16(
                    candle_core::WithDType::from_f64(1.0),
                ))
                .unwrap();
        }
        drop(first);
        assert_eq!(pages.counts(), (2, 5));
        for tensor in [keys, values] {
            let numbers = tensor
                .to_dtype(candle_core::DType::F32)
                .unwrap()
                .to_vec2::<f32>()
                .unwrap();
            for (row, numbers) in numbers.iter().enumerate() {
                let theirs = !(row / 3 == 1 || row / 3 == 2);
                assert!(
                    numbers.iter().all(|number| (*number == 1.0) == theirs),
                    "row {row}"
                );
            }
        }
        let strangers = DevicePages::new(&device, layout, 1).unwrap();
        assert!(pages.owns(&second) && !strangers.owns(&second));
    }
}
