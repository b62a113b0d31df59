//! The values of opaque fields, and how they are read.
//!
//! Why apart: GPU and switch share them.
//!
//! # Invariants
//! Each reader accepts exactly one length, or text that ends in zeros only.

use anchorhold_encoding::Digest;

/// What a port of the NVLink fabric is called: a device's number, the same one at both ends of a link.
pub type Pdi = Digest<8>;

/// Whether something is on; the device has a byte for each, far apart, so that no glitch turns one into the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Switched {
    /// 0xAA.
    On,
    /// 0x55.
    Off,
}

/// How the GPU is used, as it says. Unknown values are shown; a policy refuses them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureFlag(u16);

impl FeatureFlag {
    /// One GPU passed through to one confidential machine.
    pub const SINGLE_GPU: Self = Self(0);
    /// Several GPUs passed through, links between them encrypted.
    pub const MULTI_GPU: Self = Self(1);
    /// Protected PCIe: eight GPUs and their switches, links between them in the clear.
    pub const PROTECTED_PCIE: Self = Self(2);

    /// The number in the report.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Its name at NVIDIA; `None` when this version does not know it.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self.0 {
            0 => Some("SPT"),
            1 => Some("MPT"),
            2 => Some("PPCIE"),
            _ => None,
        }
    }
}

pub(super) fn feature_flag(bytes: &[u8]) -> Option<FeatureFlag> {
    le16(bytes).map(FeatureFlag)
}

pub(super) fn array<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.try_into().ok()
}

pub(super) fn le16(bytes: &[u8]) -> Option<u16> {
    array(bytes).map(u16::from_le_bytes)
}

pub(super) fn le32(bytes: &[u8]) -> Option<u32> {
    array(bytes).map(u32::from_le_bytes)
}

pub(super) fn digest<const N: usize>(bytes: &[u8]) -> Option<Digest<N>> {
    Digest::from_slice(bytes)
}

pub(super) fn switched(bytes: &[u8]) -> Option<Switched> {
    match bytes {
        [0xAA] => Some(Switched::On),
        [0x55] => Some(Switched::Off),
        _ => None,
    }
}

/// `N` numbers of four bytes.
pub(super) fn counts<const N: usize>(bytes: &[u8]) -> Option<[u32; N]> {
    let (chunks, rest) = bytes.as_chunks();
    let numbers: Vec<_> = chunks.iter().map(|chunk| u32::from_le_bytes(*chunk)).collect();
    rest.is_empty().then(|| numbers.try_into().ok()).flatten()
}

/// `N` numbers of devices.
pub(super) fn pdis<const N: usize>(bytes: &[u8]) -> Option<[Pdi; N]> {
    let (chunks, rest) = bytes.as_chunks();
    let pdis: Vec<_> = chunks.iter().map(|chunk| Digest::new(*chunk)).collect();
    rest.is_empty().then(|| pdis.try_into().ok()).flatten()
}

/// Letters and digits, then at least one zero and nothing but zeros. It may become part of a file's name.
pub(super) fn label(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    let (text, zeros) = bytes.split_at_checked(end)?;
    if !text.iter().all(u8::is_ascii_alphanumeric) || zeros.iter().any(|byte| *byte != 0) {
        return None;
    }
    String::from_utf8(text.to_vec()).ok()
}

/// As [`label`], and not empty.
pub(super) fn name(bytes: &[u8]) -> Option<String> {
    label(bytes).filter(|text| !text.is_empty())
}
