//! The runtime claims: what the paravisor says about the VM, under the hardware report's signature.
//!
//! Why apart: a policy has a rule for each member, so a member nobody has a rule for is refused here.
//!
//! # Invariants
//! Every member is known and of its type; unknown, repeated and `null` ones are refused. A member that older
//! paravisors do not write is `None`, which is not `false`.
//!
//! Sources: *Azure guest attestation design*, Runtime Claims; OpenHCL `igvm_attest/get.rs`, `runtime_claims`, whose
//! members grew from 2023 to 2026 (its `AttestationVmConfig` and tests).

use anchorhold_encoding::Digest;
use serde::{Deserialize, Deserializer};

use super::error::{AzureError, Check};
use super::key::{AttestationKey, Jwk};
use super::vm::{HardwareSealing, RootCertificate, TpmVersion, Uuid, VmgsProvisioner, hex, present};
use crate::binding::ReportData;
use crate::time::Timestamp;

const ATTESTATION_KEY: &str = "HCLAkPub";
const ENDORSEMENT_KEY: &str = "HCLEkPub";

/// The claims, of the right form. Believed by nobody until the hardware report names them.
#[derive(Debug)]
pub struct RuntimeClaims {
    key: AttestationKey,
    user_data: Option<ReportData>,
    vm: VmConfiguration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Wire {
    keys: Vec<Jwk>,
    vm_configuration: VmConfiguration,
    #[serde(default, deserialize_with = "present")]
    user_data: Option<String>,
}

/// How the VM is set up, as the paravisor says.
///
/// The host chose these settings and the paravisor was started with them; that they are in the claims does not
/// make them good.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct VmConfiguration {
    console_enabled: bool,
    secure_boot: bool,
    tpm_enabled: bool,
    #[serde(rename = "vmUniqueId")]
    vm_unique_id: Uuid,
    #[serde(default, deserialize_with = "present")]
    current_time: Option<Timestamp>,
    #[serde(default)]
    root_cert_thumbprint: RootCertificate,
    #[serde(default, deserialize_with = "present")]
    interactive_console_enabled: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    ipmi_enabled: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    tpm_version: Option<TpmVersion>,
    #[serde(default, deserialize_with = "present")]
    tpm_persisted: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    filtered_vpci_devices_allowed: Option<bool>,
    #[serde(default, deserialize_with = "present")]
    hardware_sealing_policy: Option<HardwareSealing>,
    #[serde(default, deserialize_with = "present")]
    vmgs_provisioner: Option<VmgsProvisioner>,
    #[serde(default, deserialize_with = "hex_digest")]
    key_release_context_hash: Option<Digest<32>>,
}

impl RuntimeClaims {
    /// Reads the claims of an HCL report.
    ///
    /// # Errors
    /// [`AzureError::Claims`], naming the member.
    pub fn parse(bytes: &[u8]) -> Result<Self, AzureError> {
        let wire: Wire =
            serde_json::from_slice(bytes).map_err(|_| wrong(Check::ClaimsShape, "runtime-claims"))?;
        let mut attestation = None;
        let mut endorsement = None;
        for key in wire.keys {
            let place = match key.id() {
                ATTESTATION_KEY => &mut attestation,
                ENDORSEMENT_KEY => &mut endorsement,
                _ => return Err(wrong(Check::ClaimsKeys, "keys")),
            };
            if place.replace(key).is_some() {
                return Err(wrong(Check::ClaimsKeys, "keys"));
            }
        }
        let key = attestation.ok_or(wrong(Check::ClaimsKeys, ATTESTATION_KEY))?;
        let key =
            AttestationKey::from_jwk(&key).ok_or(wrong(Check::ClaimsAttestationKey, ATTESTATION_KEY))?;
        let user_data = match wire.user_data {
            None => None,
            Some(text) => {
                let bytes: [u8; 64] = hex(&text).ok_or(wrong(Check::ClaimsUserData, "user-data"))?;
                Some(ReportData::new(bytes))
            }
        };
        Ok(Self {
            key,
            user_data,
            vm: wire.vm_configuration,
        })
    }

