//! A device's certificates: which chip it is, and which firmware its attestation key was made for.
//!
//! Why apart: architecture and firmware id come from here, never from what the report or the host says.
//!
//! # Invariants
//! Exactly five certificates, the last of which is the pinned root byte for byte. Only a proven chain is read.

use anchorhold_encoding::Digest;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::{Decode as _, Error, Reader as _, SliceReader, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::nvidia::error::DeviceError;
use crate::nvidia::report::DeviceKind;
use crate::time::Timestamp;
use crate::x509::{Anchor, Certificate, ChainError, VerifiedChain};

/// Certificates of a device: firmware, ROM, provisioner, chip family, root.
pub const CHAIN_LENGTH: usize = 5;

/// `subjectAltName` (RFC 5280 section 4.2.1.6).
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// `id-DMTF-device-info`: manufacturer, product and serial number (DSP0274 1.1.0 section 10.7.1).
const DEVICE_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.412.274.1");
/// The composite device id of a RIoT alias certificate, as Hopper and LS10 have it.
const COMPOSITE_DEVICE_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1");
/// `tcg-dice-TcbInfo` (TCG DICE Attestation Architecture 1.1 section 6.1.1), as Blackwell has it.
const TCB_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.5.4.1.1");

/// `INTEGER 1`: the version of a composite device id.
const COMPOSITE_VERSION: &[u8] = &[0x02, 0x01, 0x01];
/// `SEQUENCE { OID sha384, OCTET STRING` of 48 bytes: all of a firmware id but its value.
const FIRMWARE_ID_HEADER: &[u8; 15] = &[
    0x30, 0x3d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02, 0x04, 0x30,
];
/// `fwids [6]` of a TCB info.
const FWIDS: u8 = 0xa6;
/// `flags [7]` of a TCB info.
const FLAGS: u8 = 0x87;

/// A line of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// H100, H200, GH200.
    Hopper,
    /// B100, B200, GB200 and the others of their line.
    Blackwell,
    /// The NVLink switch beside Hopper GPUs.
    Ls10,
}

impl Architecture {
    /// GPU or switch.
    #[must_use]
    pub const fn kind(self) -> DeviceKind {
        match self {
            Self::Hopper | Self::Blackwell => DeviceKind::Gpu,
            Self::Ls10 => DeviceKind::Switch,
        }
    }

    /// Its name in documents and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hopper => "hopper",
            Self::Blackwell => "blackwell",
            Self::Ls10 => "ls10",
        }
    }

    /// Of a chip as certificates name it, such as `GH100`.
    fn of_chip(chip: &str) -> Option<Self> {
        let digits = |rest: &str| rest.len() == 3 && rest.bytes().all(|c| c.is_ascii_digit());
        match chip {
            "LS_10" => Some(Self::Ls10),
            "GH100" => Some(Self::Hopper),
            _ if chip.strip_prefix("GB").is_some_and(digits) => Some(Self::Blackwell),
            _ => None,
        }
    }
}

/// The operational flags of a Blackwell leaf's TCB info, from its first bit (TCG DICE Attestation Architecture 1.1
/// section 6.1.1). Shown, not judged: known devices set `not_configured`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiceFlags(u32);

impl DiceFlags {
    /// All 32 bits, the first in the highest place.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Bit 0: not fully configured.
    #[must_use]
    pub const fn not_configured(self) -> bool {
        self.0 & 0x8000_0000 != 0
    }

    /// Bit 1: not in a secure state.
    #[must_use]
    pub const fn not_secure(self) -> bool {
        self.0 & 0x4000_0000 != 0
    }

    /// Bit 2: in recovery.
    #[must_use]
    pub const fn recovery(self) -> bool {
        self.0 & 0x2000_0000 != 0
    }

    /// Bit 3: debugging is on.
    #[must_use]
    pub const fn debug(self) -> bool {
        self.0 & 0x1000_0000 != 0
    }
}

