//! A door for `fuzz/`: from a schema's text to masks.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back.

use std::sync::OnceLock;

use zeroize::Zeroizing;

use super::walk::{grammars, walk};
use super::{Format, Grammars, Output};

/// Tokens of an answer, at most.
const TOKENS: usize = 200;

/// Makes the grammar of the schema that stands before the first zero byte, and an answer by the bytes behind it.
///
/// # Panics
/// When the answer ends and is not JSON.
pub fn schema(bytes: &[u8]) {
    static GRAMMARS: OnceLock<Grammars> = OnceLock::new();
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let schema = parts.next().unwrap_or_default();
    let choices = parts.next().unwrap_or_default();
    let Ok(schema) = std::str::from_utf8(schema) else {
        return;
    };
    let output = Output::Json(Format::Schema(Zeroizing::new(schema.to_owned())));
    let choices = choices.get(..TOKENS).unwrap_or(choices);
    walk(GRAMMARS.get_or_init(grammars), output, choices);
}
