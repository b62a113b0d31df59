//! Binding under a fake authority: what is refused, and by which check.

use super::super::fake::{
    AK_ATTRIBUTES, ENDORSEMENT, Fake, FakeKey, VM, claims, hcl, td_report, td_report_of,
};
use super::*;

fn refused(fake: &Fake, check: Check) {
    assert_eq!(fake.bind_snp().unwrap_err(), AzureError::Binding { check });
}

#[test]
fn evidence_of_either_key_and_either_hardware_binds() {
    for key in [FakeKey::rsa(), FakeKey::p256()] {
        let fake = Fake::new(key);
        let guest = fake.bind_snp().unwrap();
        assert!(guest.vm.secure_boot() && !guest.vm.console_enabled());
        assert_eq!(guest.registers.iter().count(), 24);
        assert_eq!(
            guest.registers.get(CONFIGURATION_REGISTER),
            Some(&Digest::new([8; 32]))
        );
        assert_eq!(
            (guest.clock.resets, guest.clock.restarts, guest.clock.safe),
            (3, 2, true)
        );
        assert_eq!(guest.clock.firmware_version, 0x2020_0312_0012_0003);
        let name = key.qualified_name(AK_ATTRIBUTES, ENDORSEMENT);
        assert_eq!(*guest.attestation_key.as_bytes(), name);

        for service_td in [[0; 48], [3; 48]] {
            let (report, body) = td_report(&fake.report_data, service_td);
            let bytes = hcl(4, &report, fake.claims.as_bytes());
            assert!(fake.bind(&bytes, &Signed::Td(body.into())).is_ok());
        }
    }
}

#[test]
fn the_hardware_report_inside_is_the_one_that_was_verified() {
    let fake = Fake::new(FakeKey::rsa());
    let report = fake.snp_report();
    let bytes = hcl(2, &report, fake.claims.as_bytes());
    // Any field that differs, also of two that are right for themselves.
    for (at, bit) in [(4, 1), (0x50, 1), (0x90, 1), (0x180, 1), (0x1f8, 2)] {
        let mut other = report;
        other[at] ^= bit;
        let other = snp::Report::parse(&other).unwrap();
        let error = fake.bind(&bytes, &Signed::Snp(&other)).unwrap_err();
        assert_eq!(error, wrong(Check::HardwareReport), "{at}");
    }
    let report = snp::Report::parse(&report).unwrap();
    let unreadable = hcl(2, &[0x5a; 1184], fake.claims.as_bytes());
    let error = fake.bind(&unreadable, &Signed::Snp(&report)).unwrap_err();
    assert_eq!(error, wrong(Check::HardwareReport));
    let (td, body) = td_report(&fake.report_data, [0; 48]);
    assert_eq!(
        fake.bind(&bytes, &Signed::Td(body.into())).unwrap_err(),
        wrong(Check::HardwareKind)
    );
    let bytes = hcl(4, &td, fake.claims.as_bytes());
    assert_eq!(
        fake.bind(&bytes, &Signed::Snp(&report)).unwrap_err(),
        wrong(Check::HardwareKind)
    );
}

#[test]
fn a_quote_was_made_of_the_tdreport_inside() {
    let fake = Fake::new(FakeKey::rsa());
    let refused = |change: &dyn Fn(&mut QuotedBody)| {
        let (report, mut body) = td_report(&fake.report_data, [3; 48]);
        change(&mut body);
        let bytes = hcl(4, &report, fake.claims.as_bytes());
        assert_eq!(
            fake.bind(&bytes, &Signed::Td(body.into())).unwrap_err(),
            wrong(Check::HardwareReport)
        );
    };
    refused(&|body| body.seam[119] ^= 1);
    refused(&|body| body.td[0] ^= 1);
    refused(&|body| body.report_data[63] ^= 1);
    refused(&|body| body.newer = Some(([9; 16], [3; 48])));
    refused(&|body| body.newer = Some(([8; 16], [4; 48])));
    let (report, mut body) = td_report(&fake.report_data, [3; 48]);
    body.newer = None;
    let bytes = hcl(4, &report, fake.claims.as_bytes());
    assert!(fake.bind(&bytes, &Signed::Td(body.into())).is_ok());
}

