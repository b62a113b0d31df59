//! No bit of a bundle is without meaning.

use super::super::fake::{Log, NOW, PUBLISHERS, WITNESSES, cosignature, signed, statement, trust};
use super::super::*;
use super::good;

/// Statement, signatures, proof, checkpoint, cosignatures and proofs of growth, every bit of each byte.
#[test]
fn every_single_bit_of_a_bundle_matters() {
    let good = good();
    let trust = trust();
    for place in 0..good.len() {
        for bit in 0..8 {
            let mut bundle = good.clone();
            bundle[place] ^= 1 << bit;
            let result = verify(&bundle, &trust, &Seen::nothing(), NOW);
            assert!(result.is_err(), "byte {place}, bit {bit}");
        }
    }
}

/// The same below the encodings: each bit of each hash and signature, written correctly.
#[test]
fn every_single_bit_of_each_decoded_part_matters() {
    let good = String::from_utf8(good()).unwrap();
    let trust = trust();
    let is_text = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    let mut parts = 0;
    // Escaped newlines part the lines of the proof.
    for word in good.replace("\\n", "\n").split(|c| !is_text(c)) {
        let altered = altered(word);
        parts += usize::from(!altered.is_empty());
        for other in altered {
            let bundle = good.replacen(word, &other, 1);
            assert_ne!(bundle, good);
            let result = verify(bundle.as_bytes(), &trust, &Seen::nothing(), NOW);
            assert!(result.is_err(), "{word} as {other}");
        }
    }
    // Two publishers' keys and signatures, two values, two hashes of the path, the root, the log's signature, the
    // cosignature, two earlier roots and five hashes of their paths.
    assert!(parts >= 18, "{parts}");
}

/// `word` with each bit of what it encodes flipped, if it is long enough to be hexadecimal or base64.
fn altered(word: &str) -> Vec<String> {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    if word.len() < 40 {
        return Vec::new();
    }
    let is_hex = word
        .bytes()
        .all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(&c));
    let bytes: Vec<u8> = if is_hex {
        (0..word.len() / 2)
            .map(|at| u8::from_str_radix(&word[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    } else {
        STANDARD.decode(word).unwrap()
    };
    let write = |bytes: &[u8]| {
        if is_hex {
            bytes.iter().map(|byte| format!("{byte:02x}")).collect()
        } else {
            STANDARD.encode(bytes)
        }
    };
    (0..8 * bytes.len())
        .map(|bit| {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            write(&other)
        })
        .collect()
}

/// C2SP signed-note: "Verifiers MUST ignore signatures from unknown keys". So such a line may be added, altered and
/// removed; it never counts.
#[test]
fn a_cosignature_of_an_unknown_witness_is_ignored_and_never_counts() {
    let mut log = Log::with(2);
    let signed = signed(&statement(1), &PUBLISHERS);
    let index = log.append(&signed);
    let unknown = 99;
    assert!(!WITNESSES.contains(&unknown));
    let line = cosignature(&log.checkpoint(), unknown, NOW);
    let void = fake::witness_key(unknown).line(&[0; 72]);
    let other_type = "— log.example/reference AAAAAAE=\n".to_owned();
    let path = anchorhold_encoding::tree::inclusion_path(&log.0, index).unwrap();
    let judge = |note: &str| {
        let proof = proof::proof_text(index as u64, &path, note);
        let bundle = Bundle::new(&signed, proof, Vec::new()).encode();
        verify(&bundle, &trust(), &Seen::nothing(), NOW)
    };
    let (with, without) = (log.note(&WITNESSES[..1]), log.note(&[]));
    for line in [line, void, other_type] {
        let values = judge(&format!("{with}{line}")).unwrap();
        assert_eq!(values.witnesses().len(), 1);
        let error = judge(&format!("{without}{line}")).unwrap_err();
        assert_eq!(error.check(), PublishedCheck::Witnesses);
    }
}
