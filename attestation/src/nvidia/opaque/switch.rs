//! The opaque data of an LS10 switch's report.
//!
//! Why apart: a switch has its own fields, and its BIOS version and device number are not written as a GPU's.
//!
//! # Invariants
//! The own number, the BIOS version, the ports and the lock are there in every report.

use anchorhold_encoding::Digest;

use super::value::{Pdi, array, counts, digest, le16};
use super::{Fields, number};
use crate::nvidia::cursor::Cursor;
use crate::nvidia::error::DeviceError;
use crate::nvidia::version::FirmwareVersion;

/// GPUs that one switch reports.
const GPUS: usize = 8;

/// NVLink ports that one switch reports.
const PORTS: usize = 64;

/// Types that NVIDIA names for switches and that no known report has.
const UNSEEN: [u16; 16] = [1, 2, 3, 5, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19];

/// What a switch says of itself. In a verified report it is under the switch's signature.
#[derive(Debug)]
pub struct SwitchData {
    bios_version: FirmwareVersion,
    pdi: Pdi,
    measurement_counts: [u32; 26],
    fabric: Option<Fabric>,
    disabled_ports: u16,
    position: u16,
    lock_status: u16,
    firmware_id: Option<Digest<48>>,
    protected_pcie: Option<[u8; 1]>,
    unseen: Vec<(u16, Vec<u8>)>,
}

/// Which GPUs the switch sees, and at which ports.
#[derive(Debug)]
struct Fabric {
    gpus: [Pdi; GPUS],
    ports: [u8; PORTS],
}

fn bios_version(bytes: &[u8]) -> Option<FirmwareVersion> {
    let text = std::str::from_utf8(bytes).ok()?;
    FirmwareVersion::parse(text)
}

fn fabric(bytes: &[u8]) -> Option<Fabric> {
    let (gpus, ports) = bytes.split_first_chunk::<64>()?;
    Some(Fabric {
        gpus: super::value::pdis(gpus)?,
        ports: array(ports)?,
    })
}

impl SwitchData {
    pub(crate) fn parse(data: Cursor<'_>) -> Result<Self, DeviceError> {
        let mut fields = Fields::split(data)?;
        // BIOS 96.10.52 writes the fabric under the number of GPU information, later ones under its own.
        let older = fields.optional(number::GPU_INFO, fabric)?;
        let newer = fields.optional(number::SWITCH_GPU_PDIS, fabric)?;
        let switch = Self {
            bios_version: fields.required(number::VBIOS_VERSION, bios_version)?,
            pdi: fields.required(number::PDI, digest)?,
            measurement_counts: fields.required(number::MSR_COUNTS, counts)?,
            fabric: newer.or(older),
            disabled_ports: fields.required(number::PORTS, le16)?,
            position: fields.required(number::POSITION_ID, le16)?,
            lock_status: fields.required(number::LOCK_STATUS, le16)?,
            firmware_id: fields.optional(number::FWID, digest)?,
            protected_pcie: fields.optional(number::PROTECTED_PCIE, array)?,
            unseen: fields.unseen(&UNSEEN),
        };
        fields.finish()?;
        Ok(switch)
    }

    /// The switch BIOS's version, type 6.
    #[must_use]
    pub const fn bios_version(&self) -> FirmwareVersion {
        self.bios_version
    }

    /// The switch's own number, type 22.
    #[must_use]
    pub const fn pdi(&self) -> Pdi {
        self.pdi
    }

    /// How many values went into each measurement, type 12.
    #[must_use]
    pub const fn measurement_counts(&self) -> &[u32; 26] {
        &self.measurement_counts
    }

    /// The GPUs it sees, type 26; some may be there twice.
    #[must_use]
    pub fn gpu_pdis(&self) -> Option<&[Pdi; GPUS]> {
        self.fabric.as_ref().map(|fabric| &fabric.gpus)
    }

    /// For each port the GPU in [`Self::gpu_pdis`] at its other end, or 0xFF, type 26.
    #[must_use]
    pub fn ports(&self) -> Option<&[u8; PORTS]> {
        self.fabric.as_ref().map(|fabric| &fabric.ports)
    }

    /// Disabled ports, type 23: one bit for four ports.
    #[must_use]
    pub const fn disabled_ports(&self) -> u16 {
        self.disabled_ports
    }

    /// The switch's place on the board, type 24.
    #[must_use]
    pub const fn position(&self) -> u16 {
        self.position
    }

    /// Whether the host can no longer configure the switch, type 25: 1 in every known report.
    #[must_use]
    pub const fn lock_status(&self) -> u16 {
        self.lock_status
    }

    /// The firmware id, type 20. No known switch reports it.
    #[must_use]
    pub const fn firmware_id(&self) -> Option<Digest<48>> {
        self.firmware_id
    }

    /// Protected PCIe status, type 21. No known switch reports it.
    #[must_use]
    pub const fn protected_pcie(&self) -> Option<&[u8; 1]> {
        self.protected_pcie.as_ref()
    }

    /// Fields whose types NVIDIA names and whose form is not known, by type number.
    #[must_use]
    pub fn undocumented(&self) -> &[(u16, Vec<u8>)] {
        &self.unseen
    }
}
