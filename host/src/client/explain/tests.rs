//! Every machine of the collection with the verdict of its README, and what is answered when files are not what they
//! should be.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::error::Exit;

mod collection;

use collection::{AMD, Case, GENOA, INTEL, JUNE_2025, MILAN, NVIDIA};

/// Files below `evidence`, or `None` after saying loudly that `test` was skipped.
fn evidence(test: &str, files: &[&str]) -> Option<Vec<PathBuf>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/evidence");
    let found: Vec<PathBuf> = files.iter().map(|file| root.join(file)).collect();
    if let Some(absent) = found.iter().find(|path| !path.exists()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED {test}: no {}", absent.display());
        return None;
    }
    Some(found)
}

fn ask(machine: Machine, files: Vec<PathBuf>, at: &str) -> Question {
    use x509_cert::der::DateTime;
    let at: DateTime = at.parse().unwrap();
    Question {
        machine,
        files,
        endorsements: None,
        anchors: None,
        policy: None,
        at: Timestamp::from_unix(at.unix_duration().as_secs()),
        at_given: true,
    }
}

/// Each is told as its README judges it.
fn judge(test: &str, cases: &[Case]) {
    for (machine, files, at, refused_by) in cases {
        let Some(paths) = evidence(test, files) else {
            return;
        };
        let told = explain(&ask(*machine, paths, at)).unwrap();
        assert_eq!(told.refused_by, *refused_by, "{files:?} at {at}: {}", told.text());
        assert_eq!(told.verified, refused_by.is_none(), "{files:?} at {at}");
        assert_eq!(
            told.claims.is_empty(),
            refused_by.is_some() || files.len() == 1,
            "{files:?}"
        );
        // Without a policy nothing is appraised.
        assert!(!told.appraised && told.exit() == Exit::Denied);
        assert!(told.inputs.len() >= files.len(), "every file is announced");
    }
}

#[test]
fn machines_of_amd_are_told_as_they_are_judged() {
    judge("explain::machines_of_amd_are_told_as_they_are_judged", AMD);
}

#[test]
fn machines_of_intel_are_told_as_they_are_judged() {
    judge("explain::machines_of_intel_are_told_as_they_are_judged", INTEL);
}

#[test]
fn devices_of_nvidia_are_told_as_they_are_judged() {
    judge("explain::devices_of_nvidia_are_told_as_they_are_judged", NVIDIA);
}

/// A policy for one machine and its code, which accepts these known weaknesses.
fn policy(chip: &str, measurement: &str, accepted: &[String]) -> Policy {
    let text = format!(
        "version = 1\nmanifest_sha256 = \"{0}\"\nconfig_sha256 = \"{0}\"\nchips = [\"{chip}\"]\n\
         dangerously_accept_weakness = {accepted:?}\n[snp]\nsmt = \"on\"\ndangerously_accept_page_swap = true\n\
         [[reference_values]]\nname = \"a guest\"\nplatform = \"snp\"\nmeasurement = \"{measurement}\"\n",
        "4".repeat(64)
    );
    Policy::from_toml(text.as_bytes()).unwrap()
}

#[test]
fn a_policy_affirms_or_says_which_rule_does_not_hold() {
    const NAME: &str = "explain::a_policy_affirms_or_says_which_rule_does_not_hold";
    const FILES: &[&str] = &[
        "snp/milan-v3-oak/report.bin",
        "snp/milan-v3-oak/vcek.der",
        MILAN,
        "anchors/amd/crl_milan_2025-05.der",
    ];
    let Some(paths) = evidence(NAME, FILES) else {
        return;
    };
    let report = std::fs::read(&paths[0]).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (measurement, chip) = (hex(&report[0x90..0xc0]), hex(&report[0x1a0..0x1e0]));
    let judged = |policy: Policy| {
        let mut question = ask(Machine::Snp, paths.clone(), JUNE_2025);
        question.policy = Some(policy);
        explain(&question).unwrap()
    };
    // Its firmware is of 2025: what became known since is accepted here, one by one.
    let told = judged(policy(&chip, &measurement, &[]));
    let mut known: Vec<String> = told
        .checks
        .iter()
        .filter(|row| row.ok == Some(false))
        .map(|row| row.expected.split([' ', ':']).next().unwrap().to_owned())
        .collect();
    known.sort();
    known.dedup();
    let told = judged(policy(&chip, &measurement, &known));
    assert!(told.verified && told.appraised, "{}", told.text());
    assert_eq!((told.refused_by, told.exit()), (None, Exit::Yes));
    assert!(told.text().starts_with("APPRAISED"));
    // Other code: verified as before, and denied by that rule.
    let told = judged(policy(&chip, &"0".repeat(96), &known));
    assert!(told.verified && !told.appraised && !told.claims.is_empty());
    assert_eq!(
        (told.refused_by, told.exit()),
        (Some("measurement"), Exit::Denied)
    );
}