#[test]
fn the_report_data_are_the_hash_of_the_claims_and_zeros() {
    let mut fake = Fake::new(FakeKey::rsa());
    fake.report_data[31] ^= 1;
    refused(&fake, Check::ReportDataClaims);
    let mut fake = Fake::new(FakeKey::rsa());
    // The same claims to JSON, and other bytes: they are hashed as received.
    fake.claims = fake.claims.replacen(':', ": ", 1);
    refused(&fake, Check::ReportDataClaims);
    for at in 32..64 {
        let mut fake = Fake::new(FakeKey::rsa());
        fake.report_data[at] = 1;
        refused(&fake, Check::ReportDataZero);
    }
    // The 64 bytes themselves in the hardware report, as on a machine without a paravisor.
    let mut fake = Fake::new(FakeKey::rsa());
    fake.report_data = *fake.expected.as_bytes();
    refused(&fake, Check::ReportDataClaims);
}

#[test]
fn the_64_bytes_are_in_the_claims() {
    let mut fake = Fake::new(FakeKey::rsa());
    let right = fake.claims.clone();
    fake.claim(claims(&fake.key.jwk(), VM, &ReportData::new([0; 64])));
    refused(&fake, Check::UserData);
    let mut last = *fake.expected.as_bytes();
    last[63] ^= 1;
    fake.claim(claims(&fake.key.jwk(), VM, &ReportData::new(last)));
    refused(&fake, Check::UserData);
    let at = right.find(",\"user-data\"").unwrap();
    fake.claim(format!("{}}}", &right[..at]));
    refused(&fake, Check::UserData);
    // Upper case is the same bytes, under their own hash.
    let (head, tail) = right.split_at(at + 14);
    fake.claim(format!("{head}{}", tail.to_uppercase()));
    assert!(fake.bind_snp().is_ok());
}

#[test]
fn only_the_key_of_the_claims_signs() {
    let mut fake = Fake::new(FakeKey::rsa());
    fake.signer = FakeKey::other_rsa();
    refused(&fake, Check::QuoteSignature);
    fake.signer = FakeKey::p256();
    refused(&fake, Check::QuoteSignature);
    let mut fake = Fake::new(FakeKey::p256());
    fake.signer = FakeKey::rsa();
    refused(&fake, Check::QuoteSignature);
    // A quote of another genuine vTPM, with that vTPM's own hardware report beside it: the claims decide.
    let mut fake = Fake::new(FakeKey::rsa());
    fake.key = FakeKey::other_rsa();
    fake.signer = FakeKey::other_rsa();
    refused(&fake, Check::QuoteSignature);
}

