//! Reference values: which code, on which platform, from which version of the platform on.
//!
//! Why apart: they come from a Reference Value Provider, the rest of a policy from its owner.
//!
//! # Invariants
//! The name is for display and decides nothing. A value is complete for its platform: every register that measures
//! the guest there is in it.

use anchorhold_encoding::Digest;
use serde::{Deserialize, Serialize};

use crate::azure::CONFIGURATION_REGISTER;
use crate::claims::{Claims, Platform};
use crate::limits;

mod registers;

pub use registers::RegisterValues;

/// One release of the enclave on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceValue {
    /// For display only.
    pub name: String,
    /// Where it runs.
    pub platform: Platform,
    /// Its launch measurement: SNP's MEASUREMENT, TDX's MRTD, and under a paravisor that of the paravisor (HCL).
    pub measurement: Digest<48>,
    /// The oldest version of the platform's trusted computing base it is accepted on. Simulated platform only: others
    /// have components, judged by their own sections of a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_tcb: Option<u64>,
    /// TDX only: RTMR0 to RTMR2, each with every value it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtmrs: Option<RegisterValues<48>>,
    /// Guests under a paravisor and on Google only: registers of the vTPM (SHA-256 bank) by number, each with every value it may
    /// have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcrs: Option<RegisterValues<32>>,
    /// AWS only: registers of `NitroTPM` (SHA-384) by number, each with every value it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcrs_sha384: Option<RegisterValues<48>>,
}

/// Registers a TPM's reference value must name: what was booted, and whether Secure Boot judged it (PCR 4 and
/// PCR 7, TCG PC Client Platform Firmware Profile 1.06 section 3.3.4). Without them the guest is not measured.
const REQUIRED_PCRS: [u8; 2] = [4, 7];

/// Registers a domain's reference value must name: what firmware measures before the kernel runs (Intel TDX Virtual
/// Firmware Design Guide, section 8.1). RTMR3 has a rule of its own.
const RTMRS: [u8; 3] = [0, 1, 2];

/// Why a reference value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReferenceError {
    /// A key that its platform needs.
    Missing(&'static str),
    /// A key that its platform does not have.
    Unused(&'static str),
    /// A text longer than the limits.
    TooLong(&'static str),
}

impl ReferenceValue {
    /// Complete for its platform, and nothing beside.
    pub(crate) fn check(&self) -> Result<(), ReferenceError> {
        if self.name.len() > limits::REFERENCE_NAME {
            return Err(ReferenceError::TooLong("name"));
        }
        let (tcb, rtmrs, pcrs, pcrs_sha384) = match self.platform {
            Platform::InsecureSimulated => (true, false, false, false),
            Platform::Snp => (false, false, false, false),
            Platform::Tdx => (false, true, false, false),
            Platform::AzureSnp | Platform::AzureTdx | Platform::GoogleSnp => (false, false, true, false),
            Platform::AwsSnp => (false, false, false, true),
        };
        for (key, needed, given) in [
            ("minimum_tcb", tcb, self.minimum_tcb.is_some()),
            ("rtmrs", rtmrs, self.rtmrs.is_some()),
            ("pcrs", pcrs, self.pcrs.is_some()),
            ("pcrs_sha384", pcrs_sha384, self.pcrs_sha384.is_some()),
        ] {
            match (needed, given) {
                (true, false) => return Err(ReferenceError::Missing(key)),
                (false, true) => return Err(ReferenceError::Unused(key)),
                _ => {}
            }
        }
        if let Some(rtmrs) = &self.rtmrs {
            if RTMRS.into_iter().any(|index| rtmrs.get(index).is_none()) {
                return Err(ReferenceError::Missing("rtmrs 0, 1 and 2"));
            }
            if rtmrs.iter().count() != RTMRS.len() {
                return Err(ReferenceError::Unused("rtmrs beyond 2"));
            }
        }
        if let Some(pcrs) = &self.pcrs {
            check_registers(pcrs, "pcrs 4 and 7", "pcrs 8, which config_sha256 decides")?;
        }
        if let Some(pcrs) = &self.pcrs_sha384 {
            check_registers(
                pcrs,
                "pcrs_sha384 4 and 7",
                "pcrs_sha384 8, which config_sha384 decides",
            )?;
        }
        Ok(())
    }

    /// True when the claims are of this code on this platform by their launch measurement; registers and versions
    /// have rules of their own.
    pub(crate) fn names(&self, claims: &Claims) -> bool {
        self.platform == claims.platform && self.measurement == claims.measurement
    }
}

fn check_registers<const N: usize>(
    pcrs: &RegisterValues<N>,
    missing: &'static str,
    unused: &'static str,
) -> Result<(), ReferenceError> {
    if REQUIRED_PCRS.into_iter().any(|index| pcrs.get(index).is_none()) {
        return Err(ReferenceError::Missing(missing));
    }
    if pcrs.get(CONFIGURATION_REGISTER).is_some() {
        return Err(ReferenceError::Unused(unused));
    }
    Ok(())
}
