//! Every real file of NVIDIA's in ../shared/evidence, with the verdict of its README and the reason.

use anchorhold_encoding::Digest;

use super::fixture::AT;
use super::*;
use crate::base64_text::decode_standard;
use crate::testdata;
use crate::time::Timestamp;

/// 2024-06-01.
pub(crate) const IN_2024: Timestamp = Timestamp::from_unix(1_717_200_000);
/// 2025-01-01 12:00.
const NEW_YEAR_2025: Timestamp = Timestamp::from_unix(1_735_732_800);
/// 2026-06-01.
pub(crate) const IN_2026: Timestamp = Timestamp::from_unix(1_780_272_000);

fn file(test: &str, path: &str) -> Option<Vec<u8>> {
    testdata::evidence(test, &format!("nvidia/{path}"))
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap().trim();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn pem(text: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(text).unwrap();
    text.split("-----BEGIN CERTIFICATE-----")
        .skip(1)
        .map(|part| {
            let body = part.split("-----END").next().unwrap();
            decode_standard(&body.replace(['\n', '\r'], "")).unwrap()
        })
        .collect()
}

/// Report and chain.
pub(super) fn device_files(test: &str, folder: &str, report: &str) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let report = file(test, &format!("{folder}/{report}"))?;
    let chain = file(test, &format!("{folder}/cert_chain.pem"))?;
    Some((unhex(&report), pem(&chain)))
}

pub(super) fn nonce_of(report: &[u8]) -> Digest<32> {
    Digest::from_slice(&report[4..36]).unwrap()
}

pub(super) fn verify(
    report: &[u8],
    chain: &[Vec<u8>],
    now: Timestamp,
) -> Result<VerifiedDevice, DeviceError> {
    verify_device(report, chain, &nonce_of(report), &[], &Anchors::nvidia(), now)
}

pub(crate) fn real(test: &str, folder: &str) -> Option<VerifiedDevice> {
    let (report, chain) = device_files(test, folder, "report.hex")?;
    Some(verify(&report, &chain, IN_2024).unwrap())
}

pub(crate) fn real_rim(test: &str, path: &str, now: Timestamp) -> Option<Result<VerifiedRim, RimError>> {
    Some(verify_rim(&file(test, path)?, &[], &Anchors::nvidia(), now))
}

#[test]
fn the_compiled_roots_are_nvidias() {
    let test = "the_compiled_roots_are_nvidias";
    let ours = Anchors::nvidia();
    for (name, anchor) in [
        ("device_root", ours.device()),
        ("switch_device_root", ours.device()),
        ("rim_root", ours.rim()),
    ] {
        let Some(theirs) = testdata::evidence(test, &format!("anchors/nvidia/{name}.pem")) else {
            return;
        };
        assert_eq!(pem(&theirs), [anchor.certificate().der()], "{name}");
    }
}

struct Expected {
    folder: &'static str,
    architecture: Architecture,
    versions: (&'static str, &'static str),
    binding: FirmwareBinding,
    nonce: &'static str,
}

#[test]
fn real_devices_are_proven_with_the_fields_of_the_readme() {
    let test = "real_devices_are_proven_with_the_fields_of_the_readme";
    use Architecture::{Blackwell, Hopper};
    use FirmwareBinding::{Absent, Same};
    let rows = [
        (
            "h100-550-nvtrust",
            Hopper,
            ("550.90.07", "96.00.9F.00.01"),
            Same,
            "931d8dd0",
        ),
        (
            "h100-545-gonvtrust",
            Hopper,
            ("545.00", "96.00.5E.00.01"),
            Absent,
            "4cff7f53",
        ),
        (
            "h100-535-sdk",
            Hopper,
            ("535.86.09", "96.00.5E.00.01"),
            Absent,
            "27a32824",
        ),
        (
            "h100-580-sdk",
            Hopper,
            ("580.159.03", "96.00.74.00.20"),
            Same,
            "5bb22e37",
        ),
        (
            "b100-575-sdk",
            Blackwell,
            ("575.32", "97.00.88.00.0F"),
            Same,
            "931d8dd0",
        ),
    ];
    for (folder, architecture, versions, binding, nonce) in rows {
        let Some(device) = real(test, folder) else { return };
        let expected = Expected {
            folder,
            architecture,
            versions,
            binding,
            nonce,
        };
        check(&device, &expected);
    }
}

