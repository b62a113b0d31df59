//! Tensors that are overwritten when they are dropped.
//!
//! Why apart: a device's allocator gives memory back as it is, to this process or, in the end, to the next.
//!
//! # Invariants
//! Each owns its storage: never a view of another tensor, which would be overwritten with it. Overwriting is in the
//! device's own order, behind all that reads the tensor and before it is given back.

use candle_core::{DType, Result as CandleResult, Shape, Tensor};

use crate::matrix::ComputeError;

/// A tensor of weights, or of a prompt's or an answer's.
pub(crate) struct Wiped(Tensor);

impl Wiped {
    /// Takes what an operation made. What candle says of a failure is no one's business.
    pub(crate) fn of(made: CandleResult<Tensor>) -> Result<Self, ComputeError> {
        let tensor = made.map_err(|_| ComputeError)?;
        #[cfg(test)]
        witness::remember(&tensor);
        Ok(Self(tensor))
    }

    /// A copy of its own, rows behind each other, of a tensor or a view of one.
    pub(crate) fn copy(view: &Tensor) -> Result<Self, ComputeError> {
        Self::of(view.force_contiguous())
    }

    /// A copy of another kind of numbers.
    pub(crate) fn cast(view: &Tensor, kind: DType) -> Result<Self, ComputeError> {
        if view.dtype() == kind {
            // candle would give the same storage again.
            Self::copy(view)
        } else {
            Self::of(view.to_dtype(kind))
        }
    }

    /// The same numbers as another kind.
    pub(crate) fn into(self, kind: DType) -> Result<Self, ComputeError> {
        if self.0.dtype() == kind {
            Ok(self)
        } else {
            Self::of(self.0.to_dtype(kind))
        }
    }

    /// The same numbers in another shape, where they are: they must lie behind each other.
    pub(crate) fn reshaped(mut self, shape: impl Into<Shape>) -> Result<Self, ComputeError> {
        let shape = shape.into();
        if !self.0.is_contiguous() {
            return Err(ComputeError);
        }
        self.0 = self.0.reshape(shape).map_err(|_| ComputeError)?;
        Ok(self)
    }

    pub(crate) fn tensor(&self) -> &Tensor {
        &self.0
    }

    pub(crate) fn wipe(&self) -> Result<(), ComputeError> {
        self.0.zero_set().map_err(|_| ComputeError)
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        // A device that cannot do this has lost its memory, or is lost with it.
        let _ = self.wipe();
    }
}

/// Lets a test look at memory after it was given back.
#[cfg(test)]
pub(crate) mod witness {
    use std::cell::RefCell;

    use candle_core::{DType, Tensor};

    thread_local! {
        static KEPT: RefCell<Option<Vec<Tensor>>> = const { RefCell::new(None) };
    }

    pub(super) fn remember(tensor: &Tensor) {
        KEPT.with_borrow_mut(|kept| {
            if let Some(kept) = kept {
                kept.push(tensor.clone());
            }
        });
    }

    /// Every storage that was made for a [`super::Wiped`] on this thread meanwhile.
    pub(crate) fn storages_of<T>(work: impl FnOnce() -> T) -> (T, Vec<Tensor>) {
        KEPT.set(Some(Vec::new()));
        let made = work();
        (made, KEPT.take().unwrap_or_default())
    }

    /// Whether any number of it is not zero.
    pub(crate) fn holds_something(tensor: &Tensor) -> bool {
        let numbers = tensor.flatten_all().and_then(|flat| flat.to_dtype(DType::F32));
        let numbers = numbers
            .and_then(|flat| flat.to_vec1::<f32>())
            .expect("a tensor of the CPU");
        numbers.iter().any(|number| number.to_bits() != 0)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn what_is_dropped_is_overwritten_and_a_view_is_copied_first() {
        let numbers = |tensor: &Tensor| {
            tensor
                .flatten_all()
                .and_then(|flat| flat.to_vec1::<f32>())
                .unwrap()
        };
        let whole = Wiped::of(Tensor::from_slice(&[1.0f32, 2.0, 3.0, 4.0], (2, 2), &Device::Cpu)).unwrap();
        let kept = whole.tensor().clone();
        let row = kept.narrow(0, 1, 1).unwrap();
        let (copied, cast) = (Wiped::copy(&row).unwrap(), Wiped::cast(&row, DType::F32).unwrap());
        let of_copy = copied.tensor().clone();
        drop((copied, cast));
        assert_eq!(numbers(&of_copy), [0.0, 0.0]);
        assert_eq!(numbers(&kept), [1.0, 2.0, 3.0, 4.0]);
        let half = whole.into(DType::F16).unwrap();
        assert_eq!(numbers(&kept), [0.0; 4], "the form that was left is overwritten");
        assert!(witness::holds_something(half.tensor()));
        half.wipe().unwrap();
        assert!(!witness::holds_something(half.tensor()));
    }
}
