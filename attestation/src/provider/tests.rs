//! What each provider's TPM proves, and every way in which it does not.

use std::collections::BTreeMap;

use anchorhold_encoding::{Digest, sha256};

use super::fake::{AT, Aws, Google, head, message, string};
use super::*;
use crate::binding::ReportData;
use crate::claims::FixedConfig;
use crate::testdata::thorough;
use crate::time::Timestamp;
use crate::x509::Fault;
use crate::x509::forge::NOW;

fn data() -> ReportData {
    ReportData::new([7; 64])
}

fn other() -> ReportData {
    ReportData::new([8; 64])
}

fn short() -> [Digest<32>; 24] {
    std::array::from_fn(|number| Digest::new([u8::try_from(number).unwrap(); 32]))
}

fn long() -> [Digest<48>; 24] {
    std::array::from_fn(|number| Digest::new([u8::try_from(number).unwrap(); 48]))
}

fn google() -> Google {
    Google::rsa(&data(), &short())
}

fn aws() -> Aws {
    Aws::new(&data(), &long())
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ProviderError>) -> &'static str {
    let error = result.unwrap_err();
    assert!(!error.to_string().is_empty() && error.hint().len() > 20);
    error.id()
}

/// Two years after everything ended, and two before it began.
fn outside() -> [Timestamp; 2] {
    let years = 2 * 366 * 24 * 60 * 60;
    [
        Timestamp::from_unix(NOW + years),
        Timestamp::from_unix(NOW - years),
    ]
}

#[test]
fn the_page_lists_every_check() {
    let page = include_str!("../../../docs/platforms/provider.md");
    let rows: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|id| id.starts_with("google-") || id.starts_with("nitro-"))
        .collect();
    let checks: Vec<&str> = Check::ALL.iter().map(|check| check.id()).collect();
    assert_eq!(rows, checks);
    for machine in [google().verify_at(&data(), AT).unwrap(), proven_aws()] {
        for field in machine.fields() {
            let name = field.name.trim_end_matches(|c: char| c.is_ascii_digit());
            assert!(page.contains(&format!("`{name}")), "{name}");
        }
    }
}

fn proven_aws() -> ProviderMachine {
    let aws = aws();
    aws.verify_at(&aws.document(), &data(), AT).unwrap()
}

#[test]
fn google_proves_registers_under_either_kind_of_key() {
    for google in [google(), Google::p256(&data(), &short())] {
        let machine = google.verify_at(&data(), AT).unwrap();
        assert_eq!(machine.provider(), Provider::Google);
        assert_eq!(*machine.certificate(), sha256(&[&google.chain[0]]));
        assert_eq!(machine.config(), FixedConfig::Register(Some(short()[8])));
        let MachineRegisters::Sha256(registers) = machine.registers() else {
            panic!("SHA-256");
        };
        assert!(registers.iter().map(|(_, value)| *value).eq(short()));
        assert!(machine.not_after() > AT);
    }
    // The root may come too.
    let mut google = google();
    google.chain.push(google.root.clone());
    assert!(google.verify_at(&data(), AT).is_ok());
}

#[test]
fn google_is_refused_for_each_reason() {
    let change = |change: fn(&mut Google)| {
        let mut google = google();
        change(&mut google);
        refusal(google.verify_at(&data(), AT))
    };
    assert_eq!(change(|google| google.chain.clear()), "google-certificates");
    assert_eq!(
        change(|google| google.chain = vec![google.chain[1].clone(); 7]),
        "google-certificates"
    );
    assert_eq!(change(|google| google.chain.swap(0, 1)), "google-chain");
    assert_eq!(change(|google| google.chain.truncate(1)), "google-chain");
    assert_eq!(change(|google| google.chain[0].clear()), "google-chain");
    // An authority's certificate for the TPM's key.
    assert_eq!(change(|google| drop(google.chain.remove(0))), "google-chain");
    assert_eq!(
        change(|google| google.registers.truncate(23 * 32)),
        "google-quote-form"
    );
    assert_eq!(change(|google| google.registers.push(0)), "google-quote-form");
    // Two values in each other's place.
    assert_eq!(
        change(|google| google.registers.rotate_left(32)),
        "google-pcr-digest"
    );
    let resigned = |google: &mut Google, qualifying: &[u8]| {
        google.message = message(qualifying, &short());
        google.signature = google.sign(&google.message);
    };
    let mut google = google();
    for wrong in [
        sha256(&[other().as_bytes()]).as_bytes().as_slice(),
        &[],
        data().as_bytes(),
    ] {
        resigned(&mut google, wrong);
        assert_eq!(refusal(google.verify_at(&data(), AT)), "google-qualifying-data");
    }
    assert!(google.verify_at(&data(), AT).is_err());
    resigned(&mut google, sha256(&[data().as_bytes()]).as_bytes());
    assert!(google.verify_at(&data(), AT).is_ok());
    assert_eq!(refusal(google.verify_at(&other(), AT)), "google-qualifying-data");
    // Another certified machine's key.
    let stranger = Google::p256(&data(), &short());
    google.signature = stranger.signature.clone();
    assert_eq!(refusal(google.verify_at(&data(), AT)), "google-quote-signature");
    // Another root of the same name, and Google's own.
    let mut stranger = Google::p256(&data(), &short());
    stranger.root = google.root.clone();
    assert_eq!(refusal(stranger.verify_at(&data(), AT)), "google-chain");
    let quote = GoogleQuote {
        certificates: &stranger.certificates(),
        message: &stranger.message,
        signature: &stranger.signature,
        registers: &stranger.registers,
    };
    let compiled = Anchors::compiled();
    let error = verify_google(&quote, &data(), compiled.google().unwrap(), AT).unwrap_err();
    assert_eq!(error.id(), "google-chain");
}

