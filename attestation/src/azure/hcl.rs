//! The HCL report: what the paravisor's vTPM keeps at NV index 0x01400001.
//!
//! Why apart: it is only a box. Nothing of its header is signed; what is in it is believed through the hardware
//! report's signature or not at all.
//!
//! # Invariants
//! Exactly consumed: a report as long as its header says, or that padded with zeros to the size of its NV index.
//! No accessor gives a field that nothing signs.
//!
//! Layout (little endian; *Azure guest attestation design*, Attestation Report Format):
//! header 32 = signature `HCLA`, version 1 or 2, size of the whole, request type 2, status 0, reserved 12;
//! hardware report 1184; runtime data = size of it, version 1, report type, hash type 1, size of the claims; claims.
//! The document says that the header's size is the hardware report's; every report seen (and OpenHCL's
//! `create_request`) has the size of the whole there. Version 1 is what reports before 2025 have, with the same
//! layout.

use super::SNP_REPORT_LENGTH;
use super::error::{AzureError, Check};
use super::read::{Reader, all_zero};
use super::tdreport::{TDREPORT_LENGTH, TdReport};
use crate::limits;

const SIGNATURE: &[u8; 4] = b"HCLA";
const VERSIONS: [u32; 2] = [1, 2];
const REQUEST_TYPE_GUEST: u32 = 2;
const CLAIMS_OFFSET: usize = 1236;
const DATA_HEADER_LENGTH: u32 = 20;
const DATA_VERSION: u32 = 1;
const REPORT_TYPE_SNP: u32 = 2;
const REPORT_TYPE_TDX: u32 = 4;
const HASH_TYPE_SHA256: u32 = 1;

/// A report that has the right form. Believed by nobody yet.
pub struct HclReport<'a> {
    hardware: HclHardware<'a>,
    claims: &'a [u8],
}

/// The hardware report inside, by its kind.
pub enum HclHardware<'a> {
    /// An SEV-SNP attestation report, as the firmware signed it.
    Snp(&'a [u8; SNP_REPORT_LENGTH]),
    /// A TDREPORT. Only its own CPU can check it, so a quote made of it comes with it.
    Tdx(TdReport<'a>),
}

impl<'a> HclReport<'a> {
    /// Reads a report.
    ///
    /// # Errors
    /// [`AzureError::Report`] with the offset of the first field that is wrong.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AzureError> {
        let mut reader = Reader::new(bytes);
        Self::read(&mut reader, bytes.len())
    }

    fn read(reader: &mut Reader<'a>, length: usize) -> Result<Self, AzureError> {
        if length > limits::HCL_REPORT {
            return Err(wrong(Check::HclLength, limits::HCL_REPORT));
        }
        let signature: &[u8; 4] = reader.array().ok_or(wrong(Check::HclLength, length))?;
        if signature != SIGNATURE {
            return Err(wrong(Check::HclSignature, 0));
        }
        field(reader, length, Check::HclVersion, |version| {
            VERSIONS.contains(&version)
        })?;
        let at = reader.at();
        let size = field(reader, length, Check::HclLength, |_| true)?;
        let size = usize::try_from(size).map_err(|_| wrong(Check::HclLength, at))?;
        if size > length || !(length == size || length == limits::HCL_REPORT) {
            return Err(wrong(Check::HclLength, at));
        }
        field(reader, length, Check::HclRequestType, |kind| {
            kind == REQUEST_TYPE_GUEST
        })?;
        for _ in 0..4 {
            field(reader, length, Check::HclReserved, |reserved| reserved == 0)?;
        }
        let hardware_at = reader.at();
        let hardware: &[u8; SNP_REPORT_LENGTH] = reader.array().ok_or(wrong(Check::HclLength, length))?;
        let data_at = reader.at();
        let data_size = field(reader, length, Check::HclDataSize, |_| true)?;
        field(reader, length, Check::HclDataVersion, |version| {
            version == DATA_VERSION
        })?;
        let kind = field(reader, length, Check::HclReportType, |kind| {
            kind == REPORT_TYPE_SNP || kind == REPORT_TYPE_TDX
        })?;
        field(reader, length, Check::HclHashType, |kind| {
            kind == HASH_TYPE_SHA256
        })?;
        let claims_at = reader.at();
        let claims_size = field(reader, length, Check::HclClaimsSize, |_| true)?;
        if claims_size.checked_add(DATA_HEADER_LENGTH) != Some(data_size) {
            return Err(wrong(Check::HclDataSize, data_at));
        }
        let claims_size = usize::try_from(claims_size).map_err(|_| wrong(Check::HclClaimsSize, claims_at))?;
        if claims_size.checked_add(CLAIMS_OFFSET) != Some(size) {
            return Err(wrong(Check::HclClaimsSize, claims_at));
        }
        let claims = reader
            .slice(claims_size)
            .ok_or(wrong(Check::HclClaimsSize, claims_at))?;
        let padding_at = reader.at();
        let padding = reader.slice(length.saturating_sub(size)).unwrap_or_default();
        if !all_zero(padding) {
            return Err(wrong(Check::HclPadding, padding_at));
        }
        let hardware = if kind == REPORT_TYPE_SNP {
            HclHardware::Snp(hardware)
        } else {
            HclHardware::Tdx(td_report(hardware, hardware_at)?)
        };
        Ok(Self { hardware, claims })
    }

    /// The hardware report inside.
    #[must_use]
    pub const fn hardware(&self) -> &HclHardware<'a> {
        &self.hardware
    }

    /// The runtime claims as received: these bytes are hashed.
    #[must_use]
    pub const fn claims_bytes(&self) -> &'a [u8] {
        self.claims
    }
}

/// The TDREPORT at the start of the room for a hardware report; the rest of the room is zero.
fn td_report(room: &[u8; SNP_REPORT_LENGTH], at: usize) -> Result<TdReport<'_>, AzureError> {
    let (report, rest) = room
        .split_first_chunk::<TDREPORT_LENGTH>()
        .ok_or(wrong(Check::HclLength, at))?;
    if !all_zero(rest) {
        return Err(wrong(Check::HclPadding, at.saturating_add(TDREPORT_LENGTH)));
    }
    TdReport::parse(report).map_err(|error| match error {
        AzureError::Report { check, at: inner } => wrong(check, at.saturating_add(inner)),
        other => other,
    })
}

/// The next field, if it is one of those allowed.
fn field(
    reader: &mut Reader<'_>,
    length: usize,
    check: Check,
    allowed: impl Fn(u32) -> bool,
) -> Result<u32, AzureError> {
    let at = reader.at();
    let value = reader.u32_le().ok_or(wrong(Check::HclLength, length))?;
    if !allowed(value) {
        return Err(wrong(check, at));
    }
    Ok(value)
}

const fn wrong(check: Check, at: usize) -> AzureError {
    AzureError::Report { check, at }
}

#[cfg(test)]
mod tests;
