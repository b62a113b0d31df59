//! Whether a device runs what NVIDIA published: measurements against RIMs.
//!
//! Why apart: a proven report says what runs, a proven RIM what should; only here they meet.
//!
//! # Invariants
//! RIM index i is SPDM's block i + 1. Every active measurement of every RIM is compared. A RIM is compared only with a
//! device of its product that reports its version. [`MatchedDevice`] exists only when nothing differs but what its
//! `exempt` names.

use std::fmt;

use anchorhold_encoding::Digest;

use crate::nvidia::device::VerifiedDevice;
use crate::nvidia::identity::Architecture;
use crate::nvidia::opaque::Switched;
use crate::nvidia::report::{OpaqueData, Report};
use crate::nvidia::rim::{Edition, Rim, RimMeasurement, VerifiedRim};
use crate::nvidia::version::FirmwareVersion;
use crate::time::Timestamp;

/// The RIM index of the video decoder's firmware: NVIDIA's verifier does not compare it while the decoder is off.
const NVDEC0_INDEX: u8 = 35;

/// Which RIM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RimRole {
    /// A GPU's driver.
    Driver,
    /// A GPU's VBIOS or a switch's BIOS.
    Bios,
}

/// The device does not run what the RIMs describe. The device, or who chose the RIMs, is to blame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ComparisonError {
    /// A GPU where a switch must be, or the other way round.
    Kind,
    /// The RIM is of another kind of device or another chip.
    Product(RimRole),
    /// The RIM describes another version than the device reports.
    Version(RimRole),
    /// Both RIMs speak of this index.
    Conflict {
        /// The RIM index.
        index: u8,
    },
    /// A RIM speaks of a measurement that the device does not have.
    Beyond {
        /// The RIM index.
        index: u8,
    },
    /// Measurements are none of their RIM's alternatives.
    Differs {
        /// RIM indices of the driver's measurements, ascending.
        driver: Vec<u8>,
        /// RIM indices of the BIOS's measurements, ascending.
        bios: Vec<u8>,
    },
}

impl ComparisonError {
    /// The check that failed, as the documentation lists it.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Kind => "nvidia-measurements-kind",
            Self::Product(_) => "nvidia-rim-product",
            Self::Version(_) => "nvidia-rim-version",
            Self::Conflict { .. } => "nvidia-rim-conflict",
            Self::Beyond { .. } => "nvidia-rim-beyond",
            Self::Differs { .. } => "nvidia-measurements",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Kind => "compare GPUs with a driver's and a VBIOS's RIM, switches with a BIOS's",
            Self::Product(_) => "fetch the RIM of this chip",
            Self::Version(_) => "fetch the RIM of the version that the device reports",
            Self::Conflict { .. } => "these two RIMs do not belong together; is one there twice?",
            Self::Beyond { .. } => "this RIM is of a newer format or of another device",
            Self::Differs { .. } => {
                "an old RIM is the common cause, since NVIDIA issues them again: fetch it anew; if it still \
                 differs, the device runs other firmware"
            }
        }
    }
}

impl fmt::Display for ComparisonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |role: &RimRole| match role {
            RimRole::Driver => "the driver's RIM",
            RimRole::Bios => "the BIOS's RIM",
        };
        match self {
            Self::Kind => f.write_str("the device is of another kind"),
            Self::Product(role) => write!(f, "{} is of another product", name(role)),
            Self::Version(role) => write!(f, "{} is of another version", name(role)),
            Self::Conflict { index } => write!(f, "both RIMs speak of measurement {index}"),
            Self::Beyond { index } => write!(f, "the device has no measurement {index}"),
            Self::Differs { driver, bios } => {
                write!(f, "measurements differ: driver {driver:?}, BIOS {bios:?}")
            }
        }
    }
}

impl std::error::Error for ComparisonError {}

/// A device whose measurements are those of its RIMs.
#[derive(Debug)]
#[must_use]
pub struct MatchedDevice<'a> {
    device: &'a VerifiedDevice,
    driver: Vec<u8>,
    bios: Vec<u8>,
    exempt: Vec<u8>,
    rims: Vec<Digest<48>>,
    signers_checked: bool,
    expires: Timestamp,
}

impl MatchedDevice<'_> {
    /// The device.
    pub const fn device(&self) -> &VerifiedDevice {
        self.device
    }

    /// RIM indices of the driver's measurements that were compared and equal; none for a switch.
    #[must_use]
    pub fn driver(&self) -> &[u8] {
        &self.driver
    }

    /// RIM indices of the BIOS's measurements that were compared and equal.
    #[must_use]
    pub fn bios(&self) -> &[u8] {
        &self.bios
    }

    /// RIM indices that differ and may, as NVIDIA has it: 35 while the video decoder is off. A policy chooses.
    #[must_use]
    pub fn exempt(&self) -> &[u8] {
        &self.exempt
    }

    /// SHA-384 of the RIM files, the driver's first.
    #[must_use]
    pub fn rims(&self) -> &[Digest<48>] {
        &self.rims
    }

    /// True when every certificate of every RIM's signer was checked for revocation. A policy chooses.
    #[must_use]
    pub const fn signers_checked(&self) -> bool {
        self.signers_checked
    }

    /// When the first certificate of the device or a RIM ends.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }
}

