//! RCAR's attestation token: an EAT Attestation Result (draft-ietf-rats-ear) as a JWT.
//!
//! Why apart: existing guests want one. This broker itself takes no token, only its session cookie.
//!
//! # Invariants
//! The trustworthiness vector says only what was checked. Five minutes of life.

use anchorhold_attestation::{Appraised, BrokerUse, Timestamp};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::sessions::Attested;
use crate::owner::store::keys::BrokerKeys;

/// Seconds of a token's life, as the existing broker has it.
const LIFE: u64 = 300;
/// The profile whose members these are.
const PROFILE: &str = "tag:github.com,2024:confidential-containers/Trustee";
/// AR4SI (draft-ietf-rats-ar4si) `executables`: only recognised, genuine executables were loaded at boot.
const APPROVED_BOOT: i8 = 3;
/// AR4SI `configuration`: a known and approved configuration.
const APPROVED_CONFIG: i8 = 2;

/// The token for affirmed evidence; `None` when it cannot be signed.
pub(super) fn mint(
    appraised: &Appraised<BrokerUse>,
    answer: &Attested,
    keys: &BrokerKeys,
    now: Timestamp,
) -> Option<String> {
    let header = json!({"alg": "ES256", "typ": "JWT", "jwk": jwk(keys.token_public())?});
    let claims = claims(appraised, answer, now);
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let signature = keys.sign_token(signed.as_bytes())?;
    Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn claims(appraised: &Appraised<BrokerUse>, answer: &Attested, now: Timestamp) -> Value {
    let found = appraised.claims();
    let report_data = anchorhold_encoding::Digest::new(*found.report_data.as_bytes());
    let tee = found.platform.rcar_tee();
    let evidence = json!({
        tee: {
            "measurement": found.measurement,
            "host_data": found.config.to_string(),
            "platform": found.platform.name(),
            "class": found.class,
        },
        "init_data": found.config.to_string(),
        "report_data": report_data,
        "runtime_data_claims": {
            "nonce": answer.challenged.nonce,
            "tee-pubkey": answer.tee_pubkey,
        },
    });
    json!({
        "eat_profile": PROFILE,
        "iat": now.unix(),
        "nbf": now.unix(),
        "exp": now.plus(LIFE).min(appraised.valid_until()).unix(),
        "ear.verifier-id": {
            "developer": "https://github.com/anchorhold/anchorhold",
            "build": concat!("anchorhold ", env!("CARGO_PKG_VERSION")),
        },
        "submods": { "cpu0": {
            "ear.status": "affirming",
            "ear.trustworthiness-vector": {
                "executables": APPROVED_BOOT,
                "configuration": APPROVED_CONFIG,
            },
            "ear.appraisal-policy-id": appraised.policy_id(),
            "ear.veraison.annotated-evidence": evidence,
        }},
    })
}

/// RFC 7517 form of an uncompressed P-256 point.
fn jwk(point: &[u8]) -> Option<Value> {
    let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
    Some(json!({
        "kty": "EC", "crv": "P-256", "alg": "ES256",
        "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y),
    }))
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}
