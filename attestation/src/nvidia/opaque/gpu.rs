//! The opaque data of a GPU's report.
//!
//! Why apart: a GPU's fields, some of which have the numbers of a switch's and another meaning.
//!
//! # Invariants
//! What names the RIMs (versions, project, SKUs) is there; what later drivers added is an `Option`.

use anchorhold_encoding::Digest;

use super::value::{FeatureFlag, Pdi, Switched, array, counts, digest, feature_flag, label, le16, le32};
use super::value::{name, pdis, switched};
use super::{Fields, number};
use crate::nvidia::cursor::Cursor;
use crate::nvidia::error::DeviceError;
use crate::nvidia::version::{DriverVersion, FirmwareVersion};

/// Types that NVIDIA names for GPUs and that no known report has: issuer name, authority key id, SKU,
/// manufacturer id, tamper detection, SMC, VPR, GPU link connection.
const UNSEEN: [u16; 8] = [1, 2, 5, 7, 8, 9, 10, 32];

/// The newest version of opaque data that NVIDIA's verifier reads.
const MAX_DATA_VERSION: u16 = 1;

/// What a GPU says of itself. In a verified report it is under the GPU's signature.
#[derive(Debug)]
pub struct GpuData {
    driver_version: DriverVersion,
    vbios_version: FirmwareVersion,
    gpu_info: [u8; 8],
    nvdec0: Switched,
    measurement_counts: [u32; 64],
    cpr_info: [u8; 4],
    board_id: u32,
    chip_sku: String,
    chip_sku_mod: String,
    project: String,
    project_sku: String,
    project_sku_mod: String,
    firmware_id: Option<Digest<48>>,
    protected_pcie: Option<Switched>,
    switch_pdis: Option<[Pdi; 18]>,
    system_enable: Option<[u8; 2]>,
    data_version: Option<u16>,
    chip_info: Option<String>,
    feature_flag: Option<FeatureFlag>,
    unseen: Vec<(u16, Vec<u8>)>,
}

fn driver_version(bytes: &[u8]) -> Option<DriverVersion> {
    let text = bytes.strip_suffix(&[0])?;
    DriverVersion::parse(std::str::from_utf8(text).ok()?)
}

fn vbios_version(bytes: &[u8]) -> Option<FirmwareVersion> {
    FirmwareVersion::from_report(array(bytes)?)
}

fn data_version(bytes: &[u8]) -> Option<u16> {
    le16(bytes).filter(|version| *version <= MAX_DATA_VERSION)
}

impl GpuData {
    pub(crate) fn parse(data: Cursor<'_>) -> Result<Self, DeviceError> {
        let mut fields = Fields::split(data)?;
        let gpu = Self {
            driver_version: fields.required(number::DRIVER_VERSION, driver_version)?,
            vbios_version: fields.required(number::VBIOS_VERSION, vbios_version)?,
            gpu_info: fields.required(number::GPU_INFO, array)?,
            nvdec0: fields.required(number::NVDEC0_STATUS, switched)?,
            measurement_counts: fields.required(number::MSR_COUNTS, counts)?,
            cpr_info: fields.required(number::CPR_INFO, array)?,
            board_id: fields.required(number::BOARD_ID, le32)?,
            chip_sku: fields.required(number::CHIP_SKU, name)?,
            chip_sku_mod: fields.required(number::CHIP_SKU_MOD, label)?,
            project: fields.required(number::PROJECT, name)?,
            project_sku: fields.required(number::PROJECT_SKU, name)?,
            project_sku_mod: fields.required(number::PROJECT_SKU_MOD, label)?,
            firmware_id: fields.optional(number::FWID, digest)?,
            protected_pcie: fields.optional(number::PROTECTED_PCIE, switched)?,
            switch_pdis: fields.optional(number::PDI, pdis)?,
            system_enable: fields.optional(number::SYS_ENABLE, array)?,
            data_version: fields.optional(number::DATA_VERSION, data_version)?,
            chip_info: fields.optional(number::CHIP_INFO, name)?,
            feature_flag: fields.optional(number::FEATURE_FLAG, feature_flag)?,
            unseen: fields.unseen(&UNSEEN),
        };
        fields.finish()?;
        Ok(gpu)
    }

    /// The driver's version, type 3.
    #[must_use]
    pub const fn driver_version(&self) -> &DriverVersion {
        &self.driver_version
    }

    /// The VBIOS's version, type 6.
    #[must_use]
    pub const fn vbios_version(&self) -> FirmwareVersion {
        self.vbios_version
    }

    /// GPU information, type 4: undocumented.
    #[must_use]
    pub const fn gpu_info(&self) -> &[u8; 8] {
        &self.gpu_info
    }

    /// Whether the first video decoder is on, type 11. With it on, measurement 36 (RIM index 35) is of its firmware.
    #[must_use]
    pub const fn nvdec0(&self) -> Switched {
        self.nvdec0
    }

    /// How many values went into each measurement, type 12; zero for one that was not made.
    #[must_use]
    pub const fn measurement_counts(&self) -> &[u32; 64] {
        &self.measurement_counts
    }

    /// Compute-protected-region information, type 13: undocumented.
    #[must_use]
    pub const fn cpr_info(&self) -> &[u8; 4] {
        &self.cpr_info
    }

    /// The board, type 14.
    #[must_use]
    pub const fn board_id(&self) -> u32 {
        self.board_id
    }

    /// The chip's SKU, type 15; part of the name of the VBIOS's RIM.
    #[must_use]
    pub fn chip_sku(&self) -> &str {
        &self.chip_sku
    }

    /// The chip SKU's modifier, type 16.
    #[must_use]
    pub fn chip_sku_mod(&self) -> &str {
        &self.chip_sku_mod
    }

    /// The project, type 17; part of the name of the VBIOS's RIM.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// The project's SKU, type 18; part of the name of the VBIOS's RIM.
    #[must_use]
    pub fn project_sku(&self) -> &str {
        &self.project_sku
    }

    /// The project SKU's modifier, type 19.
    #[must_use]
    pub fn project_sku_mod(&self) -> &str {
        &self.project_sku_mod
    }

    /// The firmware id, type 20. Drivers before 550 do not report it.
    #[must_use]
    pub const fn firmware_id(&self) -> Option<Digest<48>> {
        self.firmware_id
    }

    /// Whether protected PCIe is on, type 21. Drivers before 550 do not report it.
    #[must_use]
    pub const fn protected_pcie(&self) -> Option<Switched> {
        self.protected_pcie
    }

    /// The switch at the other end of each of 18 NVLinks, type 22, in the byte order of the GPU: backwards.
    #[must_use]
    pub const fn switch_pdis(&self) -> Option<&[Pdi; 18]> {
        self.switch_pdis.as_ref()
    }

    /// System enable status, type 33: undocumented.
    #[must_use]
    pub const fn system_enable(&self) -> Option<&[u8; 2]> {
        self.system_enable.as_ref()
    }

    /// The version of this opaque data, type 34, at most 1.
    #[must_use]
    pub const fn data_version(&self) -> Option<u16> {
        self.data_version
    }

    /// The chip, type 35.
    #[must_use]
    pub fn chip_info(&self) -> Option<&str> {
        self.chip_info.as_deref()
    }

    /// How the GPU is used, type 36.
    #[must_use]
    pub const fn feature_flag(&self) -> Option<FeatureFlag> {
        self.feature_flag
    }

    /// Fields whose types NVIDIA names and whose form is not known, by type number.
    #[must_use]
    pub fn undocumented(&self) -> &[(u16, Vec<u8>)] {
        &self.unseen
    }
}
