//! From a platform's name to evidence, on machines that have what the platform needs and on machines that do not.

use std::path::Path;

use anchorhold_attestation::evidence::EvidencePart;
use anchorhold_attestation::{DevicesDigest, Nonce, NonceBatch};

use super::azure::Hardware;
use super::azure::tests::paravisor;
use super::machine::Paravisor;
use anchorhold_encoding::sha384;

use super::*;

fn launch() -> LaunchRecord {
    LaunchRecord {
        measurement: Digest::new([1; 48]),
        host_data: Digest::new([7; 32]),
    }
}

fn report_data() -> ReportData {
    let nonces = NonceBatch::collect(vec![Nonce::from_random([1; 32])]).unwrap();
    nonces.report_data(&Digest::new([2; 64]), &DevicesDigest::of(&[]))
}

/// A machine with nothing in it but what a test puts there.
fn places(root: &Path) -> Places {
    Places {
        tsm: root.join("tsm"),
        sev_guest: root.join("sev-guest"),
        tdx_guest: root.join("tdx_guest"),
        event_log: root.join("CCEL"),
        tpm: root.join("tpmrm0"),
    }
}

fn refused(platform: Platform, places: &Places) -> AttesterError {
    reporter(platform, &launch(), places).err().unwrap()
}

#[test]
fn the_platforms_of_a_build_are_named_as_documents_name_them() {
    let hardware = [
        Platform::Snp,
        Platform::Tdx,
        Platform::AzureSnp,
        Platform::AzureTdx,
    ];
    for platform in hardware {
        assert!(COMPILED_PLATFORMS.contains(&platform.name()), "{platform}");
    }
    let simulated = COMPILED_PLATFORMS.contains(&Platform::InsecureSimulated.name());
    assert_eq!(simulated, cfg!(feature = "insecure-simulated"));
    assert_eq!(COMPILED_PLATFORMS.len(), hardware.len() + usize::from(simulated));
}

#[test]
fn a_machine_without_a_platforms_devices_says_which() {
    let root = tempfile::tempdir().unwrap();
    let places = places(root.path());
    let missing = |interface: Interface| interface.fails(Fault::Missing);
    assert_eq!(refused(Platform::Snp, &places), missing(Interface::SevGuest));
    assert_eq!(refused(Platform::Tdx, &places), missing(Interface::Tsm));
    assert_eq!(refused(Platform::AzureSnp, &places), missing(Interface::Vtpm));
    assert_eq!(refused(Platform::AzureTdx, &places), missing(Interface::Vtpm));
    for interface in [Interface::Tsm, Interface::SevGuest, Interface::Vtpm] {
        let error = missing(interface);
        assert!(error.code().ends_with("_missing"));
        assert!(error.hint().starts_with("start the machine as"), "{error}");
    }
    // A TD whose kernel is too old for quotes.
    std::fs::write(&places.tdx_guest, "").unwrap();
    let old = Interface::TdxGuest.fails(Fault::Unsupported);
    assert_eq!(refused(Platform::Tdx, &places), old);
    // With the folder and without a driver behind it, the first report says so.
    std::fs::create_dir(&places.tsm).unwrap();
    for platform in [Platform::Snp, Platform::Tdx] {
        let reporter = reporter(platform, &launch(), &places).unwrap();
        let error = reporter.report(&report_data()).err();
        assert_eq!(error, Some(missing(Interface::Tsm)), "{platform}");
    }
    // Files that are no devices: what they do not do is refused, not believed.
    std::fs::remove_dir(&places.tsm).unwrap();
    std::fs::write(&places.sev_guest, "").unwrap();
    let reporter = reporter(Platform::Snp, &launch(), &places).unwrap();
    let refusal = Interface::SevGuest.fails(Fault::Refused);
    assert_eq!(reporter.report(&report_data()).err(), Some(refusal));
    let error = reporter.fixed_config(&Digest::new([0; 32])).err();
    assert_eq!(error, Some(refusal));
}

#[test]
fn an_event_log_beyond_the_limit_is_not_read() {
    let root = tempfile::tempdir().unwrap();
    let places = places(root.path());
    std::fs::create_dir(&places.tsm).unwrap();
    std::fs::write(&places.tdx_guest, "").unwrap();
    let limit = anchorhold_attestation::limits::EVENT_LOG;
    std::fs::write(&places.event_log, vec![0; limit]).unwrap();
    assert!(reporter(Platform::Tdx, &launch(), &places).is_ok());
    std::fs::write(&places.event_log, vec![0; limit + 1]).unwrap();
    let large = Interface::TdxGuest.fails(Fault::TooLarge);
    assert_eq!(refused(Platform::Tdx, &places), large);
}

#[test]
fn a_paravisors_evidence_has_its_parts() {
    let tpm = paravisor(Hardware::Snp, |_| true);
    let reporter = Paravisor::new(Box::new(tpm), None);
    let attester = Attester::of(Platform::AzureSnp, Box::new(reporter), None);
    let evidence = attester.attest(&report_data(), Vec::new()).unwrap();
    let evidence = Evidence::from_json(&evidence.to_json()).unwrap();
    assert_eq!(evidence.platform(), Platform::AzureSnp);
    assert_eq!(&evidence.report()[..4], b"HCLA");
    let part = |part| evidence.part(part).unwrap_or_default();
    assert_eq!(part(EvidencePart::TpmRegisters).len(), 24 * 32);
    assert_eq!(part(EvidencePart::TpmQuote)[..4], [0xff, 0x54, 0x43, 0x47]);
    assert_eq!(part(EvidencePart::TpmSignature)[..4], [0, 0x14, 0, 0x0b]);
    assert!(evidence.part(EvidencePart::TdxQuote).is_none());
    assert!(attester.host_endorsements().is_empty());
}

