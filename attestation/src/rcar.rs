//! The report data of RCAR, the key broker protocol of Confidential Containers.
//!
//! Why apart: its padding rule is the one exception to "nothing is padded", and it is written only here.
//!
//! # Invariants
//! `report_data = H(JCS({"additional-evidence", "nonce", "tee-pubkey"}))`, right-padded with zero bytes to 64
//! for SHA-384; JCS is RFC 8785. The preimage starts with `{`, Anchorhold's own with a zero byte: neither
//! can pass for the other. The nonce is the base64 text, not its bytes. `additional-evidence` is always
//! there, empty when there is none (guest-components, `rcar_client.rs`, protocol 0.4.0).

use anchorhold_encoding::{Digest, canonical, sha256, sha384, sha512};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base64_text::Base64;
use crate::binding::ReportData;
use crate::identity::ReceivedIdentity;

/// The hash of a session, as RCAR's `selected-hash-algorithm` names it. Weaker ones are not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashAlgorithm {
    /// What the protocol uses when nothing is selected.
    #[default]
    Sha384,
    /// Fills the field.
    Sha512,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Runtime<'a> {
    additional_evidence: &'a str,
    nonce: &'a str,
    tee_pubkey: &'a Value,
}

/// The CPU's report data for a session. An Attester signs it; a broker expects it.
#[must_use]
pub fn primary_report_data(
    additional_evidence: &str,
    nonce: &str,
    tee_pubkey: &Value,
    algorithm: HashAlgorithm,
) -> ReportData {
    let preimage = canonical::to_vec(&Runtime {
        additional_evidence,
        nonce,
        tee_pubkey,
    });
    match algorithm {
        HashAlgorithm::Sha384 => {
            let mut padded = [0; 64];
            let digest = sha384(&[&preimage]);
            for (to, from) in padded.iter_mut().zip(digest.as_bytes()) {
                *to = *from;
            }
            ReportData::new(padded)
        }
        HashAlgorithm::Sha512 => ReportData::new(*sha512(&[&preimage]).as_bytes()),
    }
}

/// SHA-256 of the guest's key as canonical JSON: how a signed release names it.
#[must_use]
pub fn tee_pubkey_digest(tee_pubkey: &Value) -> Digest<32> {
    sha256(&[&canonical::to_vec(tee_pubkey)])
}

#[derive(Serialize)]
struct AdditionalEvidence {
    anchorhold: OurPart,
}

#[derive(Serialize)]
struct OurPart {
    identity: Base64,
}

/// The `additional_evidence` text that carries an identity document to an Anchorhold broker.
#[must_use]
pub fn additional_evidence(identity: &ReceivedIdentity) -> String {
    let bytes = canonical::to_vec(&AdditionalEvidence {
        anchorhold: OurPart {
            identity: Base64(identity.bytes().to_vec()),
        },
    });
    String::from_utf8(bytes).expect("JSON is UTF-8")
}

#[cfg(test)]
mod tests;
