//! A connection is bound by its own exporter, nonce and identity, and by nothing else.

use super::*;
use crate::fixture::{at, identity, received, scene, sign};

const EXPORTER: [u8; 32] = [0xaa; 32];

fn nonce() -> Nonce {
    Nonce::from_random([0xbb; 32])
}

fn pinned() -> PinnedIdentity {
    scene().client().unwrap().into_channel()
}

fn bind(signature: &[u8], nonce: Nonce, now: Timestamp) -> Result<ChannelProof, ChannelError> {
    let pinned = pinned();
    let leaf = pinned.check_leaf(&Digest::new([0x11; 32])).unwrap();
    pinned.bind(leaf, &EXPORTER, &nonce, signature, now)
}

fn signed(seed: u8, exporter: [u8; 32], nonce: &Nonce, identity: &Digest<64>) -> Digest<64> {
    sign(seed, channel_message(&exporter, nonce, identity).as_bytes())
}

#[test]
fn the_message_is_as_specified() {
    let message = channel_message(&EXPORTER, &nonce(), &Digest::new([0xcc; 64]));
    let expected = [
        &[0, 0, 0, 21],
        b"anchorhold channel v1".as_slice(),
        &[0, 0, 0, 32],
        &[0xaa; 32],
        &[0, 0, 0, 32],
        &[0xbb; 32],
        &[0, 0, 0, 64],
        &[0xcc; 64],
    ]
    .concat();
    assert_eq!(message.as_bytes(), expected);
    assert_eq!(EXPORTER_LABEL, b"EXPORTER-anchorhold-channel-v1");
}

#[test]
fn a_pinned_identity_is_what_was_appraised() {
    let appraised = scene().client().unwrap();
    let evidence = appraised.claims().evidence_digest;
    let policy = *appraised.policy_id();
    let pinned = appraised.into_channel();
    let document = identity();
    assert_eq!(*pinned.tls_spki_sha256(), document.tls_spki_sha256);
    assert_eq!(*pinned.channel_key(), document.channel_key);
    assert_eq!(*pinned.receipt_key(), document.receipt_key);
    assert_eq!(*pinned.manifest_sha256(), document.model.manifest_sha256);
    assert_eq!(*pinned.config_sha256(), document.config_sha256);
    assert_eq!(*pinned.identity_digest(), received(&document).digest());
    assert_eq!(*pinned.evidence_digest(), evidence);
    assert_eq!(*pinned.policy_id(), policy);
    assert_eq!(*pinned.boot_id(), document.boot_id);
    assert_eq!(pinned.class(), Class::Insecure);
    assert_eq!(pinned.valid_until(), at(100));
}

#[test]
fn a_connection_to_the_enclave_is_bound() {
    let identity = *pinned().identity_digest();
    let signature = signed(2, EXPORTER, &nonce(), &identity);
    let proof = bind(signature.as_bytes(), nonce(), at(99)).unwrap();
    assert_eq!(*proof.nonce(), nonce());
    assert_eq!(*proof.identity_digest(), identity);
    assert_eq!(proof.valid_until(), at(100));
}

#[test]
fn every_other_connection_is_refused() {
    let identity = *pinned().identity_digest();
    let good = signed(2, EXPORTER, &nonce(), &identity);
    let refused = Err(ChannelError::Signature);
    let outcome = |signature: &[u8], nonce| bind(signature, nonce, at(10)).map(|_| ());
    // Another connection, another nonce, another enclave, another of the enclave's keys, another label.
    let other_nonce = Nonce::from_random([0xbc; 32]);
    for bad in [
        signed(2, [0xab; 32], &nonce(), &identity),
        signed(2, EXPORTER, &other_nonce, &identity),
        signed(2, EXPORTER, &nonce(), &Digest::new([0; 64])),
        signed(3, EXPORTER, &nonce(), &identity),
        sign(
            2,
            Preimage::new("anchorhold channel v2")
                .lp(&EXPORTER)
                .lp(nonce().as_bytes())
                .lp(identity.as_bytes())
                .as_bytes(),
        ),
    ] {
        assert_eq!(outcome(bad.as_bytes(), nonce()), refused);
    }
    assert_eq!(outcome(good.as_bytes(), other_nonce), refused);
    assert_eq!(outcome(&good.as_bytes()[..63], nonce()), refused);
    assert_eq!(outcome(&[], nonce()), refused);
    for at in 0..64 {
        let mut changed = *good.as_bytes();
        changed[at] ^= 1;
        assert_eq!(outcome(&changed, nonce()), refused);
    }
}

#[test]
fn another_leaf_is_refused_wherever_it_was_matched() {
    let pinned = pinned();
    let other = Digest::new([0x12; 32]);
    assert_eq!(pinned.check_leaf(&other).unwrap_err(), ChannelError::Leaf);

    let mut elsewhere = scene();
    elsewhere.identity.tls_spki_sha256 = other;
    let elsewhere = elsewhere.client().unwrap().into_channel();
    let leaf = elsewhere.check_leaf(&other).unwrap();
    let signature = signed(2, EXPORTER, &nonce(), pinned.identity_digest());
    let outcome = pinned.bind(leaf, &EXPORTER, &nonce(), signature.as_bytes(), at(10));
    assert_eq!(outcome.unwrap_err(), ChannelError::Leaf);
}

#[test]
fn expired_evidence_binds_nothing() {
    let identity = *pinned().identity_digest();
    let signature = signed(2, EXPORTER, &nonce(), &identity);
    for now in [at(100), at(101)] {
        let outcome = bind(signature.as_bytes(), nonce(), now);
        assert_eq!(outcome.unwrap_err(), ChannelError::Expired);
    }
}

#[test]
fn errors_have_text_and_a_hint() {
    let table = [
        (ChannelError::Leaf, "TLS key is not the enclave's"),
        (ChannelError::Signature, "does not hold for this connection"),
        (ChannelError::Expired, "has expired"),
    ];
    for (error, text) in table {
        assert!(error.to_string().ends_with(text));
    }
    assert_ne!(ChannelError::Leaf.hint(), ChannelError::Signature.hint());
    assert_eq!(ChannelError::Expired.hint(), "verify the enclave anew");
}
