//! A report as a list of named values.
//!
//! Why apart: names that policies pin must not change when a type does.
//!
//! # Invariants
//! Every byte of a report that means something is in the list; a bit field as a whole and by bit.

use crate::field::{Field, Value};
use crate::snp::{
    Component, Firmware, PlatformBit, PolicyBit, Report, Revocation, SignerKind, SigningKey, Tcb,
    VerifiedReport,
};

fn tcb(fields: &mut Vec<Field>, name: &str, tcb: &Tcb) {
    for component in Component::ALL {
        let component_name = component.name().to_ascii_lowercase();
        fields.push(Field::new(
            format!("{name}.{component_name}"),
            tcb.component(component),
        ));
    }
}

fn firmware(fields: &mut Vec<Field>, name: &str, firmware: Firmware) {
    fields.push(Field::new(format!("{name}.major"), firmware.major));
    fields.push(Field::new(format!("{name}.minor"), firmware.minor));
    fields.push(Field::new(format!("{name}.build"), firmware.build));
}

impl Report {
    /// Everything it says, by name: `snp.guest_svn`, `snp.policy.debug`, `snp.reported_tcb.microcode`.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            Field::new("snp.version", self.version),
            Field::new("snp.guest_svn", self.guest_svn),
            Field::new("snp.policy", self.policy.bits()),
        ];
        let (major, minor) = self.policy.abi();
        fields.push(Field::new("snp.policy.abi_major", major));
        fields.push(Field::new("snp.policy.abi_minor", minor));
        for bit in PolicyBit::ALL {
            let name = format!("snp.policy.{}", bit.name().to_ascii_lowercase());
            fields.push(Field::new(name, self.policy.has(*bit)));
        }
        fields.push(Field::new("snp.policy.unknown", self.policy.unknown()));
        fields.push(Field::new("snp.family_id", self.family_id));
        fields.push(Field::new("snp.image_id", self.image_id));
        fields.push(Field::new("snp.vmpl", self.vmpl));
        tcb(&mut fields, "snp.current_tcb", &self.current_tcb);
        fields.push(Field::new("snp.platform_info", self.platform_info.bits()));
        for bit in PlatformBit::ALL {
            let name = format!("snp.platform_info.{}", bit.name().to_ascii_lowercase());
            fields.push(Field::new(name, self.platform_info.has(*bit)));
        }
        let unknown = self.platform_info.unknown();
        fields.push(Field::new("snp.platform_info.unknown", unknown));
        fields.push(Field::new("snp.author_key_enabled", self.author_key_enabled));
        let signing_key = match self.signing_key {
            SigningKey::Vcek => "vcek",
            SigningKey::Vlek => "vlek",
        };
        fields.push(Field::new("snp.signing_key", signing_key));
        fields.push(Field::new("snp.report_data", self.report_data));
        fields.push(Field::new("snp.measurement", self.measurement));
        fields.push(Field::new("snp.host_data", self.host_data));
        fields.push(Field::new("snp.id_key_digest", self.id_key_digest));
        fields.push(Field::new("snp.author_key_digest", self.author_key_digest));
        fields.push(Field::new("snp.report_id", self.report_id));
        fields.push(Field::new("snp.report_id_ma", self.report_id_ma));
        tcb(&mut fields, "snp.reported_tcb", &self.reported_tcb);
        let cpuid = self.cpuid;
        fields.push(Field::new("snp.cpuid.family", cpuid.map(|cpuid| cpuid.family)));
        fields.push(Field::new("snp.cpuid.model", cpuid.map(|cpuid| cpuid.model)));
        fields.push(Field::new(
            "snp.cpuid.stepping",
            cpuid.map(|cpuid| cpuid.stepping),
        ));
        fields.push(Field::new("snp.chip_id", self.chip_id));
        tcb(&mut fields, "snp.committed_tcb", &self.committed_tcb);
        firmware(&mut fields, "snp.current_firmware", self.current_firmware);
        firmware(&mut fields, "snp.committed_firmware", self.committed_firmware);
        tcb(&mut fields, "snp.launch_tcb", &self.launch_tcb);
        fields.push(Field::new("snp.launch_mitigations", self.launch_mitigations));
        fields.push(Field::new("snp.current_mitigations", self.current_mitigations));
        fields
    }
}

impl VerifiedReport {
    /// Everything the report says, and what its certificates and list say beyond it.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = self.report().fields();
        fields.push(Field::new("snp.product", self.product().name()));
        let provider = match self.signer() {
            SignerKind::Vcek { .. } => Value::Absent,
            SignerKind::Vlek { provider } => Value::Text(provider.clone()),
        };
        fields.push(Field::new("snp.vlek_provider", provider));
        let (number, this_update, next_update) = match self.revocation() {
            Revocation::NotChecked => (Value::Absent, Value::Absent, Value::Absent),
            Revocation::NotRevoked {
                number,
                this_update,
                next_update,
            } => (
                Value::Bytes(number.clone()),
                this_update.unix().into(),
                next_update.unix().into(),
            ),
        };
        fields.push(Field::new("snp.crl_number", number));
        fields.push(Field::new("snp.crl_this_update", this_update));
        fields.push(Field::new("snp.crl_next_update", next_update));
        fields.push(Field::new("snp.not_after", self.not_after().unix()));
        fields
    }
}

#[cfg(test)]
mod tests;
