//! The files of an unsealed model while it is being loaded.
//!
//! Why apart: loading takes each file out and wipes it as soon as it is used up.
//!
//! # Invariants
//! Outside tests only an `UnsealedModel` becomes one, or files that a pinned manifest lists ([`crate::wording`]): nothing
//! unauthenticated is ever parsed.

use std::collections::BTreeMap;

use crate::unsealed::Plaintext;
#[cfg(feature = "inference")]
use crate::unsealed::UnsealedModel;

pub(crate) struct ModelFiles(BTreeMap<String, Plaintext>);

impl ModelFiles {
    #[cfg(feature = "inference")]
    pub(crate) fn new(model: UnsealedModel) -> Self {
        Self(model.into_files())
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

    /// For [`crate::wording`], which has compared each file with a manifest, and for tests.
    pub(crate) fn of_bytes(files: impl IntoIterator<Item = (String, Vec<u8>)>) -> Self {
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
