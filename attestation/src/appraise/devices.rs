//! Devices beside the CPU, judged by whoever is about to give them secrets.
//!
//! Why apart: an enclave that gives weights to a GPU is a Relying Party of that GPU's, without a CPU's evidence around it.
//!
//! # Invariants
//! Only this file makes an [`AppraisedDevices`], and only when every device is proven, answers the nonce that was drawn for
//! it, and every rule of the policy holds. A policy without a GPU judges none.

use anchorhold_encoding::Digest;

use super::nvidia::{Rims, judge};
use crate::anchors::Anchors;
use crate::denial::{Check, Denial, Rules};
use crate::endorsements::Endorsements;
use crate::evidence::DeviceEvidence;
use crate::nvidia::VerifiedDevice;
use crate::policy::nvidia::NvidiaPolicy;
use crate::time::Timestamp;
use crate::verify::VerifyError;
use crate::verify::devices::prove;

/// Devices that satisfied a policy just now.
///
/// ```compile_fail
/// use anchorhold_attestation::AppraisedDevices;
/// fn copy(devices: &AppraisedDevices) -> AppraisedDevices { devices.clone() }
/// ```
#[must_use]
#[derive(Debug)]
pub struct AppraisedDevices {
    leaves: Vec<Digest<48>>,
    valid_until: Timestamp,
    checks: Vec<Check>,
}

/// Devices may not be given secrets.
#[derive(Debug)]
pub enum DevicesRefused {
    /// Their evidence proves nothing.
    Evidence(VerifyError),
    /// They are not what the policy wants.
    Denied(Denial),
}

impl NvidiaPolicy {
    /// Judges the evidence of all devices of a machine, all of which were asked with `nonce`, drawn by the caller. `now` is the
    /// caller's time; RIMs and answers about revocation are among the endorsements.
    ///
    /// # Errors
    /// [`DevicesRefused`], with every rule that does not hold.
    pub fn appraise_devices(
        &self,
        devices: &[DeviceEvidence],
        nonce: &Digest<32>,
        endorsements: &Endorsements,
        anchors: &Anchors,
        now: Timestamp,
    ) -> Result<AppraisedDevices, DevicesRefused> {
        let proven = prove(devices, endorsements, anchors, now).map_err(DevicesRefused::Evidence)?;
        let mut rules = Rules::new();
        let rims = Rims {
            proven: &proven.rims,
            refused: &proven.rims_refused,
        };
        let rims_expire = judge(&mut rules, self, &proven.devices, rims, Some(*nonce));
        let checks = rules.finish().map_err(DevicesRefused::Denied)?;
        let expire = proven.devices.iter().map(VerifiedDevice::expires);
        Ok(AppraisedDevices {
            leaves: proven.devices.iter().map(VerifiedDevice::leaf_digest).collect(),
            valid_until: expire.fold(rims_expire, Timestamp::min),
            checks,
        })
    }
}

impl AppraisedDevices {
    /// SHA-384 of each device's leaf certificate, ascending.
    #[must_use]
    pub fn leaves(&self) -> &[Digest<48>] {
        &self.leaves
    }

    /// When the first of what was believed ends.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }

    /// Every rule, in order.
    #[must_use]
    pub fn checks(&self) -> &[Check] {
        &self.checks
    }
}

#[cfg(test)]
mod tests;