fn check(device: &VerifiedDevice, expected: &Expected) {
    let folder = expected.folder;
    let OpaqueData::Gpu(data) = device.report().opaque() else {
        panic!("{folder}");
    };
    let versions = (
        data.driver_version().to_string(),
        data.vbios_version().to_string(),
    );
    assert_eq!(
        (versions.0.as_str(), versions.1.as_str()),
        expected.versions,
        "{folder}"
    );
    assert_eq!(
        device.identity().architecture(),
        expected.architecture,
        "{folder}"
    );
    assert_eq!(device.firmware_binding(), expected.binding, "{folder}");
    assert_eq!(device.report().nonce().short(), expected.nonce, "{folder}");
    assert!(
        matches!(device.revocation(), Revocation::NotChecked { answered: 0 }),
        "{folder}"
    );
    assert_eq!(device.report().measurements().len(), 64, "{folder}");
    assert!(device.under_compiled_anchors(), "{folder}");
    assert!(data.undocumented().is_empty(), "{folder}");
}

#[test]
fn what_nvidias_own_parser_says_of_a_report_is_what_this_one_says() {
    let test = "what_nvidias_own_parser_says_of_a_report_is_what_this_one_says";
    let Some(theirs) = file(test, "h100-580-sdk/parsed_expected.json") else {
        return;
    };
    let theirs: serde_json::Value = serde_json::from_slice(&theirs).unwrap();
    let Some(device) = real(test, "h100-580-sdk") else {
        return;
    };
    let report = device.report();
    let nonce = format!("0x{}", report.device_nonce());
    assert_eq!(theirs["Nonce"], nonce.as_str());
    for (index, ours) in report.measurements().iter().enumerate() {
        let block = &theirs["MeasurementRecord"]["MeasurementBlocks"][(index + 1).to_string()];
        assert!(
            block.to_string().contains(&ours.value().to_string()),
            "{index}: {block}"
        );
    }
    let OpaqueData::Gpu(data) = report.opaque() else {
        panic!()
    };
    assert_eq!(data.feature_flag(), Some(FeatureFlag::SINGLE_GPU));
    assert_eq!(data.data_version(), Some(1));
    assert_eq!(
        (data.project(), data.project_sku(), data.chip_sku()),
        ("1010", "0205", "862")
    );
    assert_eq!(data.nvdec0(), Switched::Off);
    assert_eq!(data.protected_pcie(), Some(Switched::Off));
}

#[test]
fn a_chain_on_hold_is_proven_offline_and_says_that_revocation_was_not_checked() {
    let test = "a_chain_on_hold_is_proven_offline_and_says_that_revocation_was_not_checked";
    let Some(json) = file(test, "h100-570-certhold-sdk/evidence.json") else {
        return;
    };
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let bytes = |member: &str| decode_standard(json[0][member].as_str().unwrap()).unwrap();
    let nonce: Digest<32> = json[0]["nonce"].as_str().unwrap().parse().unwrap();
    let chain = pem(&bytes("certificate"));
    let device = verify_device(
        &bytes("evidence"),
        &chain,
        &nonce,
        &[],
        &Anchors::nvidia(),
        IN_2024,
    )
    .unwrap();
    assert!(matches!(
        device.revocation(),
        Revocation::NotChecked { answered: 0 }
    ));
    let other = Digest::new([0; 32]);
    let error = verify_device(
        &bytes("evidence"),
        &chain,
        &other,
        &[],
        &Anchors::nvidia(),
        IN_2024,
    )
    .unwrap_err();
    assert_eq!(error, DeviceError::Nonce);
}

#[test]
fn real_evidence_that_is_wrong_is_refused_for_its_reason() {
    let test = "real_evidence_that_is_wrong_is_refused_for_its_reason";
    let Some((report, chain)) = device_files(test, "h100-560-badsig-sdk", "report.hex") else {
        return;
    };
    assert_eq!(
        verify(&report, &chain, IN_2024).unwrap_err(),
        DeviceError::Signature
    );

    let Some((report, chain)) = device_files(test, "ls10-switch-sdk", "report_badsig.hex") else {
        return;
    };
    assert_eq!(
        verify(&report, &chain, IN_2024).unwrap_err(),
        DeviceError::Signature
    );

    let Some((report, _)) = device_files(test, "h100-545-gonvtrust", "report.hex") else {
        return;
    };
    let Some(chain) = file(test, "h100-545-gonvtrust/cert_chain_invalid.pem") else {
        return;
    };
    assert_eq!(
        verify(&report, &pem(&chain), IN_2024).unwrap_err(),
        DeviceError::ChainLength
    );
}

