//! JSON of any shape from outside, with a bound on how many values it holds.
//!
//! Why apart: a member that may be anything is kept as a tree, in which a value takes up to three hundred times the
//! bytes that it had as text. A limit on bytes alone would let a megabyte of brackets take a sixth of a gigabyte.
//!
//! # Invariants
//! Values are counted before anything is allocated for them.

use std::fmt;

use serde::de::DeserializeOwned;

/// Why bytes were not read. Carries nothing of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BoundedError {
    /// More values than are taken.
    TooMany,
    /// Not JSON, or not of this shape.
    Shape,
}

impl fmt::Display for BoundedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooMany => "more values than are taken",
            Self::Shape => "not a document of the expected shape",
        })
    }
}

impl std::error::Error for BoundedError {}

/// Parses `bytes`, which may hold at most `most` values: the document itself, members and elements.
///
/// # Errors
/// [`BoundedError`], without any part of the input.
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8], most: usize) -> Result<T, BoundedError> {
    if values(bytes) > most {
        return Err(BoundedError::TooMany);
    }
    serde_json::from_slice(bytes).map_err(|_| BoundedError::Shape)
}

/// How many values a text holds, or more: one, and one for each bracket that opens (RFC 8259, section 2: whatever is in
/// it begins there) and for each comma outside of strings.
fn values(bytes: &[u8]) -> usize {
    let (mut inside, mut escaped, mut count) = (false, false, 1);
    for byte in bytes {
        match (inside, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => inside = !inside,
            (false, b'[' | b'{' | b',') => count += 1,
            _ => {}
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn read(text: &str, most: usize) -> Result<Value, BoundedError> {
        from_slice(text.as_bytes(), most)
    }

    #[test]
    fn values_are_counted_and_texts_are_not_looked_into() {
        for (text, count) in [
            ("0", 1),
            ("[]", 2),
            ("[0]", 2),
            ("[0,1]", 3),
            (r#"{"a":[],"b":{}}"#, 5),
            (r#""[[[,,,{{{""#, 1),
            (r#"{"a\"[[[":"\\","b":0}"#, 3),
            (r#""\\\\\"[""#, 1),
        ] {
            assert!(read(text, count).is_ok(), "{text}");
            assert_eq!(read(text, count - 1), Err(BoundedError::TooMany), "{text}");
        }
        assert_eq!(read("[", 9), Err(BoundedError::Shape));
        assert_eq!(read("\"", 9), Err(BoundedError::Shape));
    }

    #[test]
    fn a_megabyte_of_brackets_is_refused_unread() {
        let nest = format!(
            "[{}0]",
            format!("{}{},", "[".repeat(100), "]".repeat(100)).repeat(5000)
        );
        assert_eq!(read(&nest, 16_384), Err(BoundedError::TooMany));
    }
}
