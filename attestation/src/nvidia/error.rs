//! Why evidence of an NVIDIA device, or a RIM, proves nothing: by who is to blame.
//!
//! Why apart: `explain` and the documentation list every check by the ids given here, and they never change.
//!
//! # Invariants
//! An error holds offsets, positions and constants, nothing of the input.

use std::fmt;

use crate::time::Timestamp;
use crate::x509::{ChainError, OcspFault, RevocationReason};

/// Which field of a report is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReportField {
    /// The length of the whole.
    Length,
    /// `SPDMVersion` of the request or of the response.
    SpdmVersion,
    /// The request or response code.
    Code,
    /// `Param1` of the request or of the response.
    Param1,
    /// `Param2` of the request or of the response.
    Param2,
    /// The slot of the certificate chain that the request names.
    SlotId,
    /// The number of measurement blocks, against their kind of device and against those that are there.
    NumberOfBlocks,
    /// The length of the measurement record, against the blocks in it.
    MeasurementRecordLength,
    /// A block's index: not its position.
    MeasurementIndex,
    /// A block's measurement specification: not DMTF's.
    MeasurementSpecification,
    /// A block's size, or the size of its value.
    MeasurementSize,
    /// A block's value type: not a digest of a kind that SPDM 1.1 names.
    MeasurementValueType,
    /// A field of the opaque data that is not closed by its end.
    OpaqueLength,
    /// A field of the opaque data that NVIDIA does not name for this kind of device.
    OpaqueType,
    /// A field of the opaque data that is there twice.
    OpaqueRepeated,
    /// A field of the opaque data that every report of this kind of device has, and this one has not.
    OpaqueMissing(u16),
    /// A field of the opaque data whose length or value is not one its type has.
    OpaqueValue(u16),
}

impl ReportField {
    const fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::SpdmVersion => "SPDMVersion",
            Self::Code => "RequestResponseCode",
            Self::Param1 => "Param1",
            Self::Param2 => "Param2",
            Self::SlotId => "SlotID",
            Self::NumberOfBlocks => "NumberOfBlocks",
            Self::MeasurementRecordLength => "MeasurementRecordLength",
            Self::MeasurementIndex => "Index",
            Self::MeasurementSpecification => "MeasurementSpecification",
            Self::MeasurementSize => "MeasurementSize",
            Self::MeasurementValueType => "DMTFSpecMeasurementValueType",
            Self::OpaqueLength => "opaque data: length",
            Self::OpaqueType => "opaque data: unknown type",
            Self::OpaqueRepeated => "opaque data: repeated type",
            Self::OpaqueMissing(_) => "opaque data: missing type",
            Self::OpaqueValue(_) => "opaque data: value",
        }
    }
}

impl fmt::Display for ReportField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::OpaqueMissing(number) | Self::OpaqueValue(number) => write!(f, " {number}"),
            _ => Ok(()),
        }
    }
}

/// The device's evidence proves nothing. The device, or someone on the way, is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeviceError {
    /// The report is not of the form of its kind; `offset` is where, in bytes from its start.
    Form {
        /// The field that was wrong.
        field: ReportField,
        /// Where it lies.
        offset: usize,
    },
    /// Not exactly five certificates.
    ChainLength,
    /// The last certificate is not the pinned one.
    Root,
    /// A certificate or a link of the chain is not valid; the leaf is position 0.
    Certificate(ChainError),
    /// The leaf does not name a chip that this version knows.
    Chip,
    /// A stapled OCSP response is none, or speaks of the device and does not hold.
    Ocsp {
        /// Which of those handed over, from 0.
        response: usize,
        /// What is wrong with it.
        fault: OcspFault,
    },
    /// NVIDIA has withdrawn a certificate of the device, or put it on hold.
    Revoked {
        /// Which certificate; the leaf is 0.
        link: usize,
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// The report's requester nonce is another than the one asked with.
    Nonce,
    /// The report's signature does not hold under the leaf's key.
    Signature,
    /// The leaf has no firmware id, or not in the form of its architecture.
    LeafFirmwareId,
    /// The leaf names another device identity key than the one of its issuer.
    LeafDeviceId,
    /// The report's firmware id is another than the leaf's.
    FirmwareId,
}