/// A proven chain, and what its leaf says.
#[derive(Debug)]
pub struct DeviceIdentity {
    chain: VerifiedChain,
    architecture: Architecture,
    chip: String,
    serial_number: Digest<8>,
    firmware_id: Digest<48>,
    flags: Option<DiceFlags>,
}

impl DeviceIdentity {
    /// Proves `certificates` (DER, the leaf first) under `anchor` as of `now`, and reads the leaf.
    pub(crate) fn verify(
        certificates: &[Vec<u8>],
        anchor: &Anchor,
        now: Timestamp,
    ) -> Result<Self, DeviceError> {
        let chain = pinned_path(certificates, anchor, CHAIN_LENGTH).map_err(PathError::of_device)?;
        let chain = VerifiedChain::verify(chain.0, chain.1, anchor, &[COMPOSITE_DEVICE_ID, TCB_INFO], now)
            .map_err(DeviceError::Certificate)?;
        let (chip, serial_number) = device_info(chain.leaf()).ok_or(DeviceError::Chip)?;
        let architecture = Architecture::of_chip(&chip).ok_or(DeviceError::Chip)?;
        let (firmware_id, flags) = match architecture {
            Architecture::Hopper | Architecture::Ls10 => (composite_device_id(&chain)?, None),
            Architecture::Blackwell => tcb_info(chain.leaf()).ok_or(DeviceError::LeafFirmwareId)?,
        };
        Ok(Self {
            chain,
            architecture,
            chip,
            serial_number,
            firmware_id,
            flags,
        })
    }

    /// The chain under it.
    #[must_use]
    pub const fn chain(&self) -> &VerifiedChain {
        &self.chain
    }

    /// The line of devices.
    #[must_use]
    pub const fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The chip, such as `GH100`.
    #[must_use]
    pub fn chip(&self) -> &str {
        &self.chip
    }

    /// The device's own number in its leaf's alternative name.
    #[must_use]
    pub const fn serial_number(&self) -> Digest<8> {
        self.serial_number
    }

    /// SHA-384 of the firmware that the attestation key was made for.
    #[must_use]
    pub const fn firmware_id(&self) -> Digest<48> {
        self.firmware_id
    }

    /// Blackwell's operational flags; Hopper's and LS10's certificates have none.
    #[must_use]
    pub const fn flags(&self) -> Option<DiceFlags> {
        self.flags
    }
}

/// Why certificates are not a path to a pinned root.
pub(crate) enum PathError {
    Length,
    Root,
    Certificate(ChainError),
}

impl PathError {
    const fn of_device(self) -> DeviceError {
        match self {
            Self::Length => DeviceError::ChainLength,
            Self::Root => DeviceError::Root,
            Self::Certificate(error) => DeviceError::Certificate(error),
        }
    }
}

/// Reads a leaf and its authorities without the root, when there are `length` with the pinned root as the last.
pub(crate) fn pinned_path(
    certificates: &[Vec<u8>],
    anchor: &Anchor,
    length: usize,
) -> Result<(Certificate, Vec<Certificate>), PathError> {
    let (root, path) = certificates.split_last().ok_or(PathError::Length)?;
    if certificates.len() != length {
        return Err(PathError::Length);
    }
    if root.as_slice() != anchor.certificate().der() {
        return Err(PathError::Root);
    }
    let mut parsed = Vec::new();
    for (link, der) in path.iter().enumerate() {
        let certificate =
            Certificate::parse(der).map_err(|fault| PathError::Certificate(ChainError { link, fault }))?;
        parsed.push(certificate);
    }
    let mut parsed = parsed.into_iter();
    let leaf = parsed.next().ok_or(PathError::Length)?;
    Ok((leaf, parsed.collect()))
}

/// Which line of devices a leaf says it is of: nothing is proven.
pub(super) fn said_architecture(leaf: &Certificate) -> Option<Architecture> {
    Architecture::of_chip(&device_info(leaf)?.0)
}

