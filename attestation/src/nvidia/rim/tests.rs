//! RIMs under a fake authority, signatures and tags that are not of the one form, and every byte.

use super::*;
use crate::nvidia::error::RimField;
use crate::nvidia::fixture::{AT, Chain, RimDraft, anchors, measurement, rim_chain, sign_text};
use crate::testdata;
use crate::x509::Fault;
use crate::x509::forge::{Key, NOW};

/// A signer, its chain in DER, and anchors for it.
struct Signer {
    chain: Chain,
    der: Vec<Vec<u8>>,
    anchors: Anchors,
}

impl Signer {
    fn new(change: impl FnOnce(&mut Chain)) -> Self {
        let mut chain = rim_chain();
        change(&mut chain);
        let der = chain.der();
        let anchors = anchors(&der, &der);
        Self { chain, der, anchors }
    }

    fn sign(&self, draft: &RimDraft) -> String {
        draft.sign(&self.der, self.chain.leaf_key())
    }

    fn verify(&self, text: &str) -> Result<VerifiedRim, RimError> {
        verify_rim(text.as_bytes(), &[], &self.anchors, AT)
    }
}

fn draft() -> RimDraft {
    let mut draft = RimDraft::gpu("545.00", &[7, 9]);
    draft.resources.truncate(10);
    draft
}

fn signer() -> Signer {
    Signer::new(|_| {})
}

#[test]
fn a_rim_is_proven_in_canonical_form_and_as_nvidia_writes_it() {
    let signer = signer();
    let text = signer.sign(&draft());
    let proven = signer.verify(&text).unwrap();
    let rim = proven.rim();
    assert_eq!(
        (rim.product(), rim.version(), rim.revision()),
        ("GH100", "545.00", "r1")
    );
    assert_eq!((rim.edition(), rim.tag_id()), (Edition::Gpu, "0123"));
    let seven = &rim.measurements()[7];
    assert_eq!(
        (seven.index(), seven.name(), seven.is_active()),
        (7, "Measurement_7", true)
    );
    assert_eq!(seven.alternatives(), [measurement(7)]);
    assert!(!rim.measurements()[8].is_active() && !proven.under_compiled_anchors());
    assert!(proven.not_before() < AT && proven.expires() > AT);
    assert_eq!(proven.digest(), sha384(&[text.as_bytes()]));
    assert_eq!(proven.signer(), sha384(&[&signer.der[0]]));
    let other = draft().sign_as_nvidia(&signer.der, signer.chain.leaf_key());
    let other = signer.verify(&other).unwrap();
    assert_eq!(other.rim().measurements(), rim.measurements());
}

#[test]
fn a_signer_is_four_certificates_valid_now_under_the_pinned_root() {
    let text = signer().sign(&draft());
    assert_eq!(
        verify_rim(text.as_bytes(), &[], &Anchors::nvidia(), AT).unwrap_err(),
        RimError::Root
    );
    let expired = Signer::new(|chain| chain.leaf().until = NOW - 1);
    let until = Timestamp::from_unix(NOW - 1);
    let error = RimError::Certificate(crate::x509::ChainError {
        link: 0,
        fault: Fault::Expired { until },
    });
    assert_eq!(expired.verify(&expired.sign(&draft())).unwrap_err(), error);
    let short = Signer::new(|chain| {
        chain.keys.remove(2);
        chain.drafts.remove(2);
    });
    assert_eq!(
        short.verify(&short.sign(&draft())).unwrap_err(),
        RimError::ChainLength
    );
    // The authority above the signer allows no authority below it.
    let long = Signer::new(|chain| {
        let authority = chain.drafts[1].extensions.clone();
        chain.drafts[3].extensions = authority;
    });
    assert_eq!(
        long.verify(&long.sign(&draft())).unwrap_err().id(),
        "nvidia-rim-chain"
    );
    let broken = Signer::new(|chain| chain.drafts[2].issuer = crate::x509::forge::name("nobody"));
    assert_eq!(
        broken.verify(&broken.sign(&draft())).unwrap_err().id(),
        "nvidia-rim-chain"
    );
}

#[test]
fn another_key_or_another_document_is_refused() {
    let signer = signer();
    let stranger = draft().sign(&signer.der, &Key::p384());
    assert_eq!(signer.verify(&stranger).unwrap_err(), RimError::Signature);
    let altered = signer
        .sign(&draft())
        .replacen("active=\"False\"", "active=\"True\"", 1);
    assert_eq!(signer.verify(&altered).unwrap_err(), RimError::Digest);
}