impl DeviceError {
    /// The check that failed, as the documentation lists it.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Form { .. } => "nvidia-report-form",
            Self::ChainLength => "nvidia-chain-length",
            Self::Root => "nvidia-chain-root",
            Self::Certificate(_) => "nvidia-chain",
            Self::Chip => "nvidia-chip",
            Self::Ocsp { .. } => "nvidia-ocsp",
            Self::Revoked { .. } => "nvidia-revoked",
            Self::Nonce => "nvidia-nonce",
            Self::Signature => "nvidia-report-signature",
            Self::LeafFirmwareId => "nvidia-leaf-firmware-id",
            Self::LeafDeviceId => "nvidia-leaf-device-id",
            Self::FirmwareId => "nvidia-firmware-id",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Form { .. } => {
                "the report is not what this kind of device makes, was cut or padded, or is of a newer format"
            }
            Self::ChainLength => "hand over all five certificates of the device, its own first",
            Self::Root => "the chain ends at another root than NVIDIA's; engineering samples do",
            Self::Certificate(_) => "the certificate chain was altered, or is of another device",
            Self::Chip => "this version knows Hopper and Blackwell GPUs and the LS10 switch",
            Self::Ocsp { fault, .. } => fault.hint(),
            Self::Revoked {
                reason: RevocationReason::CertificateHold,
                ..
            } => {
                "NVIDIA has put this certificate on hold: do not trust the device unless NVIDIA takes it back"
            }
            Self::Revoked { .. } => "NVIDIA does not stand by this device any more; do not trust it",
            Self::Nonce => "the report was made for another question; ask the device again",
            Self::Signature => "the report was altered, or another device's certificates came with it",
            Self::LeafFirmwareId => "the leaf certificate is not one that a device makes at its start",
            Self::LeafDeviceId => "the leaf certificate was made under another device's identity",
            Self::FirmwareId => "the device runs other firmware than its certificate was made for",
        }
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { field, offset } => write!(f, "the report is malformed at byte {offset}: {field}"),
            Self::ChainLength => f.write_str("the device's chain has not exactly five certificates"),
            Self::Root => f.write_str("the device's chain does not end at the pinned root"),
            Self::Certificate(error) => write!(f, "the device's chain: {error}"),
            Self::Chip => f.write_str("the leaf certificate names no known chip"),
            Self::Ocsp { response, fault } => write!(f, "stapled OCSP response {response}: {fault}"),
            Self::Revoked { link, since, reason } => {
                write!(
                    f,
                    "certificate {link} of the device is revoked since {since}: {reason}"
                )
            }
            Self::Nonce => f.write_str("the report carries another nonce"),
            Self::Signature => f.write_str("the report's signature does not hold"),
            Self::LeafFirmwareId => {
                f.write_str("the leaf certificate has no firmware id of its architecture")
            }
            Self::LeafDeviceId => {
                f.write_str("the leaf certificate names another identity key than its issuer's")
            }
            Self::FirmwareId => f.write_str("the report's firmware id is not the leaf certificate's"),
        }
    }
}

impl std::error::Error for DeviceError {}

/// What is wrong with a RIM as XML.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlFault {
    /// Larger, deeper or with more in it than [`crate::limits`] allows.
    Limit,
    /// Ends before it is whole, or goes on after it.
    End,
    /// A byte other than printable ASCII and line feed.
    Byte,
    /// A declaration, comment, CDATA section, processing instruction, entity or DTD: none is ever read.
    Construct,
    /// A tag that is not in the one form accepted here.
    Tag,
    /// A prefix that is bound to nothing, reserved or bound twice.
    Namespace,
    /// The same attribute twice.
    RepeatedAttribute,
}

/// A RIM is not one. Who published or delivered it is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RimError {
    /// Not XML of the strict form read here; `offset` is where, in bytes from its start.
    Xml {
        /// What is wrong.
        fault: XmlFault,
        /// Where.
        offset: usize,
    },
    /// The signature element has not exactly the algorithms, the reference and the parts it must have.
    SignatureForm,
    /// Not exactly four certificates.
    ChainLength,
    /// The last certificate is not the pinned one.
    Root,
    /// A certificate or a link of the chain is not valid; the leaf is position 0.
    Certificate(ChainError),
    /// The signature over `SignedInfo` does not hold under the leaf's key.
    Signature,
    /// The document's digest is another than the signed one.
    Digest,
    /// A stapled OCSP response is none, or speaks of the signer and does not hold.
    Ocsp {
        /// Which of those handed over, from 0.
        response: usize,
        /// What is wrong with it.
        fault: OcspFault,
    },
    /// NVIDIA has withdrawn a certificate of the signer, or put it on hold.
    Revoked {
        /// Which certificate; the signer's is 0.
        link: usize,
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// An element or attribute of the tag is missing, unknown, repeated or has no valid value.
    Schema(RimField),
}

