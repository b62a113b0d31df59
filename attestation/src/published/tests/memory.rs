//! Nothing older than what was seen, and no other history.

use anchorhold_encoding::{Digest, tree};

use super::super::fake::{Log, NOW, PUBLISHERS, WITNESSES, signed, statement, trust};
use super::super::*;
use super::refused_by;
use crate::limits;

/// A log that grows: serial 1 at size 3, serial 2 at size 6, serial 3 at size 8.
struct Story {
    log: Log,
    bundles: Vec<Vec<u8>>,
}

fn story(sizes: [&[usize]; 3]) -> Story {
    let mut log = Log::with(2);
    let mut bundles = Vec::new();
    for (serial, proofs) in (1_u8..).zip(sizes) {
        let signed = signed(&statement(serial.into()), &PUBLISHERS);
        let index = log.append(&signed);
        bundles.push(log.bundle(&signed, index, &WITNESSES, proofs));
        for other in 0..3 - serial {
            log.0.push(tree::leaf(&[100 * serial + other]));
        }
    }
    Story { log, bundles }
}

fn after(bundle: &[u8], seen: &Seen) -> Seen {
    let values = verify(bundle, &trust(), seen, NOW).unwrap();
    Seen::parse(&values.seen().encode()).unwrap()
}

#[test]
fn what_was_seen_only_moves_forward() {
    let Story { bundles, .. } = story([&[], &[3], &[3, 6]]);
    let one = after(&bundles[0], &Seen::nothing());
    assert_eq!(after(&bundles[0], &one), one, "the same again is no news");
    let two = after(&bundles[1], &one);
    let three = after(&bundles[2], &two);
    assert_eq!(three, after(&bundles[2], &one), "one may be skipped");
    let name = fake::log_key().name().clone();
    assert_eq!(three.log_size(&name), Some(8));
    assert_eq!(three.serial(&name, &"enclave".parse().unwrap()), Some(3));
    for (bundle, seen) in [(0, &two), (0, &three), (1, &three)] {
        assert_eq!(
            refused_by(&bundles[bundle], &trust(), seen),
            PublishedCheck::SeenCheckpoint
        );
    }
}

#[test]
fn growth_must_be_proven_from_the_size_that_was_seen() {
    let Story { bundles, .. } = story([&[], &[2, 4], &[6]]);
    let one = after(&bundles[0], &Seen::nothing());
    assert_eq!(refused_by(&bundles[1], &trust(), &one), PublishedCheck::SeenGap);
    assert_eq!(refused_by(&bundles[2], &trust(), &one), PublishedCheck::SeenGap);
}

#[test]
fn a_rewritten_log_is_refused_at_the_same_size_and_at_a_larger_one() {
    let one = after(&story([&[], &[], &[]]).bundles[0], &Seen::nothing());
    let mut other = Log::with(1);
    other.0.push(tree::leaf(b"rewritten"));
    let same = signed(&statement(1), &PUBLISHERS);
    let index = other.append(&same);
    let bundle = other.bundle(&same, index, &WITNESSES, &[]);
    assert_eq!(refused_by(&bundle, &trust(), &one), PublishedCheck::SeenFork);
    let next = signed(&statement(2), &PUBLISHERS);
    let index = other.append(&next);
    let bundle = other.bundle(&next, index, &WITNESSES, &[3]);
    assert_eq!(refused_by(&bundle, &trust(), &one), PublishedCheck::SeenFork);
}

#[test]
fn an_old_statement_at_a_new_checkpoint_is_refused() {
    let Story { log, bundles } = story([&[], &[3], &[6]]);
    let two = after(&bundles[1], &after(&bundles[0], &Seen::nothing()));
    let old = signed(&statement(1), &PUBLISHERS);
    let bundle = log.bundle(&old, 2, &WITNESSES, &[6]);
    assert_eq!(refused_by(&bundle, &trust(), &two), PublishedCheck::SeenSerial);
}

#[test]
fn one_number_names_one_statement() {
    let Story { mut log, bundles } = story([&[], &[3], &[6]]);
    let two = after(&bundles[1], &after(&bundles[0], &Seen::nothing()));
    let mut other = statement(2);
    other.reference_values.pop();
    let other = signed(&other, &PUBLISHERS);
    let index = log.append(&other);
    let bundle = log.bundle(&other, index, &WITNESSES, &[6]);
    assert_eq!(refused_by(&bundle, &trust(), &two), PublishedCheck::SeenStatement);
    // The same statement with fewer signatures is another entry, and the same statement.
    let fewer = signed(&statement(2), &PUBLISHERS[..2]);
    let index = log.append(&fewer);
    let bundle = log.bundle(&fewer, index, &WITNESSES, &[6]);
    assert!(verify(&bundle, &trust(), &two, NOW).is_ok());
}

