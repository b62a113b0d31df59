//! The platform without hardware: reports like a processor's, signed with a key everyone has.
//!
//! Why apart: tests and the demo take the same path as hardware, and nobody may take it for hardware. It has
//! its own evidence tag, its own class, and every policy refuses it unless told otherwise.
//!
//! # Invariants
//! A report is exactly 264 bytes, big endian: magic 8 (`ANCHSIM1`), version 4 (1), flags 4 (bit 0 debug, the
//! others zero), tcb 8, measurement 48, host data 32, report data 64, chip id 32, Ed25519 signature 64
//! over `LP("anchorhold simulated report v1") || LP(the first 200 bytes)`.

use std::fmt;

use anchorhold_encoding::{Digest, Preimage};

use crate::binding::ReportData;
use crate::parse::{ParseError, Part};
use crate::signature;

/// Bytes of a report.
pub const REPORT_LENGTH: usize = 264;

const SIGNED_LENGTH: usize = 200;
const MAGIC: &[u8; 8] = b"ANCHSIM1";
const VERSION: u32 = 1;
const FLAG_DEBUG: u32 = 1;
const LABEL: &str = "anchorhold simulated report v1";

/// Seed (RFC 8032 section 5.1.5) of the key that signs simulated reports. Published: it protects nothing.
pub const SIGNING_KEY_SEED: [u8; 32] = *b"anchorhold-insecure-simulated-v1";

/// Public half of [`SIGNING_KEY_SEED`].
pub const PUBLIC_KEY: Digest<32> = Digest::new([
    0xc0, 0x64, 0x09, 0x77, 0xd0, 0x48, 0x13, 0x7b, 0x16, 0xc9, 0xae, 0x91, 0x5a, 0xcf, 0x60, 0xc7, 0xc0,
    0x1e, 0x6a, 0x54, 0xed, 0x8e, 0x57, 0x37, 0x40, 0x61, 0xc5, 0xee, 0xad, 0x54, 0x31, 0x4f,
]);

/// Why bytes are not a simulated report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportError {
    /// Not [`REPORT_LENGTH`] bytes.
    Length,
    /// Another magic number or version.
    Format,
    /// A bit is set that has no meaning.
    ReservedBits,
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "the report has a wrong length",
            Self::Format => "the report has an unknown format",
            Self::ReservedBits => "the report sets bits that have no meaning",
        })
    }
}

impl std::error::Error for ReportError {}

/// A report that has the right form; its signature is not checked yet.
pub(crate) struct SimulatedReport<'a> {
    signed: &'a [u8; SIGNED_LENGTH],
    signature: &'a [u8],
    fields: Fields,
}

/// What a report says.
pub(crate) struct Fields {
    pub(crate) debug: bool,
    pub(crate) tcb: u64,
    pub(crate) measurement: Digest<48>,
    pub(crate) host_data: Digest<32>,
    pub(crate) report_data: ReportData,
    pub(crate) chip_id: Digest<32>,
}

/// Splits the next `N` bytes off; `None` when there are fewer.
fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(head)
}

impl<'a> SimulatedReport<'a> {
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, ReportError> {
        if bytes.len() != REPORT_LENGTH {
            return Err(ReportError::Length);
        }
        let (signed, signature) = bytes.split_first_chunk().ok_or(ReportError::Length)?;
        let fields = Self::fields(signed)?;
        Ok(Self {
            signed,
            signature,
            fields,
        })
    }

    fn fields(mut rest: &[u8]) -> Result<Fields, ReportError> {
        let rest = &mut rest;
        let short = ReportError::Length;
        let magic: &[u8; 8] = take(rest).ok_or(short)?;
        let version = u32::from_be_bytes(*take(rest).ok_or(short)?);
        if magic != MAGIC || version != VERSION {
            return Err(ReportError::Format);
        }
        let flags = u32::from_be_bytes(*take(rest).ok_or(short)?);
        if flags & !FLAG_DEBUG != 0 {
            return Err(ReportError::ReservedBits);
        }
        Ok(Fields {
            debug: flags & FLAG_DEBUG != 0,
            tcb: u64::from_be_bytes(*take(rest).ok_or(short)?),
            measurement: Digest::new(*take(rest).ok_or(short)?),
            host_data: Digest::new(*take(rest).ok_or(short)?),
            report_data: ReportData::new(*take(rest).ok_or(short)?),
            chip_id: Digest::new(*take(rest).ok_or(short)?),
        })
    }

    /// What it says, if the published key signed it.
    pub(crate) fn signed(self) -> Option<Fields> {
        let message = Preimage::new(LABEL).lp(self.signed);
        signature::ed25519(&PUBLIC_KEY, message.as_bytes(), self.signature).map(|_| self.fields)
    }
}

/// What the simulated launcher fixes before the enclave starts, as hardware fixes measurement and HOST_DATA.
/// The launcher writes it on the enclave's standard input before the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchRecord {
    /// Stands for the launch measurement.
    pub measurement: Digest<48>,
    /// SHA-256 of the configuration.
    pub host_data: Digest<32>,
}

impl LaunchRecord {
    /// Bytes of a record: magic 8 (`ANCHLNC1`), measurement 48, host data 32.
    pub const LENGTH: usize = 88;

    const MAGIC: &'static [u8; 8] = b"ANCHLNC1";

    /// The record's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        [
            Self::MAGIC.as_slice(),
            self.measurement.as_bytes(),
            self.host_data.as_bytes(),
        ]
        .concat()
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`ParseError`] unless these are exactly [`Self::LENGTH`] bytes that start with the magic number.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        Self::read(bytes).ok_or(ParseError::Shape(Part::LaunchRecord))
    }

    fn read(mut bytes: &[u8]) -> Option<Self> {
        let rest = &mut bytes;
        let magic: &[u8; 8] = take(rest)?;
        let record = Self {
            measurement: Digest::new(*take(rest)?),
            host_data: Digest::new(*take(rest)?),
        };
        (magic == Self::MAGIC && rest.is_empty()).then_some(record)
    }
}

#[cfg(any(test, feature = "insecure-simulated"))]
mod platform;
#[cfg(any(test, feature = "insecure-simulated"))]
pub use platform::SimulatedPlatform;

#[cfg(test)]
mod tests;
