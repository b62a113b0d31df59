//! The attestation report, byte for byte.
//!
//! Why apart: this is what strangers send; nothing here trusts it and nothing here judges it.
//!
//! # Invariants
//! ABI specification 56860 revision 1.58, table "ATTESTATION_REPORT", and earlier revisions for versions 2 to 4.
//! Exactly 1184 bytes, every one of them read; bytes without meaning in the report's version are zero.

use std::fmt;

use anchorhold_encoding::Digest;

use crate::snp::tcb::Layout;
use crate::snp::{Cpuid, GuestPolicy, PlatformInfo, Product, ReportCheck, SnpError, Tcb};

/// Bytes of a report.
pub const REPORT_LENGTH: usize = 1184;

/// Bytes that are signed.
const SIGNED: usize = 0x2a0;
/// Bytes of r and of s, little endian.
const SCALAR: usize = 72;
/// Bytes of either that may be used: those of P-384.
const SCALAR_USED: usize = 48;
const ECDSA_P384_SHA384: u32 = 1;
const MASK_CHIP_KEY: u32 = 1 << 1;
const AUTHOR_KEY_EN: u32 = 1;
const VMPL_MAX: u32 = 3;
/// Bytes of Turin's chip id; the rest of the field is zero.
const TURIN_CHIP_ID: usize = 8;

/// Which key signs (ABI specification, `SIGNING_KEY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SigningKey {
    /// The chip's own, for one TCB.
    Vcek,
    /// One AMD gave to a cloud provider.
    Vlek,
}

/// A version of the SNP firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Firmware {
    /// Major.
    pub major: u8,
    /// Minor.
    pub minor: u8,
    /// Build.
    pub build: u8,
}

impl fmt::Display for Firmware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

/// What a report says. It proves nothing until it is part of a [`crate::snp::VerifiedReport`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// 2 to 5.
    pub version: u32,
    /// The guest's own security version, from its ID block.
    pub guest_svn: u32,
    /// What the guest's owner allowed.
    pub policy: GuestPolicy,
    /// From the ID block.
    pub family_id: [u8; 16],
    /// From the ID block.
    pub image_id: [u8; 16],
    /// The privilege level that asked, 0 the highest.
    pub vmpl: u32,
    /// The TCB now.
    pub current_tcb: Tcb,
    /// The platform's configuration.
    pub platform_info: PlatformInfo,
    /// An author key signed the ID key.
    pub author_key_enabled: bool,
    /// Which key signs.
    pub signing_key: SigningKey,
    /// What the guest asked to be signed.
    pub report_data: Digest<64>,
    /// Of the guest at launch.
    pub measurement: Digest<48>,
    /// What the host fixed at launch.
    pub host_data: Digest<32>,
    /// Of the key that signed the ID block.
    pub id_key_digest: Digest<48>,
    /// Of the key that signed the ID key.
    pub author_key_digest: Digest<48>,
    /// This guest's, new with each launch.
    pub report_id: [u8; 32],
    /// Its migration agent's.
    pub report_id_ma: [u8; 32],
    /// The TCB that the signing key is for. The host may set it lower than the current one.
    pub reported_tcb: Tcb,
    /// The processor; version 3 and later.
    pub cpuid: Option<Cpuid>,
    /// The chip's identity; zero when the host masks it.
    pub chip_id: [u8; 64],
    /// The TCB below which the platform cannot go any more.
    pub committed_tcb: Tcb,
    /// Firmware now.
    pub current_firmware: Firmware,
    /// Firmware below which the platform cannot go any more.
    pub committed_firmware: Firmware,
    /// The TCB when the guest was launched or imported.
    pub launch_tcb: Tcb,
    /// Mitigations when the guest was launched, a bit each (AMD's bulletins name them); version 5.
    pub launch_mitigations: Option<u64>,
    /// Mitigations now; version 5.
    pub current_mitigations: Option<u64>,
}

/// A report with what is signed and the signature over it.
pub(super) struct Signed<'a> {
    pub(super) report: Report,
    pub(super) message: &'a [u8],
    /// r and s, big endian, 48 bytes each.
    pub(super) signature: [u8; 2 * SCALAR_USED],
}

