//! Check by check, with everything else in order.

use super::super::fake::{
    LOG, Log, NOW, PUBLISHERS, WITNESSES, cosignature, log_key, note, sign, signatures, signed, statement,
    trust, value,
};
use super::super::proof::proof_text;
use super::super::statement::PublisherSignature;
use super::super::*;
use super::{good, refused};
use crate::limits;
use anchorhold_encoding::tree;

/// The check that refuses the statement, signed by all.
fn statement_refused(spoil: impl FnOnce(&mut Statement)) -> PublishedCheck {
    let mut statement = statement(1);
    spoil(&mut statement);
    let signatures = signatures(&statement, &PUBLISHERS);
    match SignedStatement::new(statement, signatures) {
        Err(error) => error.check(),
        Ok(signed) => {
            let mut log = Log::default();
            log.append(&signed);
            refused(&log.bundle(&signed, 0, &WITNESSES, &[]))
        }
    }
}

#[test]
fn statements_out_of_range_time_or_line() {
    use PublishedCheck as Check;
    type Spoil = fn(&mut Statement);
    let cases: [(Check, Spoil); 14] = [
        (Check::Serial, |s| s.serial = 0),
        (Check::Serial, |s| s.serial = limits::INTEGER + 1),
        (Check::Span, |s| s.not_after = s.not_before),
        (Check::Span, |s| s.not_before = s.not_after.plus(1)),
        (Check::Span, |s| s.not_after = s.not_before.plus(90 * 86_400 + 1)),
        (Check::Values, |s| s.reference_values.push(value(1))),
        (Check::Values, |s| {
            s.reference_values = (0..=255).chain([0]).map(value).collect()
        }),
        (Check::Value, |s| s.reference_values[0].minimum_tcb = None),
        (Check::Revoked, |s| {
            s.revoked.statements = vec![Digest::new([2; 32]), Digest::new([1; 32])]
        }),
        (Check::Revoked, |s| {
            s.revoked.statements = vec![Digest::new([1; 32]); 2]
        }),
        (Check::Revoked, |s| {
            s.revoked.measurements = vec!["2".repeat(64).parse().unwrap(), "1".repeat(96).parse().unwrap()];
        }),
        (Check::NotYet, |s| s.not_before = NOW.plus(1)),
        (Check::Expired, |s| {
            (s.not_before, s.not_after) = (Timestamp::from_unix(NOW.unix() - 1), NOW)
        }),
        (Check::Line, |s| s.line = "enclave2".parse().unwrap()),
    ];
    for (expected, spoil) in cases {
        assert_eq!(statement_refused(spoil), expected);
    }
}

#[test]
fn ninety_days_and_a_withdrawal_of_everything_are_fine() {
    let mut longest = statement(1);
    longest.not_after = NOW.plus(90 * 86_400);
    longest.reference_values.clear();
    let signed = signed(&longest, &PUBLISHERS);
    let mut log = Log::default();
    log.append(&signed);
    let bundle = log.bundle(&signed, 0, &WITNESSES, &[]);
    let values = verify(&bundle, &trust(), &Seen::nothing(), NOW).unwrap();
    assert!(values.values().is_empty());
    let last = NOW.plus(90 * 86_400 - 1);
    assert!(verify(&bundle, &trust(), &Seen::nothing(), last).is_ok());
}

#[test]
fn names_of_lines_and_revoked_measurements_have_one_form() {
    for bad in ["", "A", "a b", "a/b", "é", &"a".repeat(65)] {
        assert!(bad.parse::<Line>().is_err(), "{bad}");
    }
    for bad in ["", "00", &"0".repeat(63), &"A".repeat(96), &"0".repeat(128)] {
        assert!(bad.parse::<statement::RevokedMeasurement>().is_err(), "{bad}");
    }
}

