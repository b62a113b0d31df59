//! Fields of the opaque data: what each holds, and what none may.

use super::*;
use crate::nvidia::fixture::{field, gpu_fields, switch_fields};

type List = Vec<(u16, Vec<u8>)>;

fn bytes(fields: &List) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|(number, value)| field(*number, value))
        .collect()
}

fn gpu(fields: &List) -> Result<GpuData, ReportField> {
    GpuData::parse(Cursor::new(&bytes(fields))).map_err(field_of)
}

fn switch(fields: &List) -> Result<SwitchData, ReportField> {
    SwitchData::parse(Cursor::new(&bytes(fields))).map_err(field_of)
}

fn field_of(error: DeviceError) -> ReportField {
    match error {
        DeviceError::Form { field, .. } => field,
        other => panic!("{other:?}"),
    }
}

/// The fields with one more, or with one of them changed.
fn with(mut fields: List, number: u16, value: &[u8]) -> List {
    fields.retain(|(known, _)| *known != number);
    fields.push((number, value.to_vec()));
    fields
}

#[test]
fn a_gpus_fields_have_their_values() {
    let mut fields = gpu_fields();
    fields.extend([
        (20, vec![1; 48]),
        (21, vec![0xaa]),
        (22, vec![3; 144]),
        (33, vec![7, 7]),
        (34, vec![1, 0]),
        (35, b"GB102\0".to_vec()),
        (36, vec![2, 0]),
        (9, vec![1, 2, 3]),
    ]);
    let data = gpu(&fields).unwrap();
    assert_eq!(data.driver_version().as_str(), "570.86.10");
    assert_eq!(data.vbios_version().to_string(), "96.00.5E.00.01");
    assert_eq!(
        (data.project(), data.project_sku(), data.chip_sku()),
        ("1010", "0200", "882")
    );
    assert_eq!((data.chip_sku_mod(), data.project_sku_mod()), ("0", ""));
    assert_eq!((data.board_id(), data.gpu_info()), (0x0403_0201, &[9; 8]));
    assert_eq!((data.cpr_info(), data.measurement_counts()), (&[7; 4], &[0; 64]));
    assert_eq!(
        (data.nvdec0(), data.protected_pcie()),
        (Switched::Off, Some(Switched::On))
    );
    assert_eq!(data.switch_pdis().unwrap()[17], Pdi::new([3; 8]));
    assert_eq!(
        (data.system_enable(), data.data_version()),
        (Some(&[7, 7]), Some(1))
    );
    assert_eq!(
        (data.chip_info(), data.firmware_id().unwrap().as_bytes()),
        (Some("GB102"), &[1; 48])
    );
    let flag = data.feature_flag().unwrap();
    assert_eq!(
        (flag, flag.name(), flag.number()),
        (FeatureFlag::PROTECTED_PCIE, Some("PPCIE"), 2)
    );
    assert_eq!(data.undocumented(), [(9, vec![1, 2, 3])]);
}

#[test]
fn a_flag_that_is_not_known_is_shown() {
    let data = gpu(&with(gpu_fields(), 36, &[9, 0])).unwrap();
    let flag = data.feature_flag().unwrap();
    assert_eq!((flag.number(), flag.name()), (9, None));
    let known = [FeatureFlag::SINGLE_GPU, FeatureFlag::MULTI_GPU].map(FeatureFlag::name);
    assert_eq!(known, [Some("SPT"), Some("MPT")]);
}

#[test]
fn a_switchs_fields_have_their_values_in_either_bios() {
    let mut fields = switch_fields([1; 8], &[[2; 8]; 8]);
    let data = switch(&fields).unwrap();
    assert_eq!(data.bios_version().to_string(), "96.10.55.00.01");
    assert_eq!(
        (data.pdi(), data.gpu_pdis()),
        (Pdi::new([1; 8]), Some(&[Pdi::new([2; 8]); 8]))
    );
    assert_eq!(
        (data.ports(), data.measurement_counts()),
        (Some(&[0xff; 64]), &[0; 26])
    );
    assert_eq!(
        (data.disabled_ports(), data.position(), data.lock_status()),
        (0xec, 2, 1)
    );
    assert_eq!((data.protected_pcie(), data.firmware_id()), (None, None));
    assert!(data.undocumented().is_empty());
    let fabric = fields.iter_mut().find(|(number, _)| *number == 26).unwrap();
    fabric.0 = 4;
    assert!(switch(&fields).unwrap().gpu_pdis().is_some());
    fields.retain(|(number, _)| *number != 4);
    assert!(switch(&fields).unwrap().gpu_pdis().is_none());
}

#[test]
fn unknown_repeated_and_missing_fields_are_refused() {
    for number in [0, 23, 24, 25, 26, 27, 31, 37, 255, 0xffff] {
        assert_eq!(
            gpu(&with(gpu_fields(), number, b"")).unwrap_err(),
            ReportField::OpaqueType,
            "{number}"
        );
    }
    for number in [0, 32, 33, 34, 35, 36, 255] {
        let fields = with(switch_fields([1; 8], &[[2; 8]; 8]), number, b"");
        assert_eq!(switch(&fields).unwrap_err(), ReportField::OpaqueType, "{number}");
    }
    for place in 0..gpu_fields().len() {
        let mut fields = gpu_fields();
        let (number, value) = fields.remove(place);
        assert_eq!(gpu(&fields).unwrap_err(), ReportField::OpaqueMissing(number));
        fields.extend([(number, value.clone()), (number, value)]);
        assert_eq!(gpu(&fields).unwrap_err(), ReportField::OpaqueRepeated);
    }
}

#[test]
fn values_that_their_type_cannot_have_are_refused() {
    let rows: [(u16, &[u8]); 17] = [
        (3, b"570.86.10"),
        (3, b"570.86.10\0\0"),
        (3, b"570 86\0"),
        (4, &[0; 7]),
        (6, &[0x00, 0x5e, 0x00, 0x96, 0x01, 1, 0, 0]),
        (11, &[0xab]),
        (11, &[0x55, 0]),
        (12, &[0; 252]),
        (12, &[0; 257]),
        (13, &[0; 5]),
        (15, b"882"),
        (15, b"\0\0"),
        (17, b"10/0\0"),
        (18, b"02\x0000"),
        (20, &[0; 47]),
        (22, &[0; 136]),
        (34, &[2, 0]),
    ];
    for (number, value) in rows {
        let found = gpu(&with(gpu_fields(), number, value)).unwrap_err();
        assert_eq!(found, ReportField::OpaqueValue(number), "{value:?}");
    }
    let long = vec![1; limits::NVIDIA_OPAQUE_VALUE + 1];
    assert_eq!(
        gpu(&with(gpu_fields(), 9, &long)).unwrap_err(),
        ReportField::OpaqueValue(9)
    );
}

#[test]
fn what_does_not_fill_the_data_exactly_is_refused() {
    let whole = bytes(&gpu_fields());
    for stray in 1..4 {
        let longer = [whole.as_slice(), &vec![9; stray]].concat();
        let error = GpuData::parse(Cursor::new(&longer)).unwrap_err();
        assert_eq!(field_of(error), ReportField::OpaqueLength);
    }
    let error = GpuData::parse(Cursor::new(&whole[..whole.len() - 1])).unwrap_err();
    assert_eq!(field_of(error), ReportField::OpaqueLength);
}
