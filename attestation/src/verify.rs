//! From bytes to claims: cryptography only, no judgement.
//!
//! Why apart: [`Verified`] has a private field declared here, so only this file can make one.
//!
//! - [`amd`]: the endorsements that fit an SEV-SNP report
//! - [`intel`]: the collateral that fits a quote, and its event log
//! - [`paravisor`]: Azure's guests
//! - [`provider`]: Google's and AWS's
//! - [`devices`]: GPUs and switches
//! - [`error`]: why not
//!
//! # Invariants
//! Every field of the claims is under a signature that was checked. A device without a verifier is refused,
//! never ignored, and so is a part of the evidence that its platform has no use for.

use crate::anchors::Anchors;
use crate::ccel::ReplayedLog;
use crate::claims::{ChipId, Claims, FixedConfig, Hardware, Platform, Product};
use crate::endorsements::Endorsements;
use crate::evidence::{Evidence, EvidencePart};
use crate::simulated::SimulatedReport;
use crate::time::Timestamp;
use crate::{azure, snp, tdx};

mod amd;
pub(crate) mod devices;
mod error;
mod intel;
mod paravisor;
mod provider;

pub use error::VerifyError;

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

/// Checks every signature over the evidence, and under `anchors`, with `endorsements` as of `now`, every certificate
/// that is needed. Simulated evidence needs none, so nothing about it depends on them.
///
/// # Errors
/// [`VerifyError`] when anything is not proven.
pub fn verify(
    evidence: &Evidence,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Verified<Claims>, VerifyError> {
    only_parts_of(evidence)?;
    let mut claims = match evidence.platform() {
        Platform::InsecureSimulated => simulated(evidence)?,
        Platform::Snp => {
            let anchors = anchors.snp().ok_or(VerifyError::NoAnchor)?;
            of_snp(
                evidence,
                amd::report(evidence.report(), endorsements, anchors, now)?,
            )
        }
        Platform::Tdx => {
            let anchors = anchors.tdx().ok_or(VerifyError::NoAnchor)?;
            let quote = intel::quote(evidence.report(), endorsements, anchors, now)?;
            let log = match evidence.part(EvidencePart::EventLog) {
                Some(log) => Some(intel::event_log(log, &quote)?),
                None => None,
            };
            of_tdx(evidence, quote, log)
        }
        Platform::AzureSnp | Platform::AzureTdx => {
            of_azure(evidence, paravisor::guest(evidence, endorsements, anchors, now)?)
        }
        Platform::GoogleSnp => of_provider(evidence, provider::google(evidence, endorsements, anchors, now)?),
        Platform::AwsSnp => of_provider(evidence, provider::aws(evidence, endorsements, anchors, now)?),
    };
    devices::verify(evidence.devices(), endorsements, anchors, now, &mut claims)?;
    claims.class = worse(claims.class, anchors.class(), evidence.platform());
    Ok(Verified(claims))
}

/// Parts that the platform has no use for are no evidence of it: who sends them means something else.
fn only_parts_of(evidence: &Evidence) -> Result<(), VerifyError> {
    let tpm = [
        EvidencePart::TpmQuote,
        EvidencePart::TpmSignature,
        EvidencePart::TpmRegisters,
    ];
    let used = |part: &EvidencePart| match evidence.platform() {
        Platform::InsecureSimulated | Platform::Snp => false,
        Platform::Tdx => *part == EvidencePart::EventLog,
        Platform::AzureSnp => tpm.contains(part),
        Platform::AzureTdx => *part == EvidencePart::TdxQuote || tpm.contains(part),
        Platform::GoogleSnp => *part == EvidencePart::TpmCertificates || tpm.contains(part),
        Platform::AwsSnp => *part == EvidencePart::NitroDocument,
    };
    match evidence.parts().find(|part| !used(part)) {
        Some(part) => Err(VerifyError::UnusedPart(part)),
        None => Ok(()),
    }
}

/// Simulated evidence is insecure under any anchors; other evidence is what its anchors are.
fn worse(
    found: crate::claims::Class,
    anchors: crate::claims::Class,
    platform: Platform,
) -> crate::claims::Class {
    use crate::claims::Class::{Insecure, Real};
    match (found, anchors, platform.class()) {
        (Real, Real, Real) => Real,
        _ => Insecure,
    }
}

fn simulated(evidence: &Evidence) -> Result<Claims, VerifyError> {
    let report = SimulatedReport::parse(evidence.report()).map_err(VerifyError::Report)?;
    let report = report.signed().ok_or(VerifyError::Signature)?;
    Ok(Claims {
        platform: evidence.platform(),
        class: evidence.platform().class(),
        product: Product::InsecureSimulated,
        chip_ids: ChipId::new(report.chip_id.as_bytes()).into_iter().collect(),
        measurement: report.measurement,
        config: FixedConfig::HostData(report.host_data),
        report_data: report.report_data,
        debug: report.debug,
        hardware: Hardware::Simulated { tcb: report.tcb },
        devices: Vec::new(),
        gpus: Vec::new(),
        rims: Vec::new(),
        rims_refused: Vec::new(),
        evidence_digest: evidence.digest(),
        expires: Timestamp::MAX,
    })
}

fn of_snp(evidence: &Evidence, verified: snp::VerifiedReport) -> Claims {
    let report = verified.report();
    Claims {
        platform: evidence.platform(),
        class: verified.class(),
        product: verified.product().into(),
        chip_ids: amd::chip_ids(&verified),
        measurement: report.measurement,
        config: FixedConfig::HostData(report.host_data),
        report_data: crate::binding::ReportData::new(*report.report_data.as_bytes()),
        debug: report.policy.has(snp::PolicyBit::Debug),
        devices: Vec::new(),
        gpus: Vec::new(),
        rims: Vec::new(),
        rims_refused: Vec::new(),
        evidence_digest: evidence.digest(),
        expires: verified.not_after(),
        hardware: Hardware::Snp(Box::new(verified)),
    }
}

/// As on plain SEV-SNP, but for the configuration: the provider fixes none in the report.
fn of_provider(evidence: &Evidence, (report, machine): provider::Both) -> Claims {
    let mut claims = of_snp(evidence, report);
    claims.config = machine.config();
    claims.expires = claims.expires.min(machine.not_after());
    claims.hardware = match claims.hardware {
        Hardware::Snp(report) => Hardware::Provider {
            report,
            machine: Box::new(machine),
        },
        other => other,
    };
    claims
}

fn of_tdx(evidence: &Evidence, quote: tdx::VerifiedQuote, log: Option<ReplayedLog>) -> Claims {
    let body = quote.body();
    Claims {
        platform: evidence.platform(),
        class: quote.class(),
        product: Product::IntelTdx,
        chip_ids: intel::chip_ids(&quote),
        measurement: body.mr_td,
        config: intel::config(body),
        report_data: crate::binding::ReportData::new(body.report_data),
        debug: body.attributes.under_debug(),
        devices: Vec::new(),
        gpus: Vec::new(),
        rims: Vec::new(),
        rims_refused: Vec::new(),
        evidence_digest: evidence.digest(),
        expires: quote.collateral().expires,
        hardware: Hardware::Tdx {
            quote: Box::new(quote),
            log,
        },
    }
}

fn of_azure(evidence: &Evidence, (guest, expected): paravisor::Bound) -> Claims {
    let (product, chip_ids, debug, expires) = match guest.hardware() {
        azure::Hardware::Snp(report) => (
            report.product().into(),
            amd::chip_ids(report),
            report.report().policy.has(snp::PolicyBit::Debug),
            report.not_after(),
        ),
        azure::Hardware::Tdx(quote) => (
            Product::IntelTdx,
            intel::chip_ids(quote),
            quote.body().attributes.under_debug(),
            quote.collateral().expires,
        ),
    };
    Claims {
        platform: evidence.platform(),
        class: guest.class(),
        product,
        chip_ids,
        measurement: *guest.hcl_measurement(),
        config: FixedConfig::Register(guest.configuration_register().copied()),
        report_data: expected,
        debug,
        devices: Vec::new(),
        gpus: Vec::new(),
        rims: Vec::new(),
        rims_refused: Vec::new(),
        evidence_digest: evidence.digest(),
        expires,
        hardware: Hardware::Azure(Box::new(guest)),
    }
}

#[cfg(test)]
mod tests;
