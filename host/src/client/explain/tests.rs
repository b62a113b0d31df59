//! Every machine of the collection with the verdict of its README, and what is answered when files are not what they
//! should be.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::*;
use crate::error::Exit;

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

/// Machine, files, as of when, and the check that refuses; `None` where all holds.
type Case = (
    Machine,
    &'static [&'static str],
    &'static str,
    Option<&'static str>,
);

const JUNE_2024: &str = "2024-06-01T00:00:00Z";
const JUNE_2025: &str = "2025-06-01T00:00:00Z";
const SEPTEMBER_2025: &str = "2025-09-01T00:00:00Z";
const JULY_2025: &str = "2025-07-15T00:00:00Z";
const MARCH_2026: &str = "2026-03-01T00:00:00Z";
const SEPTEMBER_2026: &str = "2026-09-01T00:00:00Z";

const MILAN: &str = "anchors/amd/ask_ark_milan.pem";
const MILAN_VLEK: &str = "anchors/amd/ask_ark_milan_vlek.pem";
const GENOA: &str = "anchors/amd/ask_ark_genoa.pem";
const TURIN: &str = "anchors/amd/ask_ark_turin_vcek.pem";

const AMD: &[Case] = &[
    (
        Machine::Snp,
        &[
            "snp/milan-v2-gosevguest/report.bin",
            "snp/milan-v2-gosevguest/vcek.der",
            MILAN,
        ],
        JUNE_2025,
        None,
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v2-virtee/report.hex",
            "snp/milan-v2-virtee/vcek.der",
            MILAN,
        ],
        JUNE_2025,
        None,
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v2-trustee/report.bin",
            "snp/milan-v2-trustee/vcek.der",
            MILAN,
        ],
        JUNE_2025,
        None,
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v2-trustee/report.bin",
            "snp/milan-v2-trustee/vcek-invalid-legacy.der",
            MILAN,
        ],
        JUNE_2025,
        Some("x509-signature"),
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v3-vlek-aws/report.bin",
            "snp/milan-v3-vlek-aws/vlek.der",
            MILAN,
            MILAN_VLEK,
        ],
        JUNE_2025,
        None,
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v3-vlek-aws/report.bin",
            "snp/milan-v3-vlek-aws/vlek.der",
            MILAN,
        ],
        JUNE_2025,
        Some("snp-vek-authority"),
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v3-vlek-aws/report.bin",
            "snp/milan-v3-vlek-aws/vlek.der",
            MILAN_VLEK,
        ],
        SEPTEMBER_2026,
        Some("x509-expired"),
    ),
    (
        Machine::Snp,
        &[
            "snp/genoa-v3-azure/report.bin",
            "snp/genoa-v3-azure/vcek.pem",
            GENOA,
        ],
        JUNE_2025,
        None,
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v2-kinvolk-other-chip/report.bin",
            "snp/milan-v2-kinvolk-other-chip/certs.pem",
        ],
        JUNE_2025,
        Some("snp-binding-chip-id"),
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v3-dstack/report.bin",
            "snp/milan-v3-dstack/vcek.pem",
            MILAN,
        ],
        SEPTEMBER_2026,
        None,
    ),
    (
        Machine::Snp,
        &[
            "snp/milan-v3-oak/report.bin",
            "snp/milan-v3-oak/vcek.der",
            MILAN,
            GENOA,
            TURIN,
            "anchors/amd/crl_milan_2025-05.der",
        ],
        JUNE_2025,
        None,
    ),
    (
        Machine::Snp,
        &["snp/genoa-v5-oak/report.bin", "snp/genoa-v5-oak/vcek.der", GENOA],
        SEPTEMBER_2025,
        None,
    ),
    (
        Machine::Snp,
        &["snp/turin-v5-oak/report.bin", "snp/turin-v5-oak/vcek.der", TURIN],
        SEPTEMBER_2025,
        None,
    ),
    (
        Machine::Snp,
        &["snp/turin-v5-oak/report.bin", "snp/turin-v5-oak/vcek.der", GENOA],
        SEPTEMBER_2025,
        Some("snp-vek-authority"),
    ),
    (
        Machine::Snp,
        &["snp/milan-v4-gce-noveks/report.bin"],
        JUNE_2025,
        Some("no-endorsement"),
    ),
    // Their makers bound nothing in the claims and chose qualifying data of their own.
    (
        Machine::Azure,
        &["snp/genoa-v3-azure/evidence.json", GENOA],
        JUNE_2025,
        Some("azure-quote-qualifying-data"),
    ),
    (
        Machine::Azure,
        &["snp/milan-v3-azure/evidence.json", MILAN],
        JUNE_2025,
        Some("azure-quote-qualifying-data"),
    ),
    (
        Machine::Azure,
        &["snp/milan-v3-azure/hcl.bin", "snp/milan-v3-azure/vcek.der", MILAN],
        JUNE_2025,
        Some("missing-part"),
    ),
    (
        Machine::Azure,
        &["snp/milan-v2-kinvolk-other-chip/hcl.bin"],
        JUNE_2025,
        Some("azure-hcl-length"),
    ),
];

