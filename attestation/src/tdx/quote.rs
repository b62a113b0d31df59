//! The bytes of a quote, read strictly and before anything else looks at them.
//!
//! Why apart: dcap-qvl ignores what follows a quote and what fills its parts, and its errors are prose. Here
//! every byte has a place, and every error an offset.
//!
//! # Invariants
//! Little endian. Layout (Intel TDX DCAP Quoting Library API, appendix A.3 for version 4; `sgx_quote_5.h` for
//! version 5): header 48, in version 5 body type 2 and body size 4, body, signature data size 4, signature data:
//! signature 64, attestation key 64, certification type 2 (6), size 4, and in it the quoting enclave's report 384,
//! its signature 64, authentication data size 2 (32), data, certification type 2 (5), size 4, PCK chain (PEM).
//! The sizes agree exactly; reserved bytes are zero; so is everything after the quote.

use super::body::{BodyKind, TdBody};
use super::enclave::EnclaveReport;
use super::error::{QuoteCheck, TdxError};
use crate::limits;

/// Bytes of the header.
const HEADER: usize = 48;
const SGX: u32 = 0;
const TDX: u32 = 0x81;
const ECDSA_P256: u16 = 2;
/// 939a7233-f79c-4ca9-940a-0db3957f0607.
const INTEL: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];
const QE_REPORT_CERTIFICATION: u16 = 6;
const PCK_CHAIN: u16 = 5;
const AUTHENTICATION: u16 = 32;

/// A quote of the right form; nothing of it is proven.
pub(super) struct Quote<'a> {
    /// Header and body: what the attestation key signs.
    pub(super) signed: &'a [u8],
    pub(super) version: u16,
    /// By Intel's enclave: 16 bytes of a platform's quoting enclave id, then zero.
    pub(super) user_data: [u8; 20],
    pub(super) body_kind: BodyKind,
    pub(super) body: TdBody,
    pub(super) signature: &'a [u8; 64],
    pub(super) attestation_key: &'a [u8; 64],
    /// The quoting enclave's report as signed.
    pub(super) qe_signed: &'a [u8; EnclaveReport::LENGTH],
    pub(super) qe_report: EnclaveReport,
    pub(super) qe_signature: &'a [u8; 64],
    pub(super) qe_authentication: &'a [u8],
    /// The PCK chain as text, without a final NUL.
    pub(super) pck_chain: &'a [u8],
}

/// Walks over bytes and knows where it is.
struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    const fn refuse<T>(&self, check: QuoteCheck) -> Result<T, TdxError> {
        Err(TdxError::Quote {
            check,
            offset: self.offset,
        })
    }

    /// Refuses unless `holds`; the fault is where the cursor stands.
    fn require(&self, holds: bool, check: QuoteCheck) -> Result<(), TdxError> {
        if holds { Ok(()) } else { self.refuse(check) }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], TdxError> {
        let Some((head, tail)) = self.rest.split_at_checked(length) else {
            return self.refuse(QuoteCheck::Length);
        };
        self.rest = tail;
        self.offset = self.offset.saturating_add(length);
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], TdxError> {
        let Some((head, tail)) = self.rest.split_first_chunk() else {
            return self.refuse(QuoteCheck::Length);
        };
        self.rest = tail;
        self.offset = self.offset.saturating_add(N);
        Ok(head)
    }

    /// A 16-bit number that must be one of a kind: the check is made before the cursor moves on.
    fn u16(&mut self, check: QuoteCheck, wanted: impl FnOnce(u16) -> bool) -> Result<u16, TdxError> {
        let before = Self { ..*self };
        let value = u16::from_le_bytes(*self.array()?);
        before.require(wanted(value), check)?;
        Ok(value)
    }

    fn u32(&mut self, check: QuoteCheck, wanted: impl FnOnce(u32) -> bool) -> Result<u32, TdxError> {
        let before = Self { ..*self };
        let value = u32::from_le_bytes(*self.array()?);
        before.require(wanted(value), check)?;
        Ok(value)
    }
}

/// Whether a 32-bit size is exactly this many bytes.
fn is(size: u32, bytes: usize) -> bool {
    usize::try_from(size) == Ok(bytes)
}

/// The first byte that is not zero.
fn not_zero(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte != 0)
}

