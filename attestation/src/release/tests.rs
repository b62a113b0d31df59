//! A release is for one session, one key, one resource and one body, by one broker.

use anchorhold_encoding::sha512;
use proptest::prelude::*;

use super::*;
use crate::fixture::{at, key, public, sign, tee_pubkey};

const BODY: &[u8] = b"{\"ciphertext\":\"AA\"}";
const NONCE: [u8; 32] = [5; 32];

fn manifest() -> Digest<32> {
    Digest::new([0x44; 32])
}

fn statement() -> ReleaseStatement {
    ReleaseStatement {
        nonce: NONCE,
        tee_pubkey_sha256: rcar::tee_pubkey_digest(&tee_pubkey()),
        resource: "default/key/demo".parse().unwrap(),
        key_id: "demo-key".parse().unwrap(),
        manifests: vec![Digest::new([0x43; 32]), manifest()],
        lease: LeaseTerms {
            seconds: 3600,
            tokens: 1000,
        },
        broker_time: at(0),
        jwe_sha256: sha256(&[BODY]),
    }
}

fn header() -> ReleaseHeader {
    let signature = sign(4, statement().signing_preimage().as_bytes());
    statement().into_header(signature)
}

struct Asked {
    nonce: [u8; 32],
    tee_pubkey: Value,
    resource: ResourcePath,
    manifest: Digest<32>,
    body: Vec<u8>,
    release_key: Digest<32>,
}

fn verify(header: ReleaseHeader, change: impl Fn(&mut Asked)) -> Result<VerifiedRelease, ReleaseError> {
    let mut asked = Asked {
        nonce: NONCE,
        tee_pubkey: tee_pubkey(),
        resource: "default/key/demo".parse().unwrap(),
        manifest: manifest(),
        body: BODY.to_vec(),
        release_key: public(&key(4)),
    };
    change(&mut asked);
    let expected = ReleaseExpectation {
        nonce: &asked.nonce,
        tee_pubkey: &asked.tee_pubkey,
        resource: &asked.resource,
        manifest: &asked.manifest,
    };
    ReleaseStatement::verify(header, &expected, &asked.body, &asked.release_key)
}

#[test]
fn the_preimage_is_as_specified() {
    let expected = [
        &[0, 0, 0, 21],
        b"anchorhold release v1".as_slice(),
        &[5; 32],
        rcar::tee_pubkey_digest(&tee_pubkey()).as_bytes(),
        &[0, 0, 0, 16],
        b"default/key/demo",
        &[0, 0, 0, 8],
        b"demo-key",
        &[0, 0, 0, 2],
        &[0x43; 32],
        &[0x44; 32],
        &3600_u64.to_be_bytes(),
        &1000_u64.to_be_bytes(),
        &at(0).unix().to_be_bytes(),
        sha256(&[BODY]).as_bytes(),
    ]
    .concat();
    assert_eq!(statement().signing_preimage().as_bytes(), expected);
    assert_eq!(RELEASE_HEADER, "anchorhold-release");
}

#[test]
fn a_release_for_this_session_is_accepted() {
    let release = verify(header(), |_| {}).unwrap();
    assert_eq!(release.jwe(), BODY);
    assert_eq!(release.key_id().as_str(), "demo-key");
    assert_eq!(release.manifests(), statement().manifests);
    assert_eq!(release.lease(), statement().lease);
    assert_eq!(release.broker_time(), at(0));
}

#[test]
fn every_other_release_is_refused() {
    let refused = |header, change: &dyn Fn(&mut Asked)| {
        assert_eq!(verify(header, change).unwrap_err(), ReleaseError::Signature);
    };
    refused(header(), &|asked| asked.nonce[0] ^= 1);
    refused(header(), &|asked| asked.tee_pubkey["x"] = "AB".into());
    refused(header(), &|asked| {
        asked.resource = "default/key/other".parse().unwrap();
    });
    refused(header(), &|asked| asked.body.push(b' '));
    refused(header(), &|asked| asked.release_key = public(&key(5)));
    let changes: [fn(&mut ReleaseHeader); 8] = [
        |h| h.key_id = "other-key".parse().unwrap(),
        |h| h.manifests.push(Digest::new([0; 32])),
        |h| h.manifests.reverse(),
        |h| h.manifests = vec![manifest()],
        |h| h.lease.seconds += 1,
        |h| h.lease.tokens = 0,
        |h| h.broker_time = at(1),
        |h| h.signature = Digest::new([0; 64]),
    ];
    for change in changes {
        let mut changed = header();
        change(&mut changed);
        refused(changed, &|_| {});
    }
    let other = verify(header(), |asked| asked.manifest = Digest::new([0; 32]));
    assert_eq!(other.unwrap_err(), ReleaseError::Manifest);
}

#[test]
fn a_body_has_a_limit() {
    let large = vec![b' '; limits::JWE];
    let mut statement = statement();
    statement.jwe_sha256 = sha256(&[&large]);
    let signature = sign(4, statement.signing_preimage().as_bytes());
    let header = statement.into_header(signature);
    assert!(verify(header.clone(), |asked| asked.body = large.clone()).is_ok());
    let outcome = verify(header, |asked| asked.body = vec![b' '; limits::JWE + 1]);
    assert_eq!(outcome.unwrap_err(), ReleaseError::BodyTooLarge);
}

