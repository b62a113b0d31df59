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
use crate::nvidia::xml;
use crate::time::Timestamp;

pub(super) mod signature;
mod tag;

pub use tag::{Edition, Rim, RimMeasurement};

/// A RIM, proven: NVIDIA signed it, and its signer's certificates were valid at the given time.
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
    compiled_anchors: bool,
}

/// Proves a RIM file as NVIDIA publishes it; `now` is when its signer's dates are judged.
///
/// # Errors
/// [`RimError`]: the first check that fails, in the order of docs/platforms/nvidia.md.
pub fn verify_rim(bytes: &[u8], anchors: &Anchors, now: Timestamp) -> Result<VerifiedRim, RimError> {
    let document = xml::parse(bytes)?;
    let signed = signature::verify(&document, anchors.rim(), now)?;
    // Read anew, from what was hashed: what the signature does not cover cannot be mistaken for the tag.
    let rim = Rim::read(&xml::parse(&signed.canonical)?)?;
    Ok(VerifiedRim {
        rim,
        digest: sha384(&[bytes]),
        signer: sha384(&[signed.chain.leaf().der()]),
        not_before: signed.chain.not_before(),
        expires: signed.chain.not_after(),
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

    /// When the first of its certificates ends.
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
