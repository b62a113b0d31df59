//! Why a policy file cannot be used.
//!
//! Why apart: its author reads these, and nothing else of the parser.
//!
//! # Invariants
//! A key or a line, never the text.

use std::fmt;

use crate::limits;

/// A policy file cannot be used. Its author is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyError {
    /// Larger than [`limits::POLICY`] bytes.
    TooLarge,
    /// Not UTF-8.
    NotText,
    /// Not TOML.
    Syntax {
        /// Counted from 1.
        line: usize,
    },
    /// A key that does not exist, a value of another type, or a digest that is not one.
    KeyOrValue {
        /// Counted from 1.
        line: usize,
    },
    /// A key without a default is not there.
    Missing(&'static str),
    /// A list without an entry: nothing could satisfy it.
    Empty(&'static str),
    /// A list longer than [`limits::POLICY_ENTRIES`], or a name longer than [`limits::REFERENCE_NAME`].
    TooLong(&'static str),
    /// A number outside its range.
    Range(&'static str),
    /// A key of a reference value that its platform does not have.
    NotOfPlatform(&'static str),
    /// Not exactly one of `chips` and `any_chip_of`.
    OneOfChips,
}

impl PolicyError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge | Self::TooLong(_) => "a policy has a few entries; is this the right file?",
            Self::NotText | Self::Syntax { .. } => "a policy is a TOML file; see docs/policy.md",
            Self::KeyOrValue { .. } => {
                "docs/policy.md lists every key and its type; digests are lower-case hexadecimal"
            }
            Self::Missing(_) | Self::Empty(_) => {
                "this has no default, since any default would accept what you did not choose"
            }
            Self::Range(_) => "docs/policy.md gives the range",
            Self::NotOfPlatform(_) => {
                "docs/policy.md says which keys a reference value has on which platform"
            }
            Self::OneOfChips => "name chips = [...] by number, or any_chip_of = [...] by product",
        }
    }
}

impl fmt::Display for PolicyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "the policy is larger than {} bytes", limits::POLICY),
            Self::NotText => f.write_str("the policy is not UTF-8"),
            Self::Syntax { line } => write!(f, "line {line} of the policy is not TOML"),
            Self::KeyOrValue { line } => {
                write!(
                    f,
                    "line {line} of the policy: an unknown key or a value it cannot have"
                )
            }
            Self::Missing(key) => write!(f, "the policy does not set {key}"),
            Self::Empty(key) => write!(f, "{key} in the policy is empty"),
            Self::TooLong(key) => write!(f, "{key} in the policy is too long"),
            Self::Range(key) => write!(f, "{key} in the policy is out of range"),
            Self::NotOfPlatform(key) => {
                write!(f, "a reference value has {key}, which its platform does not have")
            }
            Self::OneOfChips => f.write_str("the policy must set exactly one of chips and any_chip_of"),
        }
    }
}

impl std::error::Error for PolicyError {}