#[test]
fn nothing_about_the_signature_can_be_chosen() {
    let signer = signer();
    let text = signer.sign(&draft());
    let rows = [
        (
            "2006/12/xml-c14n11\"></ds:Can",
            "TR/2001/REC-xml-c14n-20010315\"></ds:Can",
        ),
        ("ecdsa-sha384", "ecdsa-sha256"),
        ("URI=\"\"", "URI=\"#x\""),
        ("<ds:Reference URI=\"\">", "<ds:Reference URI=\"\" Id=\"x\">"),
        ("xmldsig#enveloped-signature", "xmldsig#base64"),
        (
            "xmldsig-more#sha384\"></ds:DigestMethod>",
            "xmldsig-more#sha224\"></ds:DigestMethod>",
        ),
        ("<ds:Transforms>", "<ds:Transforms Id=\"x\">"),
        (
            "</ds:Transforms>",
            "<ds:Transform Algorithm=\"x\"></ds:Transform></ds:Transforms>",
        ),
        ("<ds:SignedInfo>", "<ds:SignedInfo Id=\"x\">"),
        ("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName>x</ds:KeyName>"),
        ("<ds:X509Data>", "<ds:X509Data Id=\"x\">"),
        ("</ds:SignatureValue>", "=</ds:SignatureValue>"),
        ("<ds:DigestValue>", "<ds:DigestValue>A"),
        ("</ds:Signature>", "<ds:Object></ds:Object></ds:Signature>"),
        ("</ds:KeyInfo>", "</ds:KeyInfo>text"),
    ];
    for (old, new) in rows {
        let altered = text.replacen(old, new, 1);
        assert_ne!(altered, text, "{old}");
        assert_eq!(
            signer.verify(&altered).unwrap_err(),
            RimError::SignatureForm,
            "{old}"
        );
    }
    let start = text.find("<ds:Signature ").unwrap();
    let end = text.find("</SoftwareIdentity>").unwrap();
    let twice = [&text[..end], &text[start..]].concat();
    assert_eq!(signer.verify(&twice).unwrap_err(), RimError::SignatureForm);
    let never = [&text[..start], &text[end..]].concat();
    assert_eq!(signer.verify(&never).unwrap_err(), RimError::SignatureForm);
}

#[test]
fn a_signed_document_that_wraps_another_signed_one_is_refused() {
    let signer = signer();
    let text = signer.sign(&draft());
    let start = text.find("<ds:Signature ").unwrap();
    // The tag moves into the signature, out of what is signed; another one takes its place.
    let wrapped = text.replacen(
        "<ds:KeyInfo>",
        &format!("{}</SoftwareIdentity><ds:KeyInfo>", &text[..start]),
        1,
    );
    assert_eq!(signer.verify(&wrapped).unwrap_err(), RimError::SignatureForm);
    // A signature deeper in the tag is no signature of the tag.
    let deeper = text.replacen("    </ns0:Payload>\n", "", 1);
    let deeper = deeper.replacen("</ds:Signature>", "</ds:Signature></ns0:Payload>", 1);
    assert_eq!(signer.verify(&deeper).unwrap_err(), RimError::SignatureForm);
}

