//! The number of a chip.
//!
//! Why apart: makers number chips in different lengths, and a policy writes all of them the same way.
//!
//! # Invariants
//! 1 to 64 bytes, not all zero: a chip without an identity cannot be named.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::parse::{ParseError, Part};

/// Bytes of the longest: SEV-SNP's CHIP_ID.
const LONGEST: usize = 64;

/// The number of a chip: SEV-SNP's hardware id (64 bytes; 8 on Turin), TDX's PPID or platform instance id (16
/// bytes each), 32 bytes on the simulated platform. Its text is lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ChipId(Vec<u8>);

impl ChipId {
    /// `None` unless there are 1 to 64 bytes, not all of them zero.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let named = bytes.len() <= LONGEST && bytes.iter().any(|byte| *byte != 0);
        named.then(|| Self(bytes.to_vec()))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for ChipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in &self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for ChipId {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let digit = |digit: u8| match digit {
            b'0'..=b'9' => digit.checked_sub(b'0'),
            b'a'..=b'f' => digit.checked_sub(b'a').and_then(|digit| digit.checked_add(10)),
            _ => None,
        };
        let (pairs, rest) = text.as_bytes().as_chunks::<2>();
        let bytes: Option<Vec<u8>> = pairs
            .iter()
            .map(|[high, low]| digit(*high)?.checked_mul(16)?.checked_add(digit(*low)?))
            .collect();
        bytes
            .filter(|_| rest.is_empty())
            .and_then(|bytes| Self::new(&bytes))
            .ok_or(ParseError::Shape(Part::ChipId))
    }
}

impl Serialize for ChipId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ChipId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
