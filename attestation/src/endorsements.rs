//! What vendors sign about their hardware: certificates, revocation lists, TCB information, reference values.
//!
//! Why apart: they come by other ways than evidence and live longer, and they are always an argument. An enclave
//! staples them, a file carries them into a room without a network, and neither of the two looks inside.
//!
//! - [`said`]: what one says of itself, for caches and people
//! - [`proof`]: whether its vendor signed it, for caches
//!
//! # Invariants
//! Untrusted until [`crate::verify()`] has checked them under an anchor: here they have a kind and a size. One
//! endorsement has one JSON text, and so has a bundle. Kinds that this version does not know are refused: a kind
//! that is skipped would be a revocation that is not looked at.

mod proof;
mod said;

use std::fmt;

use anchorhold_encoding::canonical;
use serde::{Deserialize, Serialize};

use crate::base64_text::Base64;
use crate::limits;
use crate::parse::{self, ParseError, Part, at_most};

pub use proof::{Beside, Unproven};
pub use said::{NotOfItsKind, Said, Whose};

/// What an endorsement is, by who signs it and what its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EndorsementKind {
    /// A VCEK or VLEK, X.509 in DER (AMD 57230, section 3).
    AmdVek,
    /// The ASK or ASVK above it, X.509 in DER (AMD 57230, section 4).
    AmdAuthority,
    /// The revocation list of a product line, X.509 in DER (AMD 57230, section 4).
    AmdCrl,
    /// TCB information, identity of the quoting enclave and revocation lists of one FMSPC: the JSON of
    /// [`crate::tdx::Collateral::parse`].
    IntelCollateral,
    /// A reference integrity manifest, XML as NVIDIA signs it.
    NvidiaRim,
    /// An `OCSPResponse` in DER (RFC 6960, section 4.2.1).
    NvidiaOcsp,
    /// A certificate authority above a provider's attestation key, X.509 in DER.
    ProviderAuthority,
}

impl EndorsementKind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::AmdVek,
        Self::AmdAuthority,
        Self::AmdCrl,
        Self::IntelCollateral,
        Self::NvidiaRim,
        Self::NvidiaOcsp,
        Self::ProviderAuthority,
    ];

    /// Its name in JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AmdVek => "amd-vek",
            Self::AmdAuthority => "amd-authority",
            Self::AmdCrl => "amd-crl",
            Self::IntelCollateral => "intel-collateral",
            Self::NvidiaRim => "nvidia-rim",
            Self::NvidiaOcsp => "nvidia-ocsp",
            Self::ProviderAuthority => "provider-authority",
        }
    }

    /// The most bytes a body of this kind may have.
    #[must_use]
    pub const fn limit(self) -> usize {
        match self {
            Self::AmdVek | Self::AmdAuthority | Self::ProviderAuthority => limits::CERTIFICATE,
            Self::AmdCrl => limits::CRL,
            Self::IntelCollateral => limits::TDX_COLLATERAL,
            Self::NvidiaRim => limits::RIM,
            Self::NvidiaOcsp => limits::OCSP,
        }
    }
}

impl fmt::Display for EndorsementKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// For how long after its end an expired endorsement may still be used: a policy's word, and no one else's. There is no
/// other way to one than to read it from a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u64")]
pub struct Grace(u64);

impl Grace {
    /// Seconds, at most [`limits::GRACE_SECONDS`].
    #[must_use]
    pub const fn seconds(self) -> u64 {
        self.0
    }
}

impl TryFrom<u64> for Grace {
    type Error = ParseError;

    fn try_from(seconds: u64) -> Result<Self, ParseError> {
        if seconds > limits::GRACE_SECONDS {
            return Err(ParseError::Value(Part::Endorsements));
        }
        Ok(Self(seconds))
    }
}

