//! The model on GPUs, when the configuration says so.
//!
//! Why apart: the only part of the boot that depends on how this build was made.
//!
//! # Invariants
//! Without `[devices]` nothing of NVIDIA's is loaded. With it, the model goes to a GPU that was appraised, or nowhere.

use std::sync::Arc;

#[cfg(feature = "cuda")]
use anchorhold_attestation::{Anchors, Endorsements};
use anchorhold_models::{LoadOptions, Model, UnsealedModel};

use super::BootError;
use crate::clock::Clock;
use crate::config::Config;
use crate::devices::{DevicesError, ReadyDevices};

/// Appraises the GPUs that the configuration demands and sets them ready. Blocks for as long as their reports take.
#[cfg(feature = "cuda")]
pub(super) fn take(config: &Config, clock: &Clock) -> Result<Option<Arc<ReadyDevices>>, DevicesError> {
    use crate::attester::nvml::{Nvml, library};
    use crate::devices::appraisal::admit;
    use crate::event::{self, Event};
    use crate::limits;
    use std::io::Read as _;

    let Some(devices) = &config.devices else {
        return Ok(None);
    };
    let mut bundle = Vec::new();
    let file = std::fs::File::open(&devices.endorsements).map_err(|_| DevicesError::Endorsements)?;
    file.take(limits::DEVICE_ENDORSEMENTS + 1)
        .read_to_end(&mut bundle)
        .map_err(|_| DevicesError::Endorsements)?;
    if bundle.len() as u64 > limits::DEVICE_ENDORSEMENTS {
        return Err(DevicesError::Endorsements);
    }
    let endorsements = Endorsements::from_bundle(&bundle).map_err(|_| DevicesError::Endorsements)?;
    let nvml = Nvml::load(std::path::Path::new(library::NAME))?;
    // The broker has told the time with the key.
    let (now, _) = clock.calendar();
    let ready = admit(Arc::new(nvml), devices, &endorsements, &Anchors::compiled(), now)?;
    event::emit(Event::DevicesReady {
        devices: ready.count(),
        valid_until: ready.valid_until().unix(),
    });
    Ok(Some(Arc::new(ready)))
}

/// This build has no engine for GPUs.
#[cfg(not(feature = "cuda"))]
pub(super) fn take(config: &Config, _clock: &Clock) -> Result<Option<Arc<ReadyDevices>>, DevicesError> {
    match config.devices {
        None => Ok(None),
        Some(_) => Err(DevicesError::NotCompiled),
    }
}

/// Loads the model on the GPU that was appraised.
#[cfg(feature = "cuda")]
pub(super) fn load(
    model: UnsealedModel,
    devices: &Arc<ReadyDevices>,
    config: &Config,
    options: LoadOptions,
) -> Result<Model, BootError> {
    use anchorhold_models::{Device, DeviceError, DevicePrecision, DeviceProof};

    let precision = config
        .devices
        .as_ref()
        .map_or(DevicePrecision::Bf16, |devices| devices.precision);
    let proof = Arc::clone(devices) as Arc<dyn DeviceProof>;
    let device = Device::cuda(proof, precision).map_err(|error| {
        BootError::Devices(match error {
            DeviceError::Missing => DevicesError::NotShown,
            DeviceError::Revoked => DevicesError::Changed,
            DeviceError::Unsupported(_) | DeviceError::Failed => {
                DevicesError::Library(crate::attester::Fault::Refused)
            }
        })
    })?;
    Model::load_on(model, device, options, &()).map_err(BootError::Load)
}

/// Never reached: there are no devices without the feature.
#[cfg(not(feature = "cuda"))]
pub(super) fn load(
    _model: UnsealedModel,
    _devices: &Arc<ReadyDevices>,
    _config: &Config,
    _options: LoadOptions,
) -> Result<Model, BootError> {
    Err(BootError::Devices(DevicesError::NotCompiled))
}