#[test]
fn signatures_of_too_few_of_nobody_or_of_something_else() {
    use PublishedCheck as Check;
    let one = statement(1);
    let entry = |signatures: Vec<PublisherSignature>| match SignedStatement::new(one.clone(), signatures) {
        Err(error) => error.check(),
        Ok(signed) => {
            let mut log = Log::default();
            log.append(&signed);
            refused(&log.bundle(&signed, 0, &WITNESSES, &[]))
        }
    };
    assert_eq!(entry(signatures(&one, &PUBLISHERS[..1])), Check::Publishers);
    // Valid signatures of strangers count for nothing.
    assert_eq!(entry(signatures(&one, &[11, 77, 78])), Check::Publishers);
    assert_eq!(entry(Vec::new()), Check::SignatureOrder);
    let mut backwards = signatures(&one, &PUBLISHERS);
    backwards.reverse();
    assert_eq!(entry(backwards), Check::SignatureOrder);
    let twice = vec![signatures(&one, &PUBLISHERS)[0]; 2];
    assert_eq!(entry(twice), Check::SignatureOrder);
    let many: Vec<u8> = (100..117).collect();
    assert_eq!(entry(signatures(&one, &many)), Check::SignatureOrder);
    // A stranger's signature that does not hold refuses the whole.
    let mut void = signatures(&one, &[11, 12, 77]);
    for signature in &mut void {
        if signature.key == fake::public(77) {
            signature.signature = Digest::new([1; 64]);
        }
    }
    assert_eq!(entry(void), Check::Signature);
    assert_eq!(entry(signatures(&statement(2), &PUBLISHERS)), Check::Signature);
    // Over the statement alone, without the label.
    let mut unlabelled = signatures(&one, &PUBLISHERS);
    unlabelled.retain(|signature| signature.key == fake::public(11));
    unlabelled[0].signature = sign(11, &one.encode());
    assert_eq!(entry(unlabelled), Check::Signature);
}

#[test]
fn files_that_are_no_bundles_or_entries() {
    use PublishedCheck as Check;
    let good = String::from_utf8(good()).unwrap();
    assert_eq!(refused(b""), Check::BundleShape);
    assert_eq!(
        refused(good.replace("bundle v1", "bundle v2").as_bytes()),
        Check::BundleShape
    );
    assert_eq!(refused(format!("{good}\n").as_bytes()), Check::BundleCanonical);
    assert_eq!(refused(format!(" {good}").as_bytes()), Check::BundleCanonical);
    let long = format!("{good}{}", " ".repeat(limits::PUBLISHED_BUNDLE));
    assert_eq!(refused(long.as_bytes()), Check::BundleLength);
    let entry = |bytes: &[u8]| SignedStatement::parse(bytes).unwrap_err().check();
    let signed = signed(&statement(1), &PUBLISHERS).encode();
    assert!(SignedStatement::parse(&signed).is_ok());
    assert_eq!(entry(&signed[1..]), Check::EntryShape);
    assert_eq!(entry(&[&signed[..], b" "].concat()), Check::EntryCanonical);
    assert_eq!(entry(&[b' '; 65_536]), Check::EntryLength);
}

/// A log of three with the statement last, its path, and the check that refuses the proof text made of them.
struct Stage {
    signed: SignedStatement,
    log: Log,
    path: Vec<Digest<32>>,
}

impl Stage {
    fn new() -> Self {
        let mut log = Log::with(2);
        let signed = signed(&statement(1), &PUBLISHERS);
        let index = log.append(&signed);
        let path = tree::inclusion_path(&log.0, index).unwrap();
        Self { signed, log, path }
    }

    fn refused(&self, proof: String) -> PublishedCheck {
        refused(&Bundle::new(&self.signed, proof, Vec::new()).encode())
    }

    fn refused_note(&self, note: &str) -> PublishedCheck {
        self.refused(proof_text(2, &self.path, note))
    }
}