#[test]
fn the_scheme_follows_from_the_key() {
    let fake = Fake::new(FakeKey::rsa());
    let report = fake.snp_report();
    let bytes = hcl(2, &report, fake.claims.as_bytes());
    let report = snp::Report::parse(&report).unwrap();
    let message = fake.message();
    let bind = |signature: &[u8]| fake.bind_quote(&bytes, &Signed::Snp(&report), &message, signature);
    let shape = |at| AzureError::Quote {
        check: Check::QuoteSignatureShape,
        at,
    };
    assert_eq!(bind(&fake.key.sign_pss(&message, 0x16)).unwrap_err(), shape(4));
    assert_eq!(
        bind(&fake.key.sign_pss(&message, 0x14)).unwrap_err(),
        wrong(Check::QuoteSignature)
    );
    let right = fake.key.sign(&message);
    assert!(bind(&right).is_ok());
    for at in 0..right.len() {
        for bit in 0..8 {
            let mut changed = right.clone();
            changed[at] ^= 1 << bit;
            assert!(bind(&changed).is_err(), "{at}.{bit}");
        }
        assert!(bind(&right[..at]).is_err(), "{at}");
    }
    assert!(bind(&[right.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn the_signer_is_a_restricted_key_fixed_to_its_tpm() {
    for key in [FakeKey::rsa(), FakeKey::p256()] {
        let mut fake = Fake::new(key);
        for bit in 0..32 {
            fake.attributes = AK_ATTRIBUTES ^ (1 << bit);
            refused(&fake, Check::QuoteSigner);
        }
        fake.attributes = AK_ATTRIBUTES;
        for hierarchy in [0x4000_0001, 0x4000_0007, 0x4000_000c] {
            fake.hierarchy = hierarchy;
            refused(&fake, Check::QuoteSigner);
        }
    }
}

#[test]
fn the_qualifying_data_are_sha256_of_the_64_bytes() {
    let mut fake = Fake::new(FakeKey::rsa());
    let right = fake.qualifying_data.clone();
    for wrong in [
        fake.expected.as_bytes().to_vec(),
        Vec::new(),
        b"challenge".to_vec(),
        right[..31].to_vec(),
        [right.as_slice(), &[0]].concat(),
    ] {
        fake.qualifying_data = wrong;
        refused(&fake, Check::QuoteQualifyingData);
    }
    let mut other = *fake.expected.as_bytes();
    other[0] ^= 1;
    fake.qualifying_data = sha256(&[&other]).as_bytes().to_vec();
    refused(&fake, Check::QuoteQualifyingData);
}

#[test]
fn the_digest_is_that_of_the_values() {
    let fake = Fake::new(FakeKey::rsa());
    let report = fake.snp_report();
    let bytes = hcl(2, &report, fake.claims.as_bytes());
    let report = snp::Report::parse(&report).unwrap();
    let message = fake.message();
    let signature = fake.key.sign(&message);
    for index in 0..24 {
        let mut values = fake.values.clone();
        values[index] = Digest::new([0xaa; 32]);
        let quote = Quote::parse(&message, &signature, &values).unwrap();
        let hcl = HclReport::parse(&bytes).unwrap();
        let error = Guest::bind(&hcl, &Signed::Snp(&report), quote, &fake.expected).unwrap_err();
        assert_eq!(error, wrong(Check::QuotePcrDigest), "{index}");
    }
}

#[test]
fn no_bit_of_the_quote_is_without_meaning() {
    let fake = Fake::new(FakeKey::p256());
    let report = fake.snp_report();
    let bytes = hcl(2, &report, fake.claims.as_bytes());
    let report = snp::Report::parse(&report).unwrap();
    let message = fake.message();
    let signature = fake.key.sign(&message);
    let bind = |message: &[u8]| fake.bind_quote(&bytes, &Signed::Snp(&report), message, &signature);
    assert!(bind(&message).is_ok());
    for at in 0..message.len() {
        for bit in 0..8 {
            let mut changed = message.clone();
            changed[at] ^= 1 << bit;
            assert!(bind(&changed).is_err(), "{at}.{bit}");
        }
        assert!(bind(&message[..at]).is_err(), "{at}");
    }
}

#[test]
fn the_configuration_is_extended_once_onto_zero() {
    let configuration = Digest::new([7; 32]);
    let extended = configuration_register_of(&configuration);
    assert_eq!(
        extended.to_string(),
        "daf6d3e6ad66990aba2fae6e6c61f18b2d48f0ca6c29d2cfa19ab41f5a865231"
    );
    assert_eq!(CONFIGURATION_REGISTER, 8);
}

/// Hardware and all: a fake AMD's chip, the paravisor it runs, and that one's vTPM.
#[test]
fn a_guest_on_a_fake_chip_is_verified_from_end_to_end() {
    let mut chip = snp::fake::Fake::vcek(snp::Product::Milan);
    let vek = chip.prove().unwrap();
    let fake = Fake::new(FakeKey::rsa());
    chip.report[0x50..0x90].copy_from_slice(&fake.report_data);
    let report = chip.signed_report();
    let bytes = hcl(2, &report, fake.claims.as_bytes());
    let message = fake.message();
    let signature = fake.key.sign(&message);
    let verify = |bytes: &[u8]| {
        let hcl = HclReport::parse(bytes).ok()?;
        let HclHardware::Snp(inside) = hcl.hardware() else {
            return None;
        };
        let hardware = snp::VerifiedReport::verify(inside.as_slice(), &vek, snp::fake::AT).ok()?;
        let quote = Quote::parse(&message, &signature, &fake.values).ok()?;
        bind(&hcl, Hardware::Snp(Box::new(hardware)), quote, &fake.expected).ok()
    };
    let guest = verify(&bytes).unwrap();
    assert_eq!(guest.class(), Class::Insecure);
    assert_eq!(*guest.hcl_measurement(), Digest::new([0xa4; 48]));
    assert_eq!(guest.configuration_register(), Some(&fake.values[8]));
    assert!(guest.vm_configuration().secure_boot());
    assert_eq!(guest.clock().resets, 3);
    assert_eq!(guest.registers().iter().count(), 24);
    let name = fake.key.qualified_name(AK_ATTRIBUTES, ENDORSEMENT);
    assert_eq!(*guest.attestation_key_name().as_bytes(), name);
    assert!(matches!(guest.hardware(), Hardware::Snp(report) if report.report().vmpl == 0));

    // Every bit of it, the hardware report's signature included. What is unchanged was proven once.
    let proven = guest.hardware().signed().unwrap();
    let mut changed = bytes.clone();
    for at in 0..changed.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            if (32..1216).contains(&at) {
                assert!(verify(&changed).is_none(), "{at}.{bit}");
            } else {
                let refused = fake.bind_quote(&changed, &proven, &message, &signature).is_err();
                assert!(refused, "{at}.{bit}");
            }
            changed[at] ^= 1 << bit;
        }
    }
}

thread_local! {
    /// What the fake Intel's quote is made over: a plan changes a body without knowing for whom.
    static REPORT_DATA: std::cell::Cell<[u8; 64]> = const { std::cell::Cell::new([0; 64]) };
}

/// The same on TDX: a fake Intel quotes the domain in which the paravisor runs.
#[test]
fn a_guest_in_a_fake_domain_is_verified_from_end_to_end() {
    let fake = Fake::new(FakeKey::rsa());
    REPORT_DATA.set(fake.report_data);
    let quoted = || tdx::tests::verified(|body| body[520..584].copy_from_slice(&REPORT_DATA.get()));
    let hardware = quoted();
    let body = QuotedBody::new(hardware.body()).unwrap();
    let report = td_report_of(&body);
    let bytes = hcl(4, &report, fake.claims.as_bytes());
    let message = fake.message();
    let signature = fake.key.sign(&message);
    let bound = |bytes: &[u8], hardware, expected: &ReportData| {
        let quote = Quote::parse(&message, &signature, &fake.values)?;
        bind(
            &HclReport::parse(bytes)?,
            Hardware::Tdx(Box::new(hardware)),
            quote,
            expected,
        )
    };
    let measurement = hardware.body().mr_td;
    let guest = bound(&bytes, hardware, &fake.expected).unwrap();
    assert_eq!(
        (guest.class(), *guest.hcl_measurement()),
        (Class::Insecure, measurement)
    );
    assert!(matches!(guest.hardware(), Hardware::Tdx(_)));

    let stale = bound(&bytes, quoted(), &ReportData::new([0; 64]));
    assert_eq!(stale.unwrap_err(), wrong(Check::UserData));
    REPORT_DATA.set([1; 64]);
    assert_eq!(
        bound(&bytes, quoted(), &fake.expected).unwrap_err(),
        wrong(Check::HardwareReport)
    );
}
