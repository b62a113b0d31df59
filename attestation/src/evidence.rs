//! Evidence as an Attester hands it over: untrusted, of limited size.
//!
//! Why apart: everything here is believed to be nothing but bytes until [`crate::verify()`] says more.
//!
//! # Invariants
//! Within the limits of [`crate::limits`]. Each device has a leaf certificate, and no two have the same:
//! the order of devices in a digest is well defined.

use std::collections::BTreeMap;

use anchorhold_encoding::{Digest, canonical, sha384, sha512};
use serde::{Deserialize, Serialize};

use crate::base64_text::Base64;
use crate::claims::Platform;
use crate::limits;
use crate::parse::{ParseError, Part, at_most};

/// What comes beside the report on platforms where the report alone is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum EvidencePart {
    /// The event log behind TDX's registers: a CC event log, or dstack's JSON.
    EventLog,
    /// Intel's quote of the TDREPORT inside an HCL report.
    TdxQuote,
    /// A TPM's quote: TPMS_ATTEST.
    TpmQuote,
    /// Its signature: TPMT_SIGNATURE.
    TpmSignature,
    /// The values of the registers it covers, ascending, 32 bytes each (SHA-256 bank).
    TpmRegisters,
    /// The provider's certificates of the TPM's key: each in DER after its length in 4 bytes, big endian, leaf first.
    TpmCertificates,
    /// A NitroTPM attestation document of AWS: COSE_Sign1.
    NitroDocument,
}

impl EvidencePart {
    /// Its name in documents.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EventLog => "event-log",
            Self::TdxQuote => "tdx-quote",
            Self::TpmQuote => "tpm-quote",
            Self::TpmSignature => "tpm-signature",
            Self::TpmRegisters => "tpm-registers",
            Self::TpmCertificates => "tpm-certificates",
            Self::NitroDocument => "nitro-document",
        }
    }

    /// Bytes at most.
    const fn limit(self) -> usize {
        match self {
            Self::EventLog => limits::EVENT_LOG,
            Self::TdxQuote => limits::REPORT,
            Self::TpmQuote | Self::TpmSignature | Self::TpmRegisters => limits::TPM_PART,
            Self::TpmCertificates => limits::TPM_CERTIFICATES,
            Self::NitroDocument => limits::NITRO_DOCUMENT,
        }
    }
}

/// What the CPU and its devices signed. Believed by nobody yet.
pub struct Evidence {
    platform: Platform,
    report: Vec<u8>,
    parts: BTreeMap<EvidencePart, Vec<u8>>,
    devices: Vec<DeviceEvidence>,
}