#[test]
fn proofs_of_another_form_index_or_path() {
    use PublishedCheck as Check;
    let stage = Stage::new();
    let note = stage.log.note(&WITNESSES);
    let good = proof_text(2, &stage.path, &note);
    assert!(
        verify(
            &Bundle::new(&stage.signed, good.clone(), Vec::new()).encode(),
            &trust(),
            &Seen::nothing(),
            NOW
        )
        .is_ok()
    );
    for (what, by) in [
        ("@v1", "@v2"),
        ("\nindex 2", "\nextra AA==\nindex 2"),
        ("index 2", "index 02"),
        ("index 2", "index +2"),
        ("index 2", "index  2"),
        ("index 2", "index 9007199254740992"),
        ("=\n\n", "=\n \n\n"),
        ("=\n\nlog", "\n\nlog"),
    ] {
        let spoilt = good.replacen(what, by, 1);
        assert_ne!(spoilt, good, "{what}");
        assert_eq!(stage.refused(spoilt), Check::ProofForm, "{by}");
    }
    assert_eq!(stage.refused(String::new()), Check::ProofForm);
    let wrong = |index, path: &[Digest<32>]| stage.refused(proof_text(index, path, &note));
    for index in [0, 1, 3, limits::INTEGER] {
        assert_eq!(wrong(index, &stage.path), Check::Inclusion, "{index}");
    }
    assert_eq!(wrong(2, &[]), Check::Inclusion);
    assert_eq!(wrong(2, &[stage.path[0]; 2]), Check::Inclusion);
    assert_eq!(wrong(2, &[Digest::new([0; 32])]), Check::Inclusion);
    assert_eq!(wrong(2, &[Digest::new([0; 32]); 64]), Check::ProofForm);
    let long = format!("{good}{}", "x".repeat(limits::LOG_PROOF));
    assert_eq!(stage.refused(long), Check::ProofLength);
}

#[test]
fn checkpoints_of_another_form_log_or_key() {
    use PublishedCheck as Check;
    let stage = Stage::new();
    let checkpoint = stage.log.checkpoint();
    let text = checkpoint.text();
    // Signed by the log whatever it says.
    let resigned = |text: &str| {
        let line = log_key().line(sign(LOG, text.as_bytes()).as_bytes());
        stage.refused_note(&format!("{text}\n{line}"))
    };
    assert_eq!(resigned(&text), Check::Witnesses);
    assert_eq!(resigned(&format!("{text}extension\n")), Check::CheckpointForm);
    assert_eq!(resigned(&text.replace("\n3\n", "\n03\n")), Check::CheckpointForm);
    assert_eq!(resigned(&text.replace("\n3\n", "\n-3\n")), Check::CheckpointForm);
    assert_eq!(resigned(&text.replace("=\n", "\n")), Check::CheckpointForm);
    assert_eq!(resigned("log.example/reference\n3\n"), Check::CheckpointForm);
    assert_eq!(resigned(&text.replace("reference", "other")), Check::Origin);

    let cosigned = cosignature(&checkpoint, WITNESSES[0], NOW);
    let missing = format!("{text}\n{cosigned}");
    assert_eq!(stage.refused_note(&missing), Check::LogMissing);
    let forged = format!(
        "{text}\n{}{cosigned}",
        log_key().line(sign(LOG, b"other").as_bytes())
    );
    assert_eq!(stage.refused_note(&forged), Check::LogSignature);
    let short = format!("{text}\n{}{cosigned}", log_key().line(&[0; 63]));
    assert_eq!(stage.refused_note(&short), Check::LogSignature);
    let good = stage.log.note(&WITNESSES[..1]);
    let twice = format!("{good}{cosigned}");
    assert_eq!(stage.refused_note(&twice), Check::NoteRepeated);
    assert_eq!(stage.refused_note(&good[..good.len() - 1]), Check::NoteForm);
}