    /// The key with which the vTPM signs quotes, `HCLAkPub`.
    #[must_use]
    pub const fn attestation_key(&self) -> &AttestationKey {
        &self.key
    }

    /// The 64 bytes that NV index 0x01400002 had when the report was made; `None` from an older
    /// paravisor, such as the real one of March 2023.
    #[must_use]
    pub const fn user_data(&self) -> Option<&ReportData> {
        self.user_data.as_ref()
    }

    /// How the VM is set up.
    #[must_use]
    pub const fn vm_configuration(&self) -> &VmConfiguration {
        &self.vm
    }

    pub(super) fn into_vm_configuration(self) -> VmConfiguration {
        self.vm
    }
}

impl VmConfiguration {
    /// `console-enabled`: the host can read the serial console, and perhaps write to it.
    #[must_use]
    pub const fn console_enabled(&self) -> bool {
        self.console_enabled
    }

    /// `interactive-console-enabled`: the host can write to the serial console.
    #[must_use]
    pub const fn interactive_console_enabled(&self) -> Option<bool> {
        self.interactive_console_enabled
    }

    /// `ipmi-enabled`: the host can reach the guest through an emulated IPMI device.
    #[must_use]
    pub const fn ipmi_enabled(&self) -> Option<bool> {
        self.ipmi_enabled
    }

    /// `secure-boot`: UEFI Secure Boot was on at start.
    #[must_use]
    pub const fn secure_boot(&self) -> bool {
        self.secure_boot
    }

    /// `tpm-enabled`: the guest has a vTPM.
    #[must_use]
    pub const fn tpm_enabled(&self) -> bool {
        self.tpm_enabled
    }

    /// `tpm-version`: the library revision of the vTPM.
    #[must_use]
    pub const fn tpm_version(&self) -> Option<TpmVersion> {
        self.tpm_version
    }

    /// `tpm-persisted`: the VM keeps state between boots. By OpenHCL's own note it does not say whether the
    /// vTPM's state is stored.
    #[must_use]
    pub const fn tpm_persisted(&self) -> Option<bool> {
        self.tpm_persisted
    }

    /// `filtered-vpci-devices-allowed`: some devices of the host pass the filter.
    #[must_use]
    pub const fn filtered_vpci_devices_allowed(&self) -> Option<bool> {
        self.filtered_vpci_devices_allowed
    }

    /// `root-cert-thumbprint`: the certificate authority under which the paravisor takes its provisioning.
    #[must_use]
    pub const fn root_certificate(&self) -> RootCertificate {
        self.root_cert_thumbprint
    }

    /// `vmUniqueId`: which VM this is.
    #[must_use]
    pub const fn vm_unique_id(&self) -> Uuid {
        self.vm_unique_id
    }

    /// `current-time`: the host's clock when the report was made. It proves no freshness.
    #[must_use]
    pub const fn current_time(&self) -> Option<Timestamp> {
        self.current_time
    }

    /// `hardware-sealing-policy`: to what the VM's state is sealed when no key service answers.
    #[must_use]
    pub const fn hardware_sealing(&self) -> Option<HardwareSealing> {
        self.hardware_sealing_policy
    }

    /// `vmgs-provisioner`: who made the VM's guest state file.
    #[must_use]
    pub const fn vmgs_provisioner(&self) -> Option<&VmgsProvisioner> {
        self.vmgs_provisioner.as_ref()
    }

    /// `key-release-context-hash`: a digest that a key service defined for this VM.
    #[must_use]
    pub const fn key_release_context_hash(&self) -> Option<&Digest<32>> {
        self.key_release_context_hash.as_ref()
    }
}

fn hex_digest<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Digest<32>>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = hex(&text).ok_or_else(|| serde::de::Error::custom("not 32 bytes in hexadecimal"))?;
    Ok(Some(Digest::new(bytes)))
}

const fn wrong(check: Check, field: &'static str) -> AzureError {
    AzureError::Claims { check, field }
}

#[cfg(test)]
mod tests;
