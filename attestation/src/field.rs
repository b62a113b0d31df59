//! What is proven, as a flat list of named values: for a person to read and for a policy to pin.
//!
//! Why apart: a policy can then demand anything that is signed, without a rule of its own for each vendor's field.
//!
//! # Invariants
//! Every field of a proven report is in its list, also the one that no rule looks at. A name is lower case, its first
//! part is the vendor's; devices of one kind repeat their names.

use std::borrow::Cow;
use std::fmt;

use serde::{Serialize, Serializer};

use crate::limits;

mod pin;

pub use pin::Pin;

/// A named value of verified evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// As in `snp.policy.debug`.
    pub name: Cow<'static, str>,
    /// What was signed.
    pub value: Value,
}

impl Field {
    /// Of a name and a value.
    #[must_use]
    pub fn new(name: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
        }
    }
}

/// A value as the vendor's format has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A number or a set of bits.
    Number(u64),
    /// A digest or an identity.
    Bytes(Vec<u8>),
    /// One bit.
    Flag(bool),
    /// A name or a version.
    Text(String),
    /// The format has the field, this evidence has not.
    Absent,
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Self::Number(number.into())
    }
}

impl From<u8> for Value {
    fn from(number: u8) -> Self {
        Self::Number(number.into())
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&[u8]> for Value {
    fn from(bytes: &[u8]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Self::Bytes(bytes.to_vec())
    }
}

impl<const N: usize> From<anchorhold_encoding::Digest<N>> for Value {
    fn from(digest: anchorhold_encoding::Digest<N>) -> Self {
        Self::Bytes(digest.as_bytes().to_vec())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Into::into)
    }
}

/// Lower-case hexadecimal.
struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Bytes as hexadecimal. A text only if it is short and printable: denials are shown and logged.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Bytes(bytes) => write!(f, "{}", Hex(bytes)),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::Text(text) if shown(text) => f.write_str(text),
            Self::Text(text) => write!(f, "a text of {} bytes", text.len()),
            Self::Absent => f.write_str("absent"),
        }
    }
}

fn shown(text: &str) -> bool {
    text.len() <= limits::FIELD_TEXT_SHOWN && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// In JSON a number beyond [`limits::INTEGER`] is a text, as `0x` and hexadecimal digits; what is absent is null.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) if *number > limits::INTEGER => {
                serializer.serialize_str(&format!("{number:#x}"))
            }
            Self::Number(number) => serializer.serialize_u64(*number),
            Self::Bytes(bytes) => serializer.collect_str(&Hex(bytes)),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Absent => serializer.serialize_none(),
        }
    }
}

#[cfg(test)]
mod tests;
