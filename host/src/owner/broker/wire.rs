//! RCAR's messages as this broker reads them.
//!
//! Why apart: `kbs-types` defines them, but its public key type drops what it does not know before it could
//! be hashed; here the key stays as it came.
//!
//! # Invariants
//! What is hashed into the binding is kept as received.

use anchorhold_attestation::HashAlgorithm;
use anchorhold_encoding::bounded;
use kbs_types::{CompositeEvidence, InitData, Request, Tee};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refusal::Refusal;
use crate::limits;

/// The one protocol version (kbs: semver requirement `=0.4.0`).
const VERSION: &str = "0.4.0";

/// `POST /attest`.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct AttestBody {
    pub(super) init_data: Option<InitData>,
    pub(super) runtime_data: RuntimeData,
    pub(super) tee_evidence: CompositeEvidence,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RuntimeData {
    pub(super) nonce: String,
    pub(super) tee_pubkey: Value,
}

/// The answer of `POST /attest`.
#[derive(Serialize)]
pub(super) struct TokenBody {
    pub(super) token: String,
}

/// Reads `POST /auth`: which TEE, and the hash for the session.
pub(super) fn auth(body: &[u8]) -> Result<(Tee, HashAlgorithm), Refusal> {
    let request: Request =
        bounded::from_slice(body, limits::BROKER_BODY_VALUES).map_err(|_| Refusal::Message)?;
    if request.version != VERSION {
        return Err(Refusal::Version);
    }
    // The kinds that the verifier knows; what they are worth is for the policy.
    let known = [Tee::Sample, Tee::Snp, Tee::Tdx, Tee::AzSnpVtpm, Tee::AzTdxVtpm];
    if !known.contains(&request.tee) {
        return Err(Refusal::Tee);
    }
    Ok((request.tee, select_hash(&request.extra_params)?))
}

/// SHA-384, as the protocol does by default, unless the guest has SHA-512 alone. Shorter ones are refused.
fn select_hash(extra: &Value) -> Result<HashAlgorithm, Refusal> {
    let Some(supported) = extra.get("supported-hash-algorithms") else {
        return Ok(HashAlgorithm::Sha384);
    };
    let names = supported.as_array().ok_or(Refusal::Message)?;
    let has = |name: &str| names.iter().any(|entry| entry.as_str() == Some(name));
    if has("sha384") {
        Ok(HashAlgorithm::Sha384)
    } else if has("sha512") {
        Ok(HashAlgorithm::Sha512)
    } else {
        Err(Refusal::Tee)
    }
}

/// `extra-params` of the challenge: the empty string when the default holds, as the existing broker sends it.
pub(super) fn challenge_extra(algorithm: HashAlgorithm) -> Value {
    match algorithm {
        HashAlgorithm::Sha384 => Value::String(String::new()),
        HashAlgorithm::Sha512 => serde_json::json!({"selected-hash-algorithm": "sha512"}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<HashAlgorithm, Refusal> {
        auth(json.as_bytes()).map(|(_, algorithm)| algorithm)
    }

    #[test]
    fn exactly_one_version_one_tee_and_strong_hashes() {
        let request = |version: &str, tee: &str, extra: &str| {
            format!("{{\"version\":\"{version}\",\"tee\":\"{tee}\",\"extra-params\":{extra}}}")
        };
        assert_eq!(
            read(&request("0.4.0", "sample", "\"\"")),
            Ok(HashAlgorithm::Sha384)
        );
        let hashes = |list: &str| {
            request(
                "0.4.0",
                "sample",
                &format!("{{\"supported-hash-algorithms\":{list}}}"),
            )
        };
        assert_eq!(
            read(&hashes("[\"sha512\",\"sha384\"]")),
            Ok(HashAlgorithm::Sha384)
        );
        assert_eq!(
            read(&hashes("[\"sha256\",\"sha512\"]")),
            Ok(HashAlgorithm::Sha512)
        );
        assert_eq!(read(&hashes("[\"sha256\",\"sm3\"]")), Err(Refusal::Tee));
        assert_eq!(read(&hashes("\"sha384\"")), Err(Refusal::Message));
        for version in ["0.4", "0.4.1", "0.3.0", "1.0.0", "", "0.4.0 "] {
            assert_eq!(
                read(&request(version, "sample", "\"\"")),
                Err(Refusal::Version),
                "{version}"
            );
        }
        assert_eq!(read(&request("0.4.0", "sgx", "\"\"")), Err(Refusal::Tee));
        assert_eq!(
            read(&request("0.4.0", "insecure-simulated", "\"\"")),
            Err(Refusal::Message)
        );
        assert_eq!(read("{}"), Err(Refusal::Message));
    }
}