#[test]
fn the_545_report_matches_both_of_its_rims_and_the_stale_vbios_rim_differs_at_nine() {
    let test = "the_545_report_matches_both_of_its_rims_and_the_stale_vbios_rim_differs_at_nine";
    let Some(device) = real(test, "h100-545-gonvtrust") else {
        return;
    };
    let rim = |path| real_rim(test, path, IN_2024).unwrap().unwrap();
    let (driver, vbios) = (
        rim("h100-545-gonvtrust/driver_rim.xml"),
        rim("h100-545-gonvtrust/vbios_rim.xml"),
    );
    let matched = match_gpu(&device, &driver, &vbios).unwrap();
    assert_eq!((matched.driver().len(), matched.bios().len()), (21, 12));
    assert!(matched.exempt().is_empty());
    // The leaf of the VBIOS's RIM ends first: 2025-06-22.
    assert!(matched.expires() < Timestamp::from_unix(1_750_636_800));
    assert_eq!(
        match_gpu(&device, &vbios, &driver).unwrap_err(),
        ComparisonError::Version(RimRole::Driver)
    );

    let Some(newer) = real(test, "h100-580-sdk") else {
        return;
    };
    let stale = rim("h100-580-sdk/vbios_rim_stale.xml");
    assert_eq!(differing(&newer, &stale).unwrap(), [9]);
    assert_eq!(
        match_gpu(&newer, &driver, &stale).unwrap_err(),
        ComparisonError::Version(RimRole::Driver)
    );

    let Some(older) = real(test, "h100-535-sdk") else {
        return;
    };
    assert_eq!(
        differing(&older, &rim("h100-535-sdk/vbios_rim.xml")).unwrap(),
        [0_u8; 0]
    );
    assert_eq!(stale.rim().measurements().len(), 64);
}

#[test]
fn the_switch_matches_its_rim() {
    let test = "the_switch_matches_its_rim";
    let Some(switch) = real(test, "ls10-switch-sdk") else {
        return;
    };
    let rim = real_rim(test, "ls10-switch-sdk/vbios_rim.xml", IN_2026)
        .unwrap()
        .unwrap();
    let matched = match_switch(&switch, &rim).unwrap();
    assert_eq!(matched.bios().len(), 31);
    let OpaqueData::Switch(data) = switch.report().opaque() else {
        panic!()
    };
    assert_eq!(data.pdi().to_string(), "203eb31ad9ed0008");
    assert_eq!(
        (data.position(), data.lock_status(), data.disabled_ports()),
        (2, 1, 0xec)
    );
    let early = real_rim(test, "ls10-switch-sdk/vbios_rim.xml", IN_2024)
        .unwrap()
        .unwrap_err();
    assert_eq!(early.id(), "nvidia-rim-chain");
    let gpu = real(test, "h100-545-gonvtrust").unwrap();
    assert_eq!(match_switch(&gpu, &rim).unwrap_err(), ComparisonError::Kind);
}

#[test]
fn real_rims_have_the_verdicts_of_the_readme() {
    let test = "real_rims_have_the_verdicts_of_the_readme";
    let ok = "proven";
    let rows = [
        ("h100-535-sdk/vbios_rim.xml", IN_2024, ok),
        (
            "h100-535-sdk/driver_rim_measurement_mismatch.xml",
            IN_2024,
            "nvidia-rim-digest",
        ),
        ("h100-545-gonvtrust/driver_rim.xml", IN_2024, ok),
        ("h100-545-gonvtrust/driver_rim.xml", IN_2026, "nvidia-rim-chain"),
        ("h100-545-gonvtrust/vbios_rim.xml", IN_2024, ok),
        ("h100-580-sdk/vbios_rim_stale.xml", IN_2024, ok),
        ("ls10-switch-sdk/vbios_rim.xml", IN_2026, ok),
        ("rims/driver_550.144.03.xml", AT, ok),
        ("rims/driver_550.144.03.xml", IN_2024, "nvidia-rim-chain"),
        ("rims/driver_550.144.03_badsig.xml", AT, "nvidia-rim-signature"),
        (
            "rims/driver_570.124.03_expired.xml",
            NEW_YEAR_2025,
            "nvidia-rim-digest",
        ),
        ("rims/driver_badchain.xml", AT, "nvidia-rim-chain-length"),
        ("rims/vbios_1010_0200_882_96005E0003_PROD.xml", IN_2024, ok),
        ("rims/vbios_1010_0200_882_960074001A_PROD.xml", IN_2024, ok),
        ("rims/vbios_1010_0205_862_96005E0004_PROD.xml", IN_2024, ok),
        ("rims/vbios_1010_0210_886_9600740011_PROD.xml", IN_2024, ok),
        ("rims/vbios_g520_0200_885_9600740001_PROD.xml", IN_2024, ok),
        ("rims/vbios_g520_0202_885_96006D0008_PROD.xml", IN_2024, ok),
    ];
    for (path, now, expected) in rows {
        let Some(result) = real_rim(test, path, now) else {
            return;
        };
        let found = result.as_ref().map_or_else(RimError::id, |_| ok);
        assert_eq!(found, expected, "{path}");
    }
}
