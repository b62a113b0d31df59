//! What is said of a device before it is given weights: that it may have them, and how they shall lie there.
//!
//! Why apart: whoever proves a device needs these words and none of the tensors behind them.
//!
//! # Invariants
//! Nothing here computes.

/// That one GPU may be given weights. Whoever implements it vouches that the GPU was verified and appraised; the enclave
/// has the only implementation, and a test of the repository's conventions holds it to that.
pub trait DeviceProof: Send + Sync {
    /// The GPU's UUID, which CUDA and NVML give alike.
    fn uuid(&self) -> [u8; 16];

    /// Whether the GPU still is what was appraised. Once `false`, never `true` again.
    fn holds(&self) -> bool;
}

/// How weights, keys and values lie on a device; sums are of 32-bit floats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicePrecision {
    /// IEEE 754 binary32: for comparisons.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of binary32. Not on a host's memory (`Device::host`), where candle has no products of it.
    Bf16,
}
