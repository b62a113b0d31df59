//! Page-locked memory that a GPU reads and writes by itself.
//!
//! Why apart: the only file of devices with `unsafe`: asking the driver for it.
//!
//! # Invariants
//! It is zeroed when it comes and overwritten before it goes; whoever looks at it waits for the transfers that use it.
//!
//! Source: CUDA Driver API, Memory Management, `cuMemHostAlloc`. In confidential mode the driver keeps such memory encrypted
//! between here and the GPU, through bounce buffers of its own.

#![allow(unsafe_code)] // the driver's memory comes as it is

use std::sync::Arc;

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::{
    CudaStream, CudaViewMut, DeviceRepr, DriverError, PinnedHostSlice, ValidAsZeroBits,
};
use zeroize::Zeroize;

/// Numbers in page-locked memory.
pub(super) struct Pinned<T: DeviceRepr + ValidAsZeroBits + Zeroize + Copy + Default + 'static> {
    memory: PinnedHostSlice<T>,
}

impl<T: DeviceRepr + ValidAsZeroBits + Zeroize + Copy + Default + 'static> Pinned<T> {
    pub(super) fn new(device: &CudaDevice, length: usize) -> Result<Self, DriverError> {
        let stream = device.cuda_stream();
        // Cached by the CPU, not write-combined: logits are read from it.
        // SAFETY: any bits are numbers of these kinds, and they are overwritten on the next line.
        let mut memory = unsafe { stream.context().alloc_pinned_with_flags::<T>(length, 0)? };
        memory.as_mut_slice()?.fill(T::default());
        Ok(Self { memory })
    }

    pub(super) fn length(&self) -> usize {
        self.memory.len()
    }

    /// The numbers, once no transfer uses them.
    pub(super) fn numbers(&mut self) -> Result<&mut [T], DriverError> {
        self.memory.as_mut_slice()
    }

    /// The first numbers into as many of the GPU's. Returns when the GPU has them.
    pub(super) fn send(
        &mut self,
        stream: &Arc<CudaStream>,
        view: &mut CudaViewMut<'_, T>,
        count: usize,
    ) -> Result<(), DriverError> {
        let numbers = self.memory.as_mut_slice()?.get(..count).unwrap_or_default();
        let sent = stream.memcpy_htod(numbers, view);
        // cudarc orders transfers by events only where there are several streams.
        stream.synchronize()?;
        sent
    }

    /// As many of the GPU's numbers as `view` has, into the first ones. Returns when they are here.
    pub(super) fn fetch(
        &mut self,
        stream: &Arc<CudaStream>,
        view: &CudaViewMut<'_, T>,
        count: usize,
    ) -> Result<(), DriverError> {
        let numbers = self.memory.as_mut_slice()?.get_mut(..count).unwrap_or_default();
        let fetched = stream.memcpy_dtoh(view, numbers);
        stream.synchronize()?;
        fetched
    }
}

impl<T: DeviceRepr + ValidAsZeroBits + Zeroize + Copy + Default + 'static> Drop for Pinned<T> {
    fn drop(&mut self) {
        if let Ok(numbers) = self.memory.as_mut_slice() {
            numbers.fill(T::default());
            zeroize::optimization_barrier(numbers);
        }
    }
}
