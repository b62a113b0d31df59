//! A broker's signed answer: which key, for which guest, under which terms.
//!
//! Why apart: RCAR does not say who answers. The broker signs and the enclave checks the same bytes, so the
//! enclave trusts no broker it was not configured for (docs/key-release.md).
//!
//! # Invariants
//! Signed, Ed25519: `LP("anchorhold release v1") || nonce (32) || SHA-256(tee-pubkey) (32) || LP(resource path)
//! || LP(key id) || be32(count) || manifests (32 each) || be64(lease seconds) || be64(lease tokens) ||
//! be64(broker time) || SHA-256(JWE) (32)`. Only [`ReleaseStatement::verify`] makes a [`VerifiedRelease`].

use std::fmt;
use std::str::FromStr;

use anchorhold_encoding::{Digest, Preimage, canonical, sha256};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base64_text::{decode_url, encode_url};
use crate::limits;
use crate::parse::{self, ParseError, Part, at_most};
use crate::rcar;
use crate::signature;
use crate::time::Timestamp;

/// The HTTP header that carries the signed release.
pub const RELEASE_HEADER: &str = "anchorhold-release";

/// A key's name: `[a-z0-9-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(String);

impl KeyId {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        at_most(text.len(), limits::KEY_ID, Part::KeyId)?;
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if text.is_empty() || !text.bytes().all(plain) {
            return Err(ParseError::Value(Part::KeyId));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for KeyId {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> Self {
        id.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RCAR's name of a resource, `repository/type/tag`, each `[A-Za-z0-9_.-]{1,128}` and not starting with a dot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ResourcePath(String);

impl ResourcePath {
    /// The path, without a slash in front.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourcePath {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let part = Part::ResourcePath;
        let mut segments = 0_usize;
        for segment in text.split('/') {
            at_most(segment.len(), limits::RESOURCE_SEGMENT, part)?;
            let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.' | b'-');
            // No leading dot: neither "." nor ".." nor a hidden file, should someone store it as one.
            if segment.is_empty() || segment.starts_with('.') || !segment.bytes().all(plain) {
                return Err(ParseError::Value(part));
            }
            segments = segments.saturating_add(1);
        }
        if segments != 3 {
            return Err(ParseError::Value(part));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ResourcePath {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<ResourcePath> for String {
    fn from(path: ResourcePath) -> Self {
        path.0
    }
}

impl fmt::Display for ResourcePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long and for how much a key may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseTerms {
    /// Seconds, counted by the enclave from when it sent its request.
    pub seconds: u64,
    /// Tokens in all; 0 when only time limits it.
    pub tokens: u64,
}

/// Everything a release commits to. The broker makes one for each key it sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseStatement {
    /// The RCAR session's nonce, decoded.
    pub nonce: [u8; 32],
    /// [`rcar::tee_pubkey_digest`] of the guest's key.
    pub tee_pubkey_sha256: Digest<32>,
    /// What was asked for.
    pub resource: ResourcePath,
    /// The key inside.
    pub key_id: KeyId,
    /// What the key opens, 1 to 64.
    pub manifests: Vec<Digest<32>>,
    /// Its terms.
    pub lease: LeaseTerms,
    /// The broker's clock.
    pub broker_time: Timestamp,
    /// SHA-256 of the exact body that carries the key.
    pub jwe_sha256: Digest<32>,
}

/// The header's content: what the enclave does not know already, and the signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseHeader {
    /// The key inside.
    pub key_id: KeyId,
    /// What the key opens, 1 to 64.
    pub manifests: Vec<Digest<32>>,
    /// Its terms.
    pub lease: LeaseTerms,
    /// The broker's clock.
    pub broker_time: Timestamp,
    /// Ed25519 over [`ReleaseStatement::signing_preimage`].
    pub signature: Digest<64>,
}

/// What the enclave asked for, in which session, and for which model.
pub struct ReleaseExpectation<'a> {
    /// The RCAR session's nonce, decoded.
    pub nonce: &'a [u8; 32],
    /// The key the enclave made for the session.
    pub tee_pubkey: &'a Value,
    /// The resource its configuration pins.
    pub resource: &'a ResourcePath,
    /// The manifest its configuration pins.
    pub manifest: &'a Digest<32>,
}

/// An answer is not a release by the configured broker for this session. Whoever answered is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseError {
    /// The body is larger than [`limits::JWE`].
    BodyTooLarge,
    /// The signature does not hold for this session, key, resource and body.
    Signature,
    /// Rightly signed, but for a key that does not open the configured model.
    Manifest,
}

impl ReleaseError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::BodyTooLarge => "the answer is not a released key; is this the broker's address?",
            Self::Signature => {
                "this is not the broker of the configuration, or its answer is for another request"
            }
            Self::Manifest => "the broker's key is for other models; compare manifest_sha256 on both sides",
        }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BodyTooLarge => "the released key is too large",
            Self::Signature => "the release's signature does not hold for this session",
            Self::Manifest => "the released key is not for the configured model",
        })
    }
}

