//! The identity document: what an enclave says it is, made once a boot and committed to by its evidence.
//!
//! Why apart: clients, brokers and receipts all name an enclave by the digest of these bytes.
//!
//! # Invariants
//! Canonical JSON, hashed as received. `weakened` and `devices` are sorted and without repetition, so one
//! meaning has one encoding. The model's name is for display only; its manifest digest is the model.

use anchorhold_encoding::{Digest, canonical, sha512};
use serde::{Deserialize, Serialize};

use crate::claims::Platform;
use crate::limits;
use crate::parse::{self, ParseError, Part, at_most};
use crate::time::Timestamp;

/// The document's version, the only one there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IdentityVersion {
    /// `anchorhold identity v1`
    #[serde(rename = "anchorhold identity v1")]
    V1,
}

/// The model an enclave serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelName {
    /// For display only, 1 to 128 bytes without control characters.
    pub name: String,
    /// SHA-256 of its manifest: what the model *is*.
    pub manifest_sha256: Digest<32>,
}

/// The signed field or register that fixes the configuration's digest at launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConfigBoundBy {
    /// SEV-SNP's `HOST_DATA`, and its like on the simulated platform.
    HostData,
    /// TDX's `MRCONFIGID`.
    MrConfigId,
    /// TDX's RTMR3, extended by measured code.
    Rtmr3,
    /// Register 8 of a paravisor's or a provider's TPM, extended by measured code.
    Pcr8,
}

impl ConfigBoundBy {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostData => "host-data",
            Self::MrConfigId => "mr-config-id",
            Self::Rtmr3 => "rtmr3",
            Self::Pcr8 => "pcr8",
        }
    }
}

/// A setting that weakens an enclave, by its configuration key. Listed in clear in the identity document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Weakening {
    /// What the enclave demands of GPUs before it gives them weights is weaker than its strictest.
    #[serde(rename = "dangerously_appraised_devices")]
    AppraisedDevices,
    /// Durations come from a clock the host can bend.
    #[serde(rename = "dangerously_host_time")]
    HostTime,
    /// Which rows of the embedding table are read depends on the tokens, so that a host that watches pages can read a
    /// text.
    #[serde(rename = "dangerously_token_dependent_addresses")]
    TokenDependentAddresses,
    /// Sizes and times of answers on the network depend on what is said.
    #[serde(rename = "dangerously_unshaped_traffic")]
    UnshapedTraffic,
    /// The enclave's process can reach any file and port that the kernel lets it.
    #[serde(rename = "dangerously_without_landlock")]
    WithoutLandlock,
    /// The enclave's memory can be swapped out.
    #[serde(rename = "dangerously_without_locked_memory")]
    WithoutLockedMemory,
    /// The enclave's process can make any system call.
    #[serde(rename = "dangerously_without_seccomp")]
    WithoutSeccomp,
}

impl Weakening {
    /// The configuration key.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostTime => "dangerously_host_time",
            Self::TokenDependentAddresses => "dangerously_token_dependent_addresses",
            Self::UnshapedTraffic => "dangerously_unshaped_traffic",
            Self::AppraisedDevices => "dangerously_appraised_devices",
            Self::WithoutLandlock => "dangerously_without_landlock",
            Self::WithoutLockedMemory => "dangerously_without_locked_memory",
            Self::WithoutSeccomp => "dangerously_without_seccomp",
        }
    }
}

/// What an enclave says it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityDocument {
    /// Always [`IdentityVersion::V1`].
    pub version: IdentityVersion,
    /// The platform whose evidence commits to this document.
    pub platform: Platform,
    /// SHA-256 of the TLS key's SubjectPublicKeyInfo in DER.
    pub tls_spki_sha256: Digest<32>,
    /// Ed25519 public key that binds connections.
    pub channel_key: Digest<32>,
    /// Ed25519 public key that signs receipts.
    pub receipt_key: Digest<32>,
    /// The model served.
    pub model: ModelName,
    /// SHA-256 of the configuration file.
    pub config_sha256: Digest<32>,
    /// What fixes that digest at launch.
    pub config_bound_by: ConfigBoundBy,
    /// Every `dangerously_` setting in force, sorted by name, none twice.
    pub weakened: Vec<Weakening>,
    /// SHA-384 of each device's leaf certificate, ascending.
    pub devices: Vec<Digest<48>>,
    /// Random, new at each boot.
    pub boot_id: Digest<16>,
    /// When to stop believing it; can only shorten what a policy allows.
    pub not_after: Timestamp,
}

impl IdentityDocument {
    /// The canonical bytes, which evidence commits to. [`ReceivedIdentity::parse`] judges them, also one's own.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }
}

/// An identity document as it came: its bytes, and what they say.
#[derive(Debug, Clone)]
pub struct ReceivedIdentity {
    bytes: Vec<u8>,
    document: IdentityDocument,
}

impl ReceivedIdentity {
    /// Parses canonical bytes.
    ///
    /// # Errors
    /// [`ParseError`]: too large, another shape, not canonical, a name that is empty, too long or has
    /// control characters, or a list that is not sorted and without repetition.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        let part = Part::Identity;
        at_most(bytes.len(), limits::IDENTITY, part)?;
        let document: IdentityDocument =
            canonical::from_slice(bytes).map_err(|error| parse::canonical(error, part))?;
        let name = &document.model.name;
        at_most(name.len(), limits::MODEL_NAME, part)?;
        at_most(document.devices.len(), limits::DEVICES, part)?;
        let plain_name = !name.is_empty() && !name.chars().any(char::is_control);
        let ascending =
            document.weakened.is_sorted_by(|a, b| a < b) && document.devices.is_sorted_by(|a, b| a < b);
        if !plain_name || !ascending {
            return Err(ParseError::Value(part));
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            document,
        })
    }

    /// SHA-512 of the bytes as received: the enclave's name.
    #[must_use]
    pub fn digest(&self) -> Digest<64> {
        sha512(&[&self.bytes])
    }

    /// What it says.
    #[must_use]
    pub const fn document(&self) -> &IdentityDocument {
        &self.document
    }

    /// The bytes as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests;
