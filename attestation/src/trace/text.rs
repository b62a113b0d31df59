//! Values as people read them in a trace.
//!
//! Why apart: numbers, digests and dates look alike on every platform.
//!
//! # Invariants
//! No text of the input passes through here.

use x509_cert::der::DateTime;

use crate::time::Timestamp;
use crate::x509::{Certificate, Fault, KeyKind};

/// `YYYY-MM-DDThh:mm:ssZ`; seconds where the calendar ends.
pub(crate) fn date(at: Timestamp) -> String {
    let duration = std::time::Duration::from_secs(at.unix());
    DateTime::from_unix_duration(duration).map_or_else(|_| at.to_string(), |date| date.to_string())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A little-endian number of the input at `offset`; empty when the input ends before.
pub(crate) fn number(bytes: &[u8], offset: usize) -> Option<u32> {
    let (_, rest) = bytes.split_at_checked(offset)?;
    rest.first_chunk().map(|four| u32::from_le_bytes(*four))
}

/// The same, of eight bytes.
pub(crate) fn long(bytes: &[u8], offset: usize) -> Option<u64> {
    let (_, rest) = bytes.split_at_checked(offset)?;
    rest.first_chunk().map(|eight| u64::from_le_bytes(*eight))
}

/// What a certificate has for this check.
pub(crate) fn of_certificate(certificate: &Certificate, fault: &Fault) -> String {
    match fault {
        Fault::TooLarge { .. } => format!("{} bytes", certificate.der().len()),
        Fault::SerialNumber => hex(certificate.serial()),
        Fault::NotYetValid { .. } => format!("from {}", date(certificate.not_before())),
        Fault::Expired { .. } => format!("until {}", date(certificate.not_after())),
        Fault::Key => match certificate.key().kind() {
            KeyKind::Rsa => "RSA".to_owned(),
            KeyKind::P256 => "P-256".to_owned(),
            KeyKind::P384 => "P-384".to_owned(),
        },
        _ => String::new(),
    }
}
