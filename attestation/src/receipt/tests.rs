//! A receipt is about one request, one answer, one enclave and one connection.

use anchorhold_encoding::sha256;
use proptest::prelude::*;

use super::*;
use crate::fixture::{at, identity, key, public, received, sign};

const BODY: &[u8] = b"{\"prompt\":\"x\"}";
const EVENTS: [&[u8]; 2] = [b"{\"a\":1}", b"{\"b\":2}"];

fn salt() -> Salt {
    Salt::from_random([6; 32])
}

fn nonce() -> Nonce {
    Nonce::from_random([0xbb; 32])
}

fn receipt() -> Receipt {
    let mut answer = ContentHasher::answer(&salt());
    for event in EVENTS {
        answer.event(event);
    }
    Receipt {
        version: ReceiptVersion::V1,
        request_commitment: request_commitment(&salt(), BODY),
        answer_commitment: answer.finish(),
        binding_nonce: Digest::new(*nonce().as_bytes()),
        manifest_sha256: identity().model.manifest_sha256,
        identity_sha512: received(&identity()).digest(),
        evidence_sha512: Digest::new([7; 64]),
        prompt_tokens: 3,
        completion_tokens: 4,
        finish_reason: FinishReason::Stop,
        sequence: 9,
        time: at(0),
        time_source: TimeSource::Broker,
    }
}

fn signed_text(receipt: Receipt) -> String {
    let signature = sign(3, receipt.signing_preimage().as_bytes());
    SignedReceipt::new(receipt, salt(), signature).encode()
}

fn verified(receipt: Receipt) -> VerifiedReceipt {
    let parsed = SignedReceipt::parse(&signed_text(receipt)).unwrap();
    parsed.verify(&public(&key(3))).ok().unwrap()
}

fn lp(bytes: &[u8]) -> Vec<u8> {
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat()
}

#[test]
fn commitments_are_as_specified() {
    let expected = sha256(&[&lp(b"anchorhold receipt request v1"), &lp(&[6; 32]), &lp(BODY)]);
    assert_eq!(request_commitment(&salt(), BODY), expected);
    let expected = sha256(&[
        &lp(b"anchorhold receipt answer v1"),
        &lp(&[6; 32]),
        &lp(EVENTS[0]),
        &lp(EVENTS[1]),
    ]);
    assert_eq!(receipt().answer_commitment, expected);
    let bytes = canonical::to_vec(&receipt());
    let expected = [lp(b"anchorhold receipt v1"), lp(&bytes)].concat();
    assert_eq!(receipt().signing_preimage().as_bytes(), expected);
}

#[test]
fn a_receipt_matches_what_it_is_about() {
    let verified = verified(receipt());
    assert_eq!(verified.receipt(), &receipt());
    assert_eq!(*verified.digest(), sha512(&[&canonical::to_vec(&receipt())]));
    assert!(verified.matches(BODY, &EVENTS).is_ok());
    assert!(verified.matches_origin(&received(&identity()), &nonce()).is_ok());

    assert_eq!(
        verified.matches(b"other", &EVENTS).unwrap_err(),
        ReceiptError::Request
    );
    let joined = EVENTS.concat();
    for other in [
        &[][..],
        &EVENTS[..1],
        &[EVENTS[1], EVENTS[0]],
        &[joined.as_slice()],
        &[EVENTS[0], EVENTS[1], b""],
    ] {
        assert_eq!(verified.matches(BODY, other).unwrap_err(), ReceiptError::Answer);
    }
    let mut other = identity();
    other.boot_id = Digest::new([0; 16]);
    assert_eq!(
        verified.matches_origin(&received(&other), &nonce()).unwrap_err(),
        ReceiptError::Identity
    );
    let other = Nonce::from_random([0; 32]);
    assert_eq!(
        verified
            .matches_origin(&received(&identity()), &other)
            .unwrap_err(),
        ReceiptError::Connection
    );
}

#[test]
fn a_receipt_that_names_another_model_than_its_enclave_is_refused() {
    let mut wrong = receipt();
    wrong.manifest_sha256 = Digest::new([0; 32]);
    let outcome = verified(wrong).matches_origin(&received(&identity()), &nonce());
    assert_eq!(outcome.unwrap_err(), ReceiptError::Identity);
}

#[test]
fn only_the_receipt_key_signs() {
    let parse = || SignedReceipt::parse(&signed_text(receipt())).unwrap();
    assert!(parse().verify(&public(&key(3))).is_ok());
    let error = parse().verify(&public(&key(2))).err();
    assert_eq!(error, Some(ReceiptError::Signature));
    let other = SignedReceipt::new(receipt(), salt(), sign(3, b"other"));
    let error = other.verify(&public(&key(3))).err();
    assert_eq!(error, Some(ReceiptError::Signature));
}

