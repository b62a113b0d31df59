//! Traces of devices, RIMs and machines say what their verifiers say, and never claim too much.

use super::*;
use crate::nvidia::SIGNER_ANSWERED_FOR;
use crate::nvidia::fixture::{
    AT, NONCE, RimDraft, anchors, device_anchors, device_chain, gpu_fields, gpu_report, rim_chain,
};
use crate::nvidia::tests::device_files;
use crate::trace::Outcome;
use crate::trace::sound::{failed, pairs, well_formed};
use crate::x509::forge::Key;

#[test]
fn a_devices_trace_never_claims_too_much() {
    let chain = device_chain("GH100");
    let der = chain.der();
    let report = gpu_report(&gpu_fields(), chain.leaf_key());
    let anchors = device_anchors(&der);
    let told = explain_device(&report, &der, Some(&NONCE), &[], &anchors, AT);
    assert!(told.verdict.unwrap().is_ok());
    well_formed(&told.checks, None);
    let firmware = told
        .checks
        .iter()
        .find(|row| row.id == "nvidia-firmware-id")
        .unwrap();
    assert_eq!(
        firmware.outcome,
        Outcome::NotChecked("the report names no firmware")
    );

    // Bytes of the report, and of each certificate.
    let mut faults: Vec<(usize, usize)> = (0..report.len()).step_by(211).map(|place| (9, place)).collect();
    faults.extend([(9, 1), (9, 36), (9, 41)]);
    for (index, certificate) in der.iter().enumerate() {
        faults.extend((0..certificate.len()).step_by(127).map(|place| (index, place)));
    }
    let tell = |spoiled: &[(usize, usize)]| {
        let (mut report, mut der) = (report.clone(), der.clone());
        for (part, place) in spoiled {
            match der.get_mut(*part) {
                Some(certificate) => certificate[*place] ^= 0x41,
                None => report[*place] ^= 0x41,
            }
        }
        let told = explain_device(&report, &der, Some(&NONCE), &[], &anchors, AT);
        well_formed(&told.checks, told.verdict.unwrap().err().map(|error| error.id()));
        told.checks
    };
    assert!(pairs(&faults, |one| tell(&[*one]), |one, other| tell(&[*one, *other])) > 150);
}

#[test]
fn a_nonce_that_nobody_gave_is_not_checked() {
    let chain = device_chain("GH100");
    let der = chain.der();
    let report = gpu_report(&gpu_fields(), chain.leaf_key());
    let told = explain_device(&report, &der, None, &[], &device_anchors(&der), AT);
    assert!(told.verdict.unwrap().is_ok());
    let nonce = told.checks.iter().find(|row| row.id == "nvidia-nonce").unwrap();
    assert_eq!((nonce.outcome.ok(), &nonce.found), (None, &NONCE.to_string()));
    // A chain's fault says which certificate, which fault, and what to do about that one.
    let late = explain_device(&report, &der, None, &[], &device_anchors(&der), Timestamp::MAX);
    let chain = failed(&late.checks).unwrap();
    assert_eq!(chain.id, "nvidia-chain");
    assert!(
        chain.found.contains("(x509-expired)") && chain.hint.contains("clock"),
        "{chain:?}"
    );
}

#[test]
fn a_rim_is_told_and_compared() {
    let (chain, rims) = (device_chain("GH100"), rim_chain());
    let (der, rim_der) = (chain.der(), rims.der());
    let anchors = anchors(&der, &rim_der);
    let report = gpu_report(&gpu_fields(), chain.leaf_key());
    let device = explain_device(&report, &der, None, &[], &anchors, AT)
        .verdict
        .unwrap()
        .unwrap();
    let OpaqueData::Gpu(data) = device.report().opaque() else {
        panic!()
    };
    let driver_version: &'static str = String::leak(data.driver_version().as_str().to_owned());
    let vbios_version: &'static str = String::leak(data.vbios_version().to_string());
    let driver = RimDraft::gpu(driver_version, &[7, 21]).sign(&rim_der, rims.leaf_key());
    let mut wrong = RimDraft::gpu(vbios_version, &[1, 2]);
    let text = wrong.sign(&rim_der, rims.leaf_key());
    let told = explain_rim(text.as_bytes(), &[], &anchors, AT);
    well_formed(&told.checks, None);
    let vbios = told.verdict.unwrap().unwrap();
    let driver = explain_rim(driver.as_bytes(), &[], &anchors, AT)
        .verdict
        .unwrap()
        .unwrap();
    let told = explain_match(&device, &[&driver, &vbios]);
    well_formed(&told.checks, None);
    assert_eq!(
        told.checks.last().unwrap().found,
        "equal: driver [7, 21], BIOS [1, 2]; exempt []"
    );

    wrong.resources[1].2 = vec![Digest::new([1; 48])];
    let other = wrong.sign(&rim_der, rims.leaf_key());
    let other = explain_rim(other.as_bytes(), &[], &anchors, AT)
        .verdict
        .unwrap()
        .unwrap();
    let told = explain_match(&device, &[&driver, &other]);
    well_formed(&told.checks, Some("nvidia-measurements"));
    assert_eq!(
        told.checks.last().unwrap().found,
        "measurements differ: driver [], BIOS [1]"
    );
    // One RIM is not enough for a GPU, and says so.
    let told = explain_match(&device, &[&driver]);
    assert!(told.verdict.is_none() && told.checks.iter().all(|row| row.outcome.ok().is_none()));

    // What is wrong with a RIM, byte by byte.
    let bytes = text.as_bytes();
    let faults: Vec<usize> = (0..bytes.len()).step_by(bytes.len() / 60).collect();
    let tell = |places: &[usize]| {
        let mut bytes = bytes.to_vec();
        places.iter().for_each(|place| bytes[*place] ^= 1);
        let told = explain_rim(&bytes, &[], &anchors, AT);
        well_formed(&told.checks, told.verdict.unwrap().err().map(|error| error.id()));
        told.checks
    };
    assert!(pairs(&faults, |one| tell(&[*one]), |one, other| tell(&[*one, *other])) > 150);
}

