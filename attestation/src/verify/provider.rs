//! Google's and AWS's machines: an SEV-SNP report over the provider's firmware, and the provider's TPM.
//!
//! Why apart: evidence here has two signers, and what joins them is only the 64 bytes that both carry.
//!
//! # Invariants
//! The 64 bytes are those of the proven report; whether they are the expected ones is for the appraisal.

use crate::anchors::Anchors;
use crate::binding::ReportData;
use crate::endorsements::Endorsements;
use crate::evidence::{Evidence, EvidencePart};
use crate::provider::{GoogleQuote, ProviderMachine, verify_aws, verify_google};
use crate::snp::VerifiedReport;
use crate::time::Timestamp;
use crate::verify::{VerifyError, amd};

/// A report, and what the TPM says that is bound to it.
pub(super) type Both = (VerifiedReport, ProviderMachine);

/// Proves a machine of Google's.
pub(super) fn google(
    evidence: &Evidence,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Both, VerifyError> {
    let part = |part| evidence.part(part).ok_or(VerifyError::MissingPart(part));
    let quote = GoogleQuote {
        certificates: part(EvidencePart::TpmCertificates)?,
        message: part(EvidencePart::TpmQuote)?,
        signature: part(EvidencePart::TpmSignature)?,
        registers: part(EvidencePart::TpmRegisters)?,
    };
    let root = anchors.provider().google().ok_or(VerifyError::NoAnchor)?;
    let (report, data) = report(evidence, endorsements, anchors, now)?;
    let machine = verify_google(&quote, &data, root, now).map_err(VerifyError::Provider)?;
    Ok((report, machine))
}

/// Proves a machine of AWS's.
pub(super) fn aws(
    evidence: &Evidence,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Both, VerifyError> {
    let part = EvidencePart::NitroDocument;
    let document = evidence.part(part).ok_or(VerifyError::MissingPart(part))?;
    let root = anchors.provider().aws().ok_or(VerifyError::NoAnchor)?;
    let (report, data) = report(evidence, endorsements, anchors, now)?;
    let machine = verify_aws(document, &data, root, now).map_err(VerifyError::Provider)?;
    Ok((report, machine))
}

fn report(
    evidence: &Evidence,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<(VerifiedReport, ReportData), VerifyError> {
    let roots = anchors.snp().ok_or(VerifyError::NoAnchor)?;
    let report = amd::report(evidence.report(), endorsements, roots, now)?;
    let data = ReportData::new(*report.report().report_data.as_bytes());
    Ok((report, data))
}