#[test]
fn every_field_is_signed() {
    let changes: [fn(&mut Receipt); 10] = [
        |r| r.request_commitment = Digest::new([0; 32]),
        |r| r.answer_commitment = Digest::new([0; 32]),
        |r| r.binding_nonce = Digest::new([0; 32]),
        |r| r.identity_sha512 = Digest::new([0; 64]),
        |r| r.evidence_sha512 = Digest::new([0; 64]),
        |r| r.prompt_tokens += 1,
        |r| r.completion_tokens += 1,
        |r| r.finish_reason = FinishReason::None,
        |r| r.sequence += 1,
        |r| r.time_source = TimeSource::BuildDate,
    ];
    let signature = sign(3, receipt().signing_preimage().as_bytes());
    for change in changes {
        let mut changed = receipt();
        change(&mut changed);
        let text = SignedReceipt::new(changed, salt(), signature).encode();
        let error = SignedReceipt::parse(&text)
            .unwrap()
            .verify(&public(&key(3)))
            .err();
        assert_eq!(error, Some(ReceiptError::Signature));
    }
}

#[test]
fn the_text_has_one_form() {
    let text = signed_text(receipt());
    assert_eq!(SignedReceipt::parse(&text).unwrap().encode(), text);
    let outer = decode_url(&text).unwrap();
    let reject = |bytes: &[u8], error| {
        assert_eq!(SignedReceipt::parse(&encode_url(bytes)).err(), Some(error));
    };
    let shape = ParseError::Shape(Part::Receipt);
    let not_canonical = ParseError::NotCanonical(Part::Receipt);
    reject(&[b" ", outer.as_slice()].concat(), not_canonical);
    reject(b"{}", shape);
    let wire = |inner: Vec<u8>| {
        canonical::to_vec(&Wire {
            receipt: Base64(inner),
            salt: Digest::new([6; 32]),
            signature: Digest::new([0; 64]),
        })
    };
    let inner = canonical::to_vec(&receipt());
    reject(&wire([b" ", inner.as_slice()].concat()), not_canonical);
    let changed = String::from_utf8(inner).unwrap();
    let changed = |from: &str, to: &str| wire(changed.replacen(from, to, 1).into_bytes());
    reject(&changed("receipt v1", "receipt v2"), shape);
    reject(&changed("\"stop\"", "\"tired\""), shape);
    reject(&changed("\"sequence\":9", "\"sequence\":9.5"), shape);
    assert_eq!(SignedReceipt::parse("!").err(), Some(shape));
    let limit = limits::RECEIPT;
    let large = ParseError::TooLarge {
        part: Part::Receipt,
        limit,
    };
    assert_eq!(SignedReceipt::parse(&"A".repeat(limit + 1)).err(), Some(large));
    assert_eq!(SignedReceipt::parse(&"A".repeat(limit)).err(), Some(shape));
    assert!(text.len() < 2048, "{}", text.len());
}

#[test]
fn numbers_that_json_cannot_hold_do_not_travel() {
    let changes: [fn(&mut Receipt, u64); 3] = [
        |r, number| r.prompt_tokens = number,
        |r, number| r.completion_tokens = number,
        |r, number| r.sequence = number,
    ];
    for change in changes {
        let outcome = |number| {
            let mut changed = receipt();
            change(&mut changed, number);
            SignedReceipt::parse(&signed_text(changed)).err()
        };
        assert_eq!(outcome((1 << 53) - 1), None);
        assert_eq!(outcome(1 << 53), Some(ParseError::Value(Part::Receipt)));
    }
}

#[test]
fn words_of_the_format() {
    let json = |value| String::from_utf8(canonical::to_vec(&value)).unwrap();
    let reasons = [
        (FinishReason::Stop, "stop"),
        (FinishReason::Length, "length"),
        (FinishReason::Cancelled, "cancelled"),
        (FinishReason::Error, "error"),
        (FinishReason::None, "none"),
    ];
    for (reason, word) in reasons {
        assert_eq!(json(reason), format!("\"{word}\""));
    }
    assert_eq!(canonical::to_vec(&TimeSource::Broker), b"\"broker\"");
    assert_eq!(canonical::to_vec(&TimeSource::BuildDate), b"\"build-date\"");
}

#[test]
fn errors_have_text_and_a_hint() {
    let inner = ParseError::Shape(Part::Receipt);
    let table = [
        (
            ReceiptError::from(inner),
            "receipt: not of the expected shape",
            inner.hint(),
        ),
        (
            ReceiptError::Signature,
            "the receipt's signature does not hold",
            "the receipt was altered, or another enclave signed it",
        ),
        (
            ReceiptError::Request,
            "the receipt is about another request",
            "compare with the exact bytes of the request body that was sent",
        ),
        (
            ReceiptError::Answer,
            "the receipt is about another answer",
            "compare with the exact bytes of the answer that was received",
        ),
        (
            ReceiptError::Identity,
            "the receipt is of another enclave",
            "use the identity document that was kept with this receipt",
        ),
        (
            ReceiptError::Connection,
            "the receipt is about another connection",
            "the receipt was made for another connection",
        ),
    ];
    for (error, text, hint) in table {
        assert_eq!(error.to_string(), text);
        assert_eq!(error.hint(), hint);
    }
}

proptest! {
    #[test]
    fn a_changed_text_is_refused(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let text = signed_text(receipt());
        let mut bytes = text.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let Ok(changed) = String::from_utf8(bytes) else { return Ok(()) };
        prop_assume!(changed != text);
        if let Ok(parsed) = SignedReceipt::parse(&changed) {
            let verdict = parsed.verify(&public(&key(3)));
            // The salt is not signed: a changed one matches no text.
            if let Ok(verified) = verdict {
                prop_assert!(verified.matches(BODY, &EVENTS).is_err());
            }
        }
    }
}
