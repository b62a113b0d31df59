//! The collateral that fits a quote, out of what came, and the event log behind its registers.
//!
//! Why apart: collateral is for one family of processors, and whoever gathers it gathers for several.
//!
//! # Invariants
//! Of several collaterals the newest counts, and a revocation in any of them. A log that does not replay to the quote's registers refuses the evidence: nothing is taken from it.

use crate::ccel::{EventLog, ReplayedLog};
use crate::claims::{ChipId, FixedConfig};
use crate::endorsements::{EndorsementKind, Endorsements};
use crate::tdx::{self, Anchors, Collateral, TdBody, VerifiedQuote};
use crate::time::Timestamp;
use crate::verify::VerifyError;

/// Proves `quote` with the collateral that fits it.
pub(super) fn quote(
    quote: &[u8],
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<VerifiedQuote, VerifyError> {
    let mut refusal = VerifyError::NoEndorsement(EndorsementKind::IntelCollateral);
    let mut best: Option<VerifiedQuote> = None;
    for collateral in endorsements.of(EndorsementKind::IntelCollateral) {
        let proven = Collateral::parse(collateral)
            .and_then(|collateral| tdx::verify(quote, &collateral, anchors, now));
        match proven {
            // Older collateral, still valid, may not know yet what newer collateral withdraws or finds out of date.
            Ok(proven) => {
                if best.as_ref().is_none_or(|best| age(best) < age(&proven)) {
                    best = Some(proven);
                }
            }
            Err(error) if error.is_revocation() || error.is_too_early() => {
                return Err(VerifyError::Tdx(error));
            }
            // The last one's: with the usual single one it is that one's.
            Err(error) => refusal = VerifyError::Tdx(error),
        }
    }
    best.ok_or(refusal)
}

/// What makes one collateral newer than another: Intel's numbers, then its dates.
fn age(quote: &VerifiedQuote) -> (u32, u32, u32, u32, Timestamp) {
    let used = quote.collateral();
    (
        used.tcb_evaluation,
        used.qe_evaluation,
        used.pck_crl,
        used.root_crl,
        used.latest_issue,
    )
}

/// Replays a log, in the form it has: dstack's is JSON.
pub(super) fn event_log(log: &[u8], quote: &VerifiedQuote) -> Result<ReplayedLog, VerifyError> {
    let parsed = if log.first() == Some(&b'[') {
        EventLog::parse_dstack(log)
    } else {
        EventLog::parse(log)
    };
    parsed
        .and_then(|log| log.replay(quote))
        .map_err(VerifyError::EventLog)
}

/// Where the configuration was fixed: where a provider lets nobody set `MRCONFIGID`, in RTMR3.
pub(super) fn config(body: &TdBody) -> FixedConfig {
    let [_, _, _, rtmr3] = body.rtmr;
    if body.mr_config_id.is_zero() && !rtmr3.is_zero() {
        return FixedConfig::Rtmr3(rtmr3);
    }
    FixedConfig::MrConfigId(body.mr_config_id)
}

/// The processor's number, and the platform's where it has one.
pub(super) fn chip_ids(quote: &VerifiedQuote) -> Vec<ChipId> {
    let platform = quote.platform();
    let instance = platform.platform_instance.as_ref();
    [Some(&platform.ppid), instance]
        .into_iter()
        .flatten()
        .filter_map(|number| ChipId::new(number.as_bytes()))
        .collect()
}
