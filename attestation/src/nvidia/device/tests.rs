//! Devices under a fake authority, each thing wrong that a real one never is, and every bit of real ones.

use super::*;
use crate::nvidia::error::ReportField;
use crate::nvidia::fixture::{
    AT, Chain, FIRMWARE, NONCE, composite, device_anchors, device_chain, device_info, gpu_fields, gpu_report,
    signed, switch_fields, tcb_info, unsigned,
};
use crate::nvidia::identity::Architecture;
use crate::nvidia::tests::{device_files, nonce_of};
use crate::x509::Fault;
use crate::x509::forge::{Key, NOW};

mod bits;

fn verified(chain: &Chain, report: &[u8]) -> Result<VerifiedDevice, DeviceError> {
    let der = chain.der();
    verify_device(report, &der, &NONCE, &[], &device_anchors(&der), AT)
}

/// Fields of a GPU with a firmware id.
fn fields(firmware: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let mut fields = gpu_fields();
    fields.push((20, firmware.to_vec()));
    fields
}

#[test]
fn a_device_of_each_architecture_is_proven_under_a_fake_authority() {
    for (chip, architecture) in [
        ("GH100", Architecture::Hopper),
        ("GB202", Architecture::Blackwell),
    ] {
        let chain = device_chain(chip);
        let device = verified(&chain, &gpu_report(&fields(&FIRMWARE), chain.leaf_key())).unwrap();
        assert_eq!(device.identity().architecture(), architecture);
        assert_eq!(device.identity().chip(), chip);
        assert_eq!(device.identity().serial_number().to_string(), "48b02d51c9c1070b");
        assert_eq!(device.firmware_binding(), FirmwareBinding::Same);
        assert!(!device.under_compiled_anchors());
    }
    let chain = device_chain("LS_10");
    let report = signed(
        unsigned(31, &switch_fields([1; 8], &[[2; 8]; 8])),
        chain.leaf_key(),
    );
    let switch = verified(&chain, &report).unwrap();
    assert_eq!(switch.identity().architecture(), Architecture::Ls10);
    assert_eq!(switch.firmware_binding(), FirmwareBinding::Absent);
    assert_eq!(switch.identity().flags(), None);
}

#[test]
fn blackwells_flags_are_shown() {
    let mut chain = device_chain("GB100");
    let place = chain.leaf().extensions.len() - 1;
    chain.leaf().extensions[place] = tcb_info(&FIRMWARE, [0x90, 0, 0, 1]);
    let device = verified(&chain, &gpu_report(&gpu_fields(), chain.leaf_key())).unwrap();
    let flags = device.identity().flags().unwrap();
    assert!(flags.not_configured() && flags.debug() && !flags.not_secure() && !flags.recovery());
    assert_eq!(flags.bits(), 0x9000_0001);
}

#[test]
fn a_report_is_the_answer_to_its_nonce_by_its_device_on_its_firmware() {
    let chain = device_chain("GH100");
    let der = chain.der();
    let anchors = device_anchors(&der);
    let report = gpu_report(&fields(&FIRMWARE), chain.leaf_key());
    let other = Digest::new([1; 32]);
    let refused = |report: &[u8], nonce| verify_device(report, &der, nonce, &[], &anchors, AT).unwrap_err();
    assert_eq!(refused(&report, &other), DeviceError::Nonce);
    let stranger = gpu_report(&fields(&FIRMWARE), &Key::p384());
    assert_eq!(refused(&stranger, &NONCE), DeviceError::Signature);
    let downgraded = gpu_report(&fields(&[0; 48]), chain.leaf_key());
    assert_eq!(refused(&downgraded, &NONCE), DeviceError::FirmwareId);
    let switch = signed(
        unsigned(31, &switch_fields([1; 8], &[[2; 8]; 8])),
        chain.leaf_key(),
    );
    let blocks = DeviceError::Form {
        field: ReportField::NumberOfBlocks,
        offset: 41,
    };
    assert_eq!(refused(&switch, &NONCE), blocks);
}

/// The error of a chain that a test changed.
fn chain_error(change: impl FnOnce(&mut Chain)) -> DeviceError {
    let mut chain = device_chain("GH100");
    change(&mut chain);
    let report = gpu_report(&fields(&FIRMWARE), chain.leaf_key());
    verified(&chain, &report).unwrap_err()
}

fn link(link: usize, fault: Fault) -> DeviceError {
    DeviceError::Certificate(crate::x509::ChainError { link, fault })
}

