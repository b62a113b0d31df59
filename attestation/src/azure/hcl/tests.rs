//! The form of an HCL report: every field, every length.

use proptest::prelude::*;

use super::super::fake::{hcl, td_report};
use super::*;

const CLAIMS: &[u8] = b"{}";

fn report() -> Vec<u8> {
    hcl(2, &[0x5a; SNP_REPORT_LENGTH], CLAIMS)
}

fn with(at: usize, value: u32) -> AzureError {
    let mut bytes = report();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let result = HclReport::parse(&bytes);
    result.err().expect("a changed field is refused")
}

#[test]
fn each_field_has_the_values_it_may_have() {
    let size = 1238;
    assert_eq!(with(0, 0x414c_4349), wrong(Check::HclSignature, 0));
    for version in [0, 3, 0x0200_0000] {
        assert_eq!(with(4, version), wrong(Check::HclVersion, 4));
    }
    // The size that Microsoft's page gives, and sizes beside the right one.
    for other in [0, 1184, size - 1, size + 1, 2600, 2601, u32::MAX] {
        assert!(
            matches!(with(8, other).check(), Check::HclLength | Check::HclClaimsSize),
            "{other}"
        );
    }
    for kind in [0, 1, 3, 4] {
        assert_eq!(with(12, kind), wrong(Check::HclRequestType, 12));
    }
    for at in [16, 20, 24, 28] {
        assert_eq!(with(at, 1), wrong(Check::HclReserved, at));
    }
    assert_eq!(with(1216, 23), wrong(Check::HclDataSize, 1216));
    assert_eq!(with(1220, 2), wrong(Check::HclDataVersion, 1220));
    for kind in [0, 1, 3, 5] {
        assert_eq!(with(1224, kind), wrong(Check::HclReportType, 1224));
    }
    for hash in [0, 2, 3] {
        assert_eq!(with(1228, hash), wrong(Check::HclHashType, 1228));
    }
    for claims in [0, 1, 3, u32::MAX] {
        assert_eq!(with(1232, claims), wrong(Check::HclDataSize, 1216));
    }
    let mut bytes = report();
    bytes[4] = 1;
    assert!(HclReport::parse(&bytes).is_ok());
}

#[test]
fn it_is_as_long_as_it_says_or_as_its_index() {
    let bytes = report();
    for length in 0..bytes.len() {
        assert_eq!(
            HclReport::parse(&bytes[..length]).is_ok(),
            length == 1238,
            "{length}"
        );
    }
    assert_eq!(HclReport::parse(&bytes[..1238]).unwrap().claims_bytes(), CLAIMS);
    let longer = [bytes.as_slice(), &[0]].concat();
    assert_eq!(
        HclReport::parse(&longer).err(),
        Some(wrong(Check::HclLength, 2600))
    );
    for at in 1238..2600 {
        let mut bytes = bytes.clone();
        bytes[at] = 1;
        assert_eq!(
            HclReport::parse(&bytes).err(),
            Some(wrong(Check::HclPadding, 1238)),
            "{at}"
        );
    }
}

#[test]
fn both_sizes_agree() {
    // Sizes that agree with each other and not with the header, and the other way round.
    let mut bytes = report();
    bytes[1216..1220].copy_from_slice(&23_u32.to_le_bytes());
    bytes[1232..1236].copy_from_slice(&3_u32.to_le_bytes());
    assert_eq!(
        HclReport::parse(&bytes).err(),
        Some(wrong(Check::HclClaimsSize, 1232))
    );
    bytes[1216..1220].copy_from_slice(&u32::MAX.to_le_bytes());
    bytes[1232..1236].copy_from_slice(&(u32::MAX - 20).to_le_bytes());
    assert_eq!(
        HclReport::parse(&bytes).err(),
        Some(wrong(Check::HclClaimsSize, 1232))
    );
}

#[test]
fn the_room_after_a_tdreport_is_zero() {
    let (td, _) = td_report(&[0; 64], [0; 48]);
    let bytes = hcl(4, &td, CLAIMS);
    let report = HclReport::parse(&bytes).unwrap();
    assert!(matches!(report.hardware(), HclHardware::Tdx(_)));
    for at in 1056..1216 {
        let mut bytes = bytes.clone();
        bytes[at] = 1;
        assert_eq!(
            HclReport::parse(&bytes).err(),
            Some(wrong(Check::HclPadding, 1056)),
            "{at}"
        );
    }
    // Errors inside the TDREPORT name the offset in the whole.
    let mut bytes = bytes.clone();
    bytes[32 + 4] = 1;
    assert_eq!(
        HclReport::parse(&bytes).err(),
        Some(wrong(Check::TdReportReserved, 36))
    );
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..2700)) {
        let _ = HclReport::parse(&bytes);
    }

    #[test]
    fn no_changed_report_panics(at in 0_usize..1238, value in any::<u8>(), length in 0_usize..2601) {
        let mut bytes = report();
        bytes[at] = value;
        bytes.truncate(length);
        let _ = HclReport::parse(&bytes);
    }
}