impl<'a> Quote<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, TdxError> {
        let mut cursor = Cursor {
            rest: bytes,
            offset: 0,
        };
        cursor.require(bytes.len() <= limits::REPORT, QuoteCheck::Length)?;
        let (version, user_data) = header(&mut cursor)?;
        let body_kind = if version == 5 {
            body_kind(&mut cursor)?
        } else {
            BodyKind::Td10
        };
        let (start, body_bytes) = (cursor.offset, cursor.slice(body_kind.length())?);
        let body = TdBody::parse(body_kind, body_bytes).ok_or(TdxError::Quote {
            check: QuoteCheck::Length,
            offset: start,
        })?;
        let (signed, _) = bytes.split_at_checked(cursor.offset).unwrap_or((bytes, &[]));

        let length = cursor.u32(QuoteCheck::Length, |_| true)?;
        let start = cursor.offset;
        let data = cursor.slice(usize::try_from(length).unwrap_or(usize::MAX))?;
        if let Some(index) = not_zero(cursor.rest) {
            cursor.offset = cursor.offset.saturating_add(index);
            return cursor.refuse(QuoteCheck::Padding);
        }

        let mut cursor = Cursor {
            rest: data,
            offset: start,
        };
        let signature = cursor.array()?;
        let attestation_key = cursor.array()?;
        cursor.u16(QuoteCheck::Certification, |kind| kind == QE_REPORT_CERTIFICATION)?;
        let left = cursor.rest.len().saturating_sub(4);
        cursor.u32(QuoteCheck::Certification, |size| is(size, left))?;
        let start = cursor.offset;
        let qe_signed = cursor.array()?;
        let qe_report = EnclaveReport::parse(qe_signed).map_err(|index| TdxError::Quote {
            check: QuoteCheck::QeReserved,
            offset: start.saturating_add(index),
        })?;
        let qe_signature = cursor.array()?;
        let size = cursor.u16(QuoteCheck::QeAuthentication, |size| size == AUTHENTICATION)?;
        let qe_authentication = cursor.slice(usize::from(size))?;
        cursor.u16(QuoteCheck::PckType, |kind| kind == PCK_CHAIN)?;
        let left = cursor.rest.len().saturating_sub(4);
        cursor.u32(QuoteCheck::PckType, |size| is(size, left))?;
        let pck_chain = cursor.rest;
        Ok(Self {
            signed,
            version,
            user_data,
            body_kind,
            body,
            signature,
            attestation_key,
            qe_signed,
            qe_report,
            qe_signature,
            qe_authentication,
            pck_chain: pck_chain.strip_suffix(&[0]).unwrap_or(pck_chain),
        })
    }
}

fn header(cursor: &mut Cursor<'_>) -> Result<(u16, [u8; 20]), TdxError> {
    // Named before its version is refused: version 3 is SGX only, and people do send it.
    let first = Cursor { ..*cursor };
    let version = cursor.u16(QuoteCheck::Version, |_| true)?;
    first.require(version != 3, QuoteCheck::SgxQuote)?;
    first.require(version == 4 || version == 5, QuoteCheck::Version)?;
    cursor.u16(QuoteCheck::KeyType, |kind| kind == ECDSA_P256)?;
    let kind = Cursor { ..*cursor };
    let tee = cursor.u32(QuoteCheck::TeeType, |_| true)?;
    kind.require(tee != SGX, QuoteCheck::SgxQuote)?;
    kind.require(tee == TDX, QuoteCheck::TeeType)?;
    let reserved = Cursor { ..*cursor };
    let bytes: &[u8; 4] = cursor.array()?;
    reserved.require(*bytes == [0; 4], QuoteCheck::HeaderReserved)?;
    let vendor = Cursor { ..*cursor };
    let id: &[u8; 16] = cursor.array()?;
    vendor.require(*id == INTEL, QuoteCheck::Vendor)?;
    let user_data = *cursor.array()?;
    cursor.require(cursor.offset == HEADER, QuoteCheck::Length)?;
    Ok((version, user_data))
}

fn body_kind(cursor: &mut Cursor<'_>) -> Result<BodyKind, TdxError> {
    let before = Cursor { ..*cursor };
    let number = cursor.u16(QuoteCheck::SgxQuote, |kind| kind != 1)?;
    let Some(kind) = BodyKind::from_number(number) else {
        return before.refuse(QuoteCheck::BodyType);
    };
    cursor.u32(QuoteCheck::BodySize, |size| is(size, kind.length()))?;
    Ok(kind)
}
