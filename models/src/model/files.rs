//! The files of an unsealed model while it is being loaded.
//!
//! Why apart: loading takes each file out and wipes it as soon as it is used up.
//!
//! # Invariants
//! Outside tests only an [`UnsealedModel`] becomes one, so nothing unauthenticated is ever parsed.

use std::collections::BTreeMap;

use crate::unsealed::{Plaintext, UnsealedModel};

pub(crate) struct ModelFiles(BTreeMap<String, Plaintext>);

impl ModelFiles {
    pub(crate) fn new(mut model: UnsealedModel) -> Self {
        let names: Vec<String> = model.names().map(str::to_owned).collect();
        Self(
            names
                .into_iter()
                .filter_map(|name| model.take(&name).map(|bytes| (name, bytes)))
                .collect(),
        )
    }

    /// Moves a file out; dropping it wipes it.
    pub(crate) fn take(&mut self, name: &str) -> Option<Plaintext> {
        self.0.remove(name)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    #[cfg(test)]
    pub(crate) fn for_tests(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
        let plaintext = |bytes: Vec<u8>| {
            let mut plaintext = Plaintext::zeroed(bytes.len());
            plaintext.part_mut(0, bytes.len()).copy_from_slice(&bytes);
            plaintext
        };
        Self(
            files
                .into_iter()
                .map(|(name, bytes)| (name, plaintext(bytes)))
                .collect(),
        )
    }
}
