//! Verification of reports: a fake authority's, and real ones with the verdicts of their collection.

use super::fake::{AT, Fake, integer};
use super::*;
use crate::claims::Class;
use crate::x509::forge::{CrlDraft, Key, NOW, constraints, extension, name, tlv};
use anchorhold_encoding::Digest;

mod bits;
mod oracle;
pub(crate) mod real;
mod table;

#[test]
fn every_field_is_read_from_its_place() {
    let proven = Fake::vcek(Product::Genoa).verify().unwrap();
    let report = proven.report();
    let tcb = Tcb {
        fmc: None,
        boot_loader: 4,
        tee: 1,
        snp: 23,
        microcode: 213,
    };
    assert_eq!((report.version, report.guest_svn, report.vmpl), (5, 7, 0));
    assert_eq!((report.policy.bits(), report.policy.abi()), (0x3_001f, (0, 31)));
    assert_eq!(
        (
            report.policy.has(PolicyBit::Smt),
            report.policy.has(PolicyBit::Debug)
        ),
        (true, false)
    );
    assert_eq!((report.family_id, report.image_id), ([0xa1; 16], [0xa2; 16]));
    assert!(report.platform_info.has(PlatformBit::AliasCheckComplete));
    assert_eq!(
        (report.platform_info.bits(), report.platform_info.unknown()),
        (0x25, 0)
    );
    assert_eq!(
        (report.signing_key, report.author_key_enabled),
        (SigningKey::Vcek, false)
    );
    assert_eq!(report.report_data, Digest::new([0xa3; 64]));
    assert_eq!(report.measurement, Digest::new([0xa4; 48]));
    assert_eq!(report.host_data, Digest::new([0xa5; 32]));
    assert_eq!(report.id_key_digest, Digest::new([0xa6; 48]));
    assert_eq!(report.author_key_digest, Digest::new([0xa7; 48]));
    assert_eq!((report.report_id, report.report_id_ma), ([0xa8; 32], [0xa9; 32]));
    for found in [
        report.current_tcb,
        report.reported_tcb,
        report.committed_tcb,
        report.launch_tcb,
    ] {
        assert_eq!(found, tcb);
    }
    let firmware = |minor, build| Firmware {
        major: 1,
        minor,
        build,
    };
    assert_eq!(
        (report.current_firmware, report.committed_firmware),
        (firmware(55, 3), firmware(54, 2))
    );
    assert_eq!(
        (report.launch_mitigations, report.current_mitigations),
        (Some(1), Some(3))
    );
    assert_eq!(
        (report.chip_id[0], report.chip_id[63], report.chip_id_masked()),
        (1, 64, false)
    );
    assert_eq!(
        (report.product(), proven.product()),
        (Some(Product::Genoa), Product::Genoa)
    );
    assert_eq!(proven.class(), Class::Insecure);
    assert_eq!(Anchors::amd().class(), Class::Real);
    assert!(proven.not_after() > AT);
    assert_eq!(tcb.to_string(), "BOOT_LOADER 4 TEE 1 SNP 23 MICROCODE 213");
}

#[test]
fn each_product_and_each_kind_of_key_is_proven() {
    for product in Product::ALL {
        let proven = Fake::vcek(product).verify().unwrap();
        assert_eq!(
            proven.report().reported_tcb.fmc.is_some(),
            product == Product::Turin
        );
        assert!(matches!(proven.signer(), SignerKind::Vcek { .. }));
        let proven = Fake::vlek(product).verify().unwrap();
        let SignerKind::Vlek { provider } = proven.signer() else {
            panic!("a VLEK");
        };
        assert_eq!(provider, "CN=cc-test.example");
        assert!(proven.report().chip_id_masked());
    }
}

#[test]
fn versions_two_to_four_have_no_later_fields() {
    for version in 2..=4 {
        let mut fake = Fake::vcek(Product::Milan);
        fake.report[0] = version;
        assert_eq!(fake.refusal(), "snp-report-reserved");
        fake.report[0x1f8..0x208].fill(0);
        if version == 2 {
            assert_eq!(fake.refusal(), "snp-report-reserved");
            fake.report[0x188..0x18b].fill(0);
        }
        let proven = fake.verify().unwrap();
        assert_eq!(proven.report().product().is_some(), version > 2);
        assert_eq!(proven.report().launch_mitigations, None);
    }
    for version in [0, 1, 6, 255] {
        let mut fake = Fake::vcek(Product::Milan);
        fake.report[0] = version;
        assert_eq!(fake.refusal(), "snp-report-version");
    }
}