#[test]
fn under_other_roots_the_answer_says_so() {
    const NAME: &str = "explain::under_other_roots_the_answer_says_so";
    let (_, files, at, _) = AMD[0];
    let Some(paths) = evidence(NAME, files) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut question = ask(Machine::Snp, paths.clone(), at);
    question.anchors = Some(folder.path().to_owned());
    assert_eq!(explain(&question).unwrap_err().code(), "explain_anchors");
    // AMD's own root, given: genuine, and of the class insecure all the same.
    std::fs::copy(&paths[2], folder.path().join("roots")).unwrap();
    let told = explain(&question).unwrap();
    assert!(told.verified && told.class == "insecure");
    assert!(told.text().contains("GIVEN WITH --anchors: class insecure"));
    // Another product's root believes nothing of this one.
    let Some(genoa) = evidence(NAME, &[GENOA]) else {
        return;
    };
    std::fs::copy(&genoa[0], folder.path().join("roots")).unwrap();
    assert_eq!(explain(&question).unwrap().refused_by, Some("snp-vek-product"));
}

#[test]
fn the_document_has_its_shape() {
    let (_, files, at, _) = AMD[0];
    let Some(paths) = evidence("explain::the_document_has_its_shape", files) else {
        return;
    };
    let told = explain(&ask(Machine::Snp, paths, at)).unwrap();
    let document = serde_json::to_value(&told).unwrap();
    let members: Vec<&String> = document.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "platform",
            "at",
            "verified",
            "appraised",
            "class",
            "checks",
            "claims",
            "inputs",
            "notes",
            "documents"
        ]
    );
    for row in document["checks"].as_array().unwrap() {
        let members: Vec<&String> = row.as_object().unwrap().keys().collect();
        assert_eq!(members, ["id", "ok", "of", "expected", "found", "hint", "source"]);
        assert!(!row["expected"].as_str().unwrap().is_empty() && !row["hint"].as_str().unwrap().is_empty());
    }
    assert_eq!(document["claims"]["snp.vmpl"], 0);
    let text = told.text();
    assert!(
        text.starts_with("VERIFIED") && text.ends_with("not appraised by a policy"),
        "{text}"
    );
}

/// Bytes that look like a report, and nothing signed them.
fn unsigned() -> Vec<u8> {
    let mut bytes = vec![0; 1184];
    for (place, value) in [(0, 3), (10, 3), (0x34, 1), (0x188, 0x19), (0x189, 1), (0x1a0, 9)] {
        bytes[place] = value;
    }
    bytes
}

/// The exit status of the whole program.
fn status(arguments: &[&str]) -> String {
    let all = ["anchorhold", "client", "explain"].iter().chain(arguments);
    format!("{:?}", crate::cli::run(all.map(std::ffi::OsString::from)))
}

#[test]
fn the_exit_status_says_refused_unreadable_or_misused() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let report = file("report", &unsigned());
    let garbage = file("garbage", b"\x00\x01\x02garbage");
    let code = |code: u8| format!("{:?}", std::process::ExitCode::from(code));
    for (arguments, expected) in [
        (vec!["snp", &report], 3),
        (vec!["snp", &report, "--json"], 3),
        (vec!["snp", &garbage], 1),
        (vec!["snp", "/nowhere"], 1),
        (vec!["snp", &report, "--endorsements", "/nowhere"], 1),
        (
            vec!["snp", &report, "--anchors", folder.path().to_str().unwrap()],
            1,
        ),
        (vec!["tdx", &report], 2),
        (vec!["sgx", &report], 2),
        (vec!["snp"], 2),
        (vec!["snp", &report, "--at", "yesterday"], 2),
        (vec!["snp", &report, "--at", "1750000000"], 3),
    ] {
        assert_eq!(status(&arguments), code(expected), "{arguments:?}");
    }
}

