//! What a device says of itself in the opaque data of its report.
//!
//! Why apart: this part of the report is NVIDIA's, not SPDM's, and its fields differ between GPU and switch.
//!
//! # Invariants
//! Fields are type (2 bytes, little endian), length (2 bytes, little endian), value; they fill the opaque data
//! exactly. A type that NVIDIA does not name for the kind of device, a type that is there twice, and a value
//! that its type cannot have are refused.

use std::collections::BTreeMap;

use crate::limits;
use crate::nvidia::cursor::Cursor;
use crate::nvidia::error::{DeviceError, ReportField};

mod gpu;
mod switch;
mod value;

pub use gpu::GpuData;
pub use switch::SwitchData;
pub use value::{FeatureFlag, Pdi, Switched};

/// The type numbers, as NVIDIA's verifiers name them (attestation-sdk 73c032ebff68,
/// `gpu_opaque_data_parser.hpp`, `switch_opaque_data_parser.hpp`).
mod number {
    pub(super) const DRIVER_VERSION: u16 = 3;
    pub(super) const GPU_INFO: u16 = 4;
    pub(super) const VBIOS_VERSION: u16 = 6;
    pub(super) const NVDEC0_STATUS: u16 = 11;
    pub(super) const MSR_COUNTS: u16 = 12;
    pub(super) const CPR_INFO: u16 = 13;
    pub(super) const BOARD_ID: u16 = 14;
    pub(super) const CHIP_SKU: u16 = 15;
    pub(super) const CHIP_SKU_MOD: u16 = 16;
    pub(super) const PROJECT: u16 = 17;
    pub(super) const PROJECT_SKU: u16 = 18;
    pub(super) const PROJECT_SKU_MOD: u16 = 19;
    pub(super) const FWID: u16 = 20;
    pub(super) const PROTECTED_PCIE: u16 = 21;
    pub(super) const PDI: u16 = 22;
    pub(super) const PORTS: u16 = 23;
    pub(super) const POSITION_ID: u16 = 24;
    pub(super) const LOCK_STATUS: u16 = 25;
    pub(super) const SWITCH_GPU_PDIS: u16 = 26;
    pub(super) const SYS_ENABLE: u16 = 33;
    pub(super) const DATA_VERSION: u16 = 34;
    pub(super) const CHIP_INFO: u16 = 35;
    pub(super) const FEATURE_FLAG: u16 = 36;
}

/// The fields by number, each with where it lies. What a reader takes out is gone; nothing may stay behind.
struct Fields<'a> {
    found: BTreeMap<u16, Cursor<'a>>,
    end: usize,
}

impl<'a> Fields<'a> {
    fn split(mut data: Cursor<'a>) -> Result<Self, DeviceError> {
        let mut found = BTreeMap::new();
        while !data.is_empty() {
            let here = data;
            let number = data.le16(ReportField::OpaqueLength)?;
            let length = data.le16(ReportField::OpaqueLength)?;
            let value = data.part(length.into(), ReportField::OpaqueLength)?;
            if value.len() > limits::NVIDIA_OPAQUE_VALUE {
                return Err(here.error(ReportField::OpaqueValue(number)));
            }
            if found.insert(number, value).is_some() {
                return Err(here.error(ReportField::OpaqueRepeated));
            }
        }
        let end = data.offset();
        Ok(Self { found, end })
    }

    /// A field that a report may lack.
    fn optional<T>(&mut self, number: u16, read: fn(&[u8]) -> Option<T>) -> Result<Option<T>, DeviceError> {
        let Some(value) = self.found.remove(&number) else {
            return Ok(None);
        };
        read(value.bytes())
            .map(Some)
            .ok_or_else(|| value.error(ReportField::OpaqueValue(number)))
    }

    /// A field that every report of the kind has.
    fn required<T>(&mut self, number: u16, read: fn(&[u8]) -> Option<T>) -> Result<T, DeviceError> {
        let offset = self.end;
        self.optional(number, read)?.ok_or(DeviceError::Form {
            field: ReportField::OpaqueMissing(number),
            offset,
        })
    }

    /// Takes those of `named` out as bytes: NVIDIA names them, but no report with one is known.
    fn unseen(&mut self, named: &[u16]) -> Vec<(u16, Vec<u8>)> {
        let take = |number: &u16| Some((*number, self.found.remove(number)?.bytes().to_vec()));
        named.iter().filter_map(take).collect()
    }

    /// Refuses what nobody took out.
    fn finish(self) -> Result<(), DeviceError> {
        match self.found.values().next() {
            None => Ok(()),
            Some(value) => Err(value.error(ReportField::OpaqueType)),
        }
    }
}

#[cfg(test)]
mod tests;
