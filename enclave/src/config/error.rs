//! What is wrong with a configuration, in words that repeat nothing of it.
//!
//! Why apart: the file names paths, addresses and key hashes, and the reader of an event is the host.
//!
//! # Invariants
//! Keys are constants of this crate, never text of the file.

use std::fmt;

/// The first problem of a configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigError {
    /// Not UTF-8.
    NotText,
    /// Not TOML.
    Syntax {
        /// From 1.
        line: u32,
    },
    /// A key that does not exist, or exists elsewhere.
    UnknownKey {
        /// From 1.
        line: u32,
    },
    /// A value of another type.
    WrongType {
        /// The key, where it could be told.
        key: &'static str,
        /// From 1.
        line: u32,
    },
    /// A required key is absent.
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value outside what the key takes.
    BadValue {
        /// The key.
        key: &'static str,
        /// From 1.
        line: u32,
        /// What it takes.
        expected: &'static str,
    },
    /// Two keys that exclude each other.
    Conflict {
        /// The key that has to go.
        key: &'static str,
        /// The one it conflicts with.
        with: &'static str,
        /// From 1.
        line: u32,
    },
}

impl ConfigError {
    /// For scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotText => "config_not_text",
            Self::Syntax { .. } => "config_syntax",
            Self::UnknownKey { .. } => "config_unknown_key",
            Self::WrongType { .. } => "config_wrong_type",
            Self::Missing { .. } => "config_missing_key",
            Self::BadValue { .. } => "config_bad_value",
            Self::Conflict { .. } => "config_conflict",
        }
    }

    /// The key it is about; empty when there is none.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::WrongType { key, .. }
            | Self::Missing { key }
            | Self::BadValue { key, .. }
            | Self::Conflict { key, .. } => key,
            _ => "",
        }
    }

    /// The line, from 1; 0 when there is none.
    #[must_use]
    pub fn line(&self) -> u32 {
        match *self {
            Self::Syntax { line }
            | Self::UnknownKey { line }
            | Self::WrongType { line, .. }
            | Self::BadValue { line, .. }
            | Self::Conflict { line, .. } => line,
            Self::NotText | Self::Missing { .. } => 0,
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotText => "save the configuration as UTF-8",
            Self::Syntax { .. } => "check the quoting and the brackets of that line",
            Self::UnknownKey { .. } => "remove the key, or move it to its table",
            Self::WrongType { .. } => "text is quoted, numbers and true/false are not",
            Self::Missing { .. } => "add the key; it has no default",
            Self::BadValue { expected, .. } => expected,
            Self::Conflict { .. } => "remove one of the two",
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotText => f.write_str("the configuration is not UTF-8"),
            Self::Syntax { line } => write!(f, "line {line}: not TOML"),
            Self::UnknownKey { line } => write!(f, "line {line}: no such key in this table"),
            Self::WrongType { key: "", line } => write!(f, "line {line}: a value of the wrong type"),
            Self::WrongType { key, line } => write!(f, "line {line}: `{key}` has the wrong type"),
            Self::Missing { key } => write!(f, "`{key}` is missing"),
            Self::BadValue { key, line, expected } => write!(f, "line {line}: `{key}`: {expected}"),
            Self::Conflict { key, with, line } => {
                write!(f, "line {line}: `{key}` cannot stand beside `{with}`")
            }
        }
    }
}

impl std::error::Error for ConfigError {}