#[test]
fn the_header_has_one_text() {
    let text = header().encode();
    assert_eq!(ReleaseHeader::parse(&text), Ok(header()));
    let part = Part::Release;
    let inner = String::from_utf8(decode_url(&text).unwrap()).unwrap();
    assert!(
        inner.starts_with("{\"broker_time\":1800000000,\"key_id\":\"demo-key\",\"lease\":{\"seconds\":3600,")
    );
    let parse = |inner: &str| ReleaseHeader::parse(&encode_url(inner.as_bytes())).unwrap_err();
    assert_eq!(parse(&format!(" {inner}")), ParseError::NotCanonical(part));
    for (from, to) in [
        ("\"key_id\"", "\"key\""),
        ("\"seconds\"", "\"extra\":1,\"seconds\""),
        ("demo-key", "Demo"),
        ("3600", "3600.5"),
        ("3600", "-1"),
    ] {
        assert_eq!(parse(&inner.replacen(from, to, 1)), ParseError::Shape(part));
    }
    let with = |count| {
        let mut header = header();
        header.manifests = vec![manifest(); count];
        ReleaseHeader::parse(&header.encode()).err()
    };
    assert_eq!(with(0), Some(ParseError::Value(part)));
    assert_eq!(with(64), None, "64 manifests fit");
    assert_eq!(with(65), Some(ParseError::TooLarge { part, limit: 64 }));
    let limit = limits::RELEASE_HEADER;
    assert_eq!(
        ReleaseHeader::parse(&"A".repeat(limit + 1)),
        Err(ParseError::TooLarge { part, limit })
    );
    assert_eq!(
        ReleaseHeader::parse(&"A".repeat(limit)),
        Err(ParseError::Shape(part))
    );
}

#[test]
fn numbers_that_json_cannot_hold_do_not_travel() {
    let lease = |seconds, tokens| {
        let mut header = header();
        header.lease = LeaseTerms { seconds, tokens };
        ReleaseHeader::parse(&header.encode()).is_ok()
    };
    let largest = (1 << 53) - 1;
    assert!(lease(largest, largest));
    assert!(!lease(largest + 1, 0));
    assert!(!lease(0, largest + 1));
    assert!(!lease(u64::MAX, 0));
}

#[test]
fn key_ids_are_plain_names() {
    for good in ["a", "demo-key-2", &"k".repeat(64)] {
        let id: KeyId = good.parse().unwrap();
        assert_eq!(id.as_str(), good);
        assert_eq!(id.to_string(), good);
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{good}\""));
    }
    let value = Err(ParseError::Value(Part::KeyId));
    for bad in ["", "Key", "a_b", "a/b", "a b", "é"] {
        assert_eq!(bad.parse::<KeyId>(), value, "{bad}");
    }
    assert_eq!(
        "k".repeat(65).parse::<KeyId>(),
        Err(ParseError::TooLarge {
            part: Part::KeyId,
            limit: 64
        })
    );
}

#[test]
fn resource_paths_have_three_plain_segments() {
    for good in [
        "default/key/1",
        "a-b/c_d/e.f",
        &["s".repeat(128).as_str(); 3].join("/"),
    ] {
        let path: ResourcePath = good.parse().unwrap();
        assert_eq!(path.as_str(), good);
        assert_eq!(path.to_string(), good);
        assert_eq!(serde_json::to_string(&path).unwrap(), format!("\"{good}\""));
    }
    let value = Err(ParseError::Value(Part::ResourcePath));
    for bad in [
        "", "a", "a/b", "a/b/c/d", "/a/b/c", "a/b/", "a//c", "a/../c", "a/./c", "a/b/.c", "a/b/c d",
        "a/b/%2e", "a/b/é",
    ] {
        assert_eq!(bad.parse::<ResourcePath>(), value, "{bad}");
    }
    let long = format!("a/b/{}", "s".repeat(129));
    assert_eq!(
        long.parse::<ResourcePath>(),
        Err(ParseError::TooLarge {
            part: Part::ResourcePath,
            limit: 128
        })
    );
}

#[test]
fn errors_have_text_and_a_hint() {
    let table = [
        (
            ReleaseError::BodyTooLarge,
            "the released key is too large",
            "is this the broker's address?",
        ),
        (
            ReleaseError::Signature,
            "the release's signature does not hold for this session",
            "its answer is for another request",
        ),
        (
            ReleaseError::Manifest,
            "the released key is not for the configured model",
            "compare manifest_sha256 on both sides",
        ),
    ];
    for (error, text, hint) in table {
        assert_eq!(error.to_string(), text);
        assert!(error.hint().ends_with(hint));
    }
}

proptest! {
    #[test]
    fn a_changed_header_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let text = header().encode();
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let Ok(changed) = String::from_utf8(bytes) else { return Ok(()) };
        prop_assume!(changed != text);
        if let Ok(header) = ReleaseHeader::parse(&changed) {
            let outcome = verify(header, |_| ());
            prop_assert!(outcome.is_err());
        }
    }

    #[test]
    fn the_preimage_of_another_statement_differs(seconds in any::<u64>(), tokens in any::<u64>()) {
        let mut other = statement();
        other.lease = LeaseTerms { seconds, tokens };
        prop_assume!(other != statement());
        prop_assert_ne!(
            sha512(&[other.signing_preimage().as_bytes()]),
            sha512(&[statement().signing_preimage().as_bytes()])
        );
    }
}
