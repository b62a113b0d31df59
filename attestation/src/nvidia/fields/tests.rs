//! Every field is there: what changes in a report or a certificate changes in the list, and where it should.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::nvidia::fixture::{FIRMWARE, Maker, device_chain, gpu_fields, switch_fields, tcb_info};

type Fields = BTreeMap<String, Value>;

fn map(device: &VerifiedDevice) -> Fields {
    let fields = device.fields();
    let count = fields.len();
    let map: Fields = fields
        .into_iter()
        .map(|field| (field.name.into_owned(), field.value))
        .collect();
    assert_eq!(map.len(), count, "a name is there twice");
    map
}

/// The names of a part of the report whose values differ.
fn changed(before: &Fields, after: &Fields, prefix: &str) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).cloned().collect();
    let differs = |name: &String| name.starts_with(prefix) && before.get(name) != after.get(name);
    names.into_iter().filter(differs).collect()
}

fn all_gpu_fields() -> Vec<(u16, Vec<u8>)> {
    let mut fields = gpu_fields();
    fields.extend([
        (20, FIRMWARE.to_vec()),
        (21, vec![0x55]),
        (22, vec![1; 144]),
        (33, vec![1, 2]),
        (34, vec![1, 0]),
        (35, b"GH100\0".to_vec()),
        (36, vec![0, 0]),
        (32, vec![5]),
    ]);
    fields
}

#[test]
fn each_field_of_a_gpus_opaque_data_is_in_the_list() {
    let maker = Maker::new();
    let before = map(&maker.device("GH100", &all_gpu_fields(), false));
    for (number, value, name) in [
        (6, vec![0, 0x5e, 0, 0x96, 2, 0, 0, 0], "vbios_version"),
        (14, vec![1, 2, 3, 5], "board_id"),
        (15, b"883\0".to_vec(), "chip_sku"),
        (16, b"1\0".to_vec(), "chip_sku_mod"),
        (17, b"1011\0".to_vec(), "project"),
        (18, b"0201\0".to_vec(), "project_sku"),
        (19, b"1\0".to_vec(), "project_sku_mod"),
        (3, b"570.86.11\0".to_vec(), "driver_version"),
        (4, vec![8; 8], "gpu_info"),
        (12, [vec![0; 255], vec![1]].concat(), "measurement_counts"),
        (13, vec![6; 4], "cpr_info"),
        (11, vec![0xaa], "nvdec0"),
        (21, vec![0xaa], "protected_pcie"),
        (22, vec![2; 144], "switch_pdis"),
        (33, vec![1, 3], "system_enable"),
        (34, vec![0, 0], "data_version"),
        (35, b"GH101\0".to_vec(), "chip_info"),
        (36, vec![1, 0], "feature_flag"),
        (32, vec![6], "undocumented.32"),
    ] {
        let mut fields = all_gpu_fields();
        fields.retain(|(known, _)| *known != number);
        fields.push((number, value));
        let after = map(&maker.device("GH100", &fields, false));
        assert_eq!(
            changed(&before, &after, "nvidia.gpu"),
            [format!("nvidia.gpu.{name}")]
        );
        assert!(changed(&before, &after, "nvidia.measurement").is_empty());
    }
    let old = map(&maker.device("GH100", &gpu_fields(), false));
    for name in ["protected_pcie", "feature_flag", "firmware_id", "switch_pdis"] {
        assert_eq!(old[&format!("nvidia.gpu.{name}")], Value::Absent);
    }
    assert_eq!(old["nvidia.firmware_bound"], Value::Flag(false));
    assert_eq!(before["nvidia.firmware_bound"], Value::Flag(true));
}

