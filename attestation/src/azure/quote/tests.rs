//! The form of a quote.

use proptest::prelude::*;

use super::super::fake::{Fake, FakeKey};
use super::*;

fn parse(message: &[u8], values: usize) -> Result<(), AzureError> {
    let signature = [&[0, 0x18, 0, 0x0b, 0, 32], [1; 32].as_slice(), &[0, 32], &[1; 32]].concat();
    Quote::parse(message, &signature, &vec![Digest::new([0; 32]); values]).map(|_| ())
}

fn message() -> Vec<u8> {
    Fake::new(FakeKey::p256()).message()
}

fn with(at: usize, bytes: &[u8]) -> Result<(), AzureError> {
    let mut message = message();
    message[at..at + bytes.len()].copy_from_slice(bytes);
    parse(&message, 24)
}

#[test]
fn each_field_has_the_values_it_may_have() {
    assert_eq!(parse(&message(), 24), Ok(()));
    assert_eq!(with(0, &[0xfe]), Err(wrong(Check::QuoteMagic, 0)));
    // Certify, creation, time: other statements of a TPM.
    for other in [0x17, 0x1a, 0x19] {
        assert_eq!(with(5, &[other]), Err(wrong(Check::QuoteType, 4)));
    }
    // A handle, an empty name, SHA-1, SHA-384 as the name's algorithm.
    for name in [[0, 4, 0, 0x0b], [0, 0, 0, 0x0b], [0, 34, 0, 4], [0, 34, 0, 0x0c]] {
        assert!(with(6, &name).is_err());
    }
    assert_eq!(with(42, &[0, 67]), Err(wrong(Check::QuoteShape, 42)));
    let safe = 6 + 36 + 34 + 16;
    assert_eq!(with(safe, &[2]), Err(wrong(Check::QuoteShape, safe)));
    let selection = safe + 9;
    for bytes in [
        [0, 0, 0, 0, 0, 0x0b, 3],
        [0, 0, 0, 2, 0, 0x0b, 3],
        [0, 0, 0, 1, 0, 0x04, 3],
        [0, 0, 0, 1, 0, 0x0c, 3],
        [0, 0, 0, 1, 0, 0x0b, 2],
        [0, 0, 0, 1, 0, 0x0b, 4],
    ] {
        assert_eq!(
            with(selection, &bytes),
            Err(wrong(Check::QuoteSelection, selection))
        );
    }
    assert_eq!(
        with(selection + 7, &[0; 3]),
        Err(wrong(Check::QuoteSelection, selection))
    );
    assert!(with(selection + 10, &[0, 31]).is_err());
    assert_eq!(selection + 12 + 32, message().len());
}

#[test]
fn it_ends_where_its_digest_ends() {
    let message = message();
    for length in 0..message.len() {
        assert!(parse(&message[..length], 24).is_err(), "{length}");
    }
    let longer = [message.as_slice(), &[0]].concat();
    assert_eq!(parse(&longer, 24), Err(wrong(Check::QuoteShape, message.len())));
}

#[test]
fn there_is_one_value_a_register() {
    for values in [0, 23, 25, 4096] {
        assert_eq!(parse(&message(), values), Err(wrong(Check::QuoteValues, values)));
    }
    let mut message = message();
    let selection = message.len() - 34 - 3;
    message[selection..selection + 3].copy_from_slice(&[0b1000_0000, 1, 0b0010_0000]);
    let signature = [&[0, 0x18, 0, 0x0b, 0, 32], [1; 32].as_slice(), &[0, 32], &[1; 32]].concat();
    let values = [1, 2, 3].map(|byte| Digest::new([byte; 32]));
    let quote = Quote::parse(&message, &signature, &values).unwrap();
    let (_, registers) = quote.into_parts();
    let covered: Vec<_> = registers.iter().map(|(index, value)| (index, *value)).collect();
    assert_eq!(covered, [(7, values[0]), (8, values[1]), (21, values[2])]);
    assert_eq!(
        (registers.get(8), registers.get(9), registers.get(24)),
        (Some(&values[1]), None, None)
    );
}

#[test]
fn a_signature_has_one_scheme_one_hash_and_one_length() {
    let part = [7; 32];
    let ecdsa = [&[0, 0x18, 0, 0x0b, 0, 32], part.as_slice(), &[0, 32], &part].concat();
    let rsassa = [&[0, 0x14, 0, 0x0b, 0, 32], part.as_slice()].concat();
    assert!(QuoteSignature::parse(&ecdsa).is_ok() && QuoteSignature::parse(&rsassa).is_ok());
    for right in [&ecdsa, &rsassa] {
        for length in 0..right.len() {
            assert!(QuoteSignature::parse(&right[..length]).is_err(), "{length}");
        }
        assert!(QuoteSignature::parse(&[right.as_slice(), &[0]].concat()).is_err());
        // RSAPSS, ECDAA, SM2, Schnorr, HMAC, null; SHA-1, SHA-384, null.
        for scheme in [0x16, 0x1a, 0x1b, 0x1c, 0x05, 0x10] {
            let mut other = right.clone();
            other[1] = scheme;
            assert!(QuoteSignature::parse(&other).is_err(), "{scheme}");
        }
        for hash in [0x04, 0x0c, 0x10] {
            let mut other = right.clone();
            other[3] = hash;
            assert!(QuoteSignature::parse(&other).is_err(), "{hash}");
        }
    }
    let mut short = ecdsa;
    short[5] = 31;
    assert!(QuoteSignature::parse(&short).is_err());
}

proptest! {
    #[test]
    fn no_bytes_panic(
        message in prop::collection::vec(any::<u8>(), 0..256),
        signature in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let _ = Quote::parse(&message, &signature, &[]);
        let _ = QuoteSignature::parse(&signature);
    }

    #[test]
    fn no_changed_quote_panics(at in 0_usize..145, value in any::<u8>(), length in 0_usize..146) {
        let mut message = message();
        message[at] = value;
        message.truncate(length);
        let _ = parse(&message, 24);
    }
}
