//! Simulated evidence through the real path, and everything that is refused there.

mod hardware;

use proptest::prelude::*;

use super::*;
use crate::fixture::{at, platform, simulated_evidence};
use crate::simulated::ReportError;
use crate::{DeviceEvidence, DevicesDigest, Nonce, NonceBatch, ReceivedIdentity};
use anchorhold_encoding::Digest;

fn data() -> crate::ReportData {
    let batch = NonceBatch::collect(vec![Nonce::from_random([9; 32])]).unwrap();
    batch.report_data(&Digest::new([1; 64]), &DevicesDigest::of(&[]))
}

fn check(report: Vec<u8>) -> Result<Verified<Claims>, VerifyError> {
    let evidence = Evidence::new(Platform::InsecureSimulated, report, vec![]).unwrap();
    verify(&evidence, &Endorsements::none(), &Anchors::compiled(), at(0))
}

#[test]
fn claims_are_what_was_signed() {
    let machine = platform();
    let evidence = simulated_evidence(&machine, &data());
    let verified = verify(&evidence, &Endorsements::none(), &Anchors::compiled(), at(0)).unwrap();
    let claims = verified.get();
    assert_eq!(claims.platform, Platform::InsecureSimulated);
    assert_eq!(claims.class, crate::Class::Insecure);
    assert_eq!(claims.product, Product::InsecureSimulated);
    assert_eq!(claims.measurement, machine.measurement);
    assert_eq!(claims.config, FixedConfig::HostData(machine.host_data));
    assert_eq!(
        claims.chip_ids,
        vec![ChipId::new(machine.chip_id.as_bytes()).unwrap()]
    );
    assert!(matches!(claims.hardware, Hardware::Simulated { tcb: 7 }));
    assert!(!claims.debug);
    assert_eq!(claims.report_data, data());
    assert_eq!(claims.evidence_digest, evidence.digest());
    assert_eq!(claims.expires, Timestamp::MAX);
    assert!(claims.devices.is_empty());

    let mut machine = platform();
    machine.debug = true;
    assert!(check(machine.report(&data())).unwrap().get().debug);
}

#[test]
fn every_byte_of_a_report_counts() {
    let report = platform().report(&data());
    assert!(check(report.clone()).is_ok());
    for at in 0..report.len() {
        for flip in [1, 0x80] {
            let mut changed = report.clone();
            changed[at] ^= flip;
            let expected = match at {
                0..12 => VerifyError::Report(ReportError::Format),
                12..15 => VerifyError::Report(ReportError::ReservedBits),
                15 if flip == 0x80 => VerifyError::Report(ReportError::ReservedBits),
                _ => VerifyError::Signature,
            };
            assert_eq!(check(changed).unwrap_err(), expected, "byte {at}");
        }
    }
}

#[test]
fn a_report_has_one_length() {
    let report = platform().report(&data());
    for length in 0..report.len() {
        let error = check(report[..length].to_vec()).unwrap_err();
        assert_eq!(error, VerifyError::Report(ReportError::Length));
    }
    let longer = [report, vec![0]].concat();
    let error = check(longer).unwrap_err();
    assert_eq!(error, VerifyError::Report(ReportError::Length));
}

#[test]
fn a_device_without_a_verifier_is_refused() {
    let device = DeviceEvidence::new("gpu".to_owned(), vec![1], vec![vec![2]]).unwrap();
    let report = platform().report(&data());
    let evidence = Evidence::new(Platform::InsecureSimulated, report, vec![device]).unwrap();
    let error = verify(&evidence, &Endorsements::none(), &Anchors::compiled(), at(0)).unwrap_err();
    assert_eq!(error, VerifyError::DeviceKind);
}

#[test]
fn errors_have_text_and_a_hint() {
    let table = [
        (
            VerifyError::Report(ReportError::Length),
            "the report has a wrong length",
        ),
        (
            VerifyError::Report(ReportError::Format),
            "the report has an unknown format",
        ),
        (
            VerifyError::Report(ReportError::ReservedBits),
            "the report sets bits that have no meaning",
        ),
        (VerifyError::Signature, "the report's signature does not hold"),
        (VerifyError::DeviceKind, "no verifier for that kind of device"),
    ];
    for (error, text) in table {
        assert_eq!(error.to_string(), text);
        assert!(error.hint().len() > 20);
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(report in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(check(report.clone()).is_err());
        prop_assert!(Evidence::from_json(&report).is_err());
        prop_assert!(ReceivedIdentity::parse(&report).is_err());
    }
}
