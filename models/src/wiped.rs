//! JSON trees of plaintext that are wiped.
//!
//! Why apart: schemas and tools are trees, and the tree's own type knows nothing of secrets.
//!
//! # Invariants
//! Texts and names are overwritten when the tree is dropped. No `Clone` or `Debug`.

use serde_json::Value;
use zeroize::Zeroize;

/// A tree whose texts are wiped when it is dropped.
pub(crate) struct WipedJson(pub(crate) Value);

impl Drop for WipedJson {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0));
    }
}

fn wipe(value: Value) {
    match value {
        Value::String(mut text) => text.zeroize(),
        Value::Array(items) => items.into_iter().for_each(wipe),
        Value::Object(members) => {
            for (mut name, value) in members {
                name.zeroize();
                wipe(value);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
