//! Every bit and every end of reports and chains: of each kind of device, real and made.
//!
//! Why apart: these take seconds, and in a thorough run minutes.
//!
//! # Invariants
//! No bit of a report or of a certificate is without meaning.

use super::*;
use crate::spoil::{Grain, bits, ends};

fn report_counts(what: &str, grain: Grain, report: &[u8], identity: &DeviceIdentity, nonce: &Digest<32>) {
    let proven = |report: &[u8]| check_report(report, identity, nonce).is_ok();
    bits(what, report, grain, &[], proven);
    ends(what, report, &[], proven);
}

fn chain_counts(what: &str, chain: &[Vec<u8>], anchors: &Anchors, step: usize) {
    for (place, certificate) in chain.iter().enumerate() {
        let proven = |der: &[u8]| {
            let mut chain = chain.to_vec();
            chain[place] = der.to_vec();
            DeviceIdentity::verify(&chain, anchors.device(), AT).is_ok()
        };
        let what = format!("{what}: certificate {place}");
        bits(&what, certificate, Grain::Every(step), &[], proven);
        ends(&what, certificate, &[], proven);
    }
}

#[test]
fn no_bit_of_a_made_device_of_any_kind_is_without_meaning() {
    for chip in ["GH100", "GB100", "LS_10"] {
        let chain = device_chain(chip);
        let report = if chip == "LS_10" {
            let fields = switch_fields([1; 8], &[[2; 8]; 8]);
            signed(unsigned(31, &fields), chain.leaf_key())
        } else {
            gpu_report(&fields(&FIRMWARE), chain.leaf_key())
        };
        let der = chain.der();
        let anchors = device_anchors(&der);
        let identity = DeviceIdentity::verify(&der, anchors.device(), AT).unwrap();
        let grain = if chip == "GH100" {
            Grain::Bits
        } else {
            Grain::Every(1)
        };
        report_counts(chip, grain, &report, &identity, &NONCE);
        chain_counts(chip, &der, &anchors, 3);
    }
}

#[test]
fn no_bit_of_a_real_device_of_any_kind_is_without_meaning() {
    const NAME: &str = "nvidia::no_bit_of_a_real_device_of_any_kind_is_without_meaning";
    for folder in [
        "h100-550-nvtrust",
        "h100-545-gonvtrust",
        "b100-575-sdk",
        "ls10-switch-sdk",
    ] {
        let Some((report, chain)) = device_files(NAME, folder, "report.hex") else {
            return;
        };
        let anchors = Anchors::nvidia();
        let identity = DeviceIdentity::verify(&chain, anchors.device(), AT).unwrap();
        // One GPU and one switch in every run.
        let grain = match folder {
            "b100-575-sdk" | "ls10-switch-sdk" => Grain::Bits,
            _ => Grain::Every(1),
        };
        report_counts(folder, grain, &report, &identity, &nonce_of(&report));
        chain_counts(folder, &chain, &anchors, 7);
    }
}
