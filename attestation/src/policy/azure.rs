//! `[azure]`: what a policy demands of the paravisor's word about its VM.
//!
//! Why apart: the hardware vouches for the paravisor, and only the paravisor for the rest; so each member of
//! `vm-configuration` has a key here.
//!
//! # Invariants
//! Unset is the strictest. A member that the paravisor does not report satisfies no rule, unless it is named in
//! `dangerously_accept_unreported`. What has no strict value must be given: which VM, and whose provisioning.

use anchorhold_encoding::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::PolicyError;
use super::section::listed;
use crate::azure::{RootCertificate, TpmVersion, Uuid};
use crate::limits;

/// The oldest revision of the TPM 2.0 library that a vTPM may implement when the policy does not say: 1.38.
const OLDEST_TPM: u16 = 138;

/// Seconds between the host's clock and one's own when the policy does not say: evidence may be as old as a nonce.
const CLOCK_DIFFERENCE_SECONDS: u64 = super::DEFAULT_MAX_AGE_SECONDS;

/// The section as it is written: docs/policy.md.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AzureSection {
    vm_unique_ids: Option<Vec<Uuid>>,
    #[serde(default)]
    any_vm: bool,
    root_thumbprint: Option<Vec<RootName>>,
    minimum_tpm_version: Option<TpmVersion>,
    clock_difference_seconds: Option<u64>,
    vmgs_provisioners: Option<Vec<Uuid>>,
    key_release_contexts: Option<Vec<Digest<32>>>,
    dangerously_accept_unreported: Option<Vec<Member>>,
    #[serde(default)]
    dangerously_accept_console: bool,
    #[serde(default)]
    dangerously_accept_interactive_console: bool,
    #[serde(default)]
    dangerously_accept_ipmi: bool,
    #[serde(default)]
    dangerously_accept_secure_boot_off: bool,
    #[serde(default)]
    dangerously_accept_persisted_state: bool,
    #[serde(default)]
    dangerously_accept_filtered_devices: bool,
    #[serde(default)]
    dangerously_accept_sealing_to_signer: bool,
}

/// A member of `vm-configuration` that older paravisors do not write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Member {
    InteractiveConsoleEnabled,
    IpmiEnabled,
    TpmVersion,
    TpmPersisted,
    FilteredVpciDevicesAllowed,
    RootCertThumbprint,
    CurrentTime,
    HardwareSealingPolicy,
}

/// SHA-256 of a certificate, or `none`.
#[derive(Debug, Clone, Copy)]
struct RootName(RootCertificate);

impl<'de> Deserialize<'de> for RootName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "none" {
            return Ok(Self(RootCertificate::Absent));
        }
        let thumbprint = text
            .parse()
            .map_err(|_| D::Error::custom("neither a digest nor none"))?;
        Ok(Self(RootCertificate::Thumbprint(thumbprint)))
    }
}

/// What a policy demands of a guest under Azure's paravisor, complete and within limits.
#[derive(Debug)]
pub struct AzurePolicy {
    /// `None` is any.
    pub(crate) vm_unique_ids: Option<Vec<Uuid>>,
    pub(crate) roots: Vec<RootCertificate>,
    /// A hundred times the version.
    pub(crate) minimum_tpm_version: u16,
    pub(crate) clock_difference_seconds: u64,
    /// Those that may be reported; none at all may always be.
    pub(crate) vmgs_provisioners: Vec<Uuid>,
    /// Those that may be reported; none at all may always be.
    pub(crate) key_release_contexts: Vec<Digest<32>>,
    pub(crate) accept_unreported: Vec<Member>,
    pub(crate) accept_console: bool,
    pub(crate) accept_interactive_console: bool,
    pub(crate) accept_ipmi: bool,
    pub(crate) accept_secure_boot_off: bool,
    pub(crate) accept_persisted_state: bool,
    pub(crate) accept_filtered_devices: bool,
    pub(crate) accept_sealing_to_signer: bool,
}

impl AzurePolicy {
    /// Completes the section.
    ///
    /// # Errors
    /// [`PolicyError`] naming the key.
    pub fn new(section: AzureSection) -> Result<Self, PolicyError> {
        let ids = listed("azure.vm_unique_ids", section.vm_unique_ids)?;
        let vm_unique_ids = match (ids, section.any_vm) {
            (Some(ids), false) => Some(ids),
            (None, true) => None,
            (None, false) => return Err(PolicyError::Missing("azure.vm_unique_ids")),
            (Some(_), true) => return Err(PolicyError::Range("azure.any_vm")),
        };
        let roots = listed("azure.root_thumbprint", section.root_thumbprint)?;
        let roots = roots.ok_or(PolicyError::Missing("azure.root_thumbprint"))?;
        let seconds = section
            .clock_difference_seconds
            .unwrap_or(CLOCK_DIFFERENCE_SECONDS);
        if seconds == 0 || seconds > limits::MAX_AGE_SECONDS {
            return Err(PolicyError::Range("azure.clock_difference_seconds"));
        }
        let unreported = listed(
            "azure.dangerously_accept_unreported",
            section.dangerously_accept_unreported,
        )?;
        Ok(Self {
            vm_unique_ids,
            roots: roots.into_iter().map(|root| root.0).collect(),
            minimum_tpm_version: section
                .minimum_tpm_version
                .map_or(OLDEST_TPM, TpmVersion::hundredths),
            clock_difference_seconds: seconds,
            vmgs_provisioners: listed("azure.vmgs_provisioners", section.vmgs_provisioners)?
                .unwrap_or_default(),
            key_release_contexts: listed("azure.key_release_contexts", section.key_release_contexts)?
                .unwrap_or_default(),
            accept_unreported: unreported.unwrap_or_default(),
            accept_console: section.dangerously_accept_console,
            accept_interactive_console: section.dangerously_accept_interactive_console,
            accept_ipmi: section.dangerously_accept_ipmi,
            accept_secure_boot_off: section.dangerously_accept_secure_boot_off,
            accept_persisted_state: section.dangerously_accept_persisted_state,
            accept_filtered_devices: section.dangerously_accept_filtered_devices,
            accept_sealing_to_signer: section.dangerously_accept_sealing_to_signer,
        })
    }
}

#[cfg(test)]
mod tests;