#[test]
fn cosignatures_of_too_few_of_another_time_or_of_something_else() {
    use PublishedCheck as Check;
    let stage = Stage::new();
    let checkpoint = stage.log.checkpoint();
    let bare = note(&checkpoint, &[]);
    assert_eq!(stage.refused_note(&bare), Check::Witnesses);
    let with = |line: &str| stage.refused_note(&format!("{bare}{line}"));
    let witness = fake::witness_key(WITNESSES[0]);
    let other = Checkpoint {
        size: 2,
        ..checkpoint.clone()
    };
    assert_eq!(
        with(&cosignature(&other, WITNESSES[0], NOW)),
        Check::WitnessSignature
    );
    assert_eq!(with(&witness.line(&[0; 71])), Check::WitnessSignature);
    assert_eq!(with(&witness.line(&[0xff; 72])), Check::WitnessSignature);
    // A plain signature of the text, as a log would make it, is none of a witness.
    let time = NOW.unix().to_be_bytes();
    let plain = sign(WITNESSES[0], checkpoint.text().as_bytes());
    assert_eq!(
        with(&witness.line(&[&time[..], plain.as_bytes()].concat())),
        Check::WitnessSignature
    );
    let skew = limits::COSIGNATURE_SKEW_SECONDS;
    assert_eq!(
        with(&cosignature(&checkpoint, WITNESSES[0], NOW.plus(skew + 1))),
        Check::WitnessTime
    );
    let ahead = format!("{bare}{}", cosignature(&checkpoint, WITNESSES[0], NOW.plus(skew)));
    let bundle = Bundle::new(&stage.signed, proof_text(2, &stage.path, &ahead), Vec::new()).encode();
    assert!(verify(&bundle, &trust(), &Seen::nothing(), NOW).is_ok());
}

#[test]
fn a_cosignature_is_added_once_and_only_if_it_holds() {
    let stage = Stage::new();
    let checkpoint = stage.log.checkpoint();
    let logged = LoggedCheckpoint::verify(&note(&checkpoint, &WITNESSES), &log_key()).unwrap();
    assert_eq!(logged.note(), note(&checkpoint, &WITNESSES));
    let witness = fake::witness_key(WITNESSES[0]);
    let later = cosignature(&checkpoint, WITNESSES[0], NOW.plus(1));
    let added = logged.with_cosignature(&later, &witness, NOW).unwrap();
    let again = LoggedCheckpoint::verify(&added, &log_key()).unwrap();
    assert_eq!(again.cosigned_by(&witness, NOW), Ok(Some(NOW.plus(1))));
    assert_eq!(added.lines().count(), logged.note().lines().count());
    let other = Checkpoint {
        size: 2,
        ..checkpoint.clone()
    };
    for bad in [
        cosignature(&other, WITNESSES[0], NOW),
        cosignature(&checkpoint, WITNESSES[1], NOW),
        cosignature(&checkpoint, WITNESSES[0], NOW.plus(301)),
        format!("{later}{later}"),
        format!("{later}{}", cosignature(&checkpoint, WITNESSES[1], NOW)),
        later.trim_end().to_owned(),
        format!("\n{later}"),
        String::new(),
    ] {
        assert!(logged.with_cosignature(&bad, &witness, NOW).is_err(), "{bad}");
    }
}

#[test]
fn proofs_of_growth_hold_also_where_the_reader_needs_none() {
    let stage = Stage::new();
    let proof = proof_text(2, &stage.path, &stage.log.note(&WITNESSES));
    let with = |consistency| refused(&Bundle::new(&stage.signed, proof.clone(), consistency).encode());
    let right = |size| stage.log.consistency(size);
    let mut other_root = right(2);
    other_root.root = Digest::new([0; 32]);
    let mut other_path = right(1);
    other_path.path.pop();
    let mut whole = right(2);
    (whole.size, whole.root, whole.path) = (3, stage.log.checkpoint().root, Vec::new());
    let mut none = right(1);
    none.size = 0;
    for spoilt in [
        vec![other_root],
        vec![other_path],
        vec![whole],
        vec![none],
        vec![right(2), right(1)],
        vec![right(2), right(2)],
    ] {
        assert_eq!(with(spoilt), PublishedCheck::Consistency);
    }
}
