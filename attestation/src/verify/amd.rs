//! The certificates and lists that fit an SEV-SNP report, out of those that came.
//!
//! Why apart: whoever gathers endorsements gathers for many machines, and nothing says which belongs to which but
//! the certificates themselves.
//!
//! # Invariants
//! What does not fit is passed over; what fits is verified, and then only its verdict counts. A proven list that
//! names the authority refuses, whatever other lists say.

use crate::claims::ChipId;
use crate::endorsements::{EndorsementKind, Endorsements};
use crate::snp::{
    Anchors, Endorsements as Chain, Product, Report, Revocation, SignerKind, SnpError, VerifiedReport,
    VerifiedVek,
};
use crate::time::Timestamp;
use crate::verify::VerifyError;
use crate::x509::Fault;

/// Bytes of a hardware id on Turin; the rest of the report's field is zero.
const TURIN_ID: usize = 8;

/// Proves `report` with the endorsements that fit it.
pub(super) fn report(
    report: &[u8],
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<VerifiedReport, VerifyError> {
    Report::parse(report).map_err(VerifyError::Snp)?;
    let missing = |kind| VerifyError::NoEndorsement(kind);
    let mut refusal = missing(EndorsementKind::AmdVek);
    // All pairs: a bundle holds at most 64 endorsements, so at most 1,024 of them, each three signatures at most.
    for vek in endorsements.of(EndorsementKind::AmdVek) {
        if refusal == missing(EndorsementKind::AmdVek) {
            refusal = missing(EndorsementKind::AmdAuthority);
        }
        for authority in endorsements.of(EndorsementKind::AmdAuthority) {
            let chain = Chain {
                vek,
                authority,
                root: None,
                crl: None,
            };
            let proven = VerifiedVek::verify(&chain, anchors, now)
                .and_then(|vek| VerifiedReport::verify(report, &vek, now));
            match proven {
                Ok(proven) => return under_lists(proven, report, &chain, endorsements, anchors, now),
                Err(error) => refusal = closer(refusal, error),
            }
        }
    }
    Err(refusal)
}

/// The same report, with what the authority's lists say.
fn under_lists(
    proven: VerifiedReport,
    report: &[u8],
    chain: &Chain<'_>,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<VerifiedReport, VerifyError> {
    let mut best: Option<VerifiedReport> = None;
    let mut refusal = None;
    for list in endorsements.of(EndorsementKind::AmdCrl) {
        let chain = Chain {
            crl: Some(list),
            ..*chain
        };
        let proven = VerifiedVek::verify(&chain, anchors, now)
            .and_then(|vek| VerifiedReport::verify(report, &vek, now));
        match proven {
            Ok(proven) => {
                if best.as_ref().is_none_or(|best| issued(best) < issued(&proven)) {
                    best = Some(proven);
                }
            }
            // A list from later than `now` (which may be the start of a grace) could withdraw what older ones do not.
            Err(error @ SnpError::Crl(Fault::Revoked | Fault::NotYetValid { .. })) => {
                return Err(VerifyError::Snp(error));
            }
            // Another product's list.
            Err(SnpError::Crl(Fault::Issuer)) => {}
            Err(error) => refusal = Some(VerifyError::Snp(error)),
        }
    }
    match (best, refusal) {
        (Some(best), _) => Ok(best),
        (None, Some(refusal)) => Err(refusal),
        (None, None) => Ok(proven),
    }
}

fn issued(report: &VerifiedReport) -> Option<Timestamp> {
    match report.revocation() {
        Revocation::NotChecked => None,
        Revocation::NotRevoked { this_update, .. } => Some(*this_update),
    }
}

/// Of two refusals the one that came further: it is about the endorsements meant for this report.
fn closer(before: VerifyError, error: SnpError) -> VerifyError {
    let rank = |error: &VerifyError| match error {
        VerifyError::Snp(SnpError::Report { .. }) => 4,
        VerifyError::Snp(SnpError::Tcb { .. }) => 3,
        VerifyError::Snp(SnpError::Binding(_)) => 2,
        VerifyError::Snp(_) => 1,
        _ => 0,
    };
    let error = VerifyError::Snp(error);
    if rank(&error) > rank(&before) {
        error
    } else {
        before
    }
}

/// The chip's number, in the two lengths in which Turin's is written; none under a provider's key.
pub(super) fn chip_ids(report: &VerifiedReport) -> Vec<ChipId> {
    let SignerKind::Vcek { hardware_id } = report.signer() else {
        return Vec::new();
    };
    let short = match report.product() {
        Product::Turin => hardware_id.get(..TURIN_ID),
        Product::Milan | Product::Genoa => None,
    };
    [Some(hardware_id.as_slice()), short]
        .into_iter()
        .flatten()
        .filter_map(ChipId::new)
        .collect()
}
