//! Our own formats: each is written again after it was read, and must come back.

use anchorhold_attestation::published::{Bundle, PublisherTrust, Seen, SignedStatement, fuzzing};
use anchorhold_attestation::rcar::{primary_report_data, tee_pubkey_digest};
use anchorhold_attestation::{
    AttestationDocument, Endorsements, Evidence, HashAlgorithm, Policy, ReceivedIdentity, ReleaseHeader,
    SignedReceipt,
};
use anchorhold_encoding::bounded;
use anchorhold_models::manifest::Manifest;
use anchorhold_models::sealed::SealedModel;
use anchorhold_models::wrap::{Jwe, TeePublicKey};
use serde_json::Value;

pub(super) fn evidence(bytes: &[u8]) {
    if let Ok(evidence) = Evidence::from_json(bytes) {
        let written = evidence.to_json();
        let again = Evidence::from_json(&written).expect("what was written can be read");
        assert_eq!(again.to_json(), written);
        assert_eq!(again.digest(), evidence.digest());
    }
}

pub(super) fn document(bytes: &[u8]) {
    if let Ok(document) = AttestationDocument::from_json(bytes) {
        let written = document.to_json();
        let again = AttestationDocument::from_json(&written).expect("what was written can be read");
        assert_eq!(again.to_json(), written);
    }
}

pub(super) fn identity(bytes: &[u8]) {
    if let Ok(identity) = ReceivedIdentity::parse(bytes) {
        assert_eq!(identity.bytes(), bytes);
        assert_eq!(identity.document().encode(), bytes);
    }
}

pub(super) fn endorsements(bytes: &[u8]) {
    if let Ok(bundle) = Endorsements::from_bundle(bytes) {
        assert_eq!(bundle.to_bundle(), bytes);
        let stapled = Endorsements::from_stapled(&bundle.to_stapled()).expect("what was written can be read");
        assert_eq!(stapled.to_bundle(), bytes);
    }
}

/// A policy, and whom to trust for reference values: what a person writes as TOML.
pub(super) fn policy(bytes: &[u8]) {
    let _ = Policy::from_toml(bytes);
    let _ = PublisherTrust::from_toml(bytes);
}

/// A bundle, a statement alone, and what a reader has seen.
pub(super) fn published(bytes: &[u8]) {
    if let Ok(bundle) = Bundle::parse(bytes) {
        assert_eq!(bundle.encode(), bytes);
        let _ = bundle.signed();
    }
    if let Ok(signed) = SignedStatement::parse(bytes) {
        assert_eq!(signed.encode(), bytes);
    }
    if let Ok(seen) = Seen::parse(bytes) {
        assert_eq!(seen.encode(), bytes);
    }
}

pub(super) fn log_text(bytes: &[u8]) {
    fuzzing::log_text(bytes);
}

/// The messages of RCAR that a broker and an enclave read, and what is hashed of them.
pub(super) fn rcar(bytes: &[u8]) {
    const VALUES: usize = 1024;
    let _ = bounded::from_slice::<kbs_types::Request>(bytes, VALUES);
    let _ = bounded::from_slice::<kbs_types::Challenge>(bytes, VALUES);
    let _ = bounded::from_slice::<kbs_types::CompositeEvidence>(bytes, VALUES);
    let _ = bounded::from_slice::<kbs_types::ErrorInformation>(bytes, VALUES);
    if let Ok(value) = bounded::from_slice::<Value>(bytes, VALUES) {
        let _ = tee_pubkey_digest(&value);
        for algorithm in [HashAlgorithm::Sha384, HashAlgorithm::Sha512] {
            let _ = primary_report_data("", "", &value, algorithm);
        }
        if let Ok(key) = TeePublicKey::from_jwk(&value) {
            let again = TeePublicKey::from_jwk(&key.to_jwk()).expect("what was written can be read");
            assert_eq!(again.to_jwk(), key.to_jwk());
        }
    }
}

/// The bytes of the text that a header carries in base64url: mutations are made inside it.
pub(super) fn receipt(bytes: &[u8]) {
    let text = base64url(bytes);
    if let Ok(receipt) = SignedReceipt::parse(&text) {
        assert_eq!(receipt.encode(), text);
    }
}

/// As [`receipt`].
pub(super) fn release(bytes: &[u8]) {
    let text = base64url(bytes);
    if let Ok(header) = ReleaseHeader::parse(&text) {
        assert_eq!(header.encode(), text);
    }
}

pub(super) fn sealed_header(bytes: &[u8]) {
    if let Ok(model) = SealedModel::from_reader(bytes) {
        let json = model.header().to_vec();
        assert_eq!(bytes.get(16..16 + json.len()), Some(json.as_slice()));
        let _ = model.sealed_size();
    }
}

pub(super) fn manifest(bytes: &[u8]) {
    if let Ok(manifest) = Manifest::from_slice(bytes) {
        assert_eq!(manifest.to_vec(), bytes);
        let _ = manifest.total_size();
    }
}

pub(super) fn gguf(bytes: &[u8]) {
    anchorhold_models::gguf::fuzzing::tables(bytes);
}

#[cfg(feature = "engine")]
pub(super) fn schema(bytes: &[u8]) {
    anchorhold_models::constraint::fuzzing::schema(bytes);
}

#[cfg(feature = "engine")]
pub(super) fn calls(bytes: &[u8]) {
    anchorhold_models::tools::fuzzing::calls(bytes);
}

pub(super) fn wrapped_key(bytes: &[u8]) {
    if let Ok(jwe) = Jwe::from_slice(bytes) {
        let written = jwe.to_vec();
        let again = Jwe::from_slice(&written).expect("what was written can be read");
        assert_eq!(again.to_vec(), written);
    }
}

/// RFC 4648 section 5, without padding.
fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::with_capacity(bytes.len() / 3 * 4 + 4);
    for part in bytes.chunks(3) {
        let mut group = [0; 4];
        group[1..=part.len()].copy_from_slice(part);
        let number = u32::from_be_bytes(group);
        for digit in 0..=part.len() {
            let index = number >> (18 - 6 * digit) & 63;
            text.push(char::from(DIGITS[index as usize]));
        }
    }
    text
}
