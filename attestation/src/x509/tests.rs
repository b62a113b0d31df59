//! Certificates, paths and revocation lists of a fake authority, right and wrong in one way at a time.

use super::forge::{CrlDraft, Draft, Key, NOW, certificate_usage, constraints, extension};
use super::*;
use crate::time::Timestamp;

const AT: Timestamp = Timestamp::from_unix(NOW);

/// Root, intermediate and leaf, all right unless a test changes a draft.
struct Hierarchy {
    root_key: Key,
    middle_key: Key,
    leaf_key: Key,
    root: Draft,
    middle: Draft,
    leaf: Draft,
}

impl Hierarchy {
    fn new() -> Self {
        Self {
            root_key: Key::p384(),
            middle_key: Key::p384(),
            leaf_key: Key::p384(),
            root: Draft::authority("root", "root"),
            middle: Draft::authority("middle", "root"),
            leaf: Draft::leaf("leaf", "middle"),
        }
    }

    fn anchor(&self) -> Result<Anchor, Fault> {
        Anchor::parse(&self.root.sign(&self.root_key, &self.root_key))
    }

    fn verify(&self, at: Timestamp) -> Result<VerifiedChain, ChainError> {
        let leaf = Certificate::parse(&self.leaf.sign(&self.leaf_key, &self.middle_key)).unwrap();
        let middle = Certificate::parse(&self.middle.sign(&self.middle_key, &self.root_key)).unwrap();
        VerifiedChain::verify(leaf, vec![middle], &self.anchor().unwrap(), &[], at)
    }

    fn fault(&self) -> (usize, &'static str) {
        let error = self.verify(AT).unwrap_err();
        (error.link, error.fault.id())
    }
}

#[test]
fn a_path_of_each_kind_of_key_is_proven() {
    for make in [Key::p256, Key::p384, Key::rsa] {
        for trailer in [false, true] {
            let mut all = Hierarchy::new();
            (all.root_key, all.middle_key) = (make(), make());
            (all.root.trailer, all.middle.trailer, all.leaf.trailer) = (trailer, trailer, trailer);
            let chain = all.verify(AT).unwrap();
            assert_eq!(chain.leaf().serial(), [0]);
            assert_eq!(chain.key().kind(), KeyKind::P384);
            assert_eq!(chain.authorities().len(), 1);
        }
    }
}

#[test]
fn the_root_may_be_in_the_path_and_others_of_its_name_may_not() {
    let all = Hierarchy::new();
    let parse = |der: &[u8]| Certificate::parse(der).unwrap();
    let leaf = parse(&all.leaf.sign(&all.leaf_key, &all.middle_key));
    let middle = parse(&all.middle.sign(&all.middle_key, &all.root_key));
    let root = parse(&all.root.sign(&all.root_key, &all.root_key));
    let anchor = all.anchor().unwrap();
    let path = vec![middle.clone(), root.clone()];
    VerifiedChain::verify(leaf.clone(), path, &anchor, &[], AT).unwrap();
    let other = Key::p384();
    let impostor = parse(&all.root.sign(&other, &other));
    let error =
        VerifiedChain::verify(leaf.clone(), vec![middle.clone(), impostor], &anchor, &[], AT).unwrap_err();
    assert_eq!((error.link, error.fault), (1, Fault::Signature));
    let error = VerifiedChain::verify(leaf.clone(), vec![], &anchor, &[], AT).unwrap_err();
    assert_eq!((error.link, error.fault), (0, Fault::Issuer));
    let error = VerifiedChain::verify(leaf, vec![middle; 6], &anchor, &[], AT).unwrap_err();
    assert_eq!(error.fault, Fault::PathLength);
}

#[test]
fn every_link_has_dates() {
    for who in 0..3 {
        for (from, until, id) in [
            (NOW + 1, NOW + 9, "x509-not-yet-valid"),
            (NOW - 9, NOW - 1, "x509-expired"),
        ] {
            let mut all = Hierarchy::new();
            let draft = match who {
                0 => &mut all.leaf,
                1 => &mut all.middle,
                _ => &mut all.root,
            };
            (draft.from, draft.until) = (from, until);
            assert_eq!(all.fault(), (who, id));
        }
    }
    let mut all = Hierarchy::new();
    (all.leaf.from, all.middle.until) = (NOW, NOW);
    let chain = all.verify(AT).unwrap();
    assert_eq!((chain.not_before(), chain.not_after()), (AT, AT));
}

