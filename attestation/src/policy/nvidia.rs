//! `[nvidia]`: what a policy demands of GPUs and NVLink switches.
//!
//! Why apart: without this section no device may give evidence at all, so it is complete when nothing of it is set.
//!
//! # Invariants
//! Unset is the strictest: no device. With devices, their lines and the oldest driver and firmware must be given.
//! A field that a device does not report satisfies no rule, unless it is named in `dangerously_accept_unreported`.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::PolicyError;
use super::section::listed;
use crate::limits;
use crate::nvidia::{Architecture, DriverVersion, FeatureFlag, FirmwareVersion};

/// The section as it is written: docs/policy.md.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NvidiaSection {
    #[serde(default)]
    gpus: u8,
    #[serde(default)]
    switches: u8,
    architectures: Option<Vec<ArchitectureName>>,
    drivers: Option<Vec<DriverName>>,
    minimum_driver: Option<DriverName>,
    firmware: Option<Vec<FirmwareName>>,
    minimum_firmware: Option<Vec<FirmwareName>>,
    features: Option<Vec<Feature>>,
    dangerously_accept_unreported: Option<Vec<Unreported>>,
    #[serde(default)]
    dangerously_accept_protected_pcie: bool,
    #[serde(default)]
    dangerously_accept_unchecked_revocation: bool,
    #[serde(default)]
    dangerously_accept_unchecked_rim_revocation: bool,
    #[serde(default)]
    dangerously_exempt_idle_decoder: bool,
    dangerously_accept_dice_flags: Option<Vec<DiceFlag>>,
    #[serde(default)]
    dangerously_accept_unlocked_switches: bool,
}

#[derive(Debug, Clone, Copy)]
struct ArchitectureName(Architecture);

impl<'de> Deserialize<'de> for ArchitectureName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = [Architecture::Hopper, Architecture::Blackwell, Architecture::Ls10];
        let named = known.into_iter().find(|one| one.name() == text);
        named
            .map(Self)
            .ok_or_else(|| D::Error::custom("not a line of devices"))
    }
}

#[derive(Debug, Clone)]
struct DriverName(DriverVersion);

impl<'de> Deserialize<'de> for DriverName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let version = DriverVersion::parse(&text);
        version
            .map(Self)
            .ok_or_else(|| D::Error::custom("not a driver's version"))
    }
}

#[derive(Debug, Clone, Copy)]
struct FirmwareName(FirmwareVersion);

impl<'de> Deserialize<'de> for FirmwareName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // One text a version: the one that RIMs have.
        let version = FirmwareVersion::parse(&text).filter(|version| version.to_string() == text);
        version
            .map(Self)
            .ok_or_else(|| D::Error::custom("not a firmware's version"))
    }
}

/// How a GPU is used, where links are not in the clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Feature {
    SingleGpu,
    MultiGpu,
}

impl Feature {
    const fn flag(self) -> FeatureFlag {
        match self {
            Self::SingleGpu => FeatureFlag::SINGLE_GPU,
            Self::MultiGpu => FeatureFlag::MULTI_GPU,
        }
    }
}

/// A field that some devices do not report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Unreported {
    /// Of a GPU: drivers before 550.
    FirmwareId,
    /// Of a switch: no known one reports it.
    SwitchFirmwareId,
    /// Of a GPU: older drivers, such as 550.
    FeatureFlag,
    /// Of a GPU: drivers before 550.
    ProtectedPcie,
}

/// A flag of a Blackwell leaf's TCB information (TCG DICE Attestation Architecture 1.1, 6.1.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum DiceFlag {
    NotConfigured,
    NotSecure,
    Recovery,
    Debug,
    NotReplayProtected,
    NotIntegrityProtected,
    NotRuntimeMeasured,
    NotImmutable,
    NotTcb,
}

impl DiceFlag {
    /// The first bit has the highest place.
    const fn mask(self) -> u32 {
        let place = match self {
            Self::NotConfigured => 0,
            Self::NotSecure => 1,
            Self::Recovery => 2,
            Self::Debug => 3,
            Self::NotReplayProtected => 4,
            Self::NotIntegrityProtected => 5,
            Self::NotRuntimeMeasured => 6,
            Self::NotImmutable => 7,
            Self::NotTcb => 8,
        };
        0x8000_0000_u32.wrapping_shr(place)
    }
}

