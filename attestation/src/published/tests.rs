//! What a bundle proves, and everything that is refused.
//!
//! - `bits`: every single bit of a bundle
//! - `memory`: what was seen before
//! - `refusals`: check by check

use super::fake::{LOG, Log, NOW, PUBLISHERS, WITNESSES, signed, statement, trust, value};
use super::*;
use proptest::prelude::*;

mod bits;
mod memory;
mod policy;
mod refusals;

/// A log of six, the bundle of its sixth entry, with proofs of growth from sizes 3 and 4.
pub(super) fn good() -> Vec<u8> {
    let mut log = Log::with(5);
    let signed = signed(&statement(7), &PUBLISHERS[..2]);
    let index = log.append(&signed);
    log.bundle(&signed, index, &WITNESSES[..1], &[3, 4])
}

/// The check that refuses.
pub(super) fn refused(bundle: &[u8]) -> PublishedCheck {
    refused_by(bundle, &trust(), &Seen::nothing())
}

pub(super) fn refused_by(bundle: &[u8], trust: &PublisherTrust, seen: &Seen) -> PublishedCheck {
    verify(bundle, trust, seen, NOW).expect_err("is refused").check()
}

#[test]
fn a_bundle_proves_who_said_what_where_and_who_watched() {
    let values = verify(&good(), &trust(), &Seen::nothing(), NOW).unwrap();
    assert_eq!(values.serial(), 7);
    assert_eq!(values.not_after(), NOW.plus(1000));
    assert_eq!(values.values().len(), 2);
    assert_eq!(values.publishers().len(), 2);
    assert_eq!(values.witnesses().len(), 1);
    assert_eq!(values.witnesses()[0].1, NOW);
    assert_eq!((values.index(), values.checkpoint().size), (5, 6));
    assert_eq!(*values.statement_sha256(), statement(7).digest());
    let log = fake::log_key();
    assert_eq!(values.seen().log_size(log.name()), Some(6));
    assert_eq!(
        values.seen().serial(log.name(), &values.statement().line),
        Some(7)
    );
}

#[test]
fn what_is_revoked_is_not_accepted() {
    let mut one = statement(1);
    let digest = Digest::new([1; 48]);
    one.revoked.measurements = vec![digest.to_string().parse().unwrap()];
    let signed = signed(&one, &PUBLISHERS[..2]);
    let mut log = Log::default();
    let index = log.append(&signed);
    let bundle = log.bundle(&signed, index, &WITNESSES, &[]);
    let values = verify(&bundle, &trust(), &Seen::nothing(), NOW).unwrap();
    let left: Vec<Vec<u8>> = values
        .values()
        .iter()
        .map(anchorhold_encoding::canonical::to_vec)
        .collect();
    assert_eq!(left, [anchorhold_encoding::canonical::to_vec(&value(2))]);
    assert!(values.revokes(&digest));
    assert!(!values.revokes(&Digest::new([2; 48])));
    assert!(!values.revokes(&Digest::new([1; 32])));
}

#[test]
fn two_publishers_suffice_without_a_witness_and_one_does_not() {
    let mut settings = fake::settings();
    settings.witness_threshold = 0;
    let mut log = Log::default();
    let two = signed(&statement(1), &PUBLISHERS[1..]);
    let index = log.append(&two);
    let bundle = log.bundle(&two, index, &[], &[]);
    let trust = PublisherTrust::new(settings.clone()).unwrap();
    assert!(verify(&bundle, &trust, &Seen::nothing(), NOW).is_ok());
    settings.publisher_threshold = 1;
    assert_eq!(PublisherTrust::new(settings).unwrap_err(), TrustError::Alone);
}

