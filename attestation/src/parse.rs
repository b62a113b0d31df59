//! Why bytes from outside are not a document: the one error of all parsers.
//!
//! Why apart: every parser says the same few things, and none may repeat what a stranger wrote.
//!
//! # Invariants
//! An error holds constants and limits of ours, nothing of the input.

use std::fmt;

/// What the bytes were supposed to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Evidence as JSON.
    Evidence,
    /// A device's evidence inside it.
    Device,
    /// One endorsement.
    Endorsement,
    /// Endorsements, stapled or as a bundle.
    Endorsements,
    /// An identity document.
    Identity,
    /// The answer to a client's nonce.
    AttestationDocument,
    /// A client's nonce as text.
    Nonce,
    /// RCAR's nonce as text.
    RcarNonce,
    /// RCAR's `additional_evidence` text.
    AdditionalEvidence,
    /// The configuration, RCAR's init-data.
    InitData,
    /// What a simulated launcher fixes.
    LaunchRecord,
    /// A signed receipt.
    Receipt,
    /// A signed release.
    Release,
    /// A key's name.
    KeyId,
    /// A resource's path.
    ResourcePath,
    /// The number of a chip.
    ChipId,
}

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Evidence => "evidence",
            Self::Device => "device evidence",
            Self::Endorsement => "endorsement",
            Self::Endorsements => "endorsements",
            Self::Identity => "identity document",
            Self::AttestationDocument => "attestation document",
            Self::Nonce => "nonce",
            Self::RcarNonce => "RCAR nonce",
            Self::AdditionalEvidence => "additional evidence",
            Self::InitData => "init-data",
            Self::LaunchRecord => "launch record",
            Self::Receipt => "receipt",
            Self::Release => "release header",
            Self::KeyId => "key id",
            Self::ResourcePath => "resource path",
            Self::ChipId => "chip number",
        }
    }
}

/// Bytes from outside are not what they should be. The sender is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParseError {
    /// Larger than `limit` (bytes, or entries of a list) allows.
    TooLarge {
        /// What it was supposed to be.
        part: Part,
        /// The limit, from [`crate::limits`].
        limit: usize,
    },
    /// Not of the shape: a missing, unknown, repeated or ill-typed member, bad base64, a wrong length.
    Shape(Part),
    /// The right shape, but not its one canonical encoding.
    NotCanonical(Part),
    /// The right shape, with a value that is never valid.
    Value(Part),
}

impl ParseError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "the sender exceeds a limit of this version; is it an Anchorhold peer?",
            Self::Shape(_) => "is the other side an Anchorhold peer of the same version?",
            Self::NotCanonical(_) => "the document was altered or re-encoded on its way",
            Self::Value(_) => "the sender made a document no valid peer makes",
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { part, limit } => write!(f, "{}: larger than {limit}", part.name()),
            Self::Shape(part) => write!(f, "{}: not of the expected shape", part.name()),
            Self::NotCanonical(part) => write!(f, "{}: not in canonical form", part.name()),
            Self::Value(part) => write!(f, "{}: a value out of range", part.name()),
        }
    }
}

impl std::error::Error for ParseError {}

/// Refuses `length` above `limit`.
pub(crate) const fn at_most(length: usize, limit: usize, part: Part) -> Result<(), ParseError> {
    if length > limit {
        return Err(ParseError::TooLarge { part, limit });
    }
    Ok(())
}

/// Canonical JSON errors, for a document of this kind.
pub(crate) fn canonical(error: anchorhold_encoding::canonical::CanonicalError, part: Part) -> ParseError {
    match error {
        anchorhold_encoding::canonical::CanonicalError::Shape => ParseError::Shape(part),
        anchorhold_encoding::canonical::CanonicalError::NotCanonical => ParseError::NotCanonical(part),
    }
}