#[test]
fn certificates_have_their_time() {
    let (google, aws) = (google(), aws());
    for at in outside() {
        for error in [
            google.verify_at(&data(), at).unwrap_err(),
            aws.verify_at(&aws.document(), &data(), at).unwrap_err(),
        ] {
            let ProviderError::Chain { error, .. } = error else {
                panic!("{error}")
            };
            assert!(matches!(
                error.fault,
                Fault::Expired { .. } | Fault::NotYetValid { .. }
            ));
        }
    }
}

/// Each byte with one bit changed, or each bit.
fn spoiled(whole: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    let bits = |at: usize| if thorough() { 0..8 } else { at % 8..at % 8 + 1 };
    let places = (0..whole.len()).flat_map(move |at| bits(at).map(move |bit| (at, bit)));
    places.map(move |(at, bit)| {
        let mut changed = whole.to_vec();
        changed[at] ^= 1 << bit;
        (at, changed)
    })
}

#[test]
fn every_part_of_googles_evidence_counts() {
    let google = Google::p256(&data(), &short());
    let certificates = google.certificates();
    let anchors = google.anchors();
    let good = GoogleQuote {
        certificates: &certificates,
        message: &google.message,
        signature: &google.signature,
        registers: &google.registers,
    };
    let refused =
        |quote: &GoogleQuote<'_>| verify_google(quote, &data(), anchors.google().unwrap(), AT).is_err();
    assert!(!refused(&good));
    type With = for<'a> fn(GoogleQuote<'a>, &'a [u8]) -> GoogleQuote<'a>;
    let parts: [(&[u8], With); 4] = [
        (&certificates, |good, bytes| GoogleQuote {
            certificates: bytes,
            ..good
        }),
        (&google.message, |good, bytes| GoogleQuote {
            message: bytes,
            ..good
        }),
        (&google.signature, |good, bytes| GoogleQuote {
            signature: bytes,
            ..good
        }),
        (&google.registers, |good, bytes| GoogleQuote {
            registers: bytes,
            ..good
        }),
    ];
    for (part, (whole, with)) in parts.iter().enumerate() {
        for (at, changed) in spoiled(whole) {
            assert!(refused(&with(good, &changed)), "part {part}, byte {at}");
        }
        for length in 0..whole.len() {
            assert!(
                refused(&with(good, &whole[..length])),
                "part {part}, {length} bytes"
            );
        }
        let longer = [*whole, &[0]].concat();
        assert!(refused(&with(good, &longer)), "part {part}");
    }
}

#[test]
fn aws_proves_registers() {
    let mut aws = aws();
    for open in [false, true] {
        aws.open = open;
        let machine = aws.verify_at(&aws.document(), &data(), AT).unwrap();
        assert_eq!(machine.provider(), Provider::Aws);
        assert_eq!(machine.config(), FixedConfig::Register384(Some(long()[8])));
        let values: BTreeMap<u8, Digest<48>> = (0..24).zip(long()).collect();
        assert_eq!(*machine.registers(), MachineRegisters::Sha384(values));
    }
    // Members in any order; those that are not needed may be left out.
    aws.members.reverse();
    aws.members
        .retain(|(name, _)| *name != "nonce" && *name != "public_key");
    assert!(aws.verify_at(&aws.document(), &data(), AT).is_ok());
}