#[test]
fn a_trust_that_nobody_watches_cannot_be_made() {
    type Spoil = fn(&mut TrustSettings);
    let spoils: [(TrustError, Spoil); 11] = [
        (TrustError::Publishers, |t| t.publishers.clear()),
        (TrustError::Publishers, |t| {
            t.publishers = (0..17).map(fake::public).collect()
        }),
        (TrustError::PublisherThreshold, |t| t.publisher_threshold = 0),
        (TrustError::PublisherThreshold, |t| t.publisher_threshold = 4),
        (TrustError::WitnessThreshold, |t| t.witness_threshold = 3),
        (TrustError::Witnesses, |t| {
            t.witnesses = (100..117).map(fake::witness_key).collect();
        }),
        (TrustError::Repeated, |t| t.publishers[1] = t.publishers[0]),
        (TrustError::Repeated, |t| t.publishers[0] = *t.log.key()),
        (TrustError::Repeated, |t| {
            t.witnesses[0] = WitnessKey::new("other.example".parse().unwrap(), *t.witnesses[1].key());
        }),
        (TrustError::Repeated, |t| {
            t.witnesses[0] = WitnessKey::new("me.example".parse().unwrap(), fake::public(LOG));
        }),
        (TrustError::Alone, |t| {
            (t.publisher_threshold, t.witness_threshold) = (1, 0)
        }),
    ];
    for (expected, spoil) in spoils {
        let mut settings = fake::settings();
        spoil(&mut settings);
        let text = toml::to_string(&settings).unwrap();
        assert_eq!(PublisherTrust::from_toml(text.as_bytes()).unwrap_err(), expected);
        assert_eq!(PublisherTrust::new(settings).unwrap_err(), expected);
    }
}

#[test]
fn a_trust_is_read_from_toml_with_all_its_keys() {
    let text = toml::to_string(&fake::settings()).unwrap();
    let trust = PublisherTrust::from_toml(text.as_bytes()).unwrap();
    assert!(verify(&good(), &trust, &Seen::nothing(), NOW).is_ok());
    for line in text.lines().filter(|line| line.contains('=')) {
        let without: String = text
            .lines()
            .filter(|other| other != &line)
            .map(|line| format!("{line}\n"))
            .collect();
        assert_eq!(
            PublisherTrust::from_toml(without.as_bytes()).unwrap_err(),
            TrustError::File,
            "{line}"
        );
    }
    for bad in [format!("{text}more = 1\n").as_bytes(), b"\xff", b""] {
        assert_eq!(PublisherTrust::from_toml(bad).unwrap_err(), TrustError::File);
    }
}

#[test]
fn every_check_has_its_own_identifier_and_its_line_in_the_documentation() {
    let page = include_str!("../../../docs/reference-values.md");
    let mut ids: Vec<&str> = PublishedCheck::ALL.iter().map(|check| check.id()).collect();
    ids.extend(TrustError::ALL.iter().map(TrustError::id));
    for id in &ids {
        assert!(page.contains(&format!("| `{id}` |")), "{id}");
    }
    let listed = page.lines().filter(|line| {
        ["| `published-", "| `seen-", "| `trust-"]
            .iter()
            .any(|start| line.starts_with(start))
    });
    assert_eq!(listed.count(), ids.len());
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn errors_say_what_where_and_what_to_do() {
    let error = verify(b"{}", &trust(), &Seen::nothing(), NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the bundle is not a bundle of published reference values (published-bundle-shape)"
    );
    assert!(error.hint().contains("bundle"));
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = verify(&bytes, &trust(), &Seen::nothing(), NOW);
        let _ = SignedStatement::parse(&bytes);
        let _ = Seen::parse(&bytes);
        let _ = PublisherTrust::from_toml(&bytes);
    }

    #[test]
    fn no_text_panics(text in "(c2sp.org/tlog-proof@v1\n|index |[0-9]{1,20}|\n|— |a|[A-Za-z0-9+/=]{1,9}| |\\PC){0,40}") {
        let _ = proof::Proof::parse(&text);
        let _ = note::Note::parse(&text);
        let _ = LoggedCheckpoint::verify(&text, &fake::log_key());
        let _ = text.parse::<LogKey>();
        let _ = text.parse::<Line>();
        let _ = text.parse::<Issuer>();
    }

    #[test]
    fn no_spoilt_bundle_panics_or_passes(
        at in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let good = good();
        let mut bundle = good.clone();
        let at = at.index(bundle.len());
        bundle[at] = byte;
        bundle.truncate(1 + cut.index(2 * bundle.len()));
        if bundle != good {
            prop_assert!(verify(&bundle, &trust(), &Seen::nothing(), NOW).is_err());
        }
    }
}
