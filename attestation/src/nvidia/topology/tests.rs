//! Machines of several devices, whole and not.

use super::*;
use crate::nvidia::fixture::{
    AT, NONCE, device_anchors, device_chain, gpu_fields, gpu_report, signed, switch_fields, unsigned,
};
use crate::nvidia::tests::real;
use crate::nvidia::verify_device;

const GPUS: usize = 2;

/// The numbers of two switches, and of two GPUs in the eight places a switch has.
const SWITCHES: [[u8; 8]; 2] = [[1, 2, 3, 4, 5, 6, 7, 8], [9, 8, 7, 6, 5, 4, 3, 2]];
const SEEN_GPUS: [[u8; 8]; 8] = [[1; 8], [2; 8], [1; 8], [2; 8], [1; 8], [2; 8], [1; 8], [2; 8]];

fn reversed(mut pdi: [u8; 8]) -> [u8; 8] {
    pdi.reverse();
    pdi
}

fn gpu_seeing(switches: Option<[[u8; 8]; 2]>) -> VerifiedDevice {
    let chain = device_chain("GH100");
    let mut fields = gpu_fields();
    if let Some(switches) = switches {
        let ports: Vec<u8> = (0..18).flat_map(|port| reversed(switches[port % 2])).collect();
        fields.push((22, ports));
    }
    let der = chain.der();
    let report = gpu_report(&fields, chain.leaf_key());
    verify_device(&report, &der, &NONCE, &[], &device_anchors(&der), AT).unwrap()
}

fn gpu() -> VerifiedDevice {
    gpu_seeing(Some(SWITCHES))
}

fn switch(own: [u8; 8], gpus: &[[u8; 8]; 8]) -> VerifiedDevice {
    let chain = device_chain("LS_10");
    let der = chain.der();
    let report = signed(unsigned(31, &switch_fields(own, gpus)), chain.leaf_key());
    verify_device(&report, &der, &NONCE, &[], &device_anchors(&der), AT).unwrap()
}

fn verified(
    gpus: &[&VerifiedDevice],
    switches: &[&VerifiedDevice],
) -> Result<VerifiedTopology, TopologyError> {
    verify_topology(gpus, switches, GPUS, SWITCHES.len())
}

#[test]
fn a_whole_machine_is_proven_and_each_departure_is_named() {
    let (a, b) = (gpu(), gpu());
    let [x, y] = SWITCHES.map(|own| switch(own, &SEEN_GPUS));
    let whole = verified(&[&a, &b], &[&x, &y]).unwrap();
    assert_eq!(whole.switches().len(), 2);
    assert!(whole.switches().contains(&Pdi::new(SWITCHES[0])));
    assert_eq!((whole.gpus().len(), whole.nonce()), (2, NONCE));

    let error =
        |gpus: &[&VerifiedDevice], switches: &[&VerifiedDevice]| verified(gpus, switches).unwrap_err();
    assert_eq!(error(&[&a], &[&x, &y]), TopologyError::Count);
    assert_eq!(error(&[&a, &b], &[&x]), TopologyError::Count);
    assert_eq!(error(&[], &[]), TopologyError::Count);
    assert_eq!(
        error(&[&a, &a], &[&x, &y]),
        TopologyError::Repeated { position: 1 }
    );
    assert_eq!(
        error(&[&a, &b], &[&x, &x]),
        TopologyError::Repeated { position: 3 }
    );
    assert_eq!(error(&[&a, &x], &[&b, &y]), TopologyError::Kind { position: 1 });
    assert_eq!(
        error(&[&a, &b], &[&x, &gpu()]),
        TopologyError::Kind { position: 3 }
    );

    let silent = gpu_seeing(None);
    assert_eq!(
        error(&[&a, &silent], &[&x, &y]),
        TopologyError::Silent { position: 1 }
    );
    let elsewhere = gpu_seeing(Some([SWITCHES[0], [7; 8]]));
    assert_eq!(
        error(&[&a, &elsewhere], &[&x, &y]),
        TopologyError::Switches { position: 1 }
    );
    let unlinked = gpu_seeing(Some([SWITCHES[0]; 2]));
    assert_eq!(
        error(&[&unlinked, &b], &[&x, &y]),
        TopologyError::Switches { position: 0 }
    );

    let stranger = switch([7; 8], &SEEN_GPUS);
    assert_eq!(
        error(&[&a, &b], &[&stranger, &y]),
        TopologyError::Stranger { position: 2 }
    );
    let twin = switch(SWITCHES[0], &SEEN_GPUS);
    assert_eq!(
        error(&[&a, &b], &[&x, &twin]),
        TopologyError::Stranger { position: 3 }
    );
    let fewer = switch(SWITCHES[1], &[[1; 8]; 8]);
    assert_eq!(
        error(&[&a, &b], &[&x, &fewer]),
        TopologyError::Gpus { position: 3 }
    );
    let mut others = SEEN_GPUS;
    others.iter_mut().for_each(|pdi| pdi[0] = 3);
    let others = switch(SWITCHES[1], &others);
    assert_eq!(
        error(&[&a, &b], &[&x, &others]),
        TopologyError::Gpus { position: 3 }
    );
}

#[test]
fn devices_that_answered_different_nonces_are_no_machine() {
    let test = "devices_that_answered_different_nonces_are_no_machine";
    let (Some(a), Some(b)) = (real(test, "h100-545-gonvtrust"), real(test, "h100-580-sdk")) else {
        return;
    };
    let error = verify_topology(&[&a, &b], &[], 2, 0).unwrap_err();
    assert_eq!(error, TopologyError::Nonce { position: 1 });
    let error = verify_topology(&[&a], &[], 1, 1).unwrap_err();
    assert_eq!(error, TopologyError::Count);
}

#[test]
fn gpus_without_switches_are_each_their_own() {
    let (a, b) = (gpu_seeing(None), gpu_seeing(None));
    let whole = verify_topology(&[&a, &b], &[], 2, 0).unwrap();
    assert!(whole.switches().is_empty() && whole.gpus().is_empty());
    let error = verify_topology(&[&a, &a], &[], 2, 0).unwrap_err();
    assert_eq!(error, TopologyError::Repeated { position: 1 });
    let other = switch(SWITCHES[0], &SEEN_GPUS);
    let error = verify_topology(&[&a, &other], &[], 2, 0).unwrap_err();
    assert_eq!(error, TopologyError::Kind { position: 1 });
}
