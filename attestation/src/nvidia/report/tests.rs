//! Reports of the right form, and each field and length that is not.

use proptest::prelude::*;

use super::*;
use crate::nvidia::fixture::{gpu_fields, measurement, switch_fields, unsigned};

/// A GPU's report without a true signature.
fn report() -> Vec<u8> {
    let mut bytes = unsigned(64, &gpu_fields());
    bytes.extend([0; SIGNATURE_LENGTH]);
    bytes
}

fn fault(bytes: &[u8]) -> (ReportField, usize) {
    match Report::parse(bytes, DeviceKind::Gpu).unwrap_err() {
        DeviceError::Form { field, offset } => (field, offset),
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocks_are_measurements_and_a_rim_index_is_one_less() {
    let read = Report::parse(&report(), DeviceKind::Gpu).unwrap();
    assert_eq!(read.measurements().len(), 64);
    for index in 0..64 {
        assert_eq!(read.measurement(index), Some(measurement(index)));
    }
    assert_eq!(read.measurement(64), None);
    assert_eq!(read.measurements()[0].kind(), MeasurementType::Firmware);
    assert_eq!(read.signed().len() + SIGNATURE_LENGTH, report().len());
    assert_eq!(read.device_nonce(), Digest::new([0xdd; 32]));
}

#[test]
fn every_fixed_field_is_refused_where_it_lies_when_it_differs() {
    use ReportField as F;
    let rows = [
        (0, 0x12, F::SpdmVersion),
        (1, 0x60, F::Code),
        (2, 0, F::Param1),
        (3, 1, F::Param2),
        (36, 1, F::SlotId),
        (37, 0x10, F::SpdmVersion),
        (38, 0x7f, F::Code),
        (39, 1, F::Param1),
        (40, 1, F::Param2),
        (41, 63, F::NumberOfBlocks),
        // The first block: index, specification, size, type, value's size.
        (45, 0, F::MeasurementIndex),
        (46, 2, F::MeasurementSpecification),
        (47, 52, F::MeasurementSize),
        (49, 0x81, F::MeasurementValueType),
        (49, 4, F::MeasurementValueType),
        (50, 47, F::MeasurementSize),
        (100, 1, F::MeasurementIndex),
    ];
    for (offset, value, field) in rows {
        let mut bytes = report();
        bytes[offset] = value;
        assert_eq!(fault(&bytes), (field, offset));
    }
}

#[test]
fn lengths_must_agree_with_what_is_there() {
    let mut bytes = report();
    bytes[42] -= 1;
    assert_eq!(fault(&bytes).0, ReportField::MeasurementSize);
    let mut bytes = report();
    bytes[42] += 1;
    assert_eq!(fault(&bytes), (ReportField::MeasurementRecordLength, 45 + 3520));
    let mut bytes = report();
    bytes[44] = 1;
    assert_eq!(fault(&bytes).0, ReportField::MeasurementRecordLength);
    for change in [-1_i16, 1] {
        let mut bytes = report();
        let opaque = 45 + 3520 + 32;
        bytes[opaque] = bytes[opaque].wrapping_add_signed(change as i8);
        assert_eq!(fault(&bytes).0, ReportField::Length);
    }
    let mut bytes = report();
    bytes.push(0);
    assert_eq!(fault(&bytes).0, ReportField::Length);
    assert_eq!(fault(&vec![0; limits::REPORT + 1]), (ReportField::Length, 0));
}

#[test]
fn every_truncation_is_refused_without_a_panic() {
    for (bytes, kind) in [
        (report(), DeviceKind::Gpu),
        (
            [unsigned(31, &switch_fields([1; 8], &[[2; 8]; 8])), vec![0; 96]].concat(),
            DeviceKind::Switch,
        ),
    ] {
        assert!(Report::parse(&bytes, kind).is_ok());
        for length in 0..bytes.len() {
            assert!(Report::parse(&bytes[..length], kind).is_err(), "{length}");
        }
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..600), start in 0_usize..4000) {
        let _ = Report::parse(&bytes, DeviceKind::Gpu);
        let mut altered = report();
        let start = start.min(altered.len());
        let end = (start + bytes.len()).min(altered.len());
        altered.splice(start..end, bytes);
        let _ = Report::parse(&altered, DeviceKind::Gpu);
        let _ = Report::parse(&altered, DeviceKind::Switch);
    }
}
