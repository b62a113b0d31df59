//! A device's report: SPDM 1.1 GET_MEASUREMENTS, request and response, as the device signed them.
//!
//! Why apart: parsing believes nobody. [`crate::nvidia::verify_device`] says whether a device signed it.
//!
//! # Invariants
//! Every byte is either fixed by DSP0274 1.1.0 sections 10.11.1 and 10.11.2 for the one request that NVIDIA's
//! drivers make, or read into a field, or signed randomness. What is signed is kept as received.

use anchorhold_encoding::Digest;

use crate::limits;
use crate::nvidia::cursor::Cursor;
use crate::nvidia::error::{DeviceError, ReportField};
use crate::nvidia::opaque::{GpuData, SwitchData};

/// The request's bytes.
pub const REQUEST_LENGTH: usize = 37;

/// The signature's bytes: ECDSA P-384, r then s.
pub const SIGNATURE_LENGTH: usize = 96;

const SPDM_1_1: u8 = 0x11;
const GET_MEASUREMENTS: u8 = 0xE0;
const MEASUREMENTS: u8 = 0x60;
/// `Param1` of the request: a signature is asked for.
const SIGNED: u8 = 0x01;
/// `Param2` of the request: all measurements are.
const ALL: u8 = 0xFF;
/// `MeasurementSpecification`: DMTF.
const DMTF: u8 = 0x01;
/// Bytes of a measurement's value.
const VALUE_LENGTH: u16 = 48;
/// Bytes of a block after its header: type, length, value.
const BLOCK_LENGTH: u16 = 51;

/// A kind of device: what the report's opaque data is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceKind {
    /// A GPU.
    Gpu,
    /// An NVLink switch.
    Switch,
}

impl DeviceKind {
    /// Measurement blocks in its report (Hopper, Blackwell; LS10).
    #[must_use]
    pub const fn measurements(self) -> u8 {
        match self {
            Self::Gpu => 64,
            Self::Switch => 31,
        }
    }
}

/// What a measurement is a digest of (DSP0274 1.1.0 table 45).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeasurementType {
    /// Immutable ROM.
    Rom,
    /// Mutable firmware.
    Firmware,
    /// Hardware configuration.
    HardwareConfiguration,
    /// Firmware configuration.
    FirmwareConfiguration,
}

/// One measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measurement {
    kind: MeasurementType,
    value: Digest<48>,
}

impl Measurement {
    /// What it is a digest of.
    #[must_use]
    pub const fn kind(&self) -> MeasurementType {
        self.kind
    }

    /// The digest.
    #[must_use]
    pub const fn value(&self) -> Digest<48> {
        self.value
    }
}

/// What a device says of itself, by its kind.
#[derive(Debug)]
pub enum OpaqueData {
    /// A GPU.
    Gpu(Box<GpuData>),
    /// A switch.
    Switch(Box<SwitchData>),
}

impl OpaqueData {
    /// The firmware id, if it is reported.
    #[must_use]
    pub fn firmware_id(&self) -> Option<Digest<48>> {
        match self {
            Self::Gpu(data) => data.firmware_id(),
            Self::Switch(data) => data.firmware_id(),
        }
    }
}

/// A report of the right form. Believed by nobody yet.
#[derive(Debug)]
pub struct Report {
    nonce: Digest<32>,
    device_nonce: Digest<32>,
    measurements: Vec<Measurement>,
    opaque: OpaqueData,
    signed: Vec<u8>,
    signature: [u8; SIGNATURE_LENGTH],
}

impl Report {
    /// Reads a report of a device of this kind.
    ///
    /// # Errors
    /// [`DeviceError::Form`] with the field and the offset that were wrong.
    pub fn parse(bytes: &[u8], kind: DeviceKind) -> Result<Self, DeviceError> {
        let mut rest = Cursor::new(bytes);
        if bytes.len() > limits::REPORT {
            return Err(rest.error(ReportField::Length));
        }
        let (signed, signature) = bytes
            .split_last_chunk()
            .ok_or_else(|| rest.error(ReportField::Length))?;
        let nonce = request(&mut rest)?;
        let count = response_header(&mut rest, kind)?;
        let record_length = record_length(&mut rest)?;
        let record = rest.part(record_length, ReportField::MeasurementRecordLength)?;
        let measurements = measurements(record, count)?;
        let device_nonce = Digest::new(*rest.take(ReportField::Length)?);
        let opaque_length = rest.le16(ReportField::OpaqueLength)?;
        let opaque = rest.part(opaque_length.into(), ReportField::OpaqueLength)?;
        // The signature must be all that is left, so that what was split off above is the one SPDM means.
        if rest.len() != SIGNATURE_LENGTH {
            return Err(rest.error(ReportField::Length));
        }
        let opaque = match kind {
            DeviceKind::Gpu => OpaqueData::Gpu(Box::new(GpuData::parse(opaque)?)),
            DeviceKind::Switch => OpaqueData::Switch(Box::new(SwitchData::parse(opaque)?)),
        };
        Ok(Self {
            nonce,
            device_nonce,
            measurements,
            opaque,
            signed: signed.to_vec(),
            signature: *signature,
        })
    }

