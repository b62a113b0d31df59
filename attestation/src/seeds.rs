//! Inputs to begin fuzzing with, of every format that the fakes can make.
//!
//! Why apart: `fuzz/run` asks for them with `ANCHORHOLD_SEEDS=folder`; what real machines sent is never in the project.
//!
//! # Invariants
//! Built for tests only. Each is accepted by the parser it is for.

use anchorhold_encoding::Digest;

use crate::azure::fake::seeds as azure;
use crate::ccel::EventLog;
use crate::endorsements::{Endorsement, EndorsementKind};
use crate::nvidia::fixture::seeds as nvidia;
use crate::published::fake::seeds as published;
use crate::snp::fake::Fake;
use crate::snp::{CertTable, Product, Report};
use crate::tdx::Collateral;
use crate::tdx::tests::seeds as tdx;
use crate::x509::forge::ocsp::{AnswerDraft, OcspDraft, responder};
use crate::x509::forge::{Draft, Key};
use crate::x509::{Certificate, Crl, OcspResponse};
use crate::*;

/// A target of `fuzz/`, and bytes for it.
pub(crate) type Seed = (&'static str, Vec<u8>);

fn amd() -> Vec<Seed> {
    let mut all = Vec::new();
    for product in Product::ALL {
        for fake in [Fake::vcek(product), Fake::vlek(product)] {
            let vek = fake.vek_der();
            all.push(("snp-table", table(&vek)));
            all.push(("snp-report", fake.signed_report()));
            all.push(("snp-vek", vek.clone()));
            all.push(("x509-certificate", vek));
            all.push(("x509-certificate", fake.ask_der()));
            all.push(("x509-crl", fake.crl.as_ref().unwrap().sign(&fake.ark_key)));
        }
    }
    all
}

/// One VCEK behind one entry.
fn table(vek: &[u8]) -> Vec<u8> {
    let guid = [
        0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd,
    ];
    let length = u32::try_from(vek.len()).unwrap();
    let entry = [guid.as_slice(), &48_u32.to_le_bytes(), &length.to_le_bytes()].concat();
    [entry.as_slice(), &[0; 24], vek].concat()
}

/// A good answer for a leaf, by a responder that the authority made.
fn ocsp() -> Vec<Seed> {
    let (issuer, key) = (Key::p384(), Key::p384());
    let answer = AnswerDraft::good(&Draft::leaf("leaf", "middle"), &issuer);
    let certificate = responder("middle").sign(&key, &issuer);
    let response = OcspDraft::delegated(vec![answer], &key, certificate).sign(&key);
    vec![("ocsp", response)]
}

fn logs() -> Vec<Seed> {
    let mut log = [
        [1_u32, 3].map(u32::to_le_bytes).concat(),
        vec![0; 20],
        vec![33, 0, 0, 0],
    ]
    .concat();
    log.extend(b"Spec ID Event03\0");
    log.extend([0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0c, 0, 48, 0, 0]);
    for (register, kind, data) in [
        (1_u32, 0xd_u32, &b"one"[..]),
        (2, 4, &[0; 4]),
        (4, 6, b"workload"),
    ] {
        log.extend([register, kind, 1].map(u32::to_le_bytes).concat());
        log.extend([0x0c, 0]);
        log.extend(anchorhold_encoding::sha384(&[data]).as_bytes());
        log.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        log.extend(data);
    }
    let digest =
        anchorhold_encoding::sha384(&[&0x0800_0001_u32.to_le_bytes(), b":", b"app-id", b":", b"\xab"]);
    let dstack = format!(
        r#"[{{"imr":0,"event_type":4,"digest":"{}","event":"","event_payload":""}},{{"imr":3,"event_type":134217729,"digest":"{digest}","event":"app-id","event_payload":"ab"}}]"#,
        Digest::new([7; 48]),
    );
    vec![("ccel", log), ("dstack", dstack.into_bytes())]
}

fn ours() -> Vec<Seed> {
    let identity = fixture::identity();
    let evidence = fixture::simulated_evidence(&fixture::platform(), &ReportData::new([3; 64]));
    let items = [EndorsementKind::AmdVek, EndorsementKind::AmdCrl]
        .map(|kind| Endorsement::new(kind, vec![0x30, 1, 2]).unwrap());
    vec![
        ("evidence", evidence.to_json()),
        ("document", document(evidence).to_json()),
        ("identity", identity.encode()),
        ("policy", fixture::policy_text().into_bytes()),
        (
            "endorsements",
            Endorsements::new(items.to_vec()).unwrap().to_bundle(),
        ),
    ]
}

fn document(evidence: Evidence) -> AttestationDocument {
    AttestationDocument {
        identity: fixture::identity().encode(),
        evidence,
        proof: InclusionProof {
            index: 1,
            size: 2,
            path: vec![Digest::new([5; 32])],
        },
        lease: Some(Lease { seconds_left: 60 }),
        endorsements: vec![vec![6], vec![]],
    }
}

fn is_read(target: &str, bytes: &[u8]) -> bool {
    match target {
        "snp-report" => Report::parse(bytes).is_ok(),
        "snp-table" => CertTable::parse(bytes).is_ok(),
        "snp-vek" | "x509-certificate" => Certificate::parse(bytes).is_ok(),
        "ocsp" => OcspResponse::parse(bytes).is_ok(),
        "x509-crl" => Crl::parse(bytes).is_ok(),
        "tdx-collateral" => Collateral::parse(bytes).is_ok(),
        "ccel" => EventLog::parse(bytes).is_ok(),
        "dstack" => EventLog::parse_dstack(bytes).is_ok(),
        "evidence" => Evidence::from_json(bytes).is_ok(),
        "document" => AttestationDocument::from_json(bytes).is_ok(),
        "identity" => ReceivedIdentity::parse(bytes).is_ok(),
        "policy" => Policy::from_toml(bytes).is_ok(),
        "endorsements" => Endorsements::from_bundle(bytes).is_ok(),
        // Made and accepted by the tests of their own modules.
        _ => !bytes.is_empty(),
    }
}

/// Writes them where a nightly run asks; otherwise only proves them.
#[test]
#[allow(clippy::disallowed_methods)] // a test writes its files
fn seeds_are_read_by_the_parsers_they_are_for() {
    let folder = std::env::var_os("ANCHORHOLD_SEEDS").map(std::path::PathBuf::from);
    for (number, (target, bytes)) in [
        amd(),
        tdx(),
        logs(),
        ocsp(),
        azure(),
        nvidia(),
        published(),
        ours(),
    ]
    .concat()
    .into_iter()
    .enumerate()
    {
        assert!(is_read(target, &bytes), "{target} {number}");
        if let Some(folder) = &folder {
            let folder = folder.join(target);
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(format!("made-{number}")), bytes).unwrap();
        }
    }
}
