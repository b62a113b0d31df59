//! Every bit and every end of real evidence.
//!
//! Why apart: these take seconds. A bit without meaning would be a place for a forger, or a reader, to be wrong.

use proptest::prelude::*;

use super::authority::{Made, NOW, Plan};
use super::*;
use crate::spoil::{Grain, bits, ends};
use crate::testdata::thorough;

const REAL: [(&str, &str); 2] = [
    ("v4-emr-phala", "2025-07-01T00:00:00Z"),
    ("v5-emr-gotdxguest", "2026-03-01T00:00:00Z"),
];

/// Verifies what `alter` makes of a real quote, as of then.
struct Scene {
    quote: Vec<u8>,
    collateral: Collateral,
    now: Timestamp,
}

impl Scene {
    fn new(test: &str, folder: &str, now: &str) -> Option<Self> {
        let (quote, json) = real(test, folder)?;
        Some(Self {
            quote,
            collateral: Collateral::parse(&json).unwrap(),
            now: time(now),
        })
    }

    fn verify(&self, quote: &[u8]) -> Result<VerifiedQuote, TdxError> {
        verify(quote, &self.collateral, &Anchors::intel(), self.now)
    }
}

/// Flips bits of a real quote: all eight of each byte for which `all` says so, one of the others.
fn flip(test: &str, (folder, now): (&str, &str), all: impl Fn(usize) -> bool) {
    let Some(scene) = Scene::new(test, folder, now) else {
        return;
    };
    assert!(scene.verify(&scene.quote).is_ok());
    let mut bad = scene.quote.clone();
    for byte in 0..bad.len() {
        for bit in 0..if all(byte) { 8 } else { 1 } {
            let flip = 1_u8.rotate_left(u32::try_from(byte).unwrap() + bit);
            bad[byte] ^= flip;
            match scene.verify(&bad) {
                Ok(_) => panic!("{folder}: byte {byte} {flip:#x} has no meaning"),
                Err(error) => assert_ne!(error, TdxError::Unexplained, "{folder}: byte {byte} {flip:#x}"),
            }
            bad[byte] ^= flip;
        }
    }
}

#[test]
fn no_bit_of_a_quote_is_without_meaning() {
    const NAME: &str = "tdx::no_bit_of_a_quote_is_without_meaning";
    let [older, newer] = REAL;
    // All bits of header, descriptor, body, signatures, key and quoting enclave; behind them is the chain, whose text
    // has a test of its own that no bit of it is free.
    flip(NAME, newer, |byte| byte < 1328 || thorough());
    if thorough() {
        flip(NAME, older, |_| true);
    }
}

#[test]
fn no_end_of_a_quote_is_early_enough() {
    const NAME: &str = "tdx::no_end_of_a_quote_is_early_enough";
    for ((folder, now), zeros) in REAL.into_iter().zip([70, 0]) {
        let Some(scene) = Scene::new(NAME, folder, now) else {
            return;
        };
        let full = scene.quote.len() - zeros;
        for end in 0..full {
            let error = scene.verify(&scene.quote[..end]).unwrap_err();
            assert!(matches!(error, TdxError::Quote { .. }), "{folder} {end}: {error}");
        }
        // The quote is over there; what follows is zero, or nothing.
        assert!(scene.verify(&scene.quote[..full]).is_ok());
    }
}

/// JSON, chains, CRLs, documents and signatures: each seventh byte, or each.
#[test]
fn no_byte_of_the_collateral_is_without_meaning() {
    const NAME: &str = "tdx::no_byte_of_the_collateral_is_without_meaning";
    let stride = if thorough() { 1 } else { 7 };
    let (folder, now) = REAL[1];
    let (Some(scene), Some((_, json))) = (Scene::new(NAME, folder, now), real(NAME, folder)) else {
        return;
    };
    let collateral = |bytes: &[u8]| {
        Collateral::parse(bytes).and_then(|given| verify(&scene.quote, &given, &Anchors::intel(), scene.now))
    };
    assert!(collateral(&json).is_ok());
    let mut bad = json.clone();
    for byte in (0..bad.len()).step_by(stride) {
        let flip = 1_u8.rotate_left(u32::try_from(byte / stride).unwrap());
        bad[byte] ^= flip;
        match collateral(&bad) {
            Ok(_) => panic!("byte {byte} {flip:#x} has no meaning"),
            Err(error) => assert_ne!(error, TdxError::Unexplained, "byte {byte} {flip:#x}"),
        }
        bad[byte] ^= flip;
    }
    for end in (0..json.len()).step_by(61) {
        assert!(collateral(&json[..end]).is_err(), "{end}");
    }
}

/// Versions and bodies.
const KINDS: [(u16, u16); 4] = [(4, 2), (5, 2), (5, 3), (5, 4)];

#[test]
fn no_bit_of_a_made_quote_of_any_kind_is_without_meaning() {
    for (version, body_type) in KINDS {
        let made = made(version, body_type);
        let collateral = Collateral::parse(made.collateral.to_string().as_bytes()).unwrap();
        let anchors = Anchors::given(made.root);
        let proven = |quote: &[u8]| verify(quote, &collateral, &anchors, NOW).is_ok();
        let what = format!("version {version} body {body_type}");
        bits(&what, &made.quote, Grain::Every(9), &[], proven);
        ends(&what, &made.quote, &[], proven);
        // How many zeros follow, and one NUL behind the chain's text, are lengths and no bits.
        assert!(proven(&[made.quote.as_slice(), &[0; 7]].concat()), "{what}");
    }
}

fn made(version: u16, body_type: u16) -> Made {
    let plan = Plan {
        version,
        body_type,
        ..Plan::default()
    };
    plan.make()
}

#[test]
fn no_byte_of_made_collateral_is_without_meaning() {
    let made = made(5, 4);
    let anchors = Anchors::given(made.root.clone());
    let json = made.collateral.to_string();
    let proven = |json: &[u8]| {
        Collateral::parse(json).is_ok_and(|given| verify(&made.quote, &given, &anchors, NOW).is_ok())
    };
    bits("collateral", json.as_bytes(), Grain::Every(17), &[], proven);
    for end in (0..json.len()).step_by(if thorough() { 1 } else { 29 }) {
        assert!(!proven(&json.as_bytes()[..end]), "{end}");
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2048), version in 3_u16..7, kind in 0_u16..6) {
        let _ = quote::Quote::parse(&bytes);
        let _ = Collateral::parse(&bytes);
        let _ = pem::chain::<3>(&bytes);
        let _ = certificate::Facts::parse(bytes.clone());
        let _ = certificate::CrlFacts::parse(bytes.clone());
        let _ = certificate::signed_parts(&bytes);
        let mut quote = [version.to_le_bytes().to_vec(), vec![2, 0, 0x81, 0, 0, 0, 0, 0, 0, 0]].concat();
        quote.extend([0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07]);
        quote.extend([0; 20]);
        quote.extend(kind.to_le_bytes());
        quote.extend(bytes);
        let _ = quote::Quote::parse(&quote);
    }
}