#[test]
fn an_authority_must_be_one_and_a_leaf_must_not() {
    let mut all = Hierarchy::new();
    all.middle.extensions = vec![certificate_usage()];
    assert_eq!(all.fault(), (1, "x509-not-an-authority"));
    all.middle.extensions = vec![extension("2.5.29.19", true, b"\x30\x00"), certificate_usage()];
    assert_eq!(all.fault(), (1, "x509-not-an-authority"));
    all.middle.extensions = vec![constraints(None)];
    assert_eq!(all.fault(), (1, "x509-key-usage"));
    all.middle.extensions = vec![
        constraints(None),
        extension("2.5.29.15", true, b"\x03\x02\x01\x02"),
    ];
    assert_eq!(all.fault(), (1, "x509-key-usage"));
    let mut all = Hierarchy::new();
    all.leaf.extensions = vec![constraints(None)];
    assert_eq!(all.fault(), (0, "x509-leaf-is-authority"));
    all.leaf.extensions = vec![certificate_usage()];
    assert_eq!(all.fault(), (0, "x509-key-usage"));
    all.leaf.extensions = vec![extension("2.5.29.15", true, b"\x03\x02\x07\x80")];
    all.verify(AT).unwrap();
    // AMD's authorities write `keyCertSign` with a zero bit behind it.
    let mut all = Hierarchy::new();
    all.middle.extensions = vec![
        constraints(None),
        extension("2.5.29.15", true, b"\x03\x02\x01\x04"),
    ];
    all.verify(AT).unwrap();
}

#[test]
fn path_lengths_hold() {
    let mut all = Hierarchy::new();
    all.root.extensions = vec![constraints(Some(0)), certificate_usage()];
    assert_eq!(all.fault(), (2, "x509-path-constraint"));
    all.root.extensions = vec![constraints(Some(1)), certificate_usage()];
    all.middle.extensions = vec![constraints(Some(0)), certificate_usage()];
    all.verify(AT).unwrap();
}

#[test]
fn what_is_not_understood_is_refused() {
    let unknown = extension("1.2.3.4", true, b"\x05\x00");
    let mut all = Hierarchy::new();
    all.leaf.extensions = vec![unknown.clone()];
    assert_eq!(all.fault(), (0, "x509-critical-extension"));
    let mut all = Hierarchy::new();
    all.middle.extensions.push(unknown.clone());
    assert_eq!(all.fault(), (1, "x509-critical-extension"));
    let mut all = Hierarchy::new();
    all.root.extensions.push(unknown);
    assert_eq!(all.anchor().unwrap_err().id(), "x509-critical-extension");
    let mut all = Hierarchy::new();
    all.leaf.extensions = vec![
        extension("1.2.3.4", false, b""),
        extension("1.2.3.4", false, b"x"),
    ];
    let der = all.leaf.sign(&all.leaf_key, &all.middle_key);
    assert_eq!(Certificate::parse(&der).unwrap_err(), Fault::RepeatedExtension);
}

#[test]
fn names_signatures_and_algorithms_must_agree() {
    let mut all = Hierarchy::new();
    all.leaf.issuer = forge::name("other");
    assert_eq!(all.fault(), (0, "x509-issuer"));
    let all = Hierarchy::new();
    let forged = all.leaf.sign(&all.leaf_key, &all.leaf_key);
    let middle = Certificate::parse(&all.middle.sign(&all.middle_key, &all.root_key)).unwrap();
    let leaf = Certificate::parse(&forged).unwrap();
    let error = VerifiedChain::verify(leaf, vec![middle], &all.anchor().unwrap(), &[], AT).unwrap_err();
    assert_eq!((error.link, error.fault), (0, Fault::Signature));
    let key = Key::rsa();
    let mut draft = Draft::authority("root", "root");
    draft.mismatch = true;
    assert_eq!(
        Anchor::parse(&draft.sign(&key, &key)).unwrap_err(),
        Fault::AlgorithmMismatch
    );
    let draft = Draft::authority("root", "elsewhere");
    assert_eq!(Anchor::parse(&draft.sign(&key, &key)).unwrap_err(), Fault::Issuer);
}

#[test]
fn serial_numbers_may_be_zero_and_not_negative() {
    let key = Key::p384();
    let mut draft = Draft::leaf("leaf", "root");
    assert_eq!(Certificate::parse(&draft.sign(&key, &key)).unwrap().serial(), [0]);
    draft.serial = vec![0x80];
    assert_eq!(
        Certificate::parse(&draft.sign(&key, &key)).unwrap_err(),
        Fault::SerialNumber
    );
    draft.serial = vec![1; 22];
    assert!(Certificate::parse(&draft.sign(&key, &key)).is_err());
}

