//! One meaning, one encoding; every byte counts.

use proptest::prelude::*;

use super::*;
use crate::fixture::{identity, received};

fn parse(document: &IdentityDocument) -> Result<ReceivedIdentity, ParseError> {
    ReceivedIdentity::parse(&document.encode())
}

#[test]
fn a_document_comes_back_as_it_went() {
    let document = identity();
    let received = received(&document);
    assert_eq!(received.document(), &document);
    assert_eq!(received.bytes(), document.encode());
    assert_eq!(received.digest(), sha512(&[&document.encode()]));
}

#[test]
fn only_the_canonical_encoding_is_accepted() {
    let text = String::from_utf8(identity().encode()).unwrap();
    let spaced = text.replacen(':', ": ", 1);
    assert_eq!(
        ReceivedIdentity::parse(spaced.as_bytes()).unwrap_err(),
        ParseError::NotCanonical(Part::Identity)
    );
    let shapes = [
        text.replacen('{', "{\"a\":1,", 1),
        text.replace("identity v1", "identity v2"),
        text.replace("\"boot_id\"", "\"boot_ie\""),
        text.replace("host-data", "host-date"),
        text.replace("insecure-simulated", "sgx"),
        text.replace("\"weakened\":[]", "\"weakened\":[\"dangerously_all\"]"),
        text.to_uppercase(),
        String::new(),
    ];
    for changed in shapes {
        assert_ne!(changed, text);
        assert_eq!(
            ReceivedIdentity::parse(changed.as_bytes()).unwrap_err(),
            ParseError::Shape(Part::Identity)
        );
    }
}

#[test]
fn names_and_lists_have_one_form() {
    let value = ParseError::Value(Part::Identity);
    for name in ["", "a\nb", "a\u{0}", "\u{85}"] {
        let mut document = identity();
        document.model.name = name.to_owned();
        assert_eq!(parse(&document).unwrap_err(), value, "{name:?}");
    }
    let mut document = identity();
    document.model.name = "n".repeat(128);
    assert!(parse(&document).is_ok());
    document.model.name.push('n');
    let too_large = |limit| ParseError::TooLarge {
        part: Part::Identity,
        limit,
    };
    assert_eq!(parse(&document).unwrap_err(), too_large(128));

    let (time, addresses) = (Weakening::HostTime, Weakening::TokenDependentAddresses);
    for (weakened, good) in [
        (vec![time, addresses], true),
        (vec![addresses, time], false),
        (vec![time, time], false),
    ] {
        let mut document = identity();
        document.weakened = weakened;
        assert_eq!(parse(&document).is_ok(), good);
    }

    let device = |byte| Digest::new([byte; 48]);
    for (devices, good) in [
        (vec![device(1), device(2)], true),
        (vec![device(2), device(1)], false),
        (vec![device(1), device(1)], false),
    ] {
        let mut document = identity();
        document.devices = devices;
        assert_eq!(parse(&document).is_ok(), good);
    }
    let mut document = identity();
    document.devices = (0..16).map(device).collect();
    assert!(parse(&document).is_ok());
    document.devices.push(device(16));
    assert_eq!(parse(&document).unwrap_err(), too_large(16));
    let huge = vec![b' '; limits::IDENTITY + 1];
    assert_eq!(
        ReceivedIdentity::parse(&huge).unwrap_err(),
        too_large(limits::IDENTITY)
    );
    assert_eq!(
        ReceivedIdentity::parse(&huge[1..]).unwrap_err(),
        ParseError::Shape(Part::Identity)
    );
}

#[test]
fn a_changed_byte_is_another_identity_or_none() {
    let bytes = identity().encode();
    let digest = received(&identity()).digest();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        if let Ok(other) = ReceivedIdentity::parse(&changed) {
            assert_ne!(other.digest(), digest);
            assert_ne!(other.document(), &identity());
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut bytes = identity().encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = ReceivedIdentity::parse(&bytes);
        let cut = cut.index(bytes.len());
        prop_assert!(ReceivedIdentity::parse(&bytes[..cut]).is_err());
    }
}
