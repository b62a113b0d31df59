//! What is compared while GPUs compute, and what happens when it differs.
//!
//! Why apart: an appraisal is of a moment, and a host can pull a GPU out, reset it or put another in at any other.
//!
//! # Invariants
//! A difference ends the proof first, which stops uploads and passes, then the enclave drains and drops the model, which
//! overwrites what is on the device. There is no way back within a boot. Only a library that is busy is asked again.
//!
//! A GPU that was reset has another session certificate, and the driver's state is not ready: no event of the library is relied
//! on, whose absence would say nothing.

use std::sync::Arc;

use super::{DevicesError, ReadyDevices, Snapshot};
use crate::attester::Fault;
use crate::event::{self, Event};
use crate::lifecycle::{Cause, Lifecycle};
use crate::limits;

impl ReadyDevices {
    /// Compares the GPUs with those that were appraised.
    ///
    /// # Errors
    /// [`DevicesError`]: what differs.
    pub fn compare(&self) -> Result<(), DevicesError> {
        if Snapshot::take(&*self.library)? != self.snapshot {
            return Err(DevicesError::Changed);
        }
        if self.library.is_ready()? {
            Ok(())
        } else {
            Err(DevicesError::NotReady)
        }
    }
}

/// Compares again and again until something differs, then revokes and drains; or until the enclave drains.
pub async fn watch(devices: Arc<ReadyDevices>, lifecycle: Lifecycle) {
    let difference = tokio::select! {
        difference = until_different(&devices) => difference,
        _ = lifecycle.draining() => return,
    };
    devices.revoke();
    event::emit(Event::DevicesChanged {
        code: difference.code(),
    });
    lifecycle.drain(Cause::DevicesChanged);
}

async fn until_different(devices: &Arc<ReadyDevices>) -> DevicesError {
    let mut busy = 0;
    loop {
        tokio::time::sleep(limits::DEVICE_PAUSE).await;
        let compared = Arc::clone(devices);
        // The library blocks, on a GPU that is stuck for long.
        let compared = tokio::task::spawn_blocking(move || compared.compare());
        match tokio::time::timeout(limits::DEVICE_WAIT, compared).await {
            Ok(Ok(Ok(()))) => busy = 0,
            Ok(Ok(Err(DevicesError::Library(Fault::Busy)))) if busy < limits::DEVICE_BUSY => busy += 1,
            Ok(Ok(Err(difference))) => return difference,
            // Stuck, or a panic.
            Ok(Err(_)) | Err(_) => return DevicesError::Library(Fault::Refused),
        }
    }
}