#[test]
fn a_chain_is_five_certificates_valid_now_each_allowed_what_it_does() {
    let until = Timestamp::from_unix(NOW - 1);
    assert_eq!(
        chain_error(|chain| chain.leaf().until = NOW - 1),
        link(0, Fault::Expired { until })
    );
    let from = Timestamp::from_unix(NOW + 1);
    assert_eq!(
        chain_error(|chain| chain.drafts[2].from = NOW + 1),
        link(2, Fault::NotYetValid { from })
    );
    let ordinary = |chain: &mut Chain| chain.drafts[3].extensions.clear();
    assert_eq!(chain_error(ordinary), link(1, Fault::NotAnAuthority));
    let authority = |chain: &mut Chain| {
        let usage = chain.drafts[1].extensions.clone();
        chain.leaf().extensions.splice(..1, usage);
    };
    assert_eq!(chain_error(authority), link(0, Fault::LeafIsAuthority));
    let missing = |chain: &mut Chain| {
        chain.keys.remove(2);
        chain.drafts.remove(2);
    };
    assert_eq!(chain_error(missing), DeviceError::ChainLength);
}

#[test]
fn a_p256_leaf_signs_nothing() {
    let mut chain = device_chain("GH100");
    *chain.keys.last_mut().unwrap() = Key::p256();
    let report = gpu_report(&fields(&FIRMWARE), &Key::p384());
    assert_eq!(verified(&chain, &report).unwrap_err(), DeviceError::Signature);
}

#[test]
fn a_chain_under_another_root_is_refused() {
    let chain = device_chain("GH100");
    let report = gpu_report(&fields(&FIRMWARE), chain.leaf_key());
    let refused = verify_device(&report, &chain.der(), &NONCE, &[], &Anchors::nvidia(), AT);
    assert_eq!(refused.unwrap_err(), DeviceError::Root);
    let refused = verify_device(&report, &[], &NONCE, &[], &Anchors::nvidia(), AT);
    assert_eq!(refused.unwrap_err(), DeviceError::ChainLength);
}

#[test]
fn a_leaf_names_its_chip_its_issuer_and_its_firmware() {
    let place = |chain: &mut Chain| chain.leaf().extensions.len();
    for text in [
        "NVIDIA:GV100:48B02D51C9C1070B",
        "NVIDIA:GB1:48B02D51C9C1070B",
        "AMD:GH100:48B02D51C9C1070B",
        "NVIDIA:GH100:48B02D51C9C1070b",
        "NVIDIA:GH100",
        "",
    ] {
        let named = |chain: &mut Chain| {
            let at = place(chain) - 2;
            chain.leaf().extensions[at] = device_info(text);
        };
        assert_eq!(chain_error(named), DeviceError::Chip, "{text}");
    }
    let other_issuer = |chain: &mut Chain| {
        let at = place(chain) - 1;
        chain.leaf().extensions[at] = composite(&Key::p384(), &FIRMWARE);
    };
    assert_eq!(chain_error(other_issuer), DeviceError::LeafDeviceId);
    let of_blackwell = |chain: &mut Chain| {
        let at = place(chain) - 1;
        chain.leaf().extensions[at] = tcb_info(&FIRMWARE, [0; 4]);
    };
    assert_eq!(chain_error(of_blackwell), DeviceError::LeafFirmwareId);
    let without = |chain: &mut Chain| {
        chain.leaf().extensions.pop();
    };
    assert_eq!(chain_error(without), DeviceError::LeafFirmwareId);
}

#[test]
fn every_byte_of_a_real_chain_counts() {
    let test = "every_byte_of_a_real_chain_counts";
    let anchors = Anchors::nvidia();
    for folder in ["b100-575-sdk", "h100-580-sdk"] {
        let Some((_, chain)) = device_files(test, folder, "report.hex") else {
            return;
        };
        let refused = |chain: &[Vec<u8>]| DeviceIdentity::verify(chain, anchors.device(), AT).is_err();
        assert!(!refused(&chain));
        for (place, der) in chain.iter().enumerate() {
            let mut altered = chain.clone();
            for byte in 0..der.len() {
                altered[place][byte] ^= 1 << (byte % 8);
                assert!(refused(&altered), "{folder}: certificate {place}, byte {byte}");
                altered[place][byte] ^= 1 << (byte % 8);
            }
            altered[place].pop();
            assert!(refused(&altered), "{folder}: certificate {place}, cut");
            altered[place].extend([der[der.len() - 1], 0]);
            assert!(refused(&altered), "{folder}: certificate {place}, longer");
            let mut swapped = chain.clone();
            swapped.swap(place, (place + 1) % 5);
            assert!(
                refused(&swapped),
                "{folder}: certificates {place} and the next, swapped"
            );
        }
    }
}
