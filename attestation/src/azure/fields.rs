//! A verified guest as a list of named values.
//!
//! Why apart: names that policies pin must not change when a type does.
//!
//! # Invariants
//! Every member of `vm-configuration` by its own name, every register of the quote, and the vTPM's clock. What the
//! hardware report says is in the list too, under its own names.

use crate::azure::{Clock, Registers};
use crate::azure::{Hardware, HardwareSealing, RootCertificate, TpmVersion, VerifiedGuest, VmConfiguration};
use crate::field::{Field, Value};

impl VerifiedGuest {
    /// Everything it proves, by name: `azure.vm.secure-boot`, `azure.pcr.04`, and the fields of its hardware.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = match self.hardware() {
            Hardware::Snp(report) => report.fields(),
            Hardware::Tdx(quote) => quote.fields(),
        };
        fields.push(Field::new("azure.hcl_measurement", *self.hcl_measurement()));
        fields.push(Field::new("azure.attestation_key", *self.attestation_key_name()));
        fields.extend(vm(self.vm_configuration()));
        fields.extend(clock(self.clock()));
        fields.extend(registers(self.registers()));
        fields
    }
}

pub(super) fn vm(vm: &VmConfiguration) -> Vec<Field> {
    let provisioner = vm.vmgs_provisioner();
    let root = match vm.root_certificate() {
        RootCertificate::NotReported => Value::Absent,
        RootCertificate::Absent => Value::Bytes(Vec::new()),
        RootCertificate::Thumbprint(digest) => digest.into(),
    };
    let sealing = vm.hardware_sealing().map(|policy| match policy {
        HardwareSealing::None => "none",
        HardwareSealing::Hash => "hash",
        HardwareSealing::Signer => "signer",
    });
    vec![
        Field::new("azure.vm.console-enabled", vm.console_enabled()),
        Field::new(
            "azure.vm.interactive-console-enabled",
            vm.interactive_console_enabled(),
        ),
        Field::new("azure.vm.ipmi-enabled", vm.ipmi_enabled()),
        Field::new("azure.vm.secure-boot", vm.secure_boot()),
        Field::new("azure.vm.tpm-enabled", vm.tpm_enabled()),
        Field::new(
            "azure.vm.tpm-version-hundredths",
            vm.tpm_version().map(TpmVersion::hundredths),
        ),
        Field::new("azure.vm.tpm-persisted", vm.tpm_persisted()),
        Field::new(
            "azure.vm.filtered-vpci-devices-allowed",
            vm.filtered_vpci_devices_allowed(),
        ),
        Field::new("azure.vm.root-cert-thumbprint", root),
        Field::new("azure.vm.vm-unique-id", vm.vm_unique_id().to_string().as_str()),
        Field::new("azure.vm.current-time", vm.current_time().map(|time| time.unix())),
        Field::new("azure.vm.hardware-sealing-policy", sealing),
        Field::new(
            "azure.vm.vmgs-provisioner.id",
            provisioner.map(|one| one.id().to_string()).as_deref(),
        ),
        Field::new(
            "azure.vm.vmgs-provisioner.signer",
            provisioner.map(crate::azure::VmgsProvisioner::signer),
        ),
        Field::new(
            "azure.vm.key-release-context-hash",
            vm.key_release_context_hash().copied(),
        ),
    ]
}

fn clock(clock: Clock) -> Vec<Field> {
    vec![
        Field::new("azure.tpm.milliseconds", clock.milliseconds),
        Field::new("azure.tpm.resets", clock.resets),
        Field::new("azure.tpm.restarts", clock.restarts),
        Field::new("azure.tpm.safe", clock.safe),
        Field::new("azure.tpm.firmware_version", clock.firmware_version),
    ]
}

fn registers(registers: &Registers) -> Vec<Field> {
    let field = |(number, value): (u8, &_)| Field::new(format!("azure.pcr.{number:02}"), *value);
    registers.iter().map(field).collect()
}

#[cfg(test)]
mod tests;
