//! A door for `fuzz/`: the tables of a GGUF file.
//!
//! Why apart: compiled only under `cfg(anchorhold_fuzzing)`, which nothing but `fuzz/run` sets.
//!
//! # Invariants
//! Gives nothing back.

use super::{Gguf, Value};

/// Reads the tables and goes through all that they hold.
///
/// # Panics
/// When what was read does not fill the file as it must.
pub fn tables(bytes: &[u8]) {
    let Ok(gguf) = Gguf::parse(bytes, bytes.len() as u64) else {
        return;
    };
    for key in gguf.keys() {
        if let Some(Value::List(list)) = gguf.value(key) {
            assert_eq!(list.values().count() as u64, list.len());
        }
    }
    let mut end = 0;
    for tensor in gguf.tensors() {
        assert!(tensor.place.start >= end && tensor.place.end <= bytes.len() as u64);
        assert!(tensor.shape().all(|length| length > 0));
        end = tensor.place.end;
    }
}