#[test]
fn aws_is_refused_for_each_reason() {
    let set = |name: &str, value: Vec<u8>| {
        let mut aws = aws();
        aws.set(name, value);
        refusal(aws.verify_at(&aws.document(), &data(), AT))
    };
    let digest = sha256(&[other().as_bytes()]);
    for wrong in [
        string(2, digest.as_bytes()),
        string(2, &[]),
        string(2, data().as_bytes()),
        vec![0xf6],
    ] {
        assert_eq!(set("user_data", wrong), "nitro-user-data");
    }
    for (name, wrong) in [
        ("user_data", string(3, b"text")),
        ("module_id", string(3, b"")),
        ("module_id", string(2, b"i-1")),
        ("digest", string(3, b"SHA256")),
        ("timestamp", vec![0x20]),
        ("nitrotpm_pcrs", head(5, 0)),
        ("nitrotpm_pcrs", head(5, 1 << 40)),
        (
            "nitrotpm_pcrs",
            [head(5, 1), head(0, 24), string(2, &[1; 48])].concat(),
        ),
        (
            "nitrotpm_pcrs",
            [head(5, 1), head(0, 4), string(2, &[1; 32])].concat(),
        ),
        (
            "nitrotpm_pcrs",
            [
                head(5, 2),
                head(0, 4),
                string(2, &[1; 48]),
                head(0, 4),
                string(2, &[2; 48]),
            ]
            .concat(),
        ),
        ("cabundle", head(4, 0)),
        ("cabundle", head(4, 1 << 40)),
        ("nonce", vec![0xf7]),
    ] {
        assert_eq!(set(name, wrong), "nitro-payload", "{name}");
    }
    assert_eq!(set("certificate", string(2, &[])), "nitro-chain");
    let mut aws = aws();
    let of = |aws: &Aws, payload: &[u8]| refusal(aws.verify_at(&aws.document_of(payload), &data(), AT));
    assert_eq!(of(&aws, &[aws.payload(), vec![0]].concat()), "nitro-payload");
    assert_eq!(of(&aws, &[]), "nitro-payload");
    // Each member that is needed is missed; none comes twice; none is unknown.
    for index in 0..aws.members.len() {
        let (name, value) = aws.members.remove(index);
        let result = aws.verify_at(&aws.document(), &data(), AT);
        match name {
            "nonce" | "public_key" => assert!(result.is_ok(), "{name}"),
            "user_data" => assert_eq!(refusal(result), "nitro-user-data"),
            _ => assert_eq!(refusal(result), "nitro-payload", "{name}"),
        }
        aws.members.insert(index, (name, value.clone()));
        aws.members.push((name, value));
        assert_eq!(
            refusal(aws.verify_at(&aws.document(), &data(), AT)),
            "nitro-payload"
        );
        aws.members.pop();
    }
    aws.members.push(("pcrs", head(5, 0)));
    assert_eq!(
        refusal(aws.verify_at(&aws.document(), &data(), AT)),
        "nitro-payload"
    );
    aws.members.pop();
    // Another root of the same name, and AWS's own; another machine's key.
    let document = aws.document();
    let stranger = Aws::new(&data(), &long());
    assert_eq!(refusal(stranger.verify_at(&document, &data(), AT)), "nitro-chain");
    let compiled = Anchors::compiled();
    let error = verify_aws(&document, &data(), compiled.aws().unwrap(), AT).unwrap_err();
    assert_eq!(error.id(), "nitro-chain");
    let forged = stranger.document_of(&aws.payload());
    assert_eq!(refusal(aws.verify_at(&forged, &data(), AT)), "nitro-signature");
    assert_eq!(refusal(aws.verify_at(&document, &other(), AT)), "nitro-user-data");
    // A tag, and another algorithm.
    let tagged = [&[0xd2], document.as_slice()].concat();
    assert_eq!(refusal(aws.verify_at(&tagged, &data(), AT)), "nitro-form");
    let mut es256 = document;
    es256[5] = 0x26;
    assert_eq!(refusal(aws.verify_at(&es256, &data(), AT)), "nitro-form");
}

#[test]
fn every_part_of_a_document_counts() {
    let aws = aws();
    let document = aws.document();
    for (at, changed) in spoiled(&document) {
        assert!(aws.verify_at(&changed, &data(), AT).is_err(), "byte {at}");
    }
    for length in 0..document.len() {
        let error = aws.verify_at(&document[..length], &data(), AT).unwrap_err();
        assert_eq!(error.id(), "nitro-form", "{length} bytes");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        let compiled = Anchors::compiled();
        let anchor = compiled.google().unwrap();
        let quote = GoogleQuote { certificates: &bytes, message: &bytes, signature: &bytes, registers: &bytes };
        proptest::prop_assert!(verify_google(&quote, &data(), anchor, AT).is_err());
        proptest::prop_assert!(verify_aws(&bytes, &data(), anchor, AT).is_err());
    }
}
