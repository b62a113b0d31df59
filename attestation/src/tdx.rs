//! Intel TDX: from a quote and Intel's collateral to what they prove about a trust domain.
//!
//! Why apart: the one platform whose certificate paths and TCB levels are judged by a library, dcap-qvl. It judges
//! well and explains badly, and it reads leniently; so this reads first, strictly, and finds the culprit after.
//!
//! - [`quote`], [`body`], [`enclave`], [`attributes`]: the bytes, each with a place and a name
//! - [`collateral`], [`certificate`], [`pem`]: what Intel says, read once for many quotes
//! - [`asks`]: which collateral a quote asks for
//! - [`anchors`]: who is believed
//! - [`checks`]: what dcap-qvl does not check, or cannot name; [`signatures`]: those in collateral
//! - [`culprit`]: which check failed when dcap-qvl refuses
//! - [`crypto`]: aws-lc-rs under dcap-qvl
//! - [`verified`], [`fields`]: what is proven, and as a list
//! - [`error`]: why not, with identifiers
//! - [`mod@explain`]: the same, check by check
//!
//! # Invariants
//! Pure: bytes, anchors and time are arguments. [`VerifiedQuote`] exists only if dcap-qvl *and* every check here
//! agree. No status is judged, except `Revoked`; no attribute, except the four of [`DomainCheck`].

use dcap_qvl::QuotePolicy;
use dcap_qvl::verify::QuoteVerifier;

use crate::time::Timestamp;

mod anchors;
mod asks;
mod attributes;
mod body;
mod certificate;
mod checks;
mod collateral;
mod crypto;
mod culprit;
mod enclave;
mod error;
mod explain;
mod fields;
mod pem;
mod quote;
mod signatures;
mod verified;

pub use anchors::Anchors;
pub use asks::{CollateralAsked, PckAuthority};
pub use attributes::{TdAttribute, TdAttributes, Xfam, XfamBit};
pub use body::{BodyKind, Td15, Td15Ex, TdBody};
pub use collateral::Collateral;
pub use enclave::EnclaveReport;
pub use error::{
    Certificate, CertificateCheck, CollateralCheck, Crl, CrlCheck, Document, DocumentCheck, DomainCheck,
    EnclaveCheck, PlatformCheck, QuoteCheck, Shortfall, TdxError,
};
pub use explain::explain;
pub use verified::{CollateralUsed, Platform, TcbLevel, TcbStatus, VerifiedQuote};

/// Verifies a quote (version 4 or 5, of a trust domain) with Intel's `collateral` under `anchors` as of `now`.
///
/// # Errors
/// [`TdxError`]: the first check that fails, in the order of docs/platforms/tdx.md.
pub fn verify(
    quote: &[u8],
    collateral: &Collateral,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<VerifiedQuote, TdxError> {
    let parsed = quote::Quote::parse(quote)?;
    let chain = checks::PckChain::parse_beside(parsed.pck_chain, collateral)?;
    checks::before(parsed.pck_chain, &chain, collateral, anchors, now)?;
    // Debug and service domains are claims here, and judged by policy.
    let claims = QuoteVerifier::<crypto::Backend>::new_with_config(anchors.root().to_vec())
        .allow_debug(true)
        .allow_service_td(true)
        .verify_with_policy(
            quote,
            &collateral.raw,
            now.unix(),
            &QuotePolicy::claims_only(now.unix()),
        )
        .map_err(|_| culprit::find(&parsed, &chain, collateral))?;
    let info = &collateral.tcb_info;
    // dcap-qvl does not compare this one, as Intel's library does.
    if !info
        .pce_id
        .eq_ignore_ascii_case(&culprit::hexadecimal(&claims.platform.pck.pce_id))
    {
        return Err(TdxError::Platform {
            check: PlatformCheck::PceId,
            shortfall: None,
        });
    }
    let evaluation = info.tcb_evaluation_data_number;
    VerifiedQuote::new(&parsed, claims, evaluation, &chain.pck.der, anchors.class()).ok_or(TdxError::Quote {
        check: QuoteCheck::Agreement,
        offset: 0,
    })
}

#[cfg(anchorhold_fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
pub(crate) mod tests;