    /// The nonce the device was asked with: what makes the report an answer to this question.
    #[must_use]
    pub const fn nonce(&self) -> Digest<32> {
        self.nonce
    }

    /// The nonce the device chose. It proves nothing to the one who asked.
    #[must_use]
    pub const fn device_nonce(&self) -> Digest<32> {
        self.device_nonce
    }

    /// The measurements; the first is SPDM's block 1 and has RIM index 0.
    #[must_use]
    pub fn measurements(&self) -> &[Measurement] {
        &self.measurements
    }

    /// The measurement of a RIM index.
    #[must_use]
    pub fn measurement(&self, rim_index: u8) -> Option<Digest<48>> {
        self.measurements
            .get(usize::from(rim_index))
            .map(Measurement::value)
    }

    /// What the device says of itself.
    #[must_use]
    pub const fn opaque(&self) -> &OpaqueData {
        &self.opaque
    }

    /// The bytes under the signature, as received.
    pub(crate) fn signed(&self) -> &[u8] {
        &self.signed
    }

    /// r, then s.
    pub(crate) const fn signature(&self) -> &[u8; SIGNATURE_LENGTH] {
        &self.signature
    }
}

/// The nonce of the one request that is ever made: signed, all measurements, slot 0.
fn request(rest: &mut Cursor<'_>) -> Result<Digest<32>, DeviceError> {
    rest.fixed(SPDM_1_1, ReportField::SpdmVersion)?;
    rest.fixed(GET_MEASUREMENTS, ReportField::Code)?;
    rest.fixed(SIGNED, ReportField::Param1)?;
    rest.fixed(ALL, ReportField::Param2)?;
    let nonce = Digest::new(*rest.take(ReportField::Length)?);
    rest.fixed(0, ReportField::SlotId)?;
    Ok(nonce)
}

/// The number of blocks. Both parameters are reserved or the slot's number, so zero.
fn response_header(rest: &mut Cursor<'_>, kind: DeviceKind) -> Result<u8, DeviceError> {
    rest.fixed(SPDM_1_1, ReportField::SpdmVersion)?;
    rest.fixed(MEASUREMENTS, ReportField::Code)?;
    rest.fixed(0, ReportField::Param1)?;
    rest.fixed(0, ReportField::Param2)?;
    rest.fixed(kind.measurements(), ReportField::NumberOfBlocks)?;
    Ok(kind.measurements())
}

/// Three bytes, little endian.
fn record_length(rest: &mut Cursor<'_>) -> Result<usize, DeviceError> {
    let here = *rest;
    let [low, middle, high] = *rest.take(ReportField::MeasurementRecordLength)?;
    usize::try_from(u32::from_le_bytes([low, middle, high, 0]))
        .map_err(|_| here.error(ReportField::MeasurementRecordLength))
}

fn measurements(mut record: Cursor<'_>, count: u8) -> Result<Vec<Measurement>, DeviceError> {
    let blocks: Result<Vec<_>, _> = (1..=count).map(|index| block(&mut record, index)).collect();
    let blocks = blocks?;
    if !record.is_empty() {
        return Err(record.error(ReportField::MeasurementRecordLength));
    }
    Ok(blocks)
}

fn block(record: &mut Cursor<'_>, index: u8) -> Result<Measurement, DeviceError> {
    record.fixed(index, ReportField::MeasurementIndex)?;
    record.fixed(DMTF, ReportField::MeasurementSpecification)?;
    size(record, BLOCK_LENGTH)?;
    let here = *record;
    let kind = match record.byte(ReportField::MeasurementValueType)? {
        0 => MeasurementType::Rom,
        1 => MeasurementType::Firmware,
        2 => MeasurementType::HardwareConfiguration,
        3 => MeasurementType::FirmwareConfiguration,
        _ => return Err(here.error(ReportField::MeasurementValueType)),
    };
    size(record, VALUE_LENGTH)?;
    let value = Digest::new(*record.take(ReportField::MeasurementSize)?);
    Ok(Measurement { kind, value })
}

fn size(record: &mut Cursor<'_>, expected: u16) -> Result<(), DeviceError> {
    let here = *record;
    if record.le16(ReportField::MeasurementSize)? == expected {
        return Ok(());
    }
    Err(here.error(ReportField::MeasurementSize))
}

#[cfg(test)]
mod tests;
