//! A verified device as a list of named values.
//!
//! Why apart: names that policies pin must not change when a type does.
//!
//! # Invariants
//! Every field of the report, with each measurement under its RIM index, and what the certificates say. A GPU's
//! opaque fields have `nvidia.gpu.` in front, a switch's `nvidia.switch.`; what is not reported is absent.

use crate::field::{Field, Value};
use crate::nvidia::{
    DeviceIdentity, DeviceKind, DiceFlags, FirmwareBinding, GpuData, MeasurementType, OpaqueData, Report,
    Revocation, SwitchData, Switched, VerifiedDevice,
};

impl VerifiedDevice {
    /// Everything it proves, by name: `nvidia.gpu.driver_version`, `nvidia.measurement.07`.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = identity(self.identity());
        fields.push(Field::new("nvidia.leaf", self.leaf_digest()));
        fields.push(Field::new("nvidia.expires", self.expires().unix()));
        let bound = self.firmware_binding() == FirmwareBinding::Same;
        fields.push(Field::new("nvidia.firmware_bound", bound));
        let (checked, answered) = match self.revocation() {
            Revocation::NotRevoked(answers) => (true, answers.each().len()),
            Revocation::NotChecked { answered } => (false, *answered),
        };
        fields.push(Field::new("nvidia.revocation.checked", checked));
        let answered = u64::try_from(answered).unwrap_or(u64::MAX);
        fields.push(Field::new("nvidia.revocation.answered", answered));
        report(&mut fields, self.report());
        fields
    }
}

fn identity(identity: &DeviceIdentity) -> Vec<Field> {
    let kind = match identity.architecture().kind() {
        DeviceKind::Gpu => "gpu",
        DeviceKind::Switch => "switch",
    };
    vec![
        Field::new("nvidia.kind", kind),
        Field::new("nvidia.architecture", identity.architecture().name()),
        Field::new("nvidia.chip", identity.chip()),
        Field::new("nvidia.serial_number", identity.serial_number()),
        Field::new("nvidia.firmware_id", identity.firmware_id()),
        Field::new("nvidia.dice_flags", identity.flags().map(DiceFlags::bits)),
    ]
}

fn report(fields: &mut Vec<Field>, report: &Report) {
    fields.push(Field::new("nvidia.nonce", report.nonce()));
    fields.push(Field::new("nvidia.device_nonce", report.device_nonce()));
    for (index, measurement) in report.measurements().iter().enumerate() {
        let kind = match measurement.kind() {
            MeasurementType::Rom => "rom",
            MeasurementType::Firmware => "firmware",
            MeasurementType::HardwareConfiguration => "hardware-configuration",
            MeasurementType::FirmwareConfiguration => "firmware-configuration",
        };
        fields.push(Field::new(
            format!("nvidia.measurement.{index:02}"),
            measurement.value(),
        ));
        fields.push(Field::new(format!("nvidia.measurement.{index:02}.type"), kind));
    }
    match report.opaque() {
        OpaqueData::Gpu(data) => gpu(fields, data),
        OpaqueData::Switch(data) => switch(fields, data),
    }
}

fn switched(switched: Switched) -> bool {
    switched == Switched::On
}

/// Numbers of four bytes, big endian, one after the other: a mask over them has digits as they are read.
fn numbers(counts: &[u32]) -> Value {
    Value::Bytes(counts.iter().flat_map(|count| count.to_be_bytes()).collect())
}

fn pdis(list: Option<&[crate::nvidia::Pdi]>) -> Value {
    list.map_or(Value::Absent, |list| {
        Value::Bytes(list.iter().flat_map(|pdi| *pdi.as_bytes()).collect())
    })
}

fn unseen(fields: &mut Vec<Field>, prefix: &str, list: &[(u16, Vec<u8>)]) {
    for (number, value) in list {
        let name = format!("{prefix}.undocumented.{number}");
        fields.push(Field::new(name, value.as_slice()));
    }
}

fn gpu(fields: &mut Vec<Field>, data: &GpuData) {
    let vbios = data.vbios_version().to_string();
    fields.extend([
        Field::new("nvidia.gpu.driver_version", data.driver_version().as_str()),
        Field::new("nvidia.gpu.vbios_version", vbios.as_str()),
        Field::new("nvidia.gpu.gpu_info", *data.gpu_info()),
        Field::new("nvidia.gpu.nvdec0", switched(data.nvdec0())),
        Field::new(
            "nvidia.gpu.measurement_counts",
            numbers(data.measurement_counts()),
        ),
        Field::new("nvidia.gpu.cpr_info", *data.cpr_info()),
        Field::new("nvidia.gpu.board_id", data.board_id()),
        Field::new("nvidia.gpu.chip_sku", data.chip_sku()),
        Field::new("nvidia.gpu.chip_sku_mod", data.chip_sku_mod()),
        Field::new("nvidia.gpu.project", data.project()),
        Field::new("nvidia.gpu.project_sku", data.project_sku()),
        Field::new("nvidia.gpu.project_sku_mod", data.project_sku_mod()),
        Field::new("nvidia.gpu.firmware_id", data.firmware_id()),
        Field::new("nvidia.gpu.protected_pcie", data.protected_pcie().map(switched)),
        Field::new(
            "nvidia.gpu.switch_pdis",
            pdis(data.switch_pdis().map(|list| list.as_slice())),
        ),
        Field::new("nvidia.gpu.system_enable", data.system_enable().copied()),
        Field::new("nvidia.gpu.data_version", data.data_version()),
        Field::new("nvidia.gpu.chip_info", data.chip_info()),
        Field::new(
            "nvidia.gpu.feature_flag",
            data.feature_flag().map(|flag| flag.number()),
        ),
    ]);
    unseen(fields, "nvidia.gpu", data.undocumented());
}

fn switch(fields: &mut Vec<Field>, data: &SwitchData) {
    let bios = data.bios_version().to_string();
    fields.extend([
        Field::new("nvidia.switch.bios_version", bios.as_str()),
        Field::new("nvidia.switch.pdi", data.pdi()),
        Field::new(
            "nvidia.switch.measurement_counts",
            numbers(data.measurement_counts()),
        ),
        Field::new(
            "nvidia.switch.gpu_pdis",
            pdis(data.gpu_pdis().map(|list| list.as_slice())),
        ),
        Field::new("nvidia.switch.ports", data.ports().copied()),
        Field::new("nvidia.switch.disabled_ports", data.disabled_ports()),
        Field::new("nvidia.switch.position", data.position()),
        Field::new("nvidia.switch.lock_status", data.lock_status()),
        Field::new("nvidia.switch.firmware_id", data.firmware_id()),
        Field::new("nvidia.switch.protected_pcie", data.protected_pcie().copied()),
    ]);
    unseen(fields, "nvidia.switch", data.undocumented());
}

#[cfg(test)]
mod tests;
