//! A real GPU's evidence, judged by itself.

use super::*;
use crate::denial::RuleId;
use crate::endorsements::{Endorsement, EndorsementKind};
use crate::nvidia;
use crate::nvidia::tests::{IN_2024, pem};
use crate::policy::nvidia::NvidiaSection;
use crate::testdata;

/// For a driver of 2023, which reports little, and no answers about revocation were collected with it.
const OLD: &str = "gpus = 1\narchitectures = [\"hopper\"]\nminimum_driver = \"535.00\"\n\
    minimum_firmware = [\"96.00.00.00.00\"]\ndangerously_accept_unchecked_revocation = true\n\
    dangerously_accept_unchecked_rim_revocation = true\n\
    dangerously_accept_unreported = [\"firmware-id\", \"feature-flag\", \"protected-pcie\"]\n";

fn policy(text: &str) -> NvidiaPolicy {
    let section: NvidiaSection = toml::from_str(text).unwrap();
    NvidiaPolicy::new(section).unwrap()
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(text).unwrap().trim();
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// A GPU of 2023, the nonce that it was asked with, and the RIMs of its driver and VBIOS.
struct Scene {
    report: Vec<u8>,
    chain: Vec<Vec<u8>>,
    nonce: Digest<32>,
    endorsements: Endorsements,
}

fn scene(test: &str, spoil: impl FnOnce(&mut Vec<u8>)) -> Option<Scene> {
    let file = |name: &str| testdata::evidence(test, &format!("nvidia/h100-545-gonvtrust/{name}"));
    let mut report = unhex(&file("report.hex")?);
    spoil(&mut report);
    let nonce = Digest::from_slice(&report[4..36]).unwrap();
    let rim = |name| Endorsement::new(EndorsementKind::NvidiaRim, file(name)?).ok();
    Some(Scene {
        report,
        chain: pem(&file("cert_chain.pem")?),
        nonce,
        endorsements: Endorsements::new(vec![rim("driver_rim.xml")?, rim("vbios_rim.xml")?]).unwrap(),
    })
}

impl Scene {
    fn device(&self) -> DeviceEvidence {
        DeviceEvidence::new(nvidia::GPU.to_owned(), self.report.clone(), self.chain.clone()).unwrap()
    }

    fn judged(&self, text: &str, times: usize, nonce: Digest<32>) -> Result<AppraisedDevices, Vec<RuleId>> {
        let devices: Vec<_> = (0..times).map(|_| self.device()).collect();
        let judged = policy(text).appraise_devices(
            &devices,
            &nonce,
            &self.endorsements,
            &Anchors::compiled(),
            IN_2024,
        );
        judged.map_err(|refused| match refused {
            DevicesRefused::Denied(denial) => denial.reasons().iter().map(|reason| reason.rule).collect(),
            DevicesRefused::Evidence(_) => Vec::new(),
        })
    }
}

#[test]
fn a_real_gpu_is_appraised_and_each_difference_refused() {
    const NAME: &str = "appraise::devices::a_real_gpu_is_appraised_and_each_difference_refused";
    let Some(scene) = scene(NAME, |_| {}) else {
        return;
    };
    let (policy_of_old, nonce) = (policy(OLD), scene.nonce);
    assert!(policy_of_old.is_weakened());
    assert_eq!(policy_of_old.gpus(), 1);
    let appraised = scene.judged(OLD, 1, nonce).unwrap();
    assert_eq!(appraised.leaves(), [scene.device().leaf_digest()]);
    assert!(IN_2024 < appraised.valid_until());
    assert!(
        appraised
            .checks()
            .iter()
            .any(|check| check.rule == RuleId::NvidiaMeasurements)
    );

    let refused = |text: &str, times, nonce| scene.judged(text, times, nonce).unwrap_err();
    // The answer to another question.
    assert_eq!(refused(OLD, 1, Digest::new([1; 32])), [RuleId::NvidiaNonce]);
    // None, one too many, and one that answers for two.
    assert_eq!(refused(OLD, 0, nonce), [RuleId::NvidiaTopology]);
    assert_eq!(refused(OLD, 2, nonce), [RuleId::NvidiaTopology]);
    let two = OLD.replace("gpus = 1", "gpus = 2");
    assert_eq!(refused(&two, 2, nonce), [RuleId::NvidiaTopology]);
    // What is not accepted by name.
    let strict = OLD.replace("dangerously_accept_unchecked_revocation = true\n", "");
    assert_eq!(refused(&strict, 1, nonce), [RuleId::NvidiaRevocation]);
    let newer = OLD.replace("535.00", "550.90");
    assert_eq!(refused(&newer, 1, nonce), [RuleId::NvidiaDriver]);
    // Without RIMs nothing is known of what it runs.
    let bare = Scene {
        endorsements: Endorsements::new(Vec::new()).unwrap(),
        ..scene
    };
    assert!(
        bare.judged(OLD, 1, nonce)
            .unwrap_err()
            .contains(&RuleId::NvidiaRims)
    );
}

#[test]
fn a_report_that_was_changed_proves_nothing() {
    const NAME: &str = "appraise::devices::a_report_that_was_changed_proves_nothing";
    let Some(scene) = scene(NAME, |report| report[60] ^= 1) else {
        return;
    };
    let judged = policy(OLD).appraise_devices(
        &[scene.device()],
        &scene.nonce,
        &scene.endorsements,
        &Anchors::compiled(),
        IN_2024,
    );
    assert!(matches!(
        judged,
        Err(DevicesRefused::Evidence(VerifyError::Device { index: 0, .. }))
    ));
}