/// Compares a GPU with the RIMs of its driver and of its VBIOS.
///
/// # Errors
/// [`ComparisonError`], with all indices that differ.
pub fn match_gpu<'a>(
    device: &'a VerifiedDevice,
    driver: &VerifiedRim,
    vbios: &VerifiedRim,
) -> Result<MatchedDevice<'a>, ComparisonError> {
    let OpaqueData::Gpu(data) = device.report().opaque() else {
        return Err(ComparisonError::Kind);
    };
    of_product(driver.rim(), device, RimRole::Driver)?;
    of_product(vbios.rim(), device, RimRole::Bios)?;
    if driver.rim().version() != data.driver_version().as_str() {
        return Err(ComparisonError::Version(RimRole::Driver));
    }
    of_version(vbios.rim(), data.vbios_version())?;
    if let Some(index) = active(driver.rim()).find(|one| active(vbios.rim()).any(|other| one == &other)) {
        return Err(ComparisonError::Conflict { index });
    }
    let [driver_part, bios_part] = [driver, vbios].map(|rim| Part::compare(device.report(), rim.rim()));
    conclude(device, &[driver, vbios], driver_part?, bios_part?)
}

/// Compares a switch with the RIM of its BIOS.
///
/// # Errors
/// [`ComparisonError`], with all indices that differ.
pub fn match_switch<'a>(
    device: &'a VerifiedDevice,
    bios: &VerifiedRim,
) -> Result<MatchedDevice<'a>, ComparisonError> {
    let OpaqueData::Switch(data) = device.report().opaque() else {
        return Err(ComparisonError::Kind);
    };
    of_product(bios.rim(), device, RimRole::Bios)?;
    of_version(bios.rim(), data.bios_version())?;
    let part = Part::compare(device.report(), bios.rim())?;
    conclude(device, &[bios], Part::default(), part)
}

/// The RIM indices at which a device differs from one RIM, to explain; proves nothing when empty.
///
/// # Errors
/// [`ComparisonError::Beyond`].
pub fn differing(device: &VerifiedDevice, rim: &VerifiedRim) -> Result<Vec<u8>, ComparisonError> {
    Part::compare(device.report(), rim.rim()).map(|part| part.differs)
}

/// What became of the active measurements of one RIM.
#[derive(Debug, Default, PartialEq, Eq)]
struct Part {
    equal: Vec<u8>,
    exempt: Vec<u8>,
    differs: Vec<u8>,
}

impl Part {
    fn compare(report: &Report, rim: &Rim) -> Result<Self, ComparisonError> {
        let mut part = Self::default();
        for expected in rim.measurements().iter().filter(|one| one.is_active()) {
            let index = expected.index();
            let found = report
                .measurement(index)
                .ok_or(ComparisonError::Beyond { index })?;
            let place = if expected.alternatives().contains(&found) {
                &mut part.equal
            } else if may_differ(report.opaque(), index) {
                &mut part.exempt
            } else {
                &mut part.differs
            };
            place.push(index);
        }
        Ok(part)
    }
}

fn may_differ(opaque: &OpaqueData, index: u8) -> bool {
    match opaque {
        OpaqueData::Gpu(data) => index == NVDEC0_INDEX && data.nvdec0() == Switched::Off,
        OpaqueData::Switch(_) => false,
    }
}

fn conclude<'a>(
    device: &'a VerifiedDevice,
    rims: &[&VerifiedRim],
    driver: Part,
    bios: Part,
) -> Result<MatchedDevice<'a>, ComparisonError> {
    if !driver.differs.is_empty() || !bios.differs.is_empty() {
        return Err(ComparisonError::Differs {
            driver: driver.differs,
            bios: bios.differs,
        });
    }
    let expires = rims
        .iter()
        .map(|rim| rim.expires())
        .fold(device.expires(), Ord::min);
    Ok(MatchedDevice {
        device,
        driver: driver.equal,
        bios: bios.equal,
        exempt: [driver.exempt, bios.exempt].concat(),
        rims: rims.iter().map(|rim| rim.digest()).collect(),
        signers_checked: rims.iter().all(|rim| rim.revocation().is_checked()),
        expires,
    })
}

fn active(rim: &Rim) -> impl Iterator<Item = u8> {
    let active = rim.measurements().iter().filter(|one| one.is_active());
    active.map(RimMeasurement::index)
}

/// A RIM names the chip as certificates do, but for the switch; Blackwell chips share the RIMs of GB100.
fn of_product(rim: &Rim, device: &VerifiedDevice, role: RimRole) -> Result<(), ComparisonError> {
    let identity = device.identity();
    let fits = match identity.architecture() {
        Architecture::Hopper => rim.edition() == Edition::Gpu && rim.product() == identity.chip(),
        Architecture::Blackwell => {
            rim.edition() == Edition::Gpu && [identity.chip(), "GB100"].contains(&rim.product())
        }
        Architecture::Ls10 => rim.edition() == Edition::Switch && rim.product() == "LS10",
    };
    if fits {
        return Ok(());
    }
    Err(ComparisonError::Product(role))
}

fn of_version(rim: &Rim, version: FirmwareVersion) -> Result<(), ComparisonError> {
    if FirmwareVersion::parse(rim.version()) == Some(version) {
        return Ok(());
    }
    Err(ComparisonError::Version(RimRole::Bios))
}

#[cfg(test)]
mod tests;
