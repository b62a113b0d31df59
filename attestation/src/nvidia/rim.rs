//! RIM files: which measurements NVIDIA expects of a driver, a VBIOS or a switch BIOS.
//!
//! Why apart: [`VerifiedRim`] has private fields declared here, so only this file can make one.
//!
//! # Invariants
//! The tag is read only from the canonical bytes whose digest was signed. Every element and attribute is one that
//! is known; nothing unknown is skipped (ISO/IEC 19770-2:2015 allows any, and none is harmless in a reference).

use anchorhold_encoding::{Digest, sha384};

use crate::nvidia::anchors::Anchors;
use crate::nvidia::error::RimError;
use crate::nvidia::revocation::{self, Revocation, SIGNER_ANSWERED_FOR};
use crate::nvidia::xml;
use crate::time::Timestamp;

pub(super) mod signature;
mod tag;

pub(super) use signature::CHAIN_LENGTH as SIGNER_CHAIN_LENGTH;
pub use tag::{Edition, Rim, RimMeasurement};

/// A RIM, proven: NVIDIA signed it, its signer's certificates were valid at the given time, and no answer that came says that
/// one of them is revoked.
///
/// ```compile_fail
/// use anchorhold_attestation::nvidia::VerifiedRim;
/// fn copy(rim: &VerifiedRim) -> VerifiedRim { rim.clone() }
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifiedRim {
    rim: Rim,
    digest: Digest<48>,
    signer: Digest<48>,
    not_before: Timestamp,
    expires: Timestamp,
    revocation: Revocation,
    compiled_anchors: bool,
}

/// Proves a RIM file as NVIDIA publishes it. `responses` are answers of NVIDIA's OCSP responder in DER, of its signer and of
/// others; `now` is when all dates are judged.
///
/// # Errors
/// [`RimError`]: the first check that fails, in the order of docs/platforms/nvidia.md.
pub fn verify_rim(
    bytes: &[u8],
    responses: &[&[u8]],
    anchors: &Anchors,
    now: Timestamp,
) -> Result<VerifiedRim, RimError> {
    let document = xml::parse(bytes)?;
    let signed = signature::verify(&document, anchors.rim(), now)?;
    let revocation = revocation::check(&signed.chain, SIGNER_ANSWERED_FOR, responses, now)?;
    // Read anew, from what was hashed: what the signature does not cover cannot be mistaken for the tag.
    let rim = Rim::read(&xml::parse(&signed.canonical)?)?;
    Ok(VerifiedRim {
        rim,
        digest: sha384(&[bytes]),
        signer: sha384(&[signed.chain.leaf().der()]),
        not_before: signed.chain.not_before(),
        expires: signed.chain.not_after().min(revocation.expires()),
        revocation,
        compiled_anchors: anchors.are_compiled(),
    })
}

/// What a RIM file says of itself and from when until when its signer's certificates say they are valid: nothing is
/// proven.
pub(crate) fn said(bytes: &[u8]) -> Result<(Rim, Timestamp, Timestamp), RimError> {
    let document = xml::parse(bytes)?;
    let (canonical, from, until) = signature::said(&document)?;
    Ok((Rim::read(&xml::parse(&canonical)?)?, from, until))
}

/// The certificates in a RIM file in DER, its signer's first, for who asks whether they are revoked: nothing is proven.
///
/// # Errors
/// [`RimError`] when it has no signature of the known form.
pub fn rim_certificates(bytes: &[u8]) -> Result<Vec<Vec<u8>>, RimError> {
    signature::said_certificates(&xml::parse(bytes)?)
}

impl VerifiedRim {
    /// What it says.
    pub const fn rim(&self) -> &Rim {
        &self.rim
    }

    /// SHA-384 of the file, by which a cache may know it.
    #[must_use]
    pub const fn digest(&self) -> Digest<48> {
        self.digest
    }

    /// SHA-384 of the signer's certificate.
    #[must_use]
    pub const fn signer(&self) -> Digest<48> {
        self.signer
    }

    /// When the last of its certificates begins.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// Whether its signer's certificates were checked for revocation.
    #[must_use]
    pub const fn revocation(&self) -> &Revocation {
        &self.revocation
    }

    /// When the first of its certificates ends, or of the answers that none of them is revoked.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// True when NVIDIA's own root is above it.
    #[must_use]
    pub const fn under_compiled_anchors(&self) -> bool {
        self.compiled_anchors
    }
}

#[cfg(test)]
mod tests;
