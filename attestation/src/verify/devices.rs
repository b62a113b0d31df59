//! GPUs and switches beside the CPU.
//!
//! Why apart: they are other machines with other vendors' keys, tied to the CPU's report by the devices' digest in
//! its report data, and to the question by the nonce that their own reports carry.
//!
//! # Invariants
//! A device is proven or the evidence is refused. Reference measurements that are not proven are left out, with
//! the reason: that nothing matches then is for the appraisal to say.

use anchorhold_encoding::Digest;

use crate::anchors::Anchors;
use crate::claims::Claims;
use crate::endorsements::{EndorsementKind, Endorsements};
use crate::evidence::DeviceEvidence;
use crate::limits;
use crate::nvidia::{self, DeviceKind, verify_device, verify_rim};
use crate::time::Timestamp;
use crate::verify::VerifyError;
use crate::x509::OcspResponse;

/// Of the requester's nonce in a report: SPDM 1.1 (DSP0274) GET_MEASUREMENTS, after version, code and two parameters.
const NONCE: std::ops::Range<usize> = 4..36;

/// Devices that are what they say, and the reference measurements that came with them.
pub(crate) struct Proven {
    /// By their leaf certificates' digests, ascending.
    pub(crate) devices: Vec<nvidia::VerifiedDevice>,
    pub(crate) rims: Vec<nvidia::VerifiedRim>,
    pub(crate) rims_refused: Vec<nvidia::RimError>,
}

/// Proves the devices and adds what they say.
pub(super) fn verify(
    devices: &[DeviceEvidence],
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
    claims: &mut Claims,
) -> Result<(), VerifyError> {
    if devices.is_empty() {
        return Ok(());
    }
    let proven = prove(devices, endorsements, anchors, now)?;
    claims.rims = proven.rims;
    claims.rims_refused = proven.rims_refused;
    let proven = proven.devices;
    claims.expires = proven
        .iter()
        .map(nvidia::VerifiedDevice::expires)
        .fold(claims.expires, Timestamp::min);
    claims.devices = proven.iter().map(nvidia::VerifiedDevice::leaf_digest).collect();
    claims.gpus = proven;
    Ok(())
}

/// Proves each device, and what of the endorsements are reference measurements.
pub(crate) fn prove(
    devices: &[DeviceEvidence],
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Proven, VerifyError> {
    let mut proven = Vec::new();
    // What is no response says nothing about any device. One that is, and is wrong, refuses the device or the RIM it is about.
    let responses: Vec<_> = endorsements
        .of(EndorsementKind::NvidiaOcsp)
        .filter(|der| OcspResponse::parse(der).is_ok())
        .take(limits::OCSP_RESPONSES)
        .collect();
    for (index, device) in devices.iter().enumerate() {
        let kind = match device.kind() {
            nvidia::GPU => DeviceKind::Gpu,
            nvidia::SWITCH => DeviceKind::Switch,
            _ => return Err(VerifyError::DeviceKind),
        };
        let anchors = anchors.nvidia().ok_or(VerifyError::NoAnchor)?;
        // The nonce is the report's own here; the appraisal compares it with the one of the binding.
        let asked = device.report().get(NONCE).and_then(Digest::from_slice);
        let asked = asked.unwrap_or(Digest::new([0; 32]));
        let device = verify_device(
            device.report(),
            device.certificates(),
            &asked,
            &responses,
            anchors,
            now,
        )
        .map_err(|error| VerifyError::Device { index, error })?;
        if device.identity().architecture().kind() != kind {
            return Err(VerifyError::DeviceKind);
        }
        proven.push(device);
    }
    proven.sort_by_key(nvidia::VerifiedDevice::leaf_digest);
    let (mut rims, mut rims_refused) = (Vec::new(), Vec::new());
    if let Some(anchors) = anchors.nvidia() {
        for rim in endorsements.of(EndorsementKind::NvidiaRim) {
            match verify_rim(rim, &responses, anchors, now) {
                Ok(rim) => rims.push(rim),
                Err(error) => rims_refused.push(error),
            }
        }
    }
    Ok(Proven {
        devices: proven,
        rims,
        rims_refused,
    })
}