/// Reads from the front and knows where it is.
struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    const fn refuse(&self, check: ReportCheck) -> SnpError {
        SnpError::Report {
            check,
            offset: self.offset,
        }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], SnpError> {
        let (head, tail): (&[u8; N], &'a [u8]) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| self.refuse(ReportCheck::Length))?;
        self.rest = tail;
        self.offset = self.offset.saturating_add(N);
        Ok(*head)
    }

    fn u32(&mut self) -> Result<u32, SnpError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SnpError> {
        self.take().map(u64::from_le_bytes)
    }

    fn digest<const N: usize>(&mut self) -> Result<Digest<N>, SnpError> {
        self.take().map(Digest::new)
    }

    /// Reads, or refuses what was read naming where it began.
    fn checked<T>(
        &mut self,
        check: ReportCheck,
        read: impl FnOnce(&mut Self) -> Result<T, SnpError>,
        holds: impl FnOnce(&T) -> bool,
    ) -> Result<T, SnpError> {
        let refusal = self.refuse(check);
        let value = read(self)?;
        if holds(&value) { Ok(value) } else { Err(refusal) }
    }

    fn zeros<const N: usize>(&mut self, check: ReportCheck) -> Result<(), SnpError> {
        let offset = self.offset;
        let bytes = self.take::<N>()?;
        match bytes.iter().position(|byte| *byte != 0) {
            None => Ok(()),
            Some(place) => Err(SnpError::Report {
                check,
                offset: offset.saturating_add(place),
            }),
        }
    }

    fn firmware(&mut self) -> Result<Firmware, SnpError> {
        let [build, minor, major] = self.take()?;
        self.zeros::<1>(ReportCheck::Reserved)?;
        Ok(Firmware { major, minor, build })
    }

    /// Eight bytes, to be read once the product is known, and where they were.
    fn tcb(&mut self) -> Result<(usize, [u8; 8]), SnpError> {
        let offset = self.offset;
        Ok((offset, self.take()?))
    }

    /// r or s: little endian, to 48 bytes big endian.
    fn scalar(&mut self) -> Result<[u8; SCALAR_USED], SnpError> {
        let mut value: [u8; SCALAR_USED] = self.take()?;
        self.zeros::<{ SCALAR - SCALAR_USED }>(ReportCheck::SignaturePadding)?;
        value.reverse();
        Ok(value)
    }
}

/// The signing key's kind, and whether an author key is named.
fn key_info(cursor: &mut Cursor<'_>) -> Result<(SigningKey, bool), SnpError> {
    let reserved = cursor.refuse(ReportCheck::Reserved);
    let unsigned = cursor.refuse(ReportCheck::Unsigned);
    let unknown = cursor.refuse(ReportCheck::SigningKey);
    let info = cursor.u32()?;
    if info >> 5 != 0 {
        return Err(reserved);
    }
    if info & MASK_CHIP_KEY != 0 {
        return Err(unsigned);
    }
    let kind = match (info >> 2) & 7 {
        0 => SigningKey::Vcek,
        1 => SigningKey::Vlek,
        7 => return Err(unsigned),
        _ => return Err(unknown),
    };
    Ok((kind, info & AUTHOR_KEY_EN != 0))
}

/// Processor and TCB layout. Version 2 knows no processor, and no such firmware is for Turin.
fn processor(cursor: &mut Cursor<'_>, version: u32) -> Result<(Option<Cpuid>, Layout), SnpError> {
    if version < 3 {
        cursor.zeros::<3>(ReportCheck::Reserved)?;
        return Ok((None, Layout::Four));
    }
    let unknown = cursor.refuse(ReportCheck::Cpuid);
    let [family, model, stepping] = cursor.take()?;
    let cpuid = Cpuid {
        family,
        model,
        stepping,
    };
    let product = Product::from_cpuid(cpuid).ok_or(unknown)?;
    Ok((Some(cpuid), Layout::of(product)))
}

impl<'a> Signed<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, SnpError> {
        let mut cursor = Cursor {
            rest: bytes,
            offset: 0,
        };
        if bytes.len() != REPORT_LENGTH {
            return Err(SnpError::Report {
                check: ReportCheck::Length,
                offset: bytes.len().min(REPORT_LENGTH),
            });
        }
        let message = bytes
            .get(..SIGNED)
            .ok_or_else(|| cursor.refuse(ReportCheck::Length))?;
        let report = body(&mut cursor)?;
        let (r, s) = (cursor.scalar()?, cursor.scalar()?);
        cursor.zeros::<{ REPORT_LENGTH - SIGNED - 2 * SCALAR }>(ReportCheck::SignaturePadding)?;
        let mut signature = [0; 2 * SCALAR_USED];
        let (first, second) = signature.split_at_mut(SCALAR_USED);
        first.copy_from_slice(&r);
        second.copy_from_slice(&s);
        Ok(Self {
            report,
            message,
            signature,
        })
    }
}