/// Which part of a tag is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RimField {
    /// `SoftwareIdentity` and what stands in it.
    SoftwareIdentity,
    /// `Entity`.
    Entity,
    /// `Meta`.
    Meta,
    /// `Payload`.
    Payload,
    /// The `Resource` at this position, from 0.
    Resource(usize),
}

impl fmt::Display for RimField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SoftwareIdentity => f.write_str("SoftwareIdentity"),
            Self::Entity => f.write_str("Entity"),
            Self::Meta => f.write_str("Meta"),
            Self::Payload => f.write_str("Payload"),
            Self::Resource(position) => write!(f, "Resource {position}"),
        }
    }
}

impl RimError {
    /// The check that failed, as the documentation lists it.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Xml { .. } => "nvidia-rim-xml",
            Self::SignatureForm => "nvidia-rim-signature-form",
            Self::ChainLength => "nvidia-rim-chain-length",
            Self::Root => "nvidia-rim-chain-root",
            Self::Certificate(_) => "nvidia-rim-chain",
            Self::Signature => "nvidia-rim-signature",
            Self::Digest => "nvidia-rim-digest",
            Self::Ocsp { .. } => "nvidia-rim-ocsp",
            Self::Revoked { .. } => "nvidia-rim-revoked",
            Self::Schema(_) => "nvidia-rim-schema",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Xml { .. } => {
                "hand over the RIM exactly as NVIDIA publishes it; a re-indented copy is another document"
            }
            Self::SignatureForm => "the RIM is signed in a form that NVIDIA does not use",
            Self::ChainLength | Self::Root => {
                "the RIM is not signed under NVIDIA's RIM root; debug RIMs are not"
            }
            Self::Certificate(_) => {
                "RIM signers' certificates last about two years: fetch the RIM anew, NVIDIA signs it again"
            }
            Self::Signature | Self::Digest => "the RIM was altered after it was signed; fetch it anew",
            Self::Ocsp { fault, .. } => fault.hint(),
            Self::Revoked { .. } => {
                "NVIDIA does not stand by what this key signed: fetch the RIM anew, NVIDIA signs it with another"
            }
            Self::Schema(_) => "the RIM is of a form this version does not know",
        }
    }
}

impl fmt::Display for RimError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xml { fault, offset } => {
                let what = match fault {
                    XmlFault::Limit => "beyond a limit",
                    XmlFault::End => "ends too early or too late",
                    XmlFault::Byte => "a byte that is not plain text",
                    XmlFault::Construct => "a construct that is never read",
                    XmlFault::Tag => "a malformed tag",
                    XmlFault::Namespace => "a namespace",
                    XmlFault::RepeatedAttribute => "a repeated attribute",
                };
                write!(f, "the RIM is malformed at byte {offset}: {what}")
            }
            Self::SignatureForm => f.write_str("the RIM's signature is not of the one known form"),
            Self::ChainLength => f.write_str("the RIM's chain has not exactly four certificates"),
            Self::Root => f.write_str("the RIM's chain does not end at the pinned root"),
            Self::Certificate(error) => write!(f, "the RIM's chain: {error}"),
            Self::Signature => f.write_str("the RIM's signature does not hold"),
            Self::Digest => f.write_str("the RIM's digest is not the signed one"),
            Self::Ocsp { response, fault } => {
                write!(
                    f,
                    "about the RIM's signer, stapled OCSP response {response}: {fault}"
                )
            }
            Self::Revoked { link, since, reason } => write!(
                f,
                "certificate {link} of the RIM's signer is revoked since {since}: {reason}"
            ),
            Self::Schema(field) => write!(f, "the RIM is not a tag of the known form: {field}"),
        }
    }
}

impl std::error::Error for RimError {}

#[cfg(test)]
mod tests;
