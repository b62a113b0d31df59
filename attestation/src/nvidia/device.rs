//! From a device's report and certificates to what they prove.
//!
//! Why apart: [`VerifiedDevice`] has private fields declared here, so only this file can make one.
//!
//! # Invariants
//! Every field is under a signature that was checked up to the given root, and the report answers the given nonce.

use anchorhold_encoding::{Digest, sha384};
use subtle::ConstantTimeEq as _;

use crate::nvidia::anchors::Anchors;
use crate::nvidia::error::DeviceError;
use crate::nvidia::identity::DeviceIdentity;
use crate::nvidia::report::Report;
use crate::nvidia::revocation::{self, ANSWERED_FOR, Revocation};
use crate::signature::Scheme;
use crate::time::Timestamp;

/// Whether the report names the firmware its key was made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FirmwareBinding {
    /// The report and the leaf certificate name the same.
    Same,
    /// The report names none (opaque type 20 is absent): drivers before 550, and switches. A policy chooses.
    Absent,
}

/// A device's report, proven: who made it, for which question, on which firmware.
///
/// ```compile_fail
/// use anchorhold_attestation::nvidia::VerifiedDevice;
/// fn copy(device: &VerifiedDevice) -> VerifiedDevice { device.clone() }
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifiedDevice {
    report: Report,
    identity: DeviceIdentity,
    firmware_binding: FirmwareBinding,
    revocation: Revocation,
    compiled_anchors: bool,
}

/// Proves that a device of NVIDIA's made `report` when asked with `nonce`. `certificates` are five in DER, the
/// device's own first; `responses` are answers of NVIDIA's OCSP responder in DER, as many as came, of this device and of
/// others; `now` is when all dates are judged.
///
/// # Errors
/// [`DeviceError`]: the first check that fails, in the order of docs/platforms/nvidia.md.
pub fn verify_device(
    report: &[u8],
    certificates: &[Vec<u8>],
    nonce: &Digest<32>,
    responses: &[&[u8]],
    anchors: &Anchors,
    now: Timestamp,
) -> Result<VerifiedDevice, DeviceError> {
    let identity = DeviceIdentity::verify(certificates, anchors.device(), now)?;
    let revocation = revocation::check(identity.chain(), ANSWERED_FOR, responses, now)?;
    let (report, firmware_binding) = check_report(report, &identity, nonce)?;
    Ok(VerifiedDevice {
        report,
        identity,
        firmware_binding,
        revocation,
        compiled_anchors: anchors.are_compiled(),
    })
}

/// Proves that the device of `identity` made `report` when asked with `nonce`.
fn check_report(
    report: &[u8],
    identity: &DeviceIdentity,
    nonce: &Digest<32>,
) -> Result<(Report, FirmwareBinding), DeviceError> {
    let report = Report::parse(report, identity.architecture().kind())?;
    if !bool::from(report.nonce().as_bytes().ct_eq(nonce.as_bytes())) {
        return Err(DeviceError::Nonce);
    }
    let key = identity.chain().key();
    // SPDM signs request and response up to the signature (DSP0274 1.1.0 section 10.11.3).
    key.verify(Scheme::EcdsaP384Fixed, report.signed(), report.signature())
        .ok_or(DeviceError::Signature)?;
    let firmware_binding = match report.opaque().firmware_id() {
        None => FirmwareBinding::Absent,
        Some(named) if named == identity.firmware_id() => FirmwareBinding::Same,
        Some(_) => return Err(DeviceError::FirmwareId),
    };
    Ok((report, firmware_binding))
}

impl VerifiedDevice {
    /// What it reports.
    pub const fn report(&self) -> &Report {
        &self.report
    }

    /// Which device it is.
    pub const fn identity(&self) -> &DeviceIdentity {
        &self.identity
    }

    /// Whether the report names the firmware its key was made for.
    pub const fn firmware_binding(&self) -> FirmwareBinding {
        self.firmware_binding
    }

    /// Whether its certificates were checked for revocation.
    #[must_use]
    pub const fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// True when NVIDIA's own root is above it.
    pub const fn under_compiled_anchors(&self) -> bool {
        self.compiled_anchors
    }

    /// SHA-384 of the leaf certificate: the device's name in an identity document.
    #[must_use]
    pub fn leaf_digest(&self) -> Digest<48> {
        sha384(&[self.identity.chain().leaf().der()])
    }

    /// When the first of its certificates ends, or of the answers that none of them is revoked.
    #[must_use]
    pub fn expires(&self) -> Timestamp {
        self.identity.chain().not_after().min(self.revocation.expires())
    }
}

#[cfg(test)]
mod tests;
