//! The published key and the launch record.

use super::*;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

#[test]
fn the_public_key_is_that_of_the_seed() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&SIGNING_KEY_SEED).unwrap();
    assert_eq!(pair.public_key().as_ref(), PUBLIC_KEY.as_bytes());
}

#[test]
fn a_launch_record_has_one_form() {
    let record = LaunchRecord {
        measurement: Digest::new([1; 48]),
        host_data: Digest::new([2; 32]),
    };
    let bytes = record.encode();
    assert_eq!(bytes.len(), LaunchRecord::LENGTH);
    assert_eq!(bytes[..8], *b"ANCHLNC1");
    assert_eq!(LaunchRecord::parse(&bytes), Ok(record));
    let shape = Err(ParseError::Shape(Part::LaunchRecord));
    for length in 0..bytes.len() {
        assert_eq!(LaunchRecord::parse(&bytes[..length]), shape);
    }
    assert_eq!(LaunchRecord::parse(&[bytes.clone(), vec![0]].concat()), shape);
    for at in 0..8 {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert_eq!(LaunchRecord::parse(&changed), shape);
    }
}

#[test]
fn a_launched_machine_is_what_the_record_says() {
    let record = LaunchRecord {
        measurement: Digest::new([1; 48]),
        host_data: Digest::new([2; 32]),
    };
    let machine = SimulatedPlatform::launched(&record);
    assert_eq!(machine.measurement, record.measurement);
    assert_eq!(machine.host_data, record.host_data);
    assert!(machine.chip_id.is_zero());
    assert_eq!((machine.tcb, machine.debug), (1, false));
    assert_eq!(machine.report(&ReportData::new([3; 64])).len(), REPORT_LENGTH);
}