#[test]
fn a_signed_tag_of_another_schema_is_refused_where_it_differs() {
    let signer = signer();
    let head = signer.sign(&draft());
    let head = &head[..head.find("<ds:Signature ").unwrap()];
    use RimField::{Entity, Meta, Payload, Resource, SoftwareIdentity};
    let rows = [
        ("corpus=\"false\"", "corpus=\"true\"", SoftwareIdentity),
        ("tagId=\"0123\" ", "", SoftwareIdentity),
        ("name=\"GH100\"", "name=\"GH200\"", SoftwareIdentity),
        (" version=\"1.0\"", " version=\"1.0\" z=\"1\"", SoftwareIdentity),
        (
            "<ns0:Entity",
            "<ns0:Link></ns0:Link><ns0:Entity",
            SoftwareIdentity,
        ),
        ("<ns0:Entity name=\"NVIDIA", "<ns0:Entity name=\"AMD", Entity),
        ("PayloadType=\"direct\"", "PayloadType=\"indirect\"", Meta),
        ("edition=\"GPU\"", "edition=\"CPU\"", Meta),
        (" revision=\"r1\"", "", Meta),
        ("PlatformModel=\"GH100\"", "PlatformModel=\"GB100\"", Meta),
        (
            "FirmwareManufacturerId=\"5703\"",
            "FirmwareManufacturerId=\"343\"",
            Meta,
        ),
        ("sha384\">\n", "sha384\" x=\"1\">\n", Payload),
        (
            "<ns0:Payload xmlns:SHA384=\"http://www.w3.org/2001/04/xmlenc#sha384\">\n",
            "<ns0:Payload xmlns:SHA384=\"http://www.w3.org/2001/04/xmlenc#sha384\">text\n",
            Payload,
        ),
        ("index=\"1\"", "index=\"01\"", Resource(1)),
        ("index=\"1\"", "index=\"0\"", Resource(1)),
        ("index=\"1\"", "index=\"256\"", Resource(1)),
        (
            "alternatives=\"1\" index=\"2\"",
            "alternatives=\"2\" index=\"2\"",
            Resource(2),
        ),
        ("active=\"True\"", "active=\"true\"", Resource(7)),
        (
            "name=\"Measurement_3\" size=\"48\"",
            "name=\"Measurement_3\" size=\"32\"",
            Resource(3),
        ),
        ("type=\"Measurement\"", "type=\"File\"", Resource(0)),
        ("ns2:Hash0", "ns2:Hash1", Resource(0)),
        ("ns2:Hash0=\"01", "ns2:Hash0=\"0G", Resource(0)),
        ("</ns0:Resource>", "<ns0:X></ns0:X></ns0:Resource>", Resource(0)),
    ];
    for (old, new, field) in rows {
        let altered = head.replacen(old, new, 1);
        assert_ne!(altered, head, "{old}");
        let text = sign_text(&altered, &signer.der, signer.chain.leaf_key());
        assert_eq!(
            signer.verify(&text).unwrap_err(),
            RimError::Schema(field),
            "{old} -> {new}"
        );
    }
    let mut silent = draft();
    silent
        .resources
        .iter_mut()
        .for_each(|resource| resource.1 = false);
    assert_eq!(
        signer.verify(&signer.sign(&silent)).unwrap_err(),
        RimError::Schema(Payload)
    );
    let mut many = draft();
    many.resources[0].2 = vec![measurement(0); crate::limits::RIM_ALTERNATIVES + 1];
    assert_eq!(
        signer.verify(&signer.sign(&many)).unwrap_err(),
        RimError::Schema(Resource(0))
    );
}

/// Positions at which any change must be refused: all of them, in steps that still end in a test's time.
fn every_byte_counts(bytes: &[u8], anchors: &Anchors, now: Timestamp, step: usize) {
    assert!(verify_rim(bytes, &[], anchors, now).is_ok());
    let mut altered = bytes.to_vec();
    for place in (0..bytes.len()).step_by(step) {
        let bit = 1 << (place % 7);
        altered[place] ^= bit;
        assert!(verify_rim(&altered, &[], anchors, now).is_err(), "byte {place}");
        altered[place] ^= bit;
    }
}

#[test]
fn every_byte_of_a_rim_counts_but_line_feeds_after_it() {
    let mut small = draft();
    small.resources = vec![(0, true, vec![measurement(0), measurement(1)])];
    let signer = signer();
    let text = small.sign_as_nvidia(&signer.der, signer.chain.leaf_key());
    every_byte_counts(text.as_bytes(), &signer.anchors, AT, 1);
    let whole = text.trim_end().len();
    assert!(signer.verify(&text[..whole]).is_ok());
    for length in 0..whole {
        let error = signer.verify(&text[..length]).unwrap_err();
        assert!(matches!(error, RimError::Xml { .. }), "{length}: {error}");
    }
}

#[test]
fn bytes_of_real_rims_of_each_kind_count() {
    // 2024-06-01 and 2026-06-01.
    for (path, now) in [
        ("h100-545-gonvtrust/driver_rim.xml", 1_717_200_000),
        ("h100-545-gonvtrust/vbios_rim.xml", 1_717_200_000),
        ("ls10-switch-sdk/vbios_rim.xml", 1_780_272_000),
    ] {
        let test = "bytes_of_real_rims_of_each_kind_count";
        let Some(real) = testdata::evidence(test, &format!("nvidia/{path}")) else {
            return;
        };
        let (anchors, now) = (Anchors::nvidia(), Timestamp::from_unix(now));
        // 37 is prime to the length of every line that repeats.
        let step = if testdata::thorough() { 1 } else { 37 };
        every_byte_counts(&real, &anchors, now, step);
        let whole = real.trim_ascii_end().len();
        for length in (0..whole).step_by(step) {
            assert!(
                verify_rim(&real[..length], &[], &anchors, now).is_err(),
                "{path}: {length}"
            );
        }
    }
}