#[test]
fn each_field_of_a_switchs_opaque_data_is_in_the_list() {
    let maker = Maker::new();
    let fields = || switch_fields([1; 8], &[[2; 8]; 8]);
    let before = map(&maker.device("LS_10", &fields(), false));
    assert_eq!(before["nvidia.kind"], Value::Text("switch".to_owned()));
    for (number, value, name) in [
        (6, b"96.10.55.00.02".to_vec(), "bios_version"),
        (22, vec![3; 8], "pdi"),
        (12, vec![1; 104], "measurement_counts"),
        (26, [vec![4; 64], vec![0xff; 64]].concat(), "gpu_pdis"),
        (26, [vec![2; 64], vec![0; 64]].concat(), "ports"),
        (23, vec![0xed, 0], "disabled_ports"),
        (24, vec![3, 0], "position"),
        (25, vec![0, 0], "lock_status"),
        (20, FIRMWARE.to_vec(), "firmware_id"),
        (21, vec![1], "protected_pcie"),
        (1, vec![1], "undocumented.1"),
    ] {
        let mut other = fields();
        other.retain(|(known, _)| *known != number);
        other.push((number, value));
        let after = map(&maker.device("LS_10", &other, false));
        assert_eq!(
            changed(&before, &after, "nvidia.switch"),
            [format!("nvidia.switch.{name}")]
        );
    }
}

#[test]
fn measurements_certificates_and_answers_are_in_the_list() {
    let maker = Maker::new();
    let device = maker.device("GH100", &all_gpu_fields(), false);
    let fields = map(&device);
    for index in 0..64_u8 {
        let value = device.report().measurement(index).unwrap();
        assert_eq!(fields[&format!("nvidia.measurement.{index:02}")], value.into());
        let kind = &fields[&format!("nvidia.measurement.{index:02}.type")];
        assert_eq!(*kind, Value::Text("firmware".to_owned()));
    }
    assert_eq!(
        fields["nvidia.serial_number"],
        device.identity().serial_number().into()
    );
    assert_eq!(fields["nvidia.firmware_id"], Value::Bytes(FIRMWARE.to_vec()));
    assert_eq!(fields["nvidia.leaf"], device.leaf_digest().into());
    assert_eq!(fields["nvidia.nonce"], device.report().nonce().into());
    assert_eq!(fields["nvidia.device_nonce"], Value::Bytes(vec![0xdd; 32]));
    assert_eq!(fields["nvidia.dice_flags"], Value::Absent);
    assert_eq!(fields["nvidia.revocation.answered"], Value::Number(0));
    let answered = map(&maker.device("GH100", &all_gpu_fields(), true));
    assert_eq!(answered["nvidia.revocation.checked"], Value::Flag(true));
    assert_eq!(answered["nvidia.revocation.answered"], Value::Number(3));

    let mut chain = device_chain("GB202");
    chain.leaf().extensions.pop();
    chain.leaf().extensions.push(tcb_info(&FIRMWARE, [0x90, 0, 0, 1]));
    let blackwell = map(&maker.of_chain(&chain, "GB202", &gpu_fields(), false));
    assert_eq!(blackwell["nvidia.dice_flags"], Value::Number(0x9000_0001));
    assert_eq!(
        blackwell["nvidia.architecture"],
        Value::Text("blackwell".to_owned())
    );
    assert_eq!(blackwell["nvidia.chip"], Value::Text("GB202".to_owned()));
}

/// The names in the page's section "Fields".
fn listed() -> BTreeSet<String> {
    let page = include_str!("../../../../docs/platforms/nvidia.md");
    let section = page.split("## Fields").nth(1).unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|line| line.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_page_lists_each_field() {
    let maker = Maker::new();
    let gpu = map(&maker.device("GH100", &all_gpu_fields(), false));
    let switch = map(&maker.device("LS_10", &switch_fields([1; 8], &[[2; 8]; 8]), false));
    let names = gpu.into_keys().chain(switch.into_keys());
    // The page names the first and the last measurement, and the rule for fields without a known form.
    let counted = |name: &str| {
        (1..63).any(|index| name.starts_with(&format!("nvidia.measurement.{index:02}")))
            || name.contains(".undocumented.")
    };
    let names: BTreeSet<_> = names.filter(|name| !counted(name)).collect();
    assert_eq!(listed(), names);
}