impl std::error::Error for ReleaseError {}

impl ReleaseHeader {
    /// The header's text: base64url of canonical JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        encode_url(&canonical::to_vec(self))
    }

    /// Reads the header's text.
    ///
    /// # Errors
    /// [`ParseError`] when it is too long, no base64url, not canonical, names no manifest or too
    /// many, or has an integer above [`limits::INTEGER`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let part = Part::Release;
        at_most(text.len(), limits::RELEASE_HEADER, part)?;
        let bytes = decode_url(text).ok_or(ParseError::Shape(part))?;
        let header: Self = canonical::from_slice(&bytes).map_err(|error| parse::canonical(error, part))?;
        at_most(header.manifests.len(), limits::RELEASE_MANIFESTS, part)?;
        let LeaseTerms { seconds, tokens } = header.lease;
        if header.manifests.is_empty() || seconds.max(tokens) > limits::INTEGER {
            return Err(ParseError::Value(part));
        }
        Ok(header)
    }
}

impl ReleaseStatement {
    /// What the broker's release key signs.
    ///
    /// # Panics
    /// When there are 2^32 manifests: a header holds 64.
    #[must_use]
    pub fn signing_preimage(&self) -> Preimage {
        let count = u32::try_from(self.manifests.len()).expect("a header holds 64 manifests");
        let mut preimage = Preimage::new("anchorhold release v1")
            .fixed(&self.nonce)
            .fixed(self.tee_pubkey_sha256.as_bytes())
            .lp(self.resource.as_str().as_bytes())
            .lp(self.key_id.as_str().as_bytes())
            .be32(count);
        for manifest in &self.manifests {
            preimage = preimage.fixed(manifest.as_bytes());
        }
        preimage
            .be64(self.lease.seconds)
            .be64(self.lease.tokens)
            .be64(self.broker_time.unix())
            .fixed(self.jwe_sha256.as_bytes())
    }

    /// The header that goes with the body, once signed.
    #[must_use]
    pub fn into_header(self, signature: Digest<64>) -> ReleaseHeader {
        ReleaseHeader {
            key_id: self.key_id,
            manifests: self.manifests,
            lease: self.lease,
            broker_time: self.broker_time,
            signature,
        }
    }

    /// Checks that `release_key` signed `header` and `body` for exactly what was asked.
    ///
    /// # Errors
    /// [`ReleaseError`] when it did not, or the key does not open the expected model.
    pub fn verify(
        header: ReleaseHeader,
        expected: &ReleaseExpectation<'_>,
        body: &[u8],
        release_key: &Digest<32>,
    ) -> Result<VerifiedRelease, ReleaseError> {
        if body.len() > limits::JWE {
            return Err(ReleaseError::BodyTooLarge);
        }
        let statement = Self {
            nonce: *expected.nonce,
            tee_pubkey_sha256: rcar::tee_pubkey_digest(expected.tee_pubkey),
            resource: expected.resource.clone(),
            key_id: header.key_id,
            manifests: header.manifests,
            lease: header.lease,
            broker_time: header.broker_time,
            jwe_sha256: sha256(&[body]),
        };
        let message = statement.signing_preimage();
        signature::ed25519(release_key, message.as_bytes(), header.signature.as_bytes())
            .ok_or(ReleaseError::Signature)?;
        if !statement.manifests.contains(expected.manifest) {
            return Err(ReleaseError::Manifest);
        }
        Ok(VerifiedRelease {
            statement,
            body: body.to_vec(),
        })
    }
}

/// A key released by the configured broker for this session: what the enclave needs to unwrap it.
#[must_use]
#[derive(Debug)]
pub struct VerifiedRelease {
    statement: ReleaseStatement,
    body: Vec<u8>,
}

impl VerifiedRelease {
    /// The body the broker signed: the JWE, still encrypted.
    #[must_use]
    pub fn jwe(&self) -> &[u8] {
        &self.body
    }

    /// The key inside.
    #[must_use]
    pub const fn key_id(&self) -> &KeyId {
        &self.statement.key_id
    }

    /// What the key opens, the expected model among them.
    #[must_use]
    pub fn manifests(&self) -> &[Digest<32>] {
        &self.statement.manifests
    }

    /// How long and for how much it may be used.
    #[must_use]
    pub const fn lease(&self) -> LeaseTerms {
        self.statement.lease
    }

    /// The broker's clock when it answered.
    #[must_use]
    pub const fn broker_time(&self) -> Timestamp {
        self.statement.broker_time
    }
}

#[cfg(test)]
mod tests;
