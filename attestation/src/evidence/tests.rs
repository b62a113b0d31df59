//! The JSON form and the limits.

use proptest::prelude::*;

use super::*;

fn device(byte: u8) -> DeviceEvidence {
    DeviceEvidence::new("gpu".to_owned(), vec![1], vec![vec![byte], vec![9]]).unwrap()
}

fn evidence() -> Evidence {
    Evidence::new(
        Platform::InsecureSimulated,
        vec![1, 2, 255],
        vec![device(3), device(2)],
    )
    .unwrap()
}

const JSON: &str = "{\"devices\":[{\"certificates\":[\"Aw==\",\"CQ==\"],\"kind\":\"gpu\",\"report\":\"AQ==\"},\
                    {\"certificates\":[\"Ag==\",\"CQ==\"],\"kind\":\"gpu\",\"report\":\"AQ==\"}],\
                    \"platform\":\"insecure-simulated\",\"report\":\"AQL/\"}";

#[test]
fn json_comes_back_as_it_went() {
    let evidence = evidence();
    assert_eq!(evidence.to_json(), JSON.as_bytes());
    assert_eq!(evidence.digest(), sha512(&[JSON.as_bytes()]));
    let back = Evidence::from_json(JSON.as_bytes()).unwrap();
    assert_eq!(back.to_json(), JSON.as_bytes());
    assert_eq!(back.platform(), Platform::InsecureSimulated);
    assert_eq!(back.report(), [1, 2, 255]);
    assert_eq!(back.devices().len(), 2);
    let device = &back.devices()[0];
    assert_eq!(device.kind(), "gpu");
    assert_eq!(device.report(), [1]);
    assert_eq!(device.certificates(), [vec![3], vec![9]]);
    assert_eq!(device.leaf_digest(), sha384(&[&[3]]));
}

#[test]
fn other_shapes_are_refused() {
    for (from, to) in [
        ("AQL/", "AQL"),
        ("AQL/", "AQL_"),
        ("\"platform\"", "\"platform\":\"insecure-simulated\",\"platform\""),
        ("\"platform\"", "\"x\":1,\"platform\""),
        ("insecure-simulated", "sample"),
        ("\"kind\"", "\"x\":1,\"kind\""),
        ("Aw==", "Aw"),
        ("}", ""),
    ] {
        let changed = JSON.replacen(from, to, 1);
        assert_eq!(
            Evidence::from_json(changed.as_bytes()).err(),
            Some(ParseError::Shape(Part::Evidence)),
            "{changed}"
        );
    }
    let value = Some(ParseError::Value(Part::Device));
    let same_leaf = JSON.replace("Ag==", "Aw==");
    assert_eq!(Evidence::from_json(same_leaf.as_bytes()).err(), value);
    let no_leaf = JSON.replace("\"Ag==\",\"CQ==\"", "");
    assert_eq!(Evidence::from_json(no_leaf.as_bytes()).err(), value);
}

#[test]
fn everything_has_a_limit() {
    let large = |part, limit| Some(ParseError::TooLarge { part, limit });
    let new = |report, devices| {
        Evidence::new(
            Platform::InsecureSimulated,
            vec![0; report],
            (0..devices).map(device).collect(),
        )
    };
    assert!(new(limits::REPORT, 16).is_ok());
    assert_eq!(
        new(limits::REPORT + 1, 0).err(),
        large(Part::Evidence, limits::REPORT)
    );
    assert_eq!(new(0, 17).err(), large(Part::Evidence, limits::DEVICES));

    let new = |kind: usize, report, certificates, certificate| {
        let chain = vec![vec![0; certificate]; certificates];
        DeviceEvidence::new("k".repeat(kind), vec![0; report], chain)
    };
    assert!(new(32, limits::REPORT, 8, limits::CERTIFICATE).is_ok());
    for (found, limit) in [
        (new(33, 0, 1, 0), 32),
        (new(1, limits::REPORT + 1, 1, 0), limits::REPORT),
        (new(1, 0, 9, 0), 8),
        (new(1, 0, 2, limits::CERTIFICATE + 1), limits::CERTIFICATE),
    ] {
        assert_eq!(found.err(), large(Part::Device, limit));
    }
    assert_eq!(new(0, 0, 1, 0).err(), Some(ParseError::Value(Part::Device)));
    assert_eq!(new(1, 0, 0, 0).err(), Some(ParseError::Value(Part::Device)));
    for kind in ["GPU", "g u", "g_u", "é"] {
        let error = DeviceEvidence::new(kind.to_owned(), vec![], vec![vec![]]).err();
        assert_eq!(error, Some(ParseError::Value(Part::Device)), "{kind}");
    }
    assert!(DeviceEvidence::new("gpu-2".to_owned(), vec![], vec![vec![]]).is_ok());

    let padded = |length: usize| format!("{}{JSON}", " ".repeat(length - JSON.len()));
    assert!(Evidence::from_json(padded(limits::EVIDENCE).as_bytes()).is_ok());
    assert_eq!(
        Evidence::from_json(padded(limits::EVIDENCE + 1).as_bytes()).err(),
        large(Part::Evidence, limits::EVIDENCE)
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = JSON.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Evidence::from_json(&bytes);
    }
}
