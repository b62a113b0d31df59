//! Certificates, revocation lists (RFC 5280) and OCSP responses (RFC 6960), as strictly as hardware vendors' own allow.
//!
//! Why apart: every vendor signs with a hierarchy, and each peculiarity (AMD's serial number 0, its two forms of
//! RSA-PSS parameters) must be met once.
//!
//! - [`certificate`]: one certificate, read
//! - [`key`]: public keys and algorithm identifiers
//! - [`chain`]: a path to a pinned anchor, proven
//! - [`crl`]: a revocation list, proven
//! - [`ocsp`]: an issuer's word on one certificate, proven
//! - [`fault`]: what can be wrong with any of them
//!
//! # Invariants
//! Signatures are checked over the bytes as they came. Only DER is read: what does not encode to the same bytes
//! is refused. Only [`chain`] makes a [`VerifiedChain`], only [`crl`] a [`VerifiedCrl`], only [`ocsp`] a [`VerifiedOcsp`].

pub mod certificate;
pub mod chain;
pub mod crl;
pub mod fault;
pub mod key;
pub mod ocsp;
pub(crate) mod plan;

pub use certificate::Certificate;
pub use chain::{Anchor, ChainError, VerifiedChain};
pub use crl::{Crl, VerifiedCrl};
pub use fault::Fault;
pub use key::{KeyKind, PublicKey};
pub use ocsp::{OcspFault, OcspResponse, RevocationReason, VerifiedOcsp};

// Written for tests, where a panic is how a test fails; nothing of it is in a build for real machines.
#[cfg(any(test, feature = "insecure-simulated"))]
#[cfg_attr(not(test), allow(dead_code))]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]
pub(crate) mod forge;
#[cfg(test)]
mod tests;
