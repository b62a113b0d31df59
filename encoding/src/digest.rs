//! SHA-2 digests as values of a fixed length.
//!
//! Why apart: a digest that is a `String` or a slice gets truncated, padded or compared by prefix sooner
//! or later.
//!
//! # Invariants
//! Text form is lower-case hexadecimal of exactly the length; nothing else parses.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest as sha2;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `N` bytes of a public hash, key or nonce: 32 for SHA-256, 48 for SHA-384, 64 for SHA-512.
///
/// Public by nature: it has `Debug` and `Display` (hexadecimal). Never put a secret in one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest<const N: usize>([u8; N]);

/// Text was not lower-case hexadecimal of the expected length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotHex {
    /// Digits expected.
    pub expected_digits: usize,
}

impl fmt::Display for NotHex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "expected {} lower-case hexadecimal digits",
            self.expected_digits
        )
    }
}

impl std::error::Error for NotHex {}

impl<const N: usize> Digest<N> {
    /// Takes bytes that already are a digest (or another public value of this length).
    #[must_use]
    pub const fn new(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// `None` unless `bytes` has exactly `N` bytes.
    #[must_use]
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; N] {
        &self.0
    }

    /// True when every byte is zero: a platform field nobody set.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// The first eight hexadecimal digits, for people; never for comparison.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl<const N: usize> fmt::Display for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl<const N: usize> fmt::Debug for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> FromStr for Digest<N> {
    type Err = NotHex;

    fn from_str(text: &str) -> Result<Self, NotHex> {
        let error = NotHex {
            expected_digits: 2 * N,
        };
        let digits = text.as_bytes();
        if digits.len() != 2 * N {
            return Err(error);
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let (Some(high), Some(low)) = (nibble(pair[0]), nibble(pair[1])) else {
                return Err(error);
            };
            *byte = high << 4 | low;
        }
        Ok(Self(bytes))
    }
}

/// Upper case is refused: one value has one text.
fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl<const N: usize> Serialize for Digest<N> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Digest<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// SHA-256 (FIPS 180-4) over the concatenation of `parts`.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> Digest<32> {
    hash(&sha2::SHA256, parts)
}

/// SHA-384 (FIPS 180-4) over the concatenation of `parts`.
#[must_use]
pub fn sha384(parts: &[&[u8]]) -> Digest<48> {
    hash(&sha2::SHA384, parts)
}

/// SHA-512 (FIPS 180-4) over the concatenation of `parts`.
#[must_use]
pub fn sha512(parts: &[&[u8]]) -> Digest<64> {
    hash(&sha2::SHA512, parts)
}

fn hash<const N: usize>(algorithm: &'static sha2::Algorithm, parts: &[&[u8]]) -> Digest<N> {
    let mut context = sha2::Context::new(algorithm);
    for part in parts {
        context.update(part);
    }
    let mut bytes = [0; N];
    bytes.copy_from_slice(context.finish().as_ref());
    Digest(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_fips_180_4() {
        assert_eq!(
            sha256(&[b"a", b"bc"]).to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(
            sha384(&[b"abc"])
                .to_string()
                .starts_with("cb00753f45a35e8bb5a03d699ac65007")
        );
        assert!(
            sha512(&[b"abc"])
                .to_string()
                .starts_with("ddaf35a193617abacc417349ae204131")
        );
    }

    #[test]
    fn only_lower_case_of_the_right_length_parses() {
        assert!("00ff".parse::<Digest<2>>().is_ok());
        for bad in ["00FF", "00f", "00ff0", "00fg", "", "0x00", " 00f", "é0f"] {
            assert!(bad.parse::<Digest<2>>().is_err(), "{bad}");
        }
    }
}