#[test]
fn what_answers_say_of_a_rims_signer_is_told() {
    let (rims, responder) = (rim_chain().numbered(), Key::p384());
    let rim_der = rims.der();
    let anchors = anchors(&device_chain("GH100").der(), &rim_der);
    let text = RimDraft::gpu("545.00", &[7]).sign(&rim_der, rims.leaf_key());
    let tell = |answers: &[Vec<u8>]| {
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).collect();
        let told = explain_rim(text.as_bytes(), &answers, &anchors, AT);
        well_formed(&told.checks, told.verdict.unwrap().err().map(|error| error.id()));
        let row = |id: &str| told.checks.iter().find(|row| row.id == id).cloned().unwrap();
        [row("nvidia-rim-ocsp"), row("nvidia-rim-revoked")]
    };
    let [ocsp, revoked] = tell(&[]);
    assert_eq!(ocsp.outcome, Outcome::NotChecked(NO_RESPONSE));
    assert_eq!(revoked.outcome, Outcome::NotChecked(NO_RESPONSE));
    let good = SIGNER_ANSWERED_FOR.map(|link| rims.answer(&responder, link, |_| {}));
    let [ocsp, revoked] = tell(&good);
    assert_eq!(
        (ocsp.outcome.ok(), ocsp.found.as_str()),
        (Some(true), "3 responses")
    );
    assert!(revoked.found.starts_with("all certificates are good until "));
    let [_, revoked] = tell(&good[..1]);
    assert_eq!(revoked.found, "1 of 3 certificates are good");
    let status = crate::x509::forge::ocsp::revoked(AT.unix() - 5, None);
    let bad = rims.answer(&responder, 1, |answer| answer.status = status);
    let [ocsp, revoked] = tell(&[bad]);
    assert_eq!(
        (ocsp.outcome.ok(), revoked.outcome.ok()),
        (Some(true), Some(false))
    );
}

#[test]
fn a_machine_is_told_too() {
    let chain = device_chain("GH100");
    let der = chain.der();
    let report = gpu_report(&gpu_fields(), chain.leaf_key());
    let verified = || {
        explain_device(&report, &der, None, &[], &device_anchors(&der), AT)
            .verdict
            .unwrap()
            .unwrap()
    };
    let (one, same) = (verified(), verified());
    well_formed(&explain_topology(&[&one], &[]).checks, None);
    let told = explain_topology(&[&one, &same], &[]);
    well_formed(&told.checks, Some("nvidia-topology-repeated"));
    assert_eq!(
        failed(&told.checks).unwrap().found,
        "a device is there twice (device 1)"
    );
    well_formed(&explain_topology(&[], &[]).checks, Some("nvidia-topology-count"));
}

#[test]
fn real_devices_are_told_as_they_are_judged() {
    const NAME: &str = "nvidia::explain::real_devices_are_told_as_they_are_judged";
    for (folder, file, refused) in [
        ("h100-550-nvtrust", "report.hex", None),
        ("h100-545-gonvtrust", "report.hex", None),
        ("h100-535-sdk", "report.hex", None),
        ("h100-580-sdk", "report.hex", None),
        ("b100-575-sdk", "report.hex", None),
        (
            "h100-560-badsig-sdk",
            "report.hex",
            Some("nvidia-report-signature"),
        ),
        ("ls10-switch-sdk", "report.hex", None),
        (
            "ls10-switch-sdk",
            "report_badsig.hex",
            Some("nvidia-report-signature"),
        ),
    ] {
        let Some((report, chain)) = device_files(NAME, folder, file) else {
            return;
        };
        let told = explain_device(&report, &chain, None, &[], &Anchors::nvidia(), AT);
        assert_eq!(
            told.verdict.unwrap().err().map(|error| error.id()),
            refused,
            "{folder}"
        );
        well_formed(&told.checks, refused);
    }
}