#[test]
fn a_report_that_is_not_one_is_refused_by_name_and_place() {
    let cases: &[(usize, u8, &str)] = &[
        (0x0a, 0x01, "snp-report-policy-reserved"),
        (0x30, 4, "snp-report-vmpl"),
        (0x34, 2, "snp-report-signature-algorithm"),
        (0x48, 0x20, "snp-report-reserved"),
        (0x48, 0x02, "snp-report-unsigned"),
        (0x48, 7 << 2, "snp-report-unsigned"),
        (0x48, 2 << 2, "snp-report-signing-key"),
        (0x4c, 1, "snp-report-reserved"),
        (0x188, 0x18, "snp-report-cpuid"),
        (0x189, 0x20, "snp-report-cpuid"),
        (0x18b, 1, "snp-report-reserved"),
        (0x1eb, 1, "snp-report-reserved"),
        (0x1ef, 1, "snp-report-reserved"),
        (0x208, 1, "snp-report-reserved"),
        (0x29f, 1, "snp-report-reserved"),
        (0x3a, 1, "snp-report-tcb-reserved"),
        (0x185, 1, "snp-report-tcb-reserved"),
        (0x1e2, 1, "snp-report-tcb-reserved"),
        (0x1f3, 1, "snp-report-tcb-reserved"),
        (0x2d0, 1, "snp-report-signature-padding"),
        (0x318, 1, "snp-report-signature-padding"),
        (0x49f, 1, "snp-report-signature-padding"),
    ];
    for (place, byte, id) in cases {
        let mut fake = Fake::vcek(Product::Milan);
        fake.report[*place] = *byte;
        assert_eq!(fake.refusal(), *id, "{place:#x}");
    }
    let mut fake = Fake::vcek(Product::Turin);
    fake.report[0x1a8] = 1;
    let error = fake.verify().unwrap_err();
    let check = ReportCheck::ChipIdPadding;
    assert_eq!(error, SnpError::Report { check, offset: 0x1a8 });
}

#[test]
fn unknown_bits_are_shown_and_not_refused() {
    let mut fake = Fake::vcek(Product::Turin);
    fake.report[0x40] = 0x67;
    fake.report[0x0b] |= 0x80;
    let proven = fake.verify().unwrap();
    assert_eq!(proven.report().platform_info.unknown(), 0x40);
    assert_eq!(proven.report().policy.unknown(), 0x8000_0000);
}

#[test]
fn a_report_whose_tcb_is_above_its_certificates_is_refused() {
    for (place, component) in [
        (0x180, Component::BootLoader),
        (0x181, Component::Tee),
        (0x186, Component::Snp),
        (0x187, Component::Microcode),
    ] {
        for step in [1, 255] {
            let mut fake = Fake::vcek(Product::Milan);
            let certified = fake.report[place];
            fake.report[place] = certified.wrapping_add(step);
            let reported = fake.report[place];
            let expected = SnpError::Tcb {
                component,
                reported,
                certified,
            };
            assert_eq!(fake.verify().unwrap_err(), expected);
        }
    }
    let mut fake = Fake::vcek(Product::Turin);
    fake.report[0x180] = 2;
    assert_eq!(fake.refusal(), "snp-binding-tcb");
    // The host may run a newer TCB than it reports; only the reported one is certified.
    let mut fake = Fake::vcek(Product::Milan);
    fake.report[0x3e] = 24;
    fake.verify().unwrap();
}

#[test]
fn report_and_certificate_belong_together() {
    let mut fake = Fake::vcek(Product::Milan);
    fake.report[0x1a0] ^= 1;
    assert_eq!(fake.refusal(), "snp-binding-chip-id");
    fake.report[0x1a0..0x1e0].fill(0);
    assert_eq!(fake.refusal(), "snp-binding-chip-id");
    let mut fake = Fake::vcek(Product::Milan);
    fake.report[0x48] = 1 << 2;
    assert_eq!(fake.refusal(), "snp-binding-signing-key");
    let mut fake = Fake::vlek(Product::Milan);
    fake.report[0x48] = 0;
    assert_eq!(fake.refusal(), "snp-binding-signing-key");
    let mut fake = Fake::vcek(Product::Milan);
    fake.report[0x189] = 0x11;
    assert_eq!(fake.refusal(), "snp-binding-product");
    let fake = Fake::vcek(Product::Milan);
    let vek = fake.prove().unwrap();
    let later = vek.not_after().plus(1);
    let error = VerifiedReport::verify(&fake.signed_report(), &vek, later).unwrap_err();
    assert_eq!(error.id(), "snp-binding-time");
    let other = Fake::vcek(Product::Milan);
    let error = VerifiedReport::verify(&other.signed_report(), &vek, AT).unwrap_err();
    assert_eq!(error.id(), "snp-report-signature");
}

