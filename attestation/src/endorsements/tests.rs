//! The JSON forms and the limits.

use proptest::prelude::*;

use super::*;

fn item(kind: EndorsementKind, body: &[u8]) -> Endorsement {
    Endorsement::new(kind, body.to_vec()).unwrap()
}

fn two() -> Endorsements {
    Endorsements::new(vec![
        item(EndorsementKind::AmdVek, &[1, 255]),
        item(EndorsementKind::NvidiaRim, b"<"),
    ])
    .unwrap()
}

const BUNDLE: &str = "{\"items\":[{\"body\":\"Af8=\",\"kind\":\"amd-vek\"},{\"body\":\"PA==\",\"kind\":\"nvidia-rim\"}],\
                      \"version\":\"anchorhold endorsements v1\"}";

#[test]
fn json_comes_back_as_it_went() {
    let one = item(EndorsementKind::AmdVek, &[1, 255]);
    assert_eq!(one.to_json(), b"{\"body\":\"Af8=\",\"kind\":\"amd-vek\"}");
    assert_eq!(Endorsement::from_json(&one.to_json()), Ok(one));
    assert_eq!(two().to_bundle(), BUNDLE.as_bytes());
    assert_eq!(Endorsements::from_bundle(BUNDLE.as_bytes()), Ok(two()));
    assert_eq!(Endorsements::from_stapled(&two().to_stapled()), Ok(two()));
    let none = Endorsements::none();
    assert_eq!(Endorsements::from_bundle(&none.to_bundle()), Ok(none));
}

#[test]
fn each_kind_has_its_name() {
    for kind in EndorsementKind::ALL {
        let one = item(kind, &[0]);
        let text = format!("{{\"body\":\"AA==\",\"kind\":\"{kind}\"}}");
        assert_eq!(one.to_json(), text.as_bytes());
        assert_eq!(Endorsement::from_json(text.as_bytes()), Ok(one));
    }
    let names = EndorsementKind::ALL.map(EndorsementKind::name);
    assert_eq!(
        names,
        [
            "amd-vek",
            "amd-authority",
            "amd-crl",
            "intel-collateral",
            "nvidia-rim",
            "nvidia-ocsp",
            "provider-authority"
        ]
    );
}

#[test]
fn bodies_are_found_by_kind_in_their_order() {
    let all = Endorsements::new(vec![
        item(EndorsementKind::NvidiaOcsp, &[1]),
        item(EndorsementKind::AmdCrl, &[2]),
        item(EndorsementKind::NvidiaOcsp, &[3]),
    ])
    .unwrap();
    let of = |kind| all.of(kind).map(<[u8]>::to_vec).collect::<Vec<_>>();
    assert_eq!(of(EndorsementKind::NvidiaOcsp), [[1], [3]]);
    assert_eq!(of(EndorsementKind::AmdCrl), [[2]]);
    assert!(of(EndorsementKind::AmdVek).is_empty());
    assert_eq!(all.items().len(), 3);
}

#[test]
fn other_texts_are_refused() {
    let part = Part::Endorsements;
    for (from, to, error) in [
        ("amd-vek", "amd-secret", ParseError::Shape(part)),
        ("endorsements v1", "endorsements v2", ParseError::Shape(part)),
        ("\"kind\"", "\"x\":1,\"kind\"", ParseError::Shape(part)),
        ("\"items\"", "\"a\":1,\"items\"", ParseError::Shape(part)),
        ("Af8=", "Af8", ParseError::Shape(part)),
        ("Af8=", "Af9=", ParseError::Shape(part)),
        ("}]", "}],\"items\":[]", ParseError::Shape(part)),
        (":[", ": [", ParseError::NotCanonical(part)),
        ("amd-vek", "amd\\u002dvek", ParseError::NotCanonical(part)),
        ("v1\"}", "v1\"}\n", ParseError::NotCanonical(part)),
        ("Af8=", "", ParseError::Value(Part::Endorsement)),
    ] {
        let changed = BUNDLE.replacen(from, to, 1);
        assert_ne!(changed, BUNDLE);
        assert_eq!(
            Endorsements::from_bundle(changed.as_bytes()),
            Err(error),
            "{changed}"
        );
    }
    let swapped = b"{\"kind\":\"amd-vek\",\"body\":\"Af8=\"}";
    assert_eq!(
        Endorsement::from_json(swapped),
        Err(ParseError::NotCanonical(Part::Endorsement))
    );
    let unknown = b"{\"body\":\"Af8=\",\"kind\":\"amd-secret\"}".to_vec();
    let known = item(EndorsementKind::AmdVek, &[1]).to_json();
    assert_eq!(
        Endorsements::from_stapled(&[known, unknown]),
        Err(ParseError::Shape(Part::Endorsement))
    );
}