fn body(cursor: &mut Cursor<'_>) -> Result<Report, SnpError> {
    let version = cursor.checked(ReportCheck::Version, Cursor::u32, |version| {
        (2..=5).contains(version)
    })?;
    let guest_svn = cursor.u32()?;
    let policy = cursor.checked(ReportCheck::PolicyReserved, Cursor::u64, |bits| {
        bits & GuestPolicy::RESERVED_ONE != 0
    })?;
    let family_id = cursor.take()?;
    let image_id = cursor.take()?;
    let vmpl = cursor.checked(ReportCheck::Vmpl, Cursor::u32, |vmpl| *vmpl <= VMPL_MAX)?;
    cursor.checked(ReportCheck::SignatureAlgorithm, Cursor::u32, |algorithm| {
        *algorithm == ECDSA_P384_SHA384
    })?;
    let current_tcb = cursor.tcb()?;
    let platform_info = PlatformInfo(cursor.u64()?);
    let (signing_key, author_key_enabled) = key_info(cursor)?;
    cursor.zeros::<4>(ReportCheck::Reserved)?;
    let report_data = cursor.digest()?;
    let measurement = cursor.digest()?;
    let host_data = cursor.digest()?;
    let id_key_digest = cursor.digest()?;
    let author_key_digest = cursor.digest()?;
    let report_id = cursor.take()?;
    let report_id_ma = cursor.take()?;
    let reported_tcb = cursor.tcb()?;
    let (cpuid, layout) = processor(cursor, version)?;
    cursor.zeros::<21>(ReportCheck::Reserved)?;
    let chip_id = chip_id(cursor, layout)?;
    let committed_tcb = cursor.tcb()?;
    let current_firmware = cursor.firmware()?;
    let committed_firmware = cursor.firmware()?;
    let launch_tcb = cursor.tcb()?;
    let (launch_mitigations, current_mitigations) = if version < 5 {
        cursor.zeros::<16>(ReportCheck::Reserved)?;
        (None, None)
    } else {
        (Some(cursor.u64()?), Some(cursor.u64()?))
    };
    cursor.zeros::<{ SIGNED - 0x208 }>(ReportCheck::Reserved)?;
    let tcb = |(offset, bytes): (usize, [u8; 8])| {
        layout.read(bytes).map_err(|place| SnpError::Report {
            check: ReportCheck::TcbReserved,
            offset: offset.saturating_add(place),
        })
    };
    Ok(Report {
        version,
        guest_svn,
        policy: GuestPolicy(policy),
        family_id,
        image_id,
        vmpl,
        current_tcb: tcb(current_tcb)?,
        platform_info,
        author_key_enabled,
        signing_key,
        report_data,
        measurement,
        host_data,
        id_key_digest,
        author_key_digest,
        report_id,
        report_id_ma,
        reported_tcb: tcb(reported_tcb)?,
        cpuid,
        chip_id,
        committed_tcb: tcb(committed_tcb)?,
        current_firmware,
        committed_firmware,
        launch_tcb: tcb(launch_tcb)?,
        launch_mitigations,
        current_mitigations,
    })
}

fn chip_id(cursor: &mut Cursor<'_>, layout: Layout) -> Result<[u8; 64], SnpError> {
    let padding = SnpError::Report {
        check: ReportCheck::ChipIdPadding,
        offset: cursor.offset.saturating_add(TURIN_CHIP_ID),
    };
    let chip_id: [u8; 64] = cursor.take()?;
    if layout == Layout::Five && chip_id.iter().skip(TURIN_CHIP_ID).any(|byte| *byte != 0) {
        return Err(padding);
    }
    Ok(chip_id)
}

impl Report {
    /// Reads a report without proving it: for diagnosis, and for finding the certificate it needs.
    ///
    /// # Errors
    /// [`SnpError::Report`]: the first byte that is not as it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self, SnpError> {
        Signed::parse(bytes).map(|signed| signed.report)
    }

    /// The product, which version 2 does not say.
    #[must_use]
    pub fn product(&self) -> Option<Product> {
        self.cpuid.and_then(Product::from_cpuid)
    }

    /// The host masks the chip's identity.
    #[must_use]
    pub fn chip_id_masked(&self) -> bool {
        self.chip_id.iter().all(|byte| *byte == 0)
    }
}
