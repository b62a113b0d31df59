//! The rules of machines that only their provider's TPM has measured.
//!
//! Why apart: they say what a provider's word is worth, and nothing of hardware.
//!
//! # Invariants
//! A provider that the policy does not name is not believed. A provider's firmware is never taken for a workload, even
//! where the policy lists its measurement twice.

use super::azure::judge_values;
use crate::claims::{Claims, Hardware, Platform};
use crate::denial::{RuleId, Rules};
use crate::policy::Policy;
use crate::provider::MachineRegisters;
use crate::reference::ReferenceValue;

const NONE: &str = "none for this firmware";

impl Policy {
    /// Whether the provider's word is enough, where there is nothing better.
    pub(super) fn judge_provider(&self, rules: &mut Rules, claims: &Claims) {
        let Hardware::Provider { machine, .. } = &claims.hardware else {
            return;
        };
        let provider = machine.provider();
        rules.demand_unless(
            RuleId::ProviderTpm,
            false,
            self.provider_tpm == Some(provider),
            "a workload that hardware or a paravisor measured",
            format_args!("workload not measured but by the TPM of {}", provider.name()),
        );
    }

    /// A plain SEV-SNP report over what the policy itself knows as a provider's firmware says nothing of the workload.
    pub(super) fn judge_workload(&self, rules: &mut Rules, claims: &Claims) {
        if claims.platform != Platform::Snp {
            return;
        }
        let firmware = |value: &ReferenceValue| {
            matches!(value.platform, Platform::GoogleSnp | Platform::AwsSnp)
                && value.measurement == claims.measurement
        };
        let alone = self.reference_values.iter().any(firmware);
        let found = if alone {
            "workload not measured"
        } else {
            "not a provider's firmware that the policy lists"
        };
        rules.demand(
            RuleId::WorkloadMeasured,
            !alone,
            "a measurement of the workload",
            found,
        );
    }

    /// The TPM's registers against the reference values of this firmware.
    pub(super) fn judge_provider_registers(
        &self,
        rules: &mut Rules,
        claims: &Claims,
        registers: &MachineRegisters,
    ) {
        let named = || self.reference_values.iter().filter(|value| value.names(claims));
        match registers {
            MachineRegisters::Sha256(registers) => {
                let candidates: Vec<_> = named().filter_map(|value| value.pcrs.as_ref()).collect();
                let value = |number| registers.get(number).copied();
                judge_values(rules, RuleId::ProviderPcrs, &candidates, NONE, value);
            }
            MachineRegisters::Sha384(registers) => {
                let candidates: Vec<_> = named().filter_map(|value| value.pcrs_sha384.as_ref()).collect();
                let value = |number| registers.get(&number).copied();
                judge_values(rules, RuleId::ProviderPcrs, &candidates, NONE, value);
            }
        }
    }
}

#[cfg(test)]
mod tests;
