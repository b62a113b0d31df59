//! Why a GGUF file is refused.
//!
//! Why apart: both who seals and who loads it say so.
//!
//! # Invariants
//! Constants, numbers and [`ShownName`]s; no other bytes of the file.

use std::fmt;

pub use super::kind::OtherKind;
use crate::shown::ShownName;

/// The tables of a GGUF file are not as they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GgufError {
    /// Does not begin with the four letters.
    Magic,
    /// For machines that write numbers the other way round.
    BigEndian,
    /// Neither version 2 nor 3.
    Version(u32),
    /// The tables end behind the file.
    Cut {
        /// Bytes that would be needed to go on.
        needed: u64,
        /// Bytes there are.
        length: u64,
    },
    /// More of something than is taken.
    TooMany {
        /// Of what.
        what: &'static str,
        /// In the file.
        found: u64,
        /// Taken.
        most: u64,
    },
    /// A name is empty or too long.
    NameLength {
        /// Which names.
        what: &'static str,
        /// Its bytes.
        found: u64,
        /// Taken.
        most: u64,
    },
    /// A name is not UTF-8.
    NameText(&'static str),
    /// A text under this key is not UTF-8.
    NotText(ShownName),
    /// A truth value that is neither 0 nor 1.
    NotBool {
        /// The key it is under.
        key: ShownName,
        /// Instead.
        found: u8,
    },
    /// A value of a type that the format does not have.
    ValueType {
        /// The key it is under.
        key: ShownName,
        /// The type's number.
        found: u32,
    },
    /// Lists in lists in lists.
    Depth {
        /// The key they are under.
        key: ShownName,
        /// How deep they may be.
        most: usize,
    },
    /// A key is there twice.
    KeyTwice(ShownName),
    /// A tensor is there twice.
    TensorTwice(ShownName),
    /// The alignment is not a power of two within its bounds; `None` for what is no number.
    Alignment(Option<u64>),
    /// A tensor has no dimension or too many.
    Dimensions {
        /// The tensor.
        name: ShownName,
        /// How many.
        found: u32,
    },
    /// A dimension of the tensor is zero.
    Empty(ShownName),
    /// A tensor's form is not read.
    Kind {
        /// The tensor.
        name: ShownName,
        /// Its form.
        found: OtherKind,
    },
    /// A row of a tensor is no whole number of blocks.
    Row {
        /// The tensor.
        name: ShownName,
        /// Its form.
        kind: &'static str,
        /// A multiple of this is expected.
        expected: u64,
        /// Length of a row.
        found: u64,
    },
    /// The tensor is larger than any model.
    TensorTooLarge(ShownName),
    /// All tensors together are larger than any model.
    TooLarge,
    /// A tensor does not lie behind the one before it: it overlaps it, leaves a gap or is not aligned.
    Place {
        /// The tensor.
        name: ShownName,
        /// Where it must begin, from the begin of the data.
        expected: u64,
        /// Where the file says.
        found: u64,
    },
    /// The file does not end with its last tensor.
    Length {
        /// Where that ends.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
}

impl fmt::Display for GgufError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Magic => f.write_str("it does not begin with GGUF"),
            Self::BigEndian => f.write_str("its numbers are big endian"),
            Self::Version(found) => write!(f, "its version is {found} instead of 2 or 3"),
            Self::Cut { needed, length } => {
                write!(f, "its tables need {needed} bytes, it has {length}")
            }
            Self::TooMany { what, found, most } => {
                write!(f, "it has {found} {what}, at most {most} are taken")
            }
            Self::NameLength { what, found, most } => {
                write!(
                    f,
                    "among its {what} is one of {found} bytes instead of 1 to {most}"
                )
            }
            Self::NameText(what) => write!(f, "among its {what} is one that is not UTF-8"),
            Self::NotText(key) => write!(f, "the text under {key} is not UTF-8"),
            Self::NotBool { key, found } => {
                write!(f, "the truth value under {key} is {found} instead of 0 or 1")
            }
            Self::ValueType { key, found } => {
                write!(f, "the value under {key} has the type {found} instead of 0 to 12")
            }
            Self::Depth { key, most } => write!(f, "the lists under {key} are more than {most} deep"),
            Self::KeyTwice(key) => write!(f, "the key {key} is there twice"),
            Self::TensorTwice(name) => write!(f, "the tensor {name} is there twice"),
            Self::Alignment(Some(found)) => {
                write!(
                    f,
                    "general.alignment is {found} instead of a power of two from 8 to 65536"
                )
            }
            Self::Alignment(None) => f.write_str("general.alignment is not a number"),
            Self::Dimensions { name, found } => {
                write!(f, "the tensor {name} has {found} dimensions instead of 1 to 4")
            }
            Self::Empty(name) => write!(f, "the tensor {name} has a dimension of 0"),
            Self::Kind { name, found } => match found.name {
                Some(kind) => write!(f, "the tensor {name} is {kind}, which is not read"),
                None => write!(f, "the tensor {name} has the unknown type {}", found.number),
            },
            Self::Row {
                name,
                kind,
                expected,
                found,
            } => write!(
                f,
                "the tensor {name} is {kind} with rows of {found} instead of a multiple of {expected}"
            ),
            Self::TensorTooLarge(name) => write!(f, "the tensor {name} is larger than any model"),
            Self::TooLarge => f.write_str("its tensors are larger than any model"),
            Self::Place {
                name,
                expected,
                found,
            } => write!(f, "the tensor {name} begins at {found} instead of {expected}"),
            Self::Length { expected, found } => {
                write!(f, "its tensors end at {expected}, it has {found} bytes")
            }
        }
    }
}

impl std::error::Error for GgufError {}

impl GgufError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::BigEndian | Self::Version(_) => "convert the model anew: version 3, little endian",
            Self::Kind { .. } => {
                "choose a file of F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K or Q6_K"
            }
            _ => "compare the file's SHA-256 with the published one, and download it again",
        }
    }
}