#[test]
fn everything_has_a_limit() {
    let part = Part::Endorsement;
    for kind in EndorsementKind::ALL {
        let limit = kind.limit();
        let largest = Endorsement::new(kind, vec![0; limit]).unwrap();
        // The text of the largest body is not refused before its kind is known.
        assert_eq!(Endorsement::from_json(&largest.to_json()), Ok(largest));
        let above = Endorsement::new(kind, vec![0; limit + 1]);
        assert_eq!(above, Err(ParseError::TooLarge { part, limit }));
        assert_eq!(Endorsement::new(kind, vec![]), Err(ParseError::Value(part)));
    }
    let limit = limits::ENDORSEMENT;
    let long = vec![b' '; limit + 1];
    assert_eq!(
        Endorsement::from_json(&long),
        Err(ParseError::TooLarge { part, limit })
    );

    let part = Part::Endorsements;
    let many = |count| vec![item(EndorsementKind::AmdVek, &[7]); count];
    assert!(Endorsements::new(many(64)).is_ok());
    let limit = limits::ENDORSEMENTS;
    let large = Err(ParseError::TooLarge { part, limit });
    assert_eq!(Endorsements::new(many(65)), large);
    let blobs: Vec<_> = many(65).iter().map(Endorsement::to_json).collect();
    assert_eq!(Endorsements::from_stapled(&blobs), large);
    let bundle = canonical::to_vec(&WireBundle {
        items: many(65).iter().map(Endorsement::to_wire).collect(),
        version: BundleVersion::One,
    });
    assert_eq!(Endorsements::from_bundle(&bundle), large);
}

#[test]
fn a_set_is_not_larger_than_its_bundle_may_be() {
    let limit = limits::ENDORSEMENT_BUNDLE;
    let too_large = Err(ParseError::TooLarge {
        part: Part::Endorsements,
        limit,
    });
    let lists = |count| vec![item(EndorsementKind::AmdCrl, &vec![0; limits::CRL]); count];
    let fits = limit / (limits::CRL * 4 / 3 + 64);
    let most = Endorsements::new(lists(fits)).unwrap();
    assert_eq!(Endorsements::from_bundle(&most.to_bundle()), Ok(most));
    assert_eq!(Endorsements::new(lists(fits + 1)), too_large);
    let blobs: Vec<_> = lists(fits + 1).iter().map(Endorsement::to_json).collect();
    assert_eq!(Endorsements::from_stapled(&blobs), too_large);
    assert_eq!(Endorsements::from_bundle(&vec![b' '; limit + 1]), too_large);
}

#[test]
fn debug_output_shows_no_body() {
    assert_eq!(
        format!("{:?}", item(EndorsementKind::AmdCrl, b"secret")),
        "Endorsement(amd-crl, 6 bytes)"
    );
}

proptest! {
    #[test]
    fn no_bytes_panic_and_one_value_has_one_text(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = BUNDLE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Endorsements::from_bundle(&bytes) {
            prop_assert_eq!(read.to_bundle(), bytes);
        }
    }
}
