//! Azure's guests: the hardware report inside an HCL report, proven, and all that is bound to it.
//!
//! Why apart: evidence here has three signers, and each must be asked by its own verifier.
//!
//! # Invariants
//! The hardware report that is proven is the one inside the HCL report, byte for byte. The 64 bytes are those that
//! claims and TPM quote both carry; whether they are the expected ones is for the appraisal.

use anchorhold_encoding::Digest;

use crate::anchors::Anchors;
use crate::azure::{
    AzureError, Check, Hardware, HclHardware, HclReport, Quote, RuntimeClaims, VerifiedGuest, bind,
};
use crate::binding::ReportData;
use crate::claims::Platform;
use crate::endorsements::Endorsements;
use crate::evidence::{Evidence, EvidencePart};
use crate::time::Timestamp;
use crate::verify::{VerifyError, amd, intel};

/// A guest, and the 64 bytes it had signed.
pub(super) type Bound = (VerifiedGuest, ReportData);

/// Proves a guest under a paravisor.
pub(super) fn guest(
    evidence: &Evidence,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<Bound, VerifyError> {
    let part = |part| evidence.part(part).ok_or(VerifyError::MissingPart(part));
    let hcl = HclReport::parse(evidence.report()).map_err(VerifyError::Azure)?;
    let hardware = match (evidence.platform(), hcl.hardware()) {
        (Platform::AzureSnp, HclHardware::Snp(report)) => {
            let anchors = anchors.snp().ok_or(VerifyError::NoAnchor)?;
            Hardware::Snp(Box::new(amd::report(*report, endorsements, anchors, now)?))
        }
        (Platform::AzureTdx, HclHardware::Tdx(_)) => {
            let anchors = anchors.tdx().ok_or(VerifyError::NoAnchor)?;
            let quote = part(EvidencePart::TdxQuote)?;
            Hardware::Tdx(Box::new(intel::quote(quote, endorsements, anchors, now)?))
        }
        _ => return Err(binding(Check::HardwareKind)),
    };
    let registers = part(EvidencePart::TpmRegisters)?;
    let (values, rest) = registers.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(VerifyError::Azure(AzureError::Quote {
            check: Check::QuoteValues,
            at: values.len(),
        }));
    }
    let values: Vec<_> = values.iter().copied().map(Digest::new).collect();
    let (message, signature) = (part(EvidencePart::TpmQuote)?, part(EvidencePart::TpmSignature)?);
    let quote = Quote::parse(message, signature, &values).map_err(VerifyError::Azure)?;
    let claims = RuntimeClaims::parse(hcl.claims_bytes()).map_err(VerifyError::Azure)?;
    let said = *claims.user_data().ok_or(binding(Check::UserData))?;
    let guest = bind(&hcl, hardware, quote, &said).map_err(VerifyError::Azure)?;
    Ok((guest, said))
}

const fn binding(check: Check) -> VerifyError {
    VerifyError::Azure(AzureError::Binding { check })
}