/// What a device beside the CPU signed, with the certificates that came with it.
pub struct DeviceEvidence {
    kind: String,
    report: Vec<u8>,
    certificates: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WireEvidence {
    platform: Platform,
    report: Base64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<EvidencePart, Base64>,
    devices: Vec<WireDevice>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireDevice {
    kind: String,
    report: Base64,
    certificates: Vec<Base64>,
}

impl DeviceEvidence {
    /// `kind` is a vendor's short name; `certificates` are DER, the leaf first.
    ///
    /// # Errors
    /// [`ParseError`] when a limit is exceeded, there is no leaf certificate, or `kind` is not
    /// `[a-z0-9-]{1,32}`.
    pub fn new(kind: String, report: Vec<u8>, certificates: Vec<Vec<u8>>) -> Result<Self, ParseError> {
        let part = Part::Device;
        at_most(kind.len(), limits::DEVICE_KIND, part)?;
        at_most(report.len(), limits::REPORT, part)?;
        at_most(certificates.len(), limits::DEVICE_CERTIFICATES, part)?;
        for certificate in &certificates {
            at_most(certificate.len(), limits::CERTIFICATE, part)?;
        }
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        if certificates.is_empty() || kind.is_empty() || !kind.bytes().all(plain) {
            return Err(ParseError::Value(part));
        }
        Ok(Self {
            kind,
            report,
            certificates,
        })
    }

    /// The vendor's short name.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What the device signed.
    #[must_use]
    pub fn report(&self) -> &[u8] {
        &self.report
    }

    /// Certificates in DER, the leaf first.
    #[must_use]
    pub fn certificates(&self) -> &[Vec<u8>] {
        &self.certificates
    }

    /// SHA-384 of the leaf certificate: the device's name in an identity document.
    #[must_use]
    pub fn leaf_digest(&self) -> Digest<48> {
        let leaf = self
            .certificates
            .first()
            .expect("a device has a leaf certificate");
        sha384(&[leaf])
    }
}

impl Evidence {
    /// Evidence of one Attester, the CPU's report and those of its devices.
    ///
    /// # Errors
    /// [`ParseError`] when a limit is exceeded or two devices have the same leaf certificate.
    pub fn new(
        platform: Platform,
        report: Vec<u8>,
        devices: Vec<DeviceEvidence>,
    ) -> Result<Self, ParseError> {
        Self::with_parts(platform, report, Vec::new(), devices)
    }

    /// The same, with what the platform gives beside its report.
    ///
    /// # Errors
    /// As [`Self::new`], and when a part is given twice.
    pub fn with_parts(
        platform: Platform,
        report: Vec<u8>,
        given: Vec<(EvidencePart, Vec<u8>)>,
        devices: Vec<DeviceEvidence>,
    ) -> Result<Self, ParseError> {
        at_most(report.len(), limits::REPORT, Part::Evidence)?;
        let mut parts = BTreeMap::new();
        for (part, bytes) in given {
            at_most(bytes.len(), part.limit(), Part::Evidence)?;
            if parts.insert(part, bytes).is_some() {
                return Err(ParseError::Value(Part::Evidence));
            }
        }
        at_most(devices.len(), limits::DEVICES, Part::Evidence)?;
        let mut leaves: Vec<_> = devices.iter().map(DeviceEvidence::leaf_digest).collect();
        leaves.sort_unstable();
        leaves.dedup();
        if leaves.len() != devices.len() {
            return Err(ParseError::Value(Part::Device));
        }
        Ok(Self {
            platform,
            report,
            parts,
            devices,
        })
    }

    /// Parses the JSON form: `platform`, `report` (base64), `parts` where there are any, and `devices`, nothing else.
    ///
    /// # Errors
    /// [`ParseError`], without any part of the input.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ParseError> {
        at_most(bytes.len(), limits::EVIDENCE, Part::Evidence)?;
        let wire = serde_json::from_slice(bytes).map_err(|_| ParseError::Shape(Part::Evidence))?;
        Self::from_wire(wire)
    }

    /// The JSON form, canonical.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        canonical::to_vec(&self.to_wire())
    }

    /// SHA-512 of the canonical JSON form: how receipts name this evidence.
    #[must_use]
    pub fn digest(&self) -> Digest<64> {
        sha512(&[&self.to_json()])
    }

    /// Which platform it claims to be from.
    #[must_use]
    pub const fn platform(&self) -> Platform {
        self.platform
    }

    /// The CPU's report.
    #[must_use]
    pub fn report(&self) -> &[u8] {
        &self.report
    }

    /// What came beside the report, if it did.
    #[must_use]
    pub fn part(&self, part: EvidencePart) -> Option<&[u8]> {
        self.parts.get(&part).map(Vec::as_slice)
    }

    /// Which parts came.
    pub fn parts(&self) -> impl Iterator<Item = EvidencePart> {
        self.parts.keys().copied()
    }

    /// The devices' evidence.
    #[must_use]
    pub fn devices(&self) -> &[DeviceEvidence] {
        &self.devices
    }

    pub(crate) fn from_wire(wire: WireEvidence) -> Result<Self, ParseError> {
        let mut devices = Vec::new();
        for device in wire.devices {
            let certificates = device.certificates.into_iter().map(|der| der.0).collect();
            devices.push(DeviceEvidence::new(device.kind, device.report.0, certificates)?);
        }
        let parts = wire.parts.into_iter().map(|(part, bytes)| (part, bytes.0));
        Self::with_parts(wire.platform, wire.report.0, parts.collect(), devices)
    }

    pub(crate) fn to_wire(&self) -> WireEvidence {
        let device = |device: &DeviceEvidence| WireDevice {
            kind: device.kind.clone(),
            report: Base64(device.report.clone()),
            certificates: device.certificates.iter().cloned().map(Base64).collect(),
        };
        WireEvidence {
            platform: self.platform,
            report: Base64(self.report.clone()),
            parts: self
                .parts
                .iter()
                .map(|(part, bytes)| (*part, Base64(bytes.clone())))
                .collect(),
            devices: self.devices.iter().map(device).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
