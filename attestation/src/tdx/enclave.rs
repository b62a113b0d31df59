//! The quoting enclave's report: an SGX report inside the quote.
//!
//! Why apart: it is of another architecture than the domain's own fields, and policy may pin it too.
//!
//! # Invariants
//! Exactly 384 bytes, little endian (Intel SDM volume 3D, REPORT structure; `sgx_report_body_t`), reserved bytes zero.

use anchorhold_encoding::Digest;

/// What the quoting enclave's report says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnclaveReport {
    /// CPUSVN: security versions of the processor's own code.
    pub cpu_svn: [u8; 16],
    /// MISCSELECT.
    pub misc_select: u32,
    /// ATTRIBUTES: flags in 8 bytes, XFRM in 8.
    pub attributes: [u8; 16],
    /// MRENCLAVE: the enclave's measurement.
    pub measurement: Digest<32>,
    /// MRSIGNER: who signed the enclave.
    pub signer: Digest<32>,
    /// ISVPRODID.
    pub product: u16,
    /// ISVSVN.
    pub security_version: u16,
    /// REPORTDATA: SHA-256 over attestation key and authentication data, then zero.
    pub report_data: [u8; 64],
}

impl EnclaveReport {
    pub(super) const LENGTH: usize = 384;

    /// Where reserved bytes are: offset and length.
    const RESERVED: [(usize, usize); 4] = [(20, 28), (96, 32), (160, 96), (260, 60)];

    /// Reads a report; the error is the offset of a reserved byte that is not zero.
    pub(super) fn parse(bytes: &[u8; Self::LENGTH]) -> Result<Self, usize> {
        for (offset, length) in Self::RESERVED {
            let reserved = bytes.iter().skip(offset).take(length);
            if let Some(index) = reserved.clone().position(|byte| *byte != 0) {
                return Err(offset.saturating_add(index));
            }
        }
        Self::fields(bytes).ok_or(0)
    }

    fn fields(bytes: &[u8; Self::LENGTH]) -> Option<Self> {
        Some(Self {
            cpu_svn: at(bytes, 0)?,
            misc_select: u32::from_le_bytes(at(bytes, 16)?),
            attributes: at(bytes, 48)?,
            measurement: Digest::new(at(bytes, 64)?),
            signer: Digest::new(at(bytes, 128)?),
            product: u16::from_le_bytes(at(bytes, 256)?),
            security_version: u16::from_le_bytes(at(bytes, 258)?),
            report_data: at(bytes, 320)?,
        })
    }
}

/// `N` bytes from `offset` on.
pub(super) fn at<const N: usize>(bytes: &[u8], offset: usize) -> Option<[u8; N]> {
    bytes.get(offset..)?.first_chunk().copied()
}
