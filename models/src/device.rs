//! A device that computes a decoder instead of this machine's CPU, and the leave to give it weights.
//!
//! Why apart: whether a device may see weights is decided elsewhere, by evidence this crate knows nothing of; here it is
//! only demanded.
//!
//! - [`wiped`]: tensors that are overwritten when they are dropped
//! - [`staging`]: numbers on their way to a device and back
//! - [`pages`]: keys and values of sequences, on the device
//!
//! # Invariants
//! Weights go to memory of this machine, or to a GPU for which there is a [`DeviceProof`], or under a name that begins
//! with `dangerously`. A proof that no longer holds stops every later upload and every later pass.
//!
//! The tensors are candle's. The same code computes on a CPU, which is how it is tested where there is no GPU.

pub(crate) mod pages;
#[cfg(feature = "cuda")]
mod pinned;
pub(crate) mod staging;
pub(crate) mod wiped;

use std::fmt;
use std::sync::Arc;

use candle_core::DType;

pub use crate::device_terms::{DevicePrecision, DeviceProof};

impl DevicePrecision {
    pub(crate) fn kind(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
            Self::Bf16 => DType::BF16,
        }
    }

    pub(crate) fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }
}

/// A device that may be given weights. No `Clone`: whoever has it may give them once.
pub struct Device {
    pub(crate) candle: candle_core::Device,
    pub(crate) precision: DevicePrecision,
    pub(crate) leave: Leave,
}

/// Why a device may be given weights.
#[derive(Clone)]
pub(crate) enum Leave {
    /// It is memory of this machine, or somebody measures on a GPU of their own.
    Always,
    Proven(Arc<dyn DeviceProof>),
}

impl Leave {
    pub(crate) fn holds(&self) -> bool {
        match self {
            Self::Always => true,
            Self::Proven(proof) => proof.holds(),
        }
    }
}

impl Device {
    /// This machine's own memory, computed with as a GPU's: nothing leaves, so nothing is to be proven.
    ///
    /// # Errors
    /// [`DeviceError::Unsupported`] for [`DevicePrecision::Bf16`].
    pub fn host(precision: DevicePrecision) -> Result<Self, DeviceError> {
        if precision == DevicePrecision::Bf16 {
            return Err(DeviceError::Unsupported("bf16 on a CPU"));
        }
        Ok(Self {
            candle: candle_core::Device::Cpu,
            precision,
            leave: Leave::Always,
        })
    }

    /// The same, only as long as a proof holds: how whoever proves is tested where there is no GPU.
    ///
    /// # Errors
    /// As [`Self::host`], and [`DeviceError::Revoked`].
    pub fn host_under(proof: Arc<dyn DeviceProof>, precision: DevicePrecision) -> Result<Self, DeviceError> {
        if !proof.holds() {
            return Err(DeviceError::Revoked);
        }
        let leave = Leave::Proven(proof);
        Ok(Self {
            leave,
            ..Self::host(precision)?
        })
    }

    /// The GPU that was proven, found by its UUID whatever CUDA's order is.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] when CUDA does not show it, [`DeviceError::Revoked`], or [`DeviceError::Failed`].
    #[cfg(feature = "cuda")]
    pub fn cuda(proof: Arc<dyn DeviceProof>, precision: DevicePrecision) -> Result<Self, DeviceError> {
        use candle_core::cuda_backend::cudarc::driver::CudaContext;
        if !proof.holds() {
            return Err(DeviceError::Revoked);
        }
        let failed = |_| DeviceError::Failed;
        let count = CudaContext::device_count().map_err(failed)?;
        for ordinal in 0..usize::try_from(count).unwrap_or(0) {
            let found = CudaContext::new(ordinal)
                .map_err(failed)?
                .uuid()
                .map_err(failed)?;
            if found.bytes.map(|byte| byte as u8) == proof.uuid() {
                return Self::at(ordinal, precision, Leave::Proven(proof));
            }
        }
        Err(DeviceError::Missing)
    }

    /// CUDA's GPU of this number, whatever it is: for measurements with weights that are no secret.
    ///
    /// # Errors
    /// [`DeviceError::Missing`] or [`DeviceError::Failed`].
    #[cfg(feature = "cuda")]
    pub fn dangerously_unproven_cuda(
        ordinal: usize,
        precision: DevicePrecision,
    ) -> Result<Self, DeviceError> {
        Self::at(ordinal, precision, Leave::Always)
    }

    #[cfg(feature = "cuda")]
    fn at(ordinal: usize, precision: DevicePrecision, leave: Leave) -> Result<Self, DeviceError> {
        // One stream for all threads: what one wipes is behind what another reads.
        let candle = candle_core::Device::new_cuda_with_stream(ordinal).map_err(|_| DeviceError::Missing)?;
        Ok(Self {
            candle,
            precision,
            leave,
        })
    }
}

/// A device cannot be given a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceError {
    /// There is no such device.
    Missing,
    /// The device is no longer what was appraised.
    Revoked,
    /// The device has no such thing.
    Unsupported(&'static str),
    /// The device failed, or has too little memory.
    Failed,
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("there is no such device"),
            Self::Revoked => f.write_str("the device is no longer the one that was appraised"),
            Self::Unsupported(what) => write!(f, "not on a device: {what}"),
            Self::Failed => f.write_str("the device failed, or has too little memory"),
        }
    }
}

impl std::error::Error for DeviceError {}

impl DeviceError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing => "compare the UUIDs that nvidia-smi -L shows with those that CUDA shows",
            Self::Revoked => "start the machine anew: a device that changed is appraised at the start only",
            Self::Unsupported(_) => "leave the setting out, or compute on the CPU",
            Self::Failed => "give keys and values less memory, or choose a smaller model",
        }
    }
}
