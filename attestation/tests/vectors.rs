//! The published vectors, `tests/vectors/*.json` of the repository, are what this code computes, and this code
//! accepts what they say.
//!
//! Why apart: they are a promise to other implementations.
//!
//! # Invariants
//! To change one on purpose: `cargo run -p anchorhold-attestation --example vectors`.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // a test reads its files, and panics to fail

use std::path::Path;

use anchorhold_attestation::*;
use anchorhold_encoding::Digest;
use serde_json::Value;

#[path = "vectors/generate.rs"]
mod generate;

fn published(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    std::fs::read_to_string(folder.join(name)).unwrap()
}

fn json(name: &str) -> Value {
    serde_json::from_str(&published(name)).unwrap()
}

fn digest<const N: usize>(value: &Value) -> Digest<N> {
    value.as_str().unwrap().parse().unwrap()
}

#[test]
fn published_vectors_are_what_is_computed() {
    for (name, content) in generate::all() {
        assert!(published(name) == content, "{name} differs from what is computed");
    }
}

#[test]
fn identities_that_must_be_refused_are() {
    let file = json("identity.json");
    let good = file["document"].as_str().unwrap();
    let received = ReceivedIdentity::parse(good.as_bytes()).unwrap();
    assert_eq!(received.digest(), digest(&file["sha512"]));
    let refused = file["refused"].as_array().unwrap();
    assert_eq!(refused.len(), 8);
    for case in refused {
        let bytes = case["bytes"].as_str().unwrap();
        assert_ne!(bytes, good, "{}", case["why"]);
        assert!(
            ReceivedIdentity::parse(bytes.as_bytes()).is_err(),
            "{}",
            case["why"]
        );
    }
}

#[test]
fn receipts_and_releases_verify() {
    let file = json("receipt.json");
    let receipt = SignedReceipt::parse(file["text"].as_str().unwrap()).unwrap();
    let verified = receipt.verify(&digest(&file["public_key"])).ok().unwrap();
    let events: Vec<_> = file["answer_events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event.as_str().unwrap().as_bytes())
        .collect();
    let request = file["request"].as_str().unwrap();
    assert!(verified.matches(request.as_bytes(), &events).is_ok());

    let file = json("release.json");
    let header = ReleaseHeader::parse(file["header"].as_str().unwrap()).unwrap();
    let nonce = digest::<32>(&file["nonce"]);
    let resource = file["resource"].as_str().unwrap().parse().unwrap();
    let manifest = digest(&file["manifests"][1]);
    let expected = release::ReleaseExpectation {
        nonce: nonce.as_bytes(),
        tee_pubkey: &file["tee_pubkey"],
        resource: &resource,
        manifest: &manifest,
    };
    let body = file["body"].as_str().unwrap().as_bytes();
    assert!(ReleaseStatement::verify(header, &expected, body, &digest(&file["public_key"])).is_ok());
}

#[test]
fn the_published_bundle_verifies_and_leaves_out_what_is_revoked() {
    use anchorhold_attestation::published::{PublisherTrust, Seen, verify};
    let file = json("published.json");
    let trust: PublisherTrust = serde_json::from_value(file["trust"].clone()).unwrap();
    let bundle = file["bundle"].as_str().unwrap();
    let now = Timestamp::from_unix(file["now"].as_u64().unwrap());
    let values = verify(bundle.as_bytes(), &trust, &Seen::nothing(), now).unwrap();
    let accepted: Vec<Value> = values
        .values()
        .iter()
        .map(|value| serde_json::to_value(value).unwrap()["measurement"].clone())
        .collect();
    assert_eq!(Value::Array(accepted), file["accepted_measurements"]);
}
