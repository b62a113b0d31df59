//! What a provider's TPM proves of a machine.
//!
//! Why apart: Google's registers are SHA-256 and AWS's SHA-384, and everything after verification asks this one type.
//!
//! # Invariants
//! Made only by this module's two verifiers. Registers that the TPM did not sign are not in it.

use std::collections::BTreeMap;

use anchorhold_encoding::Digest;
use serde::Deserialize;

use crate::azure::{CONFIGURATION_REGISTER, Clock, Registers};
use crate::claims::FixedConfig;
use crate::field::Field;
use crate::time::Timestamp;

/// Whose TPM it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Provider {
    /// Google Cloud: a vTPM of its hypervisor.
    Google,
    /// Amazon EC2: `NitroTPM`.
    Aws,
}

impl Provider {
    /// Its name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Google => "google",
            Self::Aws => "aws",
        }
    }
}

/// The registers that the TPM signed.
#[derive(Debug, PartialEq, Eq)]
pub enum MachineRegisters {
    /// Google's, SHA-256 bank.
    Sha256(Registers),
    /// AWS's, SHA-384 bank, by number.
    Sha384(BTreeMap<u8, Digest<48>>),
}

/// What the provider's TPM says beside registers.
#[derive(Debug)]
pub(super) enum Said {
    Clock(Clock),
    Module { id: String, milliseconds: u64 },
}

/// A machine as its provider's TPM measured it, bound to the report data of an SEV-SNP report:
///
/// ```compile_fail
/// use anchorhold_attestation::provider::ProviderMachine;
/// fn copy(machine: &ProviderMachine) -> ProviderMachine { machine.clone() }
/// ```
#[derive(Debug)]
#[must_use]
pub struct ProviderMachine {
    pub(super) registers: MachineRegisters,
    pub(super) certificate: Digest<32>,
    pub(super) not_after: Timestamp,
    pub(super) said: Said,
}

impl ProviderMachine {
    /// Whose TPM it is.
    #[must_use]
    pub const fn provider(&self) -> Provider {
        match self.registers {
            MachineRegisters::Sha256(_) => Provider::Google,
            MachineRegisters::Sha384(_) => Provider::Aws,
        }
    }

    /// The registers that it signed.
    #[must_use]
    pub const fn registers(&self) -> &MachineRegisters {
        &self.registers
    }

    /// SHA-256 of the certificate of its key: on Google one machine's, on AWS one machine's for some hours.
    #[must_use]
    pub const fn certificate(&self) -> &Digest<32> {
        &self.certificate
    }

    /// When the first of its certificates ends.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The configuration as the register for it has it.
    #[must_use]
    pub fn config(&self) -> FixedConfig {
        match &self.registers {
            MachineRegisters::Sha256(registers) => {
                FixedConfig::Register(registers.get(CONFIGURATION_REGISTER).copied())
            }
            MachineRegisters::Sha384(registers) => {
                FixedConfig::Register384(registers.get(&CONFIGURATION_REGISTER).copied())
            }
        }
    }

    /// Everything it proves, by name: docs/platforms/provider.md.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            Field::new("provider.name", self.provider().name()),
            Field::new("provider.certificate", self.certificate),
        ];
        match &self.said {
            Said::Clock(clock) => fields.extend([
                Field::new("provider.tpm.milliseconds", clock.milliseconds),
                Field::new("provider.tpm.resets", clock.resets),
                Field::new("provider.tpm.restarts", clock.restarts),
                Field::new("provider.tpm.safe", clock.safe),
                Field::new("provider.tpm.firmware_version", clock.firmware_version),
            ]),
            Said::Module { id, milliseconds } => fields.extend([
                Field::new("provider.module_id", id.as_str()),
                Field::new("provider.timestamp_milliseconds", *milliseconds),
            ]),
        }
        let name = |number: u8| format!("provider.pcr.{number:02}");
        match &self.registers {
            MachineRegisters::Sha256(registers) => {
                fields.extend(
                    registers
                        .iter()
                        .map(|(number, value)| Field::new(name(number), *value)),
                );
            }
            MachineRegisters::Sha384(registers) => {
                fields.extend(
                    registers
                        .iter()
                        .map(|(number, value)| Field::new(name(*number), *value)),
                );
            }
        }
        fields
    }
}
