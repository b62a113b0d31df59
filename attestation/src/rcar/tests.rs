//! The padding rule, the preimage, and what a broker accepts as a session.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::binding::{Binding, BrokerUse, RcarSession};
use crate::fixture::{CONFIG, RCAR_NONCE, at, identity, received, tee_pubkey};
use crate::limits;
use crate::parse::{ParseError, Part};

#[test]
fn sha384_is_padded_with_zeros_and_sha512_fills() {
    let key = json!({"kty": "EC", "crv": "P-256"});
    let preimage: &[u8] =
        br#"{"additional-evidence":"{}","nonce":"AA==","tee-pubkey":{"crv":"P-256","kty":"EC"}}"#;
    let data = primary_report_data("{}", "AA==", &key, HashAlgorithm::Sha384);
    assert_eq!(data.as_bytes()[..48], *sha384(&[preimage]).as_bytes());
    assert_eq!(data.as_bytes()[48..], [0; 16]);
    let data = primary_report_data("{}", "AA==", &key, HashAlgorithm::Sha512);
    assert_eq!(data.as_bytes(), sha512(&[preimage]).as_bytes());
    let empty = br#"{"additional-evidence":"","nonce":"","tee-pubkey":null}"#;
    let data = primary_report_data("", "", &Value::Null, HashAlgorithm::default());
    assert_eq!(data.as_bytes()[..48], *sha384(&[empty]).as_bytes());
    assert_eq!(
        tee_pubkey_digest(&key),
        sha256(&[br#"{"crv":"P-256","kty":"EC"}"#])
    );
}

#[test]
fn algorithms_have_the_names_of_the_protocol() {
    let name = |algorithm: HashAlgorithm| serde_json::to_string(&algorithm).unwrap();
    assert_eq!(name(HashAlgorithm::Sha384), "\"sha384\"");
    assert_eq!(name(HashAlgorithm::Sha512), "\"sha512\"");
    assert!(serde_json::from_str::<HashAlgorithm>("\"sha256\"").is_err());
}

fn session(nonce: &str, additional: &str, init_data: &[u8]) -> Result<Binding<BrokerUse>, ParseError> {
    Binding::rcar(&RcarSession {
        nonce,
        drawn_at: at(0),
        tee_pubkey: &tee_pubkey(),
        additional_evidence: additional,
        init_data,
        algorithm: HashAlgorithm::Sha384,
    })
}

#[test]
fn a_session_carries_an_identity_and_nothing_else() {
    let good = additional_evidence(&received(&identity()));
    assert!(good.starts_with("{\"anchorhold\":{\"identity\":\""));
    assert!(session(RCAR_NONCE, &good, CONFIG).is_ok());
    let shape = Some(ParseError::Shape(Part::AdditionalEvidence));
    for bad in [
        "",
        "{}",
        "null",
        &good.replacen('{', "{\"nvidia\":{},", 1),
        &good.replacen("\"identity\"", "\"x\":1,\"identity\"", 1),
        &good.replacen("\"identity\":\"", "\"identity\":\"=", 1),
    ] {
        assert_eq!(session(RCAR_NONCE, bad, CONFIG).err(), shape, "{bad}");
    }
    let no_identity = "{\"anchorhold\":{\"identity\":\"AAAA\"}}";
    assert_eq!(
        session(RCAR_NONCE, no_identity, CONFIG).err(),
        Some(ParseError::Shape(Part::Identity))
    );
}

#[test]
fn a_session_has_a_nonce_of_32_bytes_and_limits() {
    let good = additional_evidence(&received(&identity()));
    let shape = Some(ParseError::Shape(Part::RcarNonce));
    for bad in ["", "AAAA", &RCAR_NONCE[..43], &RCAR_NONCE.replace("BQU=", "BQV=")] {
        assert_eq!(session(bad, &good, CONFIG).err(), shape, "{bad}");
    }
    let large = |part, limit| Some(ParseError::TooLarge { part, limit });
    let longer = format!("{RCAR_NONCE}A");
    assert_eq!(session(&longer, &good, CONFIG).err(), large(Part::RcarNonce, 44));
    let limit = limits::ADDITIONAL_EVIDENCE;
    let padded = |length: usize| format!("{good}{}", " ".repeat(length - good.len()));
    assert!(session(RCAR_NONCE, &padded(limit), CONFIG).is_ok());
    assert_eq!(
        session(RCAR_NONCE, &padded(limit + 1), CONFIG).err(),
        large(Part::AdditionalEvidence, limit)
    );
    let limit = limits::INIT_DATA;
    assert!(session(RCAR_NONCE, &good, &vec![0; limit]).is_ok());
    assert_eq!(
        session(RCAR_NONCE, &good, &vec![0; limit + 1]).err(),
        large(Part::InitData, limit)
    );
}

proptest! {
    #[test]
    fn no_text_panics(nonce in ".{0,50}", additional in ".{0,80}") {
        prop_assert!(session(&nonce, &additional, CONFIG).is_err());
    }
}
