//! Canonical JSON (RFC 8785), for documents that are hashed or signed.
//!
//! Why apart: a document is hashed as received, so two texts with one meaning must not both be accepted.
//!
//! # Invariants
//! [`from_slice`] accepts bytes only if encoding the parsed value gives the same bytes. Numbers are integers
//! below 2^53 (the types see to that: no document has a float), where RFC 8785 and every JSON library agree.

use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes are not a canonical document of the wanted type. Carries nothing of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanonicalError {
    /// Not JSON, or not of this shape: a missing, unknown or ill-typed member.
    Shape,
    /// The right shape, but not the one canonical encoding of it.
    NotCanonical,
}

impl fmt::Display for CanonicalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shape => "not a document of the expected shape",
            Self::NotCanonical => "not in canonical form (RFC 8785)",
        })
    }
}

impl std::error::Error for CanonicalError {}

/// The canonical bytes of a document.
///
/// # Panics
/// When the value has a map with keys that are not strings: no document type has one.
#[must_use]
pub fn to_vec<T: Serialize>(document: &T) -> Vec<u8> {
    serde_json_canonicalizer::to_vec(document).expect("documents are JSON objects with string keys")
}

/// Parses `bytes`, then demands that they were canonical.
///
/// # Errors
/// [`CanonicalError`], without any part of the input.
pub fn from_slice<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Result<T, CanonicalError> {
    let document: T = serde_json::from_slice(bytes).map_err(|_| CanonicalError::Shape)?;
    if to_vec(&document) == bytes {
        Ok(document)
    } else {
        Err(CanonicalError::NotCanonical)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, serde::Deserialize, Debug, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Document {
        b: u64,
        a: String,
    }

    #[test]
    fn members_are_sorted_and_nothing_else_is_accepted() {
        let document = Document {
            b: 1,
            a: "é\n".to_owned(),
        };
        let bytes = to_vec(&document);
        assert_eq!(bytes, "{\"a\":\"é\\n\",\"b\":1}".as_bytes());
        assert_eq!(from_slice::<Document>(&bytes), Ok(document));
        for other in [
            "{\"b\":1,\"a\":\"é\\n\"}",
            "{ \"a\":\"é\\n\",\"b\":1}",
            "{\"a\":\"\\u00e9\\n\",\"b\":1}",
            "{\"a\":\"é\\n\",\"b\":1}\n",
        ] {
            assert_eq!(
                from_slice::<Document>(other.as_bytes()),
                Err(CanonicalError::NotCanonical)
            );
        }
        for other in [
            "",
            "{}",
            "{\"a\":\"\",\"b\":1,\"c\":2}",
            "{\"a\":\"\",\"a\":\"\",\"b\":1}",
            "{\"a\":\"\",\"b\":1.5}",
        ] {
            assert_eq!(
                from_slice::<Document>(other.as_bytes()),
                Err(CanonicalError::Shape)
            );
        }
    }
}
