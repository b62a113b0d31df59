//! The Verifier of RFC 9334 as a library: pure functions from evidence to a decision.
//!
//! Why apart: a verifier that cannot reach out cannot be tricked by what it reaches. It runs in the client,
//! in the broker and, for the formats both sides share, in the enclave.
//!
//! The way through, one type a step:
//! bytes -> [`Evidence`] -[`verify()`]-> [`Verified`]`<`[`Claims`]`>` -[`Policy::appraise`]-> [`Appraised`]
//! -> [`ReleaseGrant`] (owner) or [`PinnedIdentity`] -> [`ChannelProof`] (client).
//!
//! - [`limits`]: bounds on everything that comes from outside, with reasons
//! - [`time`]: timestamps, which are arguments
//! - [`parse`]: why bytes from outside are not a document
//! - [`evidence`], [`document`]: what an Attester hands over
//! - [`identity`]: the identity document the evidence commits to
//! - [`binding`]: nonces, report data, and what a Relying Party expects there
//! - [`rcar`]: the report data of RCAR, with its padding rule
//! - [`simulated`]: the platform without hardware
//! - [`x509`]: certificates and revocation lists, proven
//! - [`snp`]: AMD SEV-SNP
//! - [`tdx`], [`ccel`]: Intel TDX, and the event log behind its registers
//! - [`azure`]: Azure's paravisor and its vTPM, on SEV-SNP and on TDX
//! - [`provider`]: TPMs of Google and AWS, beside an SEV-SNP report
//! - [`nvidia`]: NVIDIA GPUs and NVLink switches
//! - [`anchors`]: whom to believe
//! - [`claims`], [`endorsements`], [`verify`](mod@verify): cryptography only
//! - [`field`]: what is proven as a flat list, and pins on it
//! - [`policy`], [`mod@reference`], [`appraise`], [`denial`]: policy only
//! - [`weakness`]: what is publicly broken, dated
//! - [`published`]: reference values as publishers sign and a log shows them
//! - [`channel`]: a connection bound to an identity
//! - [`release`]: a broker's signed answer
//! - [`receipt`]: an enclave's signed statement about one answer
//!
//! # Invariants
//! No I/O, no clock, no randomness, no panic on any input. Only `verify.rs` makes a [`Verified`], only
//! `appraise.rs` an [`Appraised`], only `binding.rs` and `rcar.rs` a [`ReportData`] to sign.

#![forbid(unsafe_code)]
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]
#![cfg_attr(
    not(test),
    deny(
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        clippy::as_conversions
    )
)]

pub mod anchors;
pub mod appraise;
pub mod azure;
mod base64_text;
pub mod binding;
pub mod ccel;
pub mod channel;
mod checks;
pub mod claims;
pub mod denial;
pub mod document;
pub mod endorsements;
pub mod evidence;
pub mod field;
#[cfg(test)]
mod fixture;
pub mod identity;
pub mod limits;
pub mod nvidia;
pub mod parse;
pub mod policy;
pub mod provider;
pub mod published;
#[cfg(test)]
mod random;
pub mod rcar;
pub mod receipt;
pub mod reference;
pub mod release;
#[cfg(test)]
mod seeds;
mod signature;
pub mod simulated;
pub mod snp;
#[cfg(test)]
mod spoil;
pub mod tdx;
#[cfg(test)]
mod testdata;
pub mod time;
pub mod trace;
pub mod verify;
pub mod weakness;
pub mod x509;

pub use anchors::{Anchors, AnchorsError};
pub use appraise::devices::{AppraisedDevices, DevicesRefused};
pub use appraise::{Appraised, ReleaseGrant};
pub use binding::{
    Binding, BrokerUse, Challenge, ClientUse, DevicesDigest, InclusionProof, Nonce, NonceBatch, ReportData,
};
pub use channel::{ChannelError, ChannelProof, LeafMatched, PinnedIdentity};
pub use claims::{ChipId, Claims, Class, FixedConfig, Hardware, Platform, Product, TrustClass};
pub use denial::{Check, Denial, Reason, RuleId, Verdict};
pub use document::{AttestationDocument, Lease};
pub use endorsements::{Endorsement, EndorsementKind, Endorsements, Grace};
pub use evidence::{DeviceEvidence, Evidence, EvidencePart};
pub use field::{Field, Pin, Value};
pub use identity::{ConfigBoundBy, IdentityDocument, ModelName, ReceivedIdentity, Weakening};
pub use parse::ParseError;
pub use policy::{Policy, PolicyError};
pub use rcar::HashAlgorithm;
pub use receipt::{Receipt, ReceiptError, SignedReceipt, VerifiedReceipt};
pub use release::{
    KeyId, LeaseTerms, ReleaseError, ReleaseHeader, ReleaseStatement, ResourcePath, VerifiedRelease,
};
pub use time::Timestamp;
pub use verify::{Verified, VerifyError, verify};
pub use weakness::{AcceptedWeaknesses, Weakness, known_weaknesses};