#[test]
fn every_flipped_bit_and_truncation_of_a_certificate_is_refused() {
    let all = Hierarchy::new();
    let middle = Certificate::parse(&all.middle.sign(&all.middle_key, &all.root_key)).unwrap();
    let anchor = all.anchor().unwrap();
    let genuine = all.leaf.sign(&all.leaf_key, &all.middle_key);
    for bit in 0..genuine.len() * 8 {
        let mut altered = genuine.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        if let Ok(leaf) = Certificate::parse(&altered) {
            let outcome = VerifiedChain::verify(leaf, vec![middle.clone()], &anchor, &[], AT);
            assert!(outcome.is_err(), "bit {bit}");
        }
    }
    for length in 0..genuine.len() {
        assert!(Certificate::parse(&genuine[..length]).is_err());
    }
    assert!(Certificate::parse(&[&genuine[..], b"\0"].concat()).is_err());
    let large = vec![0x30; crate::limits::CERTIFICATE + 1];
    assert_eq!(Certificate::parse(&large).unwrap_err().id(), "x509-size");
}

#[test]
fn a_list_is_proven_current_and_complete() {
    let all = Hierarchy::new();
    let anchor = all.anchor().unwrap();
    let middle = Certificate::parse(&all.middle.sign(&all.middle_key, &all.root_key)).unwrap();
    let verify = |draft: &CrlDraft, key: &Key, at| Crl::parse(&draft.sign(key))?.verify(&anchor, at);
    let draft = CrlDraft::empty("root");
    let list = verify(&draft, &all.root_key, AT).unwrap();
    list.check(&middle).unwrap();
    assert!(list.is_empty());
    assert_eq!(list.number(), [1]);
    let leaf = Certificate::parse(&all.leaf.sign(&all.leaf_key, &all.middle_key)).unwrap();
    assert_eq!(list.check(&leaf), Err(Fault::Issuer));

    let named = CrlDraft {
        revoked: vec![vec![7], vec![1]],
        ..draft.clone()
    };
    let list = verify(&named, &all.root_key, AT).unwrap();
    assert_eq!((list.check(&middle), list.len()), (Err(Fault::Revoked), 2));

    let refused = |draft: &CrlDraft| verify(draft, &all.root_key, AT).unwrap_err().id();
    let with = |change: fn(&mut CrlDraft)| {
        let mut draft = draft.clone();
        change(&mut draft);
        refused(&draft)
    };
    assert_eq!(with(|list| list.next_update = None), "x509-no-next-update");
    assert_eq!(with(|list| list.next_update = Some(NOW - 1)), "x509-expired");
    assert_eq!(with(|list| list.this_update = NOW + 1), "x509-not-yet-valid");
    assert_eq!(with(|list| list.extensions.clear()), "x509-no-number");
    assert_eq!(with(|list| list.issuer = forge::name("other")), "x509-issuer");
    assert_eq!(
        with(|list| list.extensions.push(extension("2.5.29.28", true, b"\x30\x00"))),
        "x509-critical-extension"
    );
    assert_eq!(verify(&draft, &all.middle_key, AT).unwrap_err(), Fault::Signature);
    let mut mute = Hierarchy::new();
    mute.root.extensions = vec![
        constraints(None),
        extension("2.5.29.15", true, b"\x03\x02\x02\x04"),
    ];
    let der = CrlDraft::empty("root").sign(&mute.root_key);
    let outcome = Crl::parse(&der).unwrap().verify(&mute.anchor().unwrap(), AT);
    assert_eq!(outcome.unwrap_err(), Fault::KeyUsage);
}

#[test]
fn every_flipped_bit_and_truncation_of_a_list_is_refused() {
    let all = Hierarchy::new();
    let anchor = all.anchor().unwrap();
    let genuine = CrlDraft::empty("root").sign(&all.root_key);
    for bit in 0..genuine.len() * 8 {
        let mut altered = genuine.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let outcome = Crl::parse(&altered).and_then(|list| list.verify(&anchor, AT));
        assert!(outcome.is_err(), "bit {bit}");
    }
    for length in 0..genuine.len() {
        assert!(Crl::parse(&genuine[..length]).is_err());
    }
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
        let _ = Certificate::parse(&bytes);
        let _ = Crl::parse(&bytes);
    }
}

#[test]
fn a_date_before_2050_may_be_a_generalized_time() {
    // NVIDIA's authorities for RIMs have such dates, against RFC 5280 section 4.1.2.5.
    let (key, draft) = (Key::p384(), Draft::leaf("leaf", "root"));
    let in_2051 = Draft {
        until: 2_556_144_000,
        ..draft
    };
    let mut der = in_2051.sign(&key, &key);
    let place = der.windows(8).position(|part| part == b"20510101").unwrap();
    der[place..place + 4].copy_from_slice(b"2031");
    let read = Certificate::parse(&der).unwrap();
    assert_eq!(read.not_after(), Timestamp::from_unix(1_924_992_000));
}
