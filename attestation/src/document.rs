//! The answer to `GET /.well-known/anchorhold/attestation?nonce=`: all a client needs to judge an enclave.
//!
//! Why apart: the enclave writes it and the client reads it, and neither may own the format.
//!
//! # Invariants
//! Untrusted until verified. The identity is kept as received: it is hashed as received. A [`Frame`] with its heavy parts in
//! place is byte for byte the document's JSON form.

use anchorhold_encoding::canonical;
use serde::{Deserialize, Serialize};

use crate::base64_text::{Base64, encode_standard};
use crate::binding::InclusionProof;
use crate::evidence::{Evidence, WireEvidence};
use crate::limits;
use crate::parse::{ParseError, Part, at_most};

/// How long the enclave may still use its weight key, as it says itself: for people, not for decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lease {
    /// Seconds until it ends, unless renewed.
    pub seconds_left: u64,
}

/// Everything a client needs to judge an enclave, for its own nonce.
pub struct AttestationDocument {
    /// The identity document's bytes, exactly as hashed.
    pub identity: Vec<u8>,
    /// What the platform signed.
    pub evidence: Evidence,
    /// That the client's nonce is among those the evidence covers.
    pub proof: InclusionProof,
    /// The weight key's lease, once there is one.
    pub lease: Option<Lease>,
    /// What vendors signed about the platform, pushed in by the operator; opaque here.
    pub endorsements: Vec<Vec<u8>>,
}

/// The JSON form of a document around its two heavy parts, evidence and endorsements, which many answers share: who
/// answers many clients encodes those once and puts them in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Before the endorsements: each as [`endorsement_text`] gives it, commas between.
    pub head: &'static [u8],
    /// Between endorsements and evidence, which is as [`Evidence::to_json`] gives it.
    pub middle: &'static [u8],
    /// After the evidence: what is one client's own.
    pub tail: Vec<u8>,
}

impl Frame {
    /// Of a document with this identity, proof and lease.
    #[must_use]
    pub fn new(identity: &[u8], proof: &InclusionProof, lease: Option<Lease>) -> Self {
        let rest = canonical::to_vec(&WireRest {
            identity: Base64(identity.to_vec()),
            proof: proof.clone(),
            lease,
        });
        // The members of the rest are the last in order of names: its opening brace becomes a comma.
        let mut tail = vec![b','];
        tail.extend_from_slice(rest.get(1..).unwrap_or_default());
        Self {
            head: b"{\"endorsements\":[",
            middle: b"],\"evidence\":",
            tail,
        }
    }
}

/// One stapled endorsement as it stands in the list of a document's JSON form.
#[must_use]
pub fn endorsement_text(blob: &[u8]) -> Vec<u8> {
    format!("\"{}\"", encode_standard(blob)).into_bytes()
}

/// A document without its heavy parts.
#[derive(Serialize)]
struct WireRest {
    identity: Base64,
    proof: InclusionProof,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    identity: Base64,
    evidence: WireEvidence,
    proof: InclusionProof,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lease: Option<Lease>,
    endorsements: Vec<Base64>,
}

impl AttestationDocument {
    /// Parses the JSON form.
    ///
    /// # Errors
    /// [`ParseError`], without any part of the input.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ParseError> {
        let part = Part::AttestationDocument;
        at_most(bytes.len(), limits::ATTESTATION_DOCUMENT, part)?;
        let wire: Wire = serde_json::from_slice(bytes).map_err(|_| ParseError::Shape(part))?;
        at_most(wire.identity.0.len(), limits::IDENTITY, Part::Identity)?;
        at_most(wire.endorsements.len(), limits::ENDORSEMENTS, part)?;
        at_most(wire.proof.path.len(), limits::INCLUSION_PATH, part)?;
        Ok(Self {
            identity: wire.identity.0,
            evidence: Evidence::from_wire(wire.evidence)?,
            proof: wire.proof,
            lease: wire.lease,
            endorsements: wire.endorsements.into_iter().map(|blob| blob.0).collect(),
        })
    }

    /// The JSON form, canonical.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        canonical::to_vec(&Wire {
            identity: Base64(self.identity.clone()),
            evidence: self.evidence.to_wire(),
            proof: self.proof.clone(),
            lease: self.lease,
            endorsements: self.endorsements.iter().cloned().map(Base64).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