#[test]
fn a_register_takes_the_configuration_once() {
    let confirm = |before: [u8; 32], config: &[u8]| {
        let tpm = paravisor(Hardware::Snp, |_| true);
        tpm.state.lock().unwrap().registers[8] = before;
        let reporter = Paravisor::new(Box::new(tpm), None);
        let attester = Attester::of(Platform::AzureSnp, Box::new(reporter), None);
        let first = attester
            .confirm(config)
            .map(|confirmed| (confirmed.sha256(), confirmed.by()));
        // The program may be started again in the same VM.
        let again = attester
            .confirm(config)
            .map(|confirmed| (confirmed.sha256(), confirmed.by()));
        assert_eq!(first, again);
        let other = attester.confirm(b"another").err();
        assert_eq!(other, Some(AttesterError::OtherConfiguration));
        first
    };
    let digest = sha256(&[b"one"]);
    assert_eq!(confirm([0; 32], b"one"), Ok((digest, ConfigBoundBy::Pcr8)));
    // Whoever was first with something else has not become this enclave.
    assert_eq!(confirm([1; 32], b"one"), Err(AttesterError::OtherConfiguration));
}

/// A platform whose field is what a test says.
struct Fixed {
    config: FixedConfig,
    certificates: Vec<u8>,
}

impl Reporter for Fixed {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        Ok(CpuReport {
            certificates: Some(self.certificates.clone()),
            ..report_data.as_bytes().to_vec().into()
        })
    }

    fn fixed_config(&self, _config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        Ok(self.config)
    }
}

#[test]
fn the_platforms_field_decides_about_the_configuration() {
    let config = b"configuration";
    let confirm = |config_field| {
        let fixed = Fixed {
            config: config_field,
            certificates: Vec::new(),
        };
        let attester = Attester::of(Platform::Snp, Box::new(fixed), None);
        attester.confirm(config).map(|confirmed| confirmed.by())
    };
    let (short, long) = (sha256(&[config]), sha384(&[config]));
    assert_eq!(confirm(FixedConfig::HostData(short)), Ok(ConfigBoundBy::HostData));
    assert_eq!(
        confirm(FixedConfig::MrConfigId(long)),
        Ok(ConfigBoundBy::MrConfigId)
    );
    for unset in [
        FixedConfig::HostData(Digest::new([0; 32])),
        FixedConfig::MrConfigId(Digest::new([0; 48])),
        FixedConfig::Register(None),
    ] {
        assert_eq!(confirm(unset), Err(AttesterError::Unbound));
    }
    let mut padded = [0; 48];
    padded[..32].copy_from_slice(short.as_bytes());
    for other in [
        FixedConfig::HostData(sha256(&[b"other"])),
        FixedConfig::MrConfigId(Digest::new(padded)),
        FixedConfig::Register(Some(short)),
    ] {
        assert_eq!(confirm(other), Err(AttesterError::OtherConfiguration));
    }
}

/// A host's table with these entries: GUID as Linux writes it, then the bytes behind the rows.
fn table(entries: &[(u128, &[u8])]) -> Vec<u8> {
    let mut offset = u32::try_from(24 * (entries.len() + 1)).unwrap();
    let (mut rows, mut contents) = (Vec::new(), Vec::new());
    for (guid, content) in entries {
        let length = u32::try_from(content.len()).unwrap();
        rows.extend(guid.to_be_bytes());
        rows.extend(offset.to_le_bytes());
        rows.extend(length.to_le_bytes());
        contents.extend(*content);
        offset += length;
    }
    rows.extend([0; 24]);
    [rows, contents].concat()
}

#[test]
fn the_hosts_certificates_become_endorsements() {
    const VCEK: u128 = 0x63da758d_e664_4564_adc5_f4b93be8accd;
    const ASK: u128 = 0x4ab7b379_bbac_4fe4_a02f_05aef327c782;
    const ARK: u128 = 0xc0b406a4_a803_4952_9743_3fb6014cd0ae;
    let endorsements = |certificates: Vec<u8>| {
        let fixed = Fixed {
            config: FixedConfig::Register(None),
            certificates,
        };
        let attester = Attester::of(Platform::Snp, Box::new(fixed), None);
        assert!(attester.host_endorsements().is_empty());
        attester.attest(&report_data(), Vec::new()).unwrap();
        attester.host_endorsements()
    };
    let full = table(&[(VCEK, &[1, 1]), (ASK, &[2, 2, 2]), (ARK, &[3])]);
    let seen: Vec<_> = endorsements(full.clone())
        .iter()
        .map(|endorsement| (endorsement.kind(), endorsement.body().to_vec()))
        .collect();
    let expected = [
        (EndorsementKind::AmdVek, vec![1, 1]),
        (EndorsementKind::AmdAuthority, vec![2, 2, 2]),
    ];
    assert_eq!(seen, expected);
    // A host may write anything: what cannot be read endorses nothing.
    assert!(endorsements(full[..full.len() - 1].to_vec()).is_empty());
    assert!(endorsements(vec![5; 24]).is_empty());
}