#[test]
fn a_version_two_report_is_never_turins() {
    let mut fake = Fake::vcek(Product::Turin);
    fake.report[0] = 2;
    for place in [0x38, 0x180, 0x1e0, 0x1f0] {
        fake.report[place..place + 8].fill(0);
    }
    fake.report[0x188..0x18b].fill(0);
    fake.report[0x1f8..0x208].fill(0);
    assert_eq!(fake.refusal(), "snp-binding-product");
}

#[test]
fn a_certificate_that_is_no_veks_is_refused() {
    let cases: &[(&'static str, Vec<u8>, &str)] = &[
        ("1", integer(1), "snp-vek-structure-version"),
        ("2", tlv(0x16, b"Rome"), "snp-vek-product"),
        ("2", tlv(0x16, b"Milan-B0-x"), "snp-vek-product"),
        ("2", tlv(0x16, b"Genoa"), "snp-vek-product"),
        ("2", tlv(0x0c, b"Milan"), "snp-vek-extensions"),
        ("3.1", integer(5), "snp-binding-tcb"),
        ("3.1", vec![2, 2, 1, 0], "snp-vek-extensions"),
        ("3.1", vec![2, 2, 0, 4], "snp-vek-extensions"),
        ("3.1", vec![2, 1, 0xff], "snp-vek-extensions"),
        ("3.4", integer(1), "snp-vek-reserved-level"),
        ("3.9", integer(0), "snp-vek-extensions"),
        ("3.10", integer(0), "snp-vek-extensions"),
        ("4", vec![1; 63], "snp-vek-extensions"),
        ("4", vec![0; 64], "snp-vek-kind"),
        ("5", tlv(0x16, b"CN=x"), "snp-vek-kind"),
    ];
    for (oid, content, id) in cases {
        let mut fake = Fake::vcek(Product::Milan);
        fake.state(oid, content.clone());
        assert_eq!(fake.refusal(), *id, "{oid} {content:?}");
    }
    for missing in ["1", "2", "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8"] {
        let mut fake = Fake::vcek(Product::Milan);
        fake.statements.retain(|(oid, _)| *oid != missing);
        assert_eq!(fake.refusal(), "snp-vek-extensions", "{missing}");
    }
    let mut fake = Fake::vcek(Product::Milan);
    fake.state("2", tlv(0x16, b"Milan-B0"));
    fake.verify().unwrap();
    let mut fake = Fake::vcek(Product::Milan);
    fake.statements.retain(|(oid, _)| *oid != "4");
    assert_eq!(fake.refusal(), "snp-vek-kind");
    let mut fake = Fake::vcek(Product::Milan);
    fake.vek.subject = name("SEV-VLEK");
    assert_eq!(fake.refusal(), "snp-vek-kind");
    for key in [Key::p256(), Key::rsa()] {
        let mut fake = Fake::vcek(Product::Milan);
        fake.vek_key = key;
        assert_eq!(fake.prove().unwrap_err().id(), "snp-vek-key");
    }
}

#[test]
fn the_authority_is_the_products_for_this_kind_of_key() {
    for wrong in ["SEV-VLEK-Milan", "SEV-Genoa", "ARK-Milan", "SEV-Milan2", "SEV-"] {
        let mut fake = Fake::vcek(Product::Milan);
        (fake.ask.subject, fake.vek.issuer) = (name(wrong), name(wrong));
        assert_eq!(fake.refusal(), "snp-vek-authority", "{wrong}");
    }
    let mut fake = Fake::vlek(Product::Milan);
    (fake.ask.subject, fake.vek.issuer) = (name("SEV-Milan"), name("SEV-Milan"));
    assert_eq!(fake.refusal(), "snp-vek-authority");
}

#[test]
fn only_the_pinned_root_counts() {
    let fake = Fake::vcek(Product::Milan);
    let (vek, authority) = (fake.vek_der(), fake.ask_der());
    let root = fake.ark.sign(&fake.ark_key, &fake.ark_key);
    let other = Key::rsa();
    let impostor = fake.ark.sign(&other, &other);
    let with = |root| Endorsements {
        vek: &vek,
        authority: &authority,
        root,
        crl: None,
    };
    VerifiedVek::verify(&with(Some(&root)), &fake.anchors(), AT).unwrap();
    let error = VerifiedVek::verify(&with(Some(&impostor)), &fake.anchors(), AT).unwrap_err();
    assert_eq!(error.id(), "snp-vek-authority");
    let error = VerifiedVek::verify(&with(None), Anchors::amd(), AT).unwrap_err();
    assert_eq!(error.id(), "x509-issuer");
}

#[test]
fn every_certificate_is_judged_as_one() {
    let refusal = |change: fn(&mut Fake)| {
        let mut fake = Fake::vcek(Product::Milan);
        change(&mut fake);
        let error = fake.verify().unwrap_err();
        let SnpError::Certificate { whose, .. } = error else {
            panic!("{error}");
        };
        (whose, error.id())
    };
    assert_eq!(
        refusal(|fake| fake.vek.until = NOW - 1),
        (Whose::Vek, "x509-expired")
    );
    assert_eq!(
        refusal(|fake| fake.ask.until = NOW - 1),
        (Whose::Authority, "x509-expired")
    );
    assert_eq!(
        refusal(|fake| fake.ark.until = NOW - 1),
        (Whose::Root, "x509-expired")
    );
    assert_eq!(
        refusal(|fake| fake.vek.from = NOW + 1),
        (Whose::Vek, "x509-not-yet-valid")
    );
    assert_eq!(
        refusal(|fake| fake.vek.issuer = name("SEV-Genoa")),
        (Whose::Vek, "x509-issuer")
    );
    assert_eq!(
        refusal(|fake| fake.vek.extensions = vec![constraints(None)]),
        (Whose::Vek, "x509-leaf-is-authority")
    );
    assert_eq!(
        refusal(|fake| fake.vek.extensions = vec![extension("1.2.3", true, b"")]),
        (Whose::Vek, "x509-critical-extension")
    );
    assert_eq!(
        refusal(|fake| fake.ask.extensions = vec![constraints(None)]),
        (Whose::Authority, "x509-key-usage")
    );
    assert_eq!(
        refusal(|fake| fake.vek.mismatch = true),
        (Whose::Vek, "x509-algorithm-mismatch")
    );
}

#[test]
fn revocation_is_checked_when_a_list_is_given_and_said_when_not() {
    let mut fake = Fake::vcek(Product::Milan);
    let proven = fake.verify().unwrap();
    let Revocation::NotRevoked {
        number, next_update, ..
    } = proven.revocation()
    else {
        panic!("a list was given");
    };
    assert_eq!(number, &[1]);
    assert!(proven.not_after() <= *next_update);
    let list = CrlDraft::empty("ARK-Milan");
    let mut refusal = |draft: CrlDraft| {
        fake.crl = Some(draft);
        let error = fake.verify().unwrap_err();
        assert!(matches!(error, SnpError::Crl(_)));
        error.id()
    };
    let with = |change: fn(&mut CrlDraft)| {
        let mut draft = list.clone();
        change(&mut draft);
        draft
    };
    assert_eq!(refusal(with(|list| list.revoked = vec![vec![2]])), "x509-revoked");
    assert_eq!(
        refusal(with(|list| list.next_update = Some(NOW - 1))),
        "x509-expired"
    );
    assert_eq!(
        refusal(with(|list| list.this_update = NOW + 1)),
        "x509-not-yet-valid"
    );
    assert_eq!(
        refusal(with(|list| list.issuer = name("ARK-Genoa"))),
        "x509-issuer"
    );
    fake.crl = Some(with(|list| list.revoked = vec![vec![3]]));
    fake.verify().unwrap();
    fake.crl = None;
    assert_eq!(fake.verify().unwrap().revocation(), &Revocation::NotChecked);
}

#[test]
fn every_check_has_its_own_identifier_and_its_line_in_the_documentation() {
    let page = include_str!("../../../docs/platforms/snp.md");
    let mut ids: Vec<&str> = [
        ReportCheck::ALL
            .iter()
            .map(|check| check.id())
            .collect::<Vec<_>>(),
        VekCheck::ALL.iter().map(|check| check.id()).collect(),
        BindingCheck::ALL.iter().map(|check| check.id()).collect(),
        TableCheck::ALL.iter().map(|check| check.id()).collect(),
    ]
    .concat();
    for id in &ids {
        assert!(page.contains(&format!("| `{id}` |")), "{id}");
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

proptest::proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..1300)) {
        let _ = Report::parse(&bytes);
        let _ = CertTable::parse(&bytes);
    }

    #[test]
    fn no_bytes_of_the_right_length_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, REPORT_LENGTH)) {
        let mut bytes = bytes;
        bytes[..4].copy_from_slice(&[3, 0, 0, 0]);
        let _ = Report::parse(&bytes);
    }
}

#[test]
fn errors_tell_what_where_and_what_to_do() {
    let error = Report::parse(&[0; 10]).unwrap_err();
    assert_eq!(error.to_string(), "the report is not 1184 bytes (byte 10)");
    assert!(error.hint().contains("HCL"));
}
