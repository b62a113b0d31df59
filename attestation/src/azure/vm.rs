//! The types of the members of `vm-configuration`.
//!
//! Why apart: each is compared by a policy, so each has one form and says what it means.
//!
//! # Invariants
//! Texts of the paravisor become values here; a text that is none of the known ones is refused.

use std::fmt;

use anchorhold_encoding::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::base64_text;

/// Longest name of a signer: a decentralized identifier of a certificate chain is below 300 characters.
const SIGNER: usize = 1024;

/// A UUID, compared without regard to letter case (RFC 9562 section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uuid([u8; 16]);

impl Uuid {
    /// The text `8-4-4-4-12`, in hexadecimal digits of either case; `None` when it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text.as_bytes();
        let mut bytes = [0; 16];
        for (index, byte) in bytes.iter_mut().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                rest = rest.strip_prefix(b"-")?;
            }
            let (pair, tail) = rest.split_first_chunk()?;
            *byte = hex_byte(*pair)?;
            rest = tail;
        }
        rest.is_empty().then_some(Self(bytes))
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Uuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a UUID"))
    }
}

/// The authority under which a paravisor takes its provisioning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RootCertificate {
    /// A paravisor that does not say; the member is missing.
    #[default]
    NotReported,
    /// None; the member is empty.
    Absent,
    /// SHA-256 of its certificate.
    Thumbprint(Digest<32>),
}

impl<'de> Deserialize<'de> for RootCertificate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self::Absent);
        }
        base64_text::decode_url(&text)
            .and_then(|bytes| Digest::from_slice(&bytes))
            .map(Self::Thumbprint)
            .ok_or_else(|| D::Error::custom("not a SHA-256 value in base64url"))
    }
}

/// The revision of the TPM 2.0 library that a vTPM implements: 138 is 1.38.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TpmVersion(u16);

impl TpmVersion {
    /// A digit, a point and two digits; `None` when it is not that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let &[major, b'.', tens, ones] = text.as_bytes() else {
            return None;
        };
        let digits = [major, tens, ones];
        let number = std::str::from_utf8(&digits).ok()?;
        if !digits.iter().all(u8::is_ascii_digit) {
            return None;
        }
        number.parse().ok().map(Self)
    }

    /// A hundred times the version: 138 for 1.38.
    #[must_use]
    pub const fn hundredths(self) -> u16 {
        self.0
    }
}

impl<'de> Deserialize<'de> for TpmVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not a version"))
    }
}

/// To what a VM's state is sealed by the hardware when no key service answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HardwareSealing {
    /// To nothing: it is not sealed by the hardware.
    None,
    /// To the paravisor's measurement.
    Hash,
    /// To whoever signed the paravisor: a later one can open it.
    Signer,
}

/// Who made a VM's guest state file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VmgsProvisioner {
    id: Uuid,
    #[serde(deserialize_with = "signer")]
    signer: String,
}

impl VmgsProvisioner {
    /// Which file it is.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.id
    }

    /// Who signed it: a root's thumbprint and a subject name, as a decentralized identifier.
    #[must_use]
    pub fn signer(&self) -> &str {
        &self.signer
    }
}

fn signer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.len() > SIGNER {
        return Err(D::Error::custom("a signer's name is too long"));
    }
    Ok(text)
}

/// A member that may be missing, but is not `null`.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Exactly `N` bytes as hexadecimal digits of either case.
pub(super) fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = hex_byte(*pair)?;
    }
    Some(bytes)
}

/// One byte from two hexadecimal digits of either case.
fn hex_byte([high, low]: [u8; 2]) -> Option<u8> {
    let digit = |c: u8| {
        char::from(c)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    Some((digit(high)? << 4) | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_one_form_of_two_cases() {
        let text = "0123abcd-4567-89ef-0123-456789abcdef";
        let uuid = Uuid::parse(text).unwrap();
        assert_eq!(uuid.to_string(), text);
        assert_eq!(Uuid::parse(&text.to_uppercase()), Some(uuid));
        for bad in [
            "",
            "mock-vm",
            "0123abcd456789ef0123456789abcdef",
            "0123abcd-4567-89ef-0123-456789abcdef0",
            "0123abcd-4567-89ef-0123-456789abcde",
            "{0123abcd-4567-89ef-0123-456789abcdef}",
            "0123abcg-4567-89ef-0123-456789abcdef",
            "+123abcd-4567-89ef-0123-456789abcdef",
        ] {
            assert_eq!(Uuid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_version_is_three_digits_and_a_point() {
        assert_eq!(TpmVersion::parse("1.38").map(TpmVersion::hundredths), Some(138));
        assert!(TpmVersion::parse("1.38") < TpmVersion::parse("1.85"));
        for bad in ["", "138", "1.3", "1.380", "+.38", "1.-3", "1.3\u{e9}", "1,38"] {
            assert_eq!(TpmVersion::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_root_is_a_thumbprint_or_none() {
        let read = |text: &str| serde_json::from_str::<RootCertificate>(text).ok();
        assert_eq!(read("\"\""), Some(RootCertificate::Absent));
        let text = format!("\"{}\"", base64_text::encode_url(&[7; 32]));
        assert_eq!(
            read(&text),
            Some(RootCertificate::Thumbprint(Digest::new([7; 32])))
        );
        for bad in ["\"AAAA\"", "null", "1", "\"=\""] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