#[test]
fn product_lines_of_a_log_are_counted_apart() {
    let Story { mut log, bundles } = story([&[], &[3], &[3, 6]]);
    let seen = after(&bundles[2], &after(&bundles[0], &Seen::nothing()));
    let mut other = statement(1);
    other.line = "enclave-beta".parse().unwrap();
    let other = signed(&other, &PUBLISHERS);
    let index = log.append(&other);
    let bundle = log.bundle(&other, index, &WITNESSES, &[8]);
    let mut settings = fake::settings();
    settings.line = "enclave-beta".parse().unwrap();
    let beta = PublisherTrust::new(settings).unwrap();
    let values = verify(&bundle, &beta, &seen, NOW).unwrap();
    let name = fake::log_key().name().clone();
    assert_eq!(values.seen().serial(&name, &"enclave".parse().unwrap()), Some(3));
    assert_eq!(
        values.seen().serial(&name, &"enclave-beta".parse().unwrap()),
        Some(1)
    );
    assert_eq!(refused_by(&bundle, &trust(), &seen), PublishedCheck::Line);
}

#[test]
fn numbers_of_issuers_never_fall() {
    let mut seen = Seen::nothing();
    let ask = Issuer::crl(&Digest::new([1; 32]));
    let observe = |seen: &mut Seen, number: &[u8]| {
        let before = seen.clone();
        let result = seen.observe(ask.clone(), number).map_err(|error| error.check());
        assert!(result.is_ok() || *seen == before, "a refusal changes nothing");
        let again = Seen::parse(&seen.encode()).unwrap();
        assert_eq!(*seen, again);
        result.is_ok()
    };
    assert!(observe(&mut seen, &[2]));
    assert!(observe(&mut seen, &[0, 2]), "leading zeros are no number");
    assert!(!observe(&mut seen, &[1]));
    assert!(observe(&mut seen, &[1, 0]), "256 is more than 2");
    assert!(!observe(&mut seen, &[255]));
    assert!(!observe(&mut seen, &[]), "nothing is zero");
    assert!(observe(&mut seen, &[255; 20]));
    assert!(!observe(&mut seen, &[1; 21]), "too long");
    let tcb = Issuer::tcb_info(&Digest::new([0x90, 0xc0, 0x6f, 0, 0, 0]));
    let _ = seen.observe(tcb.clone(), &17_u32.to_be_bytes()).unwrap();
    let _ = seen.observe(Issuer::qe_identity(), &3_u32.to_be_bytes()).unwrap();
    let error = seen.observe(tcb, &16_u32.to_be_bytes()).unwrap_err();
    assert_eq!(error.id(), "seen-number");
}

#[test]
fn a_state_that_was_touched_is_refused_and_never_begun_anew() {
    let mut seen = after(&story([&[], &[], &[]]).bundles[0], &Seen::nothing());
    let _ = seen.observe(Issuer::crl(&Digest::new([1; 32])), &[7]).unwrap();
    let good = seen.encode();
    assert_eq!(Seen::parse(&good).unwrap(), seen);
    let text = String::from_utf8(good).unwrap();
    for (what, by) in [
        ("\"07\"", "\"0007\""),
        ("\"07\"", "\"7\""),
        ("\"07\"", "\"0G\""),
        ("crl/", "crx/"),
        ("seen v1", "seen v2"),
        ("\"size\":3", "\"size\":9007199254740992"),
        ("\"serial\":1", "\"serial\":-1"),
        (",\"version\"", ", \"version\""),
        ("\"logs\"", "\"more\":1,\"logs\""),
    ] {
        let spoilt = text.replacen(what, by, 1);
        assert_ne!(spoilt, text, "{what}");
        let error = Seen::parse(spoilt.as_bytes()).unwrap_err();
        assert_eq!(error.check(), PublishedCheck::SeenFile, "{by}");
    }
    for bytes in [&b""[..], b"{}", b"null"] {
        assert!(Seen::parse(bytes).is_err());
    }
}

#[test]
fn a_state_has_an_end() {
    let mut seen = Seen::nothing();
    for index in 0..limits::SEEN_ISSUERS as u64 {
        let [_, _, fmspc @ ..] = index.to_be_bytes();
        let _ = seen.observe(Issuer::tcb_info(&Digest::new(fmspc)), &[1]).unwrap();
    }
    let error = seen.observe(Issuer::qe_identity(), &[1]).unwrap_err();
    assert_eq!(error.check(), PublishedCheck::SeenFull);
    assert!(seen.encode().len() < limits::SEEN);
    assert!(Seen::parse(&seen.encode()).is_ok());
}
