//! What some bytes are, by what is in them.
//!
//! Why apart: files are named by people in a hurry; only their bytes tell what they are.
//!
//! # Invariants
//! Decides nothing about trust: a wrong guess is refused by the parser it leads to.

use anchorhold_attestation::snp::CertTable;

/// A kind of input that a verifier takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    SnpReport,
    CertTable,
    Certificate,
    RevocationList,
    OcspResponse,
    TdxQuote,
    Collateral,
    EventLog,
    DstackLog,
    HclReport,
    TpmMessage,
    TpmSignature,
    TpmValues,
    TpmCertificates,
    NitroDocument,
    NvidiaReport,
    NvidiaNonce,
    Rim,
}

impl Kind {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SnpReport => "SEV-SNP attestation report",
            Self::CertTable => "certificate table of a hypervisor",
            Self::Certificate => "X.509 certificate",
            Self::RevocationList => "X.509 revocation list",
            Self::OcspResponse => "OCSP response",
            Self::TdxQuote => "quote of Intel's quoting enclave",
            Self::Collateral => "Intel collateral",
            Self::EventLog => "CC event log",
            Self::DstackLog => "dstack event log",
            Self::HclReport => "HCL report",
            Self::TpmMessage => "TPM quote (TPMS_ATTEST)",
            Self::TpmSignature => "TPM signature",
            Self::TpmValues => "TPM register values",
            Self::TpmCertificates => "certificates of a TPM's key",
            Self::NitroDocument => "NitroTPM attestation document",
            Self::NvidiaReport => "NVIDIA device report",
            Self::NvidiaNonce => "NVIDIA nonce",
            Self::Rim => "NVIDIA RIM file",
        }
    }
}

/// A little-endian number.
pub(super) fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    bytes
        .get(offset..)?
        .first_chunk()
        .map(|four| u32::from_le_bytes(*four))
}

/// What these bytes are, and how many in front of it are a wrapping; `None` when nothing known.
pub(super) fn kind(bytes: &[u8]) -> Option<(Kind, usize)> {
    // MSG_REPORT_RSP of the guest device: status 0, size, 24 reserved bytes, report (ABI 56860, table MSG_REPORT_RSP).
    if number(bytes, 0) == Some(0) && number(bytes, 4) == Some(1184) && bytes.len() >= 32 + 1184 {
        return Some((Kind::SnpReport, 32));
    }
    // TPM2B_ATTEST: a size in front.
    if bytes.get(2..6) == Some(b"\xffTCG") {
        return Some((Kind::TpmMessage, 2));
    }
    let kind = if bytes.starts_with(b"HCLA") {
        Kind::HclReport
    } else if bytes.starts_with(b"\xffTCG") {
        Kind::TpmMessage
    } else if bytes.starts_with(&[0x11, 0xe0]) && bytes.get(37..39) == Some(&[0x11, 0x60]) {
        Kind::NvidiaReport
    } else if is_quote(bytes) {
        Kind::TdxQuote
    } else if is_snp_report(bytes) {
        Kind::SnpReport
    } else if bytes.get(32..47) == Some(b"Spec ID Event03") {
        Kind::EventLog
    } else if let Some(kind) = der(bytes) {
        kind
    } else if bytes.starts_with(&[0, 0x14, 0, 0x0b]) || bytes.starts_with(&[0, 0x18, 0, 0x0b]) {
        Kind::TpmSignature
    } else if NITRO.iter().any(|start| bytes.starts_with(start)) {
        Kind::NitroDocument
    } else if is_framed(bytes) {
        Kind::TpmCertificates
    } else if is_table(bytes) {
        Kind::CertTable
    } else if is_rim(bytes) {
        Kind::Rim
    } else {
        return None;
    };
    Some((kind, 0))
}

/// COSE_Sign1 with a protected header of ES384, with its tag, which the verifier refuses, and without.
const NITRO: [&[u8]; 2] = [
    &[0x84, 0x44, 0xa1, 0x01, 0x38, 0x22],
    &[0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x22],
];

/// A certificate after its length in 4 bytes, big endian.
fn is_framed(bytes: &[u8]) -> bool {
    let Some((length, rest)) = bytes.split_first_chunk() else {
        return false;
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    rest.get(..length).and_then(der) == Some(Kind::Certificate)
}

/// Versions 3 to 5, a known key type, and Intel's vendor id, or a length of a quote.
fn is_quote(bytes: &[u8]) -> bool {
    const INTEL: [u8; 4] = [0x93, 0x9a, 0x72, 0x33];
    let version = matches!(bytes.first_chunk(), Some([3..=5, 0]));
    version && bytes.get(12..16) == Some(&INTEL)
}

/// A known version with the one signature algorithm, or the one length.
fn is_snp_report(bytes: &[u8]) -> bool {
    let version = number(bytes, 0).is_some_and(|version| (1..=15).contains(&version));
    version && (number(bytes, 0x34) == Some(1) || bytes.len() == 1184)
}

fn is_table(bytes: &[u8]) -> bool {
    use anchorhold_attestation::snp::Entry;
    let named = |table: &CertTable<'_>| {
        [Entry::Vcek, Entry::Vlek, Entry::Ask, Entry::Ark, Entry::Crl]
            .into_iter()
            .any(|entry| table.get(entry).is_some())
    };
    CertTable::parse(bytes).is_ok_and(|table| named(&table))
}

fn is_rim(bytes: &[u8]) -> bool {
    let head = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    head.trim_ascii_start().starts_with(b"<") && contains(head, b"SoftwareIdentity")
}

/// A SEQUENCE that begins as a certificate, a list or a response does (RFC 5280 sections 4.1 and 5.1, RFC 6960 section
/// 4.2.1).
fn der(bytes: &[u8]) -> Option<Kind> {
    let inner = content(bytes, 0x30)?;
    if inner.starts_with(&[0x0a, 1]) {
        return Some(Kind::OcspResponse);
    }
    let signed = content(inner, 0x30)?;
    match signed {
        [0xa0, ..] => Some(Kind::Certificate),
        [2, 1, 1, 0x30, ..] => Some(Kind::RevocationList),
        _ => None,
    }
}

/// What is inside an element with this tag; how long it says to be is not believed.
fn content(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    match bytes {
        [first, 0x82, _, _, rest @ ..] | [first, 0x81, _, rest @ ..] if *first == tag => Some(rest),
        [first, length, rest @ ..] if *first == tag && *length < 0x80 => Some(rest),
        _ => None,
    }
}

/// Whether `text` occurs in `bytes`.
pub(super) fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

/// A sentence about it: version and length, never a byte that could be text.
pub(super) fn describe(kind: Kind, bytes: &[u8]) -> String {
    let length = bytes.len();
    let name = kind.name();
    match kind {
        Kind::SnpReport => {
            let version = number(bytes, 0).unwrap_or_default();
            format!("{name}, version {version}, {length} bytes")
        }
        Kind::TdxQuote => {
            let version = number(bytes, 0).unwrap_or_default() & 0xffff;
            let machine = match number(bytes, 4) {
                Some(0x81) => "a trust domain",
                Some(0) => "an SGX enclave",
                _ => "an unknown kind of machine",
            };
            format!("{name}, version {version}, of {machine}, {length} bytes")
        }
        _ => format!("{name}, {length} bytes"),
    }
}