/// What a policy demands of NVIDIA's devices, complete and within limits.
#[derive(Debug)]
pub struct NvidiaPolicy {
    pub(crate) gpus: u8,
    pub(crate) switches: u8,
    pub(crate) architectures: Vec<Architecture>,
    /// `None`: any from [`Self::minimum_driver`] on.
    pub(crate) drivers: Option<Vec<DriverVersion>>,
    pub(crate) minimum_driver: Option<DriverVersion>,
    /// `None`: any from [`Self::minimum_firmware`] on.
    pub(crate) firmware: Option<Vec<FirmwareVersion>>,
    /// One for each line, which is a version's first two bytes; `None`: any of [`Self::firmware`].
    pub(crate) minimum_firmware: Option<Vec<FirmwareVersion>>,
    pub(crate) features: Vec<FeatureFlag>,
    pub(crate) accept_unreported: Vec<Unreported>,
    pub(crate) accept_protected_pcie: bool,
    pub(crate) accept_unchecked_revocation: bool,
    pub(crate) accept_unchecked_rim_revocation: bool,
    pub(crate) exempt_idle_decoder: bool,
    pub(crate) accept_dice_flags: u32,
    pub(crate) accept_unlocked_switches: bool,
}

impl NvidiaPolicy {
    /// GPUs that there must be.
    #[must_use]
    pub const fn gpus(&self) -> u8 {
        self.gpus
    }

    /// Whether any of it bears the word `dangerously`.
    #[must_use]
    pub const fn is_weakened(&self) -> bool {
        !self.accept_unreported.is_empty()
            || self.accept_protected_pcie
            || self.accept_unchecked_revocation
            || self.accept_unchecked_rim_revocation
            || self.exempt_idle_decoder
            || self.accept_dice_flags != 0
            || self.accept_unlocked_switches
    }

    /// Completes the section.
    ///
    /// # Errors
    /// [`PolicyError`] naming the key.
    pub fn new(section: NvidiaSection) -> Result<Self, PolicyError> {
        let devices = usize::from(section.gpus).saturating_add(section.switches.into());
        if devices > limits::DEVICES || (section.gpus == 0 && section.switches > 0) {
            return Err(PolicyError::Range("nvidia.gpus"));
        }
        let required = |key, missing| match missing && devices > 0 {
            true => Err(PolicyError::Missing(key)),
            false => Ok(()),
        };
        let architectures = listed("nvidia.architectures", section.architectures)?;
        required("nvidia.architectures", architectures.is_none())?;
        let drivers = listed("nvidia.drivers", section.drivers)?;
        let unbounded = drivers.is_none() && section.minimum_driver.is_none();
        required("nvidia.minimum_driver", unbounded)?;
        let firmware = listed("nvidia.firmware", section.firmware)?;
        let minimum_firmware = listed("nvidia.minimum_firmware", section.minimum_firmware)?;
        required(
            "nvidia.minimum_firmware",
            firmware.is_none() && minimum_firmware.is_none(),
        )?;
        let features = listed("nvidia.features", section.features)?;
        let usual = if section.gpus > 1 {
            Feature::MultiGpu
        } else {
            Feature::SingleGpu
        };
        let unreported = listed(
            "nvidia.dangerously_accept_unreported",
            section.dangerously_accept_unreported,
        )?;
        let flags = listed(
            "nvidia.dangerously_accept_dice_flags",
            section.dangerously_accept_dice_flags,
        )?;
        let versions = |list: Vec<FirmwareName>| list.into_iter().map(|name| name.0).collect();
        Ok(Self {
            gpus: section.gpus,
            switches: section.switches,
            architectures: architectures
                .unwrap_or_default()
                .into_iter()
                .map(|name| name.0)
                .collect(),
            drivers: drivers.map(|list| list.into_iter().map(|name| name.0).collect()),
            minimum_driver: section.minimum_driver.map(|name| name.0),
            firmware: firmware.map(versions),
            minimum_firmware: minimum_firmware.map(versions),
            features: features
                .unwrap_or_else(|| vec![usual])
                .into_iter()
                .map(Feature::flag)
                .collect(),
            accept_unreported: unreported.unwrap_or_default(),
            accept_protected_pcie: section.dangerously_accept_protected_pcie,
            accept_unchecked_revocation: section.dangerously_accept_unchecked_revocation,
            accept_unchecked_rim_revocation: section.dangerously_accept_unchecked_rim_revocation,
            exempt_idle_decoder: section.dangerously_exempt_idle_decoder,
            accept_dice_flags: flags
                .unwrap_or_default()
                .into_iter()
                .fold(0, |mask, flag| mask | flag.mask()),
            accept_unlocked_switches: section.dangerously_accept_unlocked_switches,
        })
    }
}

#[cfg(test)]
mod tests;
