//! The JSON form and the limits.

use anchorhold_encoding::Digest;
use proptest::prelude::*;

use super::*;
use crate::claims::Platform;

fn document() -> AttestationDocument {
    AttestationDocument {
        identity: vec![1, 2, 3],
        evidence: Evidence::new(Platform::InsecureSimulated, vec![4], vec![]).unwrap(),
        proof: InclusionProof {
            index: 1,
            size: 2,
            path: vec![Digest::new([5; 32])],
        },
        lease: Some(Lease { seconds_left: 60 }),
        endorsements: vec![vec![6], vec![]],
    }
}

fn text() -> String {
    String::from_utf8(document().to_json()).unwrap()
}

#[test]
fn json_comes_back_as_it_went() {
    let expected = format!(
        "{{\"endorsements\":[\"Bg==\",\"\"],\"evidence\":{{\"devices\":[],\"platform\":\"insecure-simulated\",\
         \"report\":\"BA==\"}},\"identity\":\"AQID\",\"lease\":{{\"seconds_left\":60}},\
         \"proof\":{{\"index\":1,\"path\":[\"{}\"],\"size\":2}}}}",
        Digest::new([5; 32])
    );
    assert_eq!(text(), expected);
    let back = AttestationDocument::from_json(expected.as_bytes()).unwrap();
    assert_eq!(back.to_json(), expected.as_bytes());
    assert_eq!(back.lease, Some(Lease { seconds_left: 60 }));
    let without = expected.replace("\"lease\":{\"seconds_left\":60},", "");
    let back = AttestationDocument::from_json(without.as_bytes()).unwrap();
    assert_eq!(back.lease, None);
    assert_eq!(back.to_json(), without.as_bytes());
}

#[test]
fn a_frame_with_its_heavy_parts_is_the_json_form() {
    let framed = |document: &AttestationDocument| {
        let frame = Frame::new(&document.identity, &document.proof, document.lease);
        let blobs = document.endorsements.iter().map(|blob| endorsement_text(blob));
        let blobs = blobs.collect::<Vec<_>>().join(&b',');
        [
            frame.head,
            &blobs,
            frame.middle,
            &document.evidence.to_json(),
            &frame.tail,
        ]
        .concat()
    };
    let mut document = document();
    for lease in [document.lease, None] {
        document.lease = lease;
        for many in [0, 1, 2, 64] {
            document.endorsements = (0..many).map(|length| vec![0xfb; length]).collect();
            let framed = framed(&document);
            assert_eq!(framed, document.to_json(), "{many}");
            assert!(AttestationDocument::from_json(&framed).is_ok());
        }
    }
}

#[test]
fn other_shapes_are_refused() {
    for (from, to) in [
        ("\"identity\"", "\"x\":1,\"identity\""),
        ("\"index\"", "\"x\":1,\"index\""),
        ("\"seconds_left\"", "\"x\":1,\"seconds_left\""),
        ("\"index\":1", "\"index\":-1"),
        ("AQID", "AQI"),
        ("\"endorsements\":[\"Bg==\",\"\"],", ""),
    ] {
        let changed = text().replacen(from, to, 1);
        assert_ne!(changed, text());
        assert_eq!(
            AttestationDocument::from_json(changed.as_bytes()).err(),
            Some(ParseError::Shape(Part::AttestationDocument)),
            "{changed}"
        );
    }
}

#[test]
fn everything_has_a_limit() {
    let check = |change: &dyn Fn(&mut AttestationDocument)| {
        let mut document = document();
        change(&mut document);
        AttestationDocument::from_json(&document.to_json()).err()
    };
    let large = |part, limit| Some(ParseError::TooLarge { part, limit });
    let part = Part::AttestationDocument;
    let digest = Digest::new([0; 32]);
    assert_eq!(check(&|d| d.identity = vec![0; limits::IDENTITY]), None);
    assert_eq!(
        check(&|d| d.identity = vec![0; limits::IDENTITY + 1]),
        large(Part::Identity, limits::IDENTITY)
    );
    assert_eq!(check(&|d| d.endorsements = vec![vec![]; 64]), None);
    assert_eq!(check(&|d| d.endorsements = vec![vec![]; 65]), large(part, 64));
    assert_eq!(check(&|d| d.proof.path = vec![digest; 12]), None);
    assert_eq!(check(&|d| d.proof.path = vec![digest; 13]), large(part, 12));

    let padded = |length: usize| format!("{}{}", " ".repeat(length - text().len()), text());
    let limit = limits::ATTESTATION_DOCUMENT;
    assert!(AttestationDocument::from_json(padded(limit).as_bytes()).is_ok());
    let error = AttestationDocument::from_json(padded(limit + 1).as_bytes()).err();
    assert_eq!(error, large(part, limit));
}

proptest! {
    #[test]
    fn no_bytes_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = text().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = AttestationDocument::from_json(&bytes);
    }
}
