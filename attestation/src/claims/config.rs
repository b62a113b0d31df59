//! The configuration as it was fixed at launch.
//!
//! Why apart: each platform signs it in another field, some only through a register, and a policy names it once.
//!
//! # Invariants
//! A field of zeros fixes nothing. What a register holds can be compared with a configuration, never turned into one.

use std::fmt;

use anchorhold_encoding::{Digest, sha256, sha384};

use crate::azure::configuration_register_of;
use crate::identity::ConfigBoundBy;

/// What the platform signed about the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FixedConfig {
    /// SHA-256 of it, in SEV-SNP's `HOST_DATA` or its like on the simulated platform.
    HostData(Digest<32>),
    /// SHA-384 of it, in TDX's `MRCONFIGID`.
    MrConfigId(Digest<48>),
    /// TDX's RTMR3, where the provider leaves `MRCONFIGID` zero: measured code found it zero and extended it with the
    /// configuration's SHA-384.
    Rtmr3(Digest<48>),
    /// Register 8 of a vTPM (SHA-256 bank), which measured code extended with its SHA-256; `None` when the quote
    /// does not cover it.
    Register(Option<Digest<32>>),
    /// Register 8 of a `NitroTPM` (SHA-384), which measured code extended with its SHA-384; `None` when the document
    /// does not have it.
    Register384(Option<Digest<48>>),
}

/// The digests of one configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConfigDigests {
    pub(crate) sha256: Digest<32>,
    pub(crate) sha384: Digest<48>,
}

impl FixedConfig {
    /// False when nobody fixed a configuration.
    #[must_use]
    pub fn is_set(&self) -> bool {
        match self {
            Self::HostData(digest) => !digest.is_zero(),
            Self::MrConfigId(digest) | Self::Rtmr3(digest) => !digest.is_zero(),
            Self::Register(value) => value.is_some_and(|value| !value.is_zero()),
            Self::Register384(value) => value.is_some_and(|value| !value.is_zero()),
        }
    }

    /// In which field.
    #[must_use]
    pub const fn by(&self) -> ConfigBoundBy {
        match self {
            Self::HostData(_) => ConfigBoundBy::HostData,
            Self::MrConfigId(_) => ConfigBoundBy::MrConfigId,
            Self::Rtmr3(_) => ConfigBoundBy::Rtmr3,
            Self::Register(_) | Self::Register384(_) => ConfigBoundBy::Pcr8,
        }
    }

    /// Whether it is this very configuration.
    #[must_use]
    pub fn fixes(&self, config: &[u8]) -> bool {
        self.is_of(&ConfigDigests {
            sha256: sha256(&[config]),
            sha384: sha384(&[config]),
        })
    }

    /// The key of a policy that lists it.
    pub(crate) const fn policy_key(&self) -> &'static str {
        match self {
            Self::HostData(_) | Self::Register(_) => "config_sha256",
            Self::MrConfigId(_) | Self::Rtmr3(_) | Self::Register384(_) => "config_sha384",
        }
    }

    /// Whether it is the configuration with this SHA-256; `None` when that cannot be told from it.
    pub(crate) fn is_sha256(&self, config: &Digest<32>) -> Option<bool> {
        match self {
            Self::HostData(digest) => Some(digest == config),
            Self::MrConfigId(_) | Self::Rtmr3(_) | Self::Register384(_) => None,
            Self::Register(value) => Some(*value == Some(configuration_register_of(config))),
        }
    }

    /// Whether it is the configuration with this SHA-384; `None` when that cannot be told from it.
    pub(crate) fn is_sha384(&self, config: &Digest<48>) -> Option<bool> {
        match self {
            Self::HostData(_) | Self::Register(_) => None,
            Self::MrConfigId(digest) => Some(digest == config),
            Self::Rtmr3(value) => Some(*value == extended(config)),
            Self::Register384(value) => Some(*value == Some(extended(config))),
        }
    }

    /// Whether it is the configuration with these digests.
    pub(crate) fn is_of(&self, config: &ConfigDigests) -> bool {
        match self {
            Self::MrConfigId(_) | Self::Rtmr3(_) | Self::Register384(_) => {
                self.is_sha384(&config.sha384) == Some(true)
            }
            Self::HostData(_) | Self::Register(_) => self.is_sha256(&config.sha256) == Some(true),
        }
    }
}

/// A register of SHA-384 that was zero and was extended once: RTMR3 (TDX Module ABI Specification,
/// TDG.MR.RTMR.EXTEND), or a PCR (TPM 2.0 Library Part 1, PCR Operations).
fn extended(config: &Digest<48>) -> Digest<48> {
    sha384(&[&[0; 48], config.as_bytes()])
}

impl fmt::Display for FixedConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HostData(digest) => digest.fmt(f),
            Self::MrConfigId(digest) => digest.fmt(f),
            Self::Rtmr3(value) => write!(f, "RTMR3 {value}"),
            Self::Register(Some(value)) => write!(f, "register {value}"),
            Self::Register384(Some(value)) => write!(f, "register {value}"),
            Self::Register(None) | Self::Register384(None) => {
                f.write_str("a register that the quote does not cover")
            }
        }
    }
}
