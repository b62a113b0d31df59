//! What a Relying Party expects to find bound: a client its nonce, a broker its RCAR session.
//!
//! Why apart: the two uses share rules but never results. A binding knows its use, and so does every
//! value made of it: evidence for a broker can never become a client's channel, nor the other way.
//!
//! # Invariants
//! The expected report data is computed here from what the Relying Party itself sent and received.

use anchorhold_encoding::{Digest, sha256, sha384};
use serde::Deserialize;
use serde_json::Value;

use super::{Challenge, InclusionProof, ReportData, expected_gpu_nonce, expected_report_data};
use crate::base64_text::{Base64, decode_standard};
use crate::claims::ConfigDigests;
use crate::evidence::Evidence;
use crate::identity::ReceivedIdentity;
use crate::limits;
use crate::parse::{ParseError, Part, at_most};
use crate::rcar::{self, HashAlgorithm};
use crate::time::Timestamp;

/// What a Relying Party expects the evidence to commit to, for the purpose `U`.
pub struct Binding<U> {
    /// `None` when no report data can be right: the inclusion proof is void.
    pub(crate) report_data: Option<ReportData>,
    pub(crate) identity: ReceivedIdentity,
    pub(crate) drawn_at: Timestamp,
    /// The nonce that devices must have answered; `None` when no device can be right.
    pub(crate) device_nonce: Option<Digest<32>>,
    /// The configuration as a broker received it; a client receives none.
    pub(crate) init_data: Option<ConfigDigests>,
    pub(crate) purpose: U,
}

impl<U> Binding<U> {
    /// The identity document the evidence has to commit to. Before appraisal it is only what was claimed.
    #[must_use]
    pub const fn identity(&self) -> &ReceivedIdentity {
        &self.identity
    }
}

/// A client wants to speak to the enclave.
#[derive(Debug)]
pub struct ClientUse {
    _private: (),
}

/// A broker is asked for a key over RCAR.
#[derive(Debug)]
pub struct BrokerUse {
    pub(crate) nonce: [u8; 32],
    pub(crate) tee_pubkey_sha256: Digest<32>,
}

/// What a broker knows of one RCAR session when the guest's attestation arrives.
pub struct RcarSession<'a> {
    /// The nonce as text, as the broker sent it: base64 of 32 bytes.
    pub nonce: &'a str,
    /// When the broker drew it, by its own clock.
    pub drawn_at: Timestamp,
    /// `runtime-data.tee-pubkey` as received.
    pub tee_pubkey: &'a Value,
    /// `tee-evidence.additional_evidence` as received.
    pub additional_evidence: &'a str,
    /// The bytes of `init-data.body` as received.
    pub init_data: &'a [u8],
    /// The hash the broker selected for the session.
    pub algorithm: HashAlgorithm,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdditionalEvidence {
    anchorhold: OurPart,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OurPart {
    identity: Base64,
}

impl Binding<ClientUse> {
    /// A client's expectation: its own nonce in the tree, this identity, these devices. A void proof is not
    /// an error here: it is a reason of the denial.
    #[must_use]
    pub fn client(
        challenge: &Challenge,
        identity: ReceivedIdentity,
        proof: &InclusionProof,
        evidence: &Evidence,
    ) -> Self {
        Self {
            report_data: expected_report_data(challenge.nonce(), proof, &identity, evidence),
            device_nonce: expected_gpu_nonce(challenge.nonce(), proof, &identity),
            identity,
            drawn_at: challenge.drawn_at(),
            init_data: None,
            purpose: ClientUse { _private: () },
        }
    }
}

impl Binding<BrokerUse> {
    /// A broker's expectation: its session's nonce, the guest's key, and the identity document inside the
    /// additional evidence, which the report data covers as text.
    ///
    /// # Errors
    /// [`ParseError`] when the nonce is not base64 of 32 bytes, the additional evidence is not
    /// `{"anchorhold":{"identity":"<base64>"}}`, the identity does not parse, or a limit is exceeded.
    pub fn rcar(session: &RcarSession<'_>) -> Result<Self, ParseError> {
        let text = session.additional_evidence;
        at_most(session.nonce.len(), limits::RCAR_NONCE, Part::RcarNonce)?;
        at_most(text.len(), limits::ADDITIONAL_EVIDENCE, Part::AdditionalEvidence)?;
        at_most(session.init_data.len(), limits::INIT_DATA, Part::InitData)?;
        let nonce = decode_standard(session.nonce)
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok())
            .ok_or(ParseError::Shape(Part::RcarNonce))?;
        let parts: AdditionalEvidence =
            serde_json::from_str(text).map_err(|_| ParseError::Shape(Part::AdditionalEvidence))?;
        let identity = ReceivedIdentity::parse(&parts.anchorhold.identity.0)?;
        let expected = rcar::primary_report_data(text, session.nonce, session.tee_pubkey, session.algorithm);
        Ok(Self {
            report_data: Some(expected),
            identity,
            drawn_at: session.drawn_at,
            // RCAR's composite evidence is not spoken yet: a device's nonce could not be told from another's.
            device_nonce: None,
            init_data: Some(ConfigDigests {
                sha256: sha256(&[session.init_data]),
                sha384: sha384(&[session.init_data]),
            }),
            purpose: BrokerUse {
                nonce,
                tee_pubkey_sha256: rcar::tee_pubkey_digest(session.tee_pubkey),
            },
        })
    }
}
