//! Names that mean the same on every system: of keys, models and files.
//!
//! Why apart: these texts come from files and peers and are shown to people, put into paths of requests and
//! compared. One strict grammar keeps control characters, look-alikes and `..` out of all of them.
//!
//! # Invariants
//! Parts of `A-Z a-z 0-9 . _ -` joined by `/`; no part is empty, `.` or `..`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::limits;

/// A text is not a portable name: see the module's grammar, and [`limits::NAME`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadName;

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a portable name")
    }
}

impl std::error::Error for BadName {}

impl BadName {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "use letters, digits, '.', '_' and '-', in parts joined by '/', at most 200 characters"
    }
}

/// True for names of the grammar with at most `longest` characters.
pub(crate) fn is_portable(text: &str, longest: usize) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= longest
        && text
            .split('/')
            .all(|part| !matches!(part, "" | "." | "..") && part.bytes().all(allowed))
}

/// A foreign text made fit for an error message: short, and only characters of the grammar.
pub(crate) fn shown(text: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    text.chars()
        .take(64)
        .map(|c| if allowed(c) { c } else { '?' })
        .collect()
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                is_portable(text, limits::NAME).then(|| Self(text.to_owned())).ok_or(BadName)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    };
}

name! {
    /// Which key opens a sealed file: the name under which a store keeps it. Public.
    KeyId
}
name! {
    /// What a sealed model is called, for people only: the model is its manifest's digest.
    ModelName
}

/// Whether a key and what it seals are meant for hardware or for trying things out.
///
/// Fixed when a key is made. It is part of a sealed header (hence of the derived keys) and of the context
/// under which a store wraps a key, so one class never opens the other's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Released only to evidence that hardware signed.
    Real,
    /// May be released to the `insecure-simulated` platform. Protects nothing.
    Insecure,
}

impl Class {
    /// The word in headers and contexts.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Real => "real",
            Self::Insecure => "insecure",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar() {
        for good in [
            "a",
            "A.b-c_9",
            "owner/model-1.0",
            "1_Pooling/config.json",
            "...",
            "default/key/demo",
        ] {
            assert!(good.parse::<KeyId>().is_ok(), "{good}");
        }
        let long = "a".repeat(limits::NAME + 1);
        for bad in [
            "", "/", "/a", "a/", "a//b", "..", "a/../b", ".", "./a", "a b", "a\\b", "é", "a\n", "a\0", &long,
        ] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad:?}");
            assert!(
                serde_json::from_value::<ModelName>(bad.into()).is_err(),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn foreign_texts_are_made_harmless_before_they_are_shown() {
        assert_eq!(shown("a\u{1b}[31mb\n\u{202e}c"), "a??31mb??c");
        assert_eq!(shown(&"x".repeat(1000)).len(), 64);
    }
}