const INTEL: &[Case] = &[
    (
        Machine::Tdx,
        &["tdx/v4-emr-phala/quote.bin", "tdx/v4-emr-phala/collateral.json"],
        "2025-07-01T00:00:00Z",
        None,
    ),
    (
        Machine::Tdx,
        &["tdx/v4-emr-phala/quote.bin", "tdx/v4-emr-phala/collateral.json"],
        JUNE_2025,
        Some("tdx-crl-not-yet"),
    ),
    (
        Machine::Tdx,
        &["tdx/v4-emr-phala/quote.bin", "tdx/v4-emr-phala/collateral.json"],
        "2025-07-20T00:00:00Z",
        Some("tdx-crl-expired"),
    ),
    (
        Machine::Tdx,
        &[
            "tdx/v5-emr-phala-nomatch/quote.bin",
            "tdx/v5-emr-phala-nomatch/collateral.json",
        ],
        MARCH_2026,
        Some("tdx-platform-level"),
    ),
    (
        Machine::Tdx,
        &["tdx/sgx-v3-phala/quote.bin", "tdx/sgx-v3-phala/collateral.json"],
        "2025-06-25T00:00:00Z",
        Some("tdx-quote-is-sgx"),
    ),
    (
        Machine::Tdx,
        &[
            "tdx/v5-emr-gotdxguest/quote.bin",
            "tdx/v5-emr-gotdxguest/collateral.json",
        ],
        MARCH_2026,
        None,
    ),
    (
        Machine::Tdx,
        &[
            "tdx/v4-gcp-cos113-ccel/quote.bin",
            "tdx/v4-gcp-cos113-ccel/collateral.json",
            "tdx/v4-gcp-cos113-ccel/ccel_data.bin",
        ],
        JULY_2025,
        None,
    ),
    (
        Machine::Tdx,
        &[
            "tdx/v4-gcp-cos113-ccel/quote.bin",
            "tdx/v4-gcp-cos113-ccel/collateral.json",
            "ccel/dupe-separator-goeventlog/ccel_data.bin",
        ],
        JULY_2025,
        Some("ccel-replay"),
    ),
    (
        Machine::Tdx,
        &[
            "tdx/v4-gcp-outofdate/quote.bin",
            "tdx/v4-gcp-outofdate/collateral.json",
        ],
        JULY_2025,
        None,
    ),
    (
        Machine::Tdx,
        &[
            "tdx/v4-spr-e4-gotdxguest/quote.bin",
            "tdx/v4-spr-e4-gotdxguest/collateral.json",
        ],
        "2023-07-01T00:00:00Z",
        Some("tdx-quote-padding"),
    ),
    // Debug is for a policy to refuse.
    (
        Machine::Tdx,
        &[
            "tdx/v4-debug-trustee/quote.bin",
            "tdx/v4-debug-trustee/collateral.json",
        ],
        "2023-07-01T00:00:00Z",
        None,
    ),
    (
        Machine::Tdx,
        &[
            "tdx/v4-emr-dstack-rtmr/quote.bin",
            "tdx/v4-emr-dstack-rtmr/collateral.json",
            "tdx/v4-emr-dstack-rtmr/eventlog.json",
        ],
        MARCH_2026,
        None,
    ),
    (
        Machine::Tdx,
        &["tdx/v4-emr-phala/quote.bin"],
        JULY_2025,
        Some("no-endorsement"),
    ),
    (
        Machine::Azure,
        &[
            "tdx/v4-azure-trustee/evidence.json",
            "tdx/v4-azure-trustee/collateral.json",
        ],
        JULY_2025,
        Some("tdx-domain-sept-ve"),
    ),
];