/// Chip and serial number: `NVIDIA:<chip>:<16 hexadecimal digits>`, the leaf's only alternative name.
pub(super) fn device_info(leaf: &Certificate) -> Option<(String, Digest<8>)> {
    let names = SubjectAltName::from_der(leaf.extension(&SUBJECT_ALT_NAME)?).ok()?;
    let [GeneralName::OtherName(name)] = names.0.as_slice() else {
        return None;
    };
    if name.type_id != DEVICE_INFO || name.value.tag() != x509_cert::der::Tag::Utf8String {
        return None;
    }
    let text = std::str::from_utf8(name.value.value()).ok()?;
    let (chip, serial) = text.strip_prefix("NVIDIA:")?.split_once(':')?;
    Some((chip.to_owned(), hexadecimal(serial)?))
}

/// Upper-case hexadecimal digits, two a byte.
fn hexadecimal<const N: usize>(text: &str) -> Option<Digest<N>> {
    if text.bytes().any(|c| c.is_ascii_lowercase()) {
        return None;
    }
    text.to_ascii_lowercase().parse().ok()
}

fn firmware_id(der: &[u8]) -> Option<Digest<48>> {
    Digest::from_slice(der.strip_prefix(FIRMWARE_ID_HEADER)?)
}

/// `SEQUENCE { version 1, deviceID SubjectPublicKeyInfo, fwid }`. The device id is the key of the chip's ROM, which
/// issued the leaf.
fn composite_device_id(chain: &VerifiedChain) -> Result<Digest<48>, DeviceError> {
    let issuer = chain.authorities().first().ok_or(DeviceError::LeafDeviceId)?;
    let form = DeviceError::LeafFirmwareId;
    let extension = chain.leaf().extension(&COMPOSITE_DEVICE_ID).ok_or(form)?;
    let (version, device_id, fwid) = SliceReader::new(extension)
        .and_then(|mut outer| {
            let parts = outer
                .sequence(|part| Ok::<_, Error>((part.tlv_bytes()?, part.tlv_bytes()?, part.tlv_bytes()?)))?;
            outer.finish()?;
            Ok(parts)
        })
        .map_err(|_| form)?;
    if version != COMPOSITE_VERSION {
        return Err(form);
    }
    if device_id != issuer.key_info() {
        return Err(DeviceError::LeafDeviceId);
    }
    firmware_id(fwid).ok_or(form)
}

/// The first firmware id and the flags of a TCB info, whose fields are all optional and in the order of their tags.
pub(super) fn tcb_info(leaf: &Certificate) -> Option<(Digest<48>, Option<DiceFlags>)> {
    let mut outer = SliceReader::new(leaf.extension(&TCB_INFO)?).ok()?;
    let fields = outer
        .sequence(|part| {
            let mut fields = Vec::new();
            while !part.is_finished() {
                fields.push(part.tlv_bytes()?);
            }
            Ok::<_, Error>(fields)
        })
        .ok()?;
    outer.finish().ok()?;
    let number = |field: &&[u8]| field.first().map(|tag| tag & 0x1f);
    if !fields.is_sorted_by(|a, b| number(a) < number(b)) {
        return None;
    }
    let find = |tag| fields.iter().find(|field| field.first() == Some(&tag));
    let flags = match find(FLAGS) {
        Some([_, 5, 0, bits @ ..]) => Some(DiceFlags(u32::from_be_bytes(bits.try_into().ok()?))),
        Some(_) => return None,
        None => None,
    };
    Some((first_firmware_id(find(FWIDS)?)?, flags))
}

/// The first of `fwids [6] IMPLICIT SEQUENCE OF FWID`. The second is zero in known leaves.
fn first_firmware_id(field: &[u8]) -> Option<Digest<48>> {
    let [FWIDS, _, list @ ..] = field else {
        return None;
    };
    let mut list = SliceReader::new(list).ok()?;
    let first = list.tlv_bytes().ok()?;
    while !list.is_finished() {
        firmware_id(list.tlv_bytes().ok()?)?;
    }
    firmware_id(first)
}
