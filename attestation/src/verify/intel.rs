//! The collateral that fits a quote, out of what came, and the event log behind its registers.
//!
//! Why apart: collateral is for one family of processors, and whoever gathers it gathers for several.
//!
//! # Invariants
//! A log that does not replay to the quote's registers refuses the evidence: nothing is taken from it.

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
    for collateral in endorsements.of(EndorsementKind::IntelCollateral) {
        let proven = Collateral::parse(collateral)
            .and_then(|collateral| tdx::verify(quote, &collateral, anchors, now));
        match proven {
            Ok(proven) => return Ok(proven),
            // The last one's: with the usual single one it is that one's.
            Err(error) => refusal = VerifyError::Tdx(error),
        }
    }
    Err(refusal)
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