/// A SEQUENCE that begins as a certificate does, after its length.
fn framed() -> Vec<u8> {
    let mut der = vec![0x30, 0x82, 0, 40, 0x30, 0x82, 0, 36, 0xa0, 3, 2, 1, 2];
    der.resize(44, 1);
    [&[0, 0, 0, 44], der.as_slice()].concat()
}

#[test]
fn machines_with_a_providers_tpm_are_told_with_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.bin");
    std::fs::write(&path, unsigned()).unwrap();
    for (machine, family, part) in [
        (Machine::Google, "google-", "the vTPM's quote"),
        (Machine::Aws, "nitro-", "the NitroTPM"),
    ] {
        let told = explain(&ask(machine, vec![path.clone()], JUNE_2025)).unwrap();
        assert_eq!((told.platform, told.verified), (machine.name(), false));
        assert_eq!(told.refused_by, Some("no-endorsement"));
        let missing = told.checks.iter().find(|row| row.id == "missing-part").unwrap();
        assert!(missing.expected.contains(part), "{}", missing.expected);
        let of_tpm: Vec<_> = told
            .checks
            .iter()
            .filter(|row| row.id.starts_with(family))
            .collect();
        assert!(of_tpm.len() >= 5 && of_tpm.iter().all(|row| row.ok.is_none()));
        assert!(told.documents.contains_key(family.trim_end_matches('-')));
    }
    // Roots that are not this provider's are none.
    let mut question = ask(Machine::Aws, vec![path.clone()], JUNE_2025);
    question.anchors = Some(folder.path().to_owned());
    assert_eq!(explain(&question).unwrap_err().code(), "explain_anchors");
}

#[test]
fn the_parts_of_our_own_evidence_are_recognised() {
    use anchorhold_attestation::{Evidence, EvidencePart, Platform};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("evidence.json");
    let tell = |machine, platform, parts| {
        let evidence = Evidence::with_parts(platform, unsigned(), parts, Vec::new()).unwrap();
        std::fs::write(&path, evidence.to_json()).unwrap();
        explain(&ask(machine, vec![path.clone()], JUNE_2025)).unwrap()
    };
    let message = [b"\xffTCG".as_slice(), &[0; 80]].concat();
    let signature = [[0, 0x14, 0, 0x0b].as_slice(), &[1; 260]].concat();
    let parts = vec![
        (EvidencePart::TpmCertificates, framed()),
        (EvidencePart::TpmQuote, message),
        (EvidencePart::TpmSignature, signature),
        (EvidencePart::TpmRegisters, vec![5; 24 * 32]),
    ];
    let told = tell(Machine::Google, Platform::GoogleSnp, parts);
    let said = told.inputs.join("\n");
    for name in [
        "SEV-SNP attestation report",
        "certificates of a TPM's key",
        "TPM quote",
        "TPM signature",
        "TPM register values, 768 bytes",
    ] {
        assert!(said.contains(name), "{name}: {said}");
    }
    assert!(told.checks.iter().all(|row| row.id != "missing-part"));

    let document = [[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22].as_slice(), &[0; 64]].concat();
    let parts = vec![(EvidencePart::NitroDocument, document)];
    let told = tell(Machine::Aws, Platform::AwsSnp, parts);
    assert!(
        told.inputs
            .join("\n")
            .contains("NitroTPM attestation document, 70 bytes")
    );
    assert!(told.checks.iter().all(|row| row.id != "missing-part"));
}

#[test]
fn a_report_without_certificates_says_where_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.bin");
    std::fs::write(&path, unsigned()).unwrap();
    let told = explain(&ask(Machine::Snp, vec![path], JUNE_2025)).unwrap();
    assert_eq!(told.refused_by, Some("no-endorsement"));
    let row = told.checks.iter().find(|row| row.id == "no-endorsement").unwrap();
    assert!(
        row.hint
            .contains("https://kdsintf.amd.com/vcek/v1/Milan/09000000")
            && row.hint.contains("?blSPL=0&teeSPL=0&snpSPL=0&ucodeSPL=0 "),
        "{}",
        row.hint
    );
    let form = told
        .checks
        .iter()
        .find(|row| row.id == "snp-report-vmpl")
        .unwrap();
    assert_eq!((form.ok, form.found.as_str()), (Some(true), "VMPL 0"));
}
