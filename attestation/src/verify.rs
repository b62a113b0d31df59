//! From bytes to claims: cryptography only, no judgement.
//!
//! Why apart: [`Verified`] has a private field declared here, so only this file can make one.
//!
//! # Invariants
//! Every field of the claims is under a signature that was checked. A device without a verifier is refused,
//! never ignored.

use std::fmt;

use crate::claims::{Claims, Platform, Product};
use crate::endorsements::Endorsements;
use crate::evidence::Evidence;
use crate::simulated::{ReportError, SimulatedReport};
use crate::time::Timestamp;

/// A `T` that evidence proves. Not Clone, not Default, not Deserialize, and made nowhere else:
///
/// ```compile_fail
/// use anchorhold_attestation::{Claims, Verified};
/// fn forge(claims: Claims) -> Verified<Claims> { Verified(claims) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    /// What was proven.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// What was proven, for the one who judges it next.
    pub(crate) fn into_inner(self) -> T {
        self.0
    }

    /// Claims as no platform has made them, for tests of rules about the future.
    #[cfg(test)]
    pub(crate) const fn for_test(claims: T) -> Self {
        Self(claims)
    }
}

/// Evidence proves nothing. The Attester, or someone on the way, is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The report is not one of its platform.
    Report(ReportError),
    /// The report's signature does not hold.
    Signature,
    /// A device of a kind nobody here can verify.
    DeviceKind,
}

impl VerifyError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Report(_) => "the evidence is not what its platform makes; was it altered on the way?",
            Self::Signature => "the evidence was altered or forged; do not trust this enclave",
            Self::DeviceKind => "this version verifies no devices beside the CPU; use a newer one",
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Report(error) => error.fmt(f),
            Self::Signature => f.write_str("the report's signature does not hold"),
            Self::DeviceKind => f.write_str("no verifier for that kind of device"),
        }
    }
}

impl std::error::Error for VerifyError {}

/// Checks every signature over the evidence, and under `endorsements` as of `now` every certificate that
/// is needed. Simulated evidence needs none, so nothing about it depends on `now`.
///
/// # Errors
/// [`VerifyError`] when anything is not proven.
pub fn verify(
    evidence: &Evidence,
    endorsements: &Endorsements,
    now: Timestamp,
) -> Result<Verified<Claims>, VerifyError> {
    if !evidence.devices().is_empty() {
        return Err(VerifyError::DeviceKind);
    }
    match evidence.platform() {
        Platform::InsecureSimulated => {
            // A published key has no certificate whose dates could be judged.
            let _: (&Endorsements, Timestamp) = (endorsements, now);
            simulated(evidence)
        }
    }
}

fn simulated(evidence: &Evidence) -> Result<Verified<Claims>, VerifyError> {
    let report = SimulatedReport::parse(evidence.report()).map_err(VerifyError::Report)?;
    let report = report.signed().ok_or(VerifyError::Signature)?;
    Ok(Verified(Claims {
        platform: evidence.platform(),
        class: evidence.platform().class(),
        product: Product::InsecureSimulated,
        chip_id: report.chip_id,
        measurement: report.measurement,
        config_digest: report.host_data,
        report_data: report.report_data,
        debug: report.debug,
        tcb: report.tcb,
        devices: Vec::new(),
        evidence_digest: evidence.digest(),
        expires: Timestamp::MAX,
    }))
}

#[cfg(test)]
mod tests;