const NVIDIA: &[Case] = &[
    (
        Machine::Nvidia,
        &[
            "nvidia/h100-545-gonvtrust/report.hex",
            "nvidia/h100-545-gonvtrust/cert_chain.pem",
            "nvidia/h100-545-gonvtrust/driver_rim.xml",
            "nvidia/h100-545-gonvtrust/vbios_rim.xml",
        ],
        JUNE_2024,
        None,
    ),
    (
        Machine::Nvidia,
        &[
            "nvidia/h100-545-gonvtrust/report.hex",
            "nvidia/h100-545-gonvtrust/cert_chain_invalid.pem",
        ],
        JUNE_2024,
        Some("nvidia-chain-length"),
    ),
    (
        Machine::Nvidia,
        &[
            "nvidia/h100-550-nvtrust/report.hex",
            "nvidia/h100-550-nvtrust/cert_chain.pem",
        ],
        JUNE_2024,
        Some("no-endorsement"),
    ),
    (
        Machine::Nvidia,
        &[
            "nvidia/h100-535-sdk/report.hex",
            "nvidia/h100-535-sdk/cert_chain.pem",
            "nvidia/h100-535-sdk/vbios_rim.xml",
            "nvidia/h100-535-sdk/driver_rim_measurement_mismatch.xml",
        ],
        JUNE_2024,
        Some("nvidia-rim-digest"),
    ),
    (
        Machine::Nvidia,
        &[
            "nvidia/b100-575-sdk/report.hex",
            "nvidia/b100-575-sdk/cert_chain.pem",
        ],
        JUNE_2024,
        Some("no-endorsement"),
    ),
    (
        Machine::Nvidia,
        &[
            "nvidia/h100-560-badsig-sdk/report.hex",
            "nvidia/h100-560-badsig-sdk/cert_chain.pem",
        ],
        JUNE_2024,
        Some("nvidia-report-signature"),
    ),
    (
        Machine::Nvidia,
        &["nvidia/h100-570-certhold-sdk/evidence.json"],
        JUNE_2024,
        Some("no-endorsement"),
    ),
    (
        Machine::Nvidia,
        &[
            "nvidia/ls10-switch-sdk/report.hex",
            "nvidia/ls10-switch-sdk/cert_chain.pem",
            "nvidia/ls10-switch-sdk/vbios_rim.xml",
        ],
        "2026-06-01T00:00:00Z",
        None,
    ),
    (
        Machine::Nvidia,
        &[
            "nvidia/ls10-switch-sdk/report_badsig.hex",
            "nvidia/ls10-switch-sdk/cert_chain.pem",
        ],
        JUNE_2024,
        Some("nvidia-report-signature"),
    ),
    (
        Machine::Nvidia,
        &["nvidia/rims/driver_550.144.03.xml"],
        "2026-01-01T00:00:00Z",
        None,
    ),
    (
        Machine::Nvidia,
        &["nvidia/rims/driver_550.144.03_badsig.xml"],
        "2026-01-01T00:00:00Z",
        Some("nvidia-rim-signature"),
    ),
    (
        Machine::Nvidia,
        &["nvidia/rims/driver_570.124.03_expired.xml"],
        "2026-01-01T00:00:00Z",
        Some("nvidia-rim-digest"),
    ),
];

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