/// One thing a vendor signed. Believed by nobody yet.
#[derive(Clone, PartialEq, Eq)]
pub struct Endorsement {
    kind: EndorsementKind,
    body: Vec<u8>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireEndorsement {
    body: Base64,
    kind: EndorsementKind,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireBundle {
    items: Vec<WireEndorsement>,
    version: BundleVersion,
}

#[derive(Serialize, Deserialize)]
enum BundleVersion {
    #[serde(rename = "anchorhold endorsements v1")]
    One,
}

impl Endorsement {
    /// An endorsement with the bytes its vendor published.
    ///
    /// # Errors
    /// [`ParseError`] when `body` is empty or beyond its kind's limit.
    pub fn new(kind: EndorsementKind, body: Vec<u8>) -> Result<Self, ParseError> {
        at_most(body.len(), kind.limit(), Part::Endorsement)?;
        if body.is_empty() {
            return Err(ParseError::Value(Part::Endorsement));
        }
        Ok(Self { kind, body })
    }

    /// What it is said to be.
    #[must_use]
    pub const fn kind(&self) -> EndorsementKind {
        self.kind
    }

    /// The vendor's bytes.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// Parses the JSON form, `{"body":"<base64>","kind":"amd-vek"}`, canonical only.
    ///
    /// # Errors
    /// [`ParseError`], without any part of the input.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ParseError> {
        at_most(bytes.len(), limits::ENDORSEMENT, Part::Endorsement)?;
        let wire =
            canonical::from_slice(bytes).map_err(|error| parse::canonical(error, Part::Endorsement))?;
        Self::from_wire(wire)
    }

    /// The JSON form, canonical: what an enclave staples.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        canonical::to_vec(&self.to_wire())
    }

    fn from_wire(wire: WireEndorsement) -> Result<Self, ParseError> {
        Self::new(wire.kind, wire.body.0)
    }

    fn to_wire(&self) -> WireEndorsement {
        WireEndorsement {
            body: Base64(self.body.clone()),
            kind: self.kind,
        }
    }
}

impl fmt::Debug for Endorsement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endorsement({}, {} bytes)", self.kind, self.body.len())
    }
}

/// Endorsements to verify evidence with, in the order they were given. Simulated evidence needs none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsements {
    items: Vec<Endorsement>,
}

impl Endorsements {
    /// No endorsement: enough for evidence that nobody vouches for.
    #[must_use]
    pub const fn none() -> Self {
        Self { items: Vec::new() }
    }

    /// All of `items`.
    ///
    /// # Errors
    /// [`ParseError::TooLarge`] beyond [`limits::ENDORSEMENTS`] items, or [`limits::ENDORSEMENT_BUNDLE`] bytes as
    /// a bundle.
    pub fn new(items: Vec<Endorsement>) -> Result<Self, ParseError> {
        let part = Part::Endorsements;
        at_most(items.len(), limits::ENDORSEMENTS, part)?;
        let all = Self { items };
        // A set that fits into no file and no enclave is found too large by whoever makes it.
        at_most(all.to_bundle().len(), limits::ENDORSEMENT_BUNDLE, part)?;
        Ok(all)
    }

    /// What an enclave stapled to its answer: each blob is the JSON form of one endorsement.
    ///
    /// # Errors
    /// [`ParseError`], also for one blob of a kind that is not known.
    pub fn from_stapled(blobs: &[Vec<u8>]) -> Result<Self, ParseError> {
        at_most(blobs.len(), limits::ENDORSEMENTS, Part::Endorsements)?;
        let items = blobs.iter().map(|blob| Endorsement::from_json(blob));
        Self::new(items.collect::<Result<_, _>>()?)
    }

    /// The JSON form of each endorsement, as an enclave staples them.
    #[must_use]
    pub fn to_stapled(&self) -> Vec<Vec<u8>> {
        self.items.iter().map(Endorsement::to_json).collect()
    }

    /// Parses a bundle, `{"items":[...],"version":"anchorhold endorsements v1"}`, canonical only.
    ///
    /// # Errors
    /// [`ParseError`], without any part of the input.
    pub fn from_bundle(bytes: &[u8]) -> Result<Self, ParseError> {
        let part = Part::Endorsements;
        at_most(bytes.len(), limits::ENDORSEMENT_BUNDLE, part)?;
        let wire: WireBundle = canonical::from_slice(bytes).map_err(|error| parse::canonical(error, part))?;
        at_most(wire.items.len(), limits::ENDORSEMENTS, part)?;
        let items = wire.items.into_iter().map(Endorsement::from_wire);
        Ok(Self {
            items: items.collect::<Result<_, _>>()?,
        })
    }

    /// The bundle's bytes: canonical JSON.
    #[must_use]
    pub fn to_bundle(&self) -> Vec<u8> {
        canonical::to_vec(&WireBundle {
            items: self.items.iter().map(Endorsement::to_wire).collect(),
            version: BundleVersion::One,
        })
    }

    /// Bodies of one kind, in the order they were given.
    pub fn of(&self, kind: EndorsementKind) -> impl Iterator<Item = &[u8]> {
        self.items
            .iter()
            .filter(move |item| item.kind == kind)
            .map(Endorsement::body)
    }

    /// Each endorsement, in the order they were given.
    #[must_use]
    pub fn items(&self) -> &[Endorsement] {
        &self.items
    }
}

#[cfg(test)]
mod tests;
