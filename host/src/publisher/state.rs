//! What a log's or a witness's key has signed last: its memory, beside its file.
//!
//! Why apart: a signature cannot be taken back, so what was signed is remembered before it is signed.
//!
//! # Invariants
//! Durable before any signature under it exists. A size never decreases, and one size has one root. Damaged is an
//! error, never a new beginning.

use std::collections::BTreeMap;
use std::path::Path;

use anchorhold_attestation::published::KeyName;
use anchorhold_encoding::{Digest, canonical};
use serde::{Deserialize, Serialize};

use super::error::PublisherError;
use crate::limits::SIGNED_STATE_BYTES;
use crate::state_file::StateFile;

/// The file's version, the only one there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum StateVersion {
    /// `anchorhold signed checkpoints v1`
    #[default]
    #[serde(rename = "anchorhold signed checkpoints v1")]
    V1,
}

/// A tree that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// Root of the tree.
    pub root: Digest<32>,
    /// Entries in it.
    pub size: u64,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    logs: BTreeMap<KeyName, Signed>,
    version: StateVersion,
}

/// A key's memory, locked until this is dropped.
pub struct SignedState {
    file: StateFile,
    content: Content,
}

const STATE: &str = "the key's state";

impl SignedState {
    /// Opens the memory beside a key; an absent one remembers nothing.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn open(path: &Path) -> Result<Self, PublisherError> {
        let file = StateFile::lock(path).map_err(PublisherError::io(STATE))?;
        let bytes = file.read(SIGNED_STATE_BYTES).map_err(PublisherError::io(STATE))?;
        let content = match bytes {
            None => Content::default(),
            Some(bytes) => {
                canonical::from_slice(&bytes).map_err(|_| PublisherError::Damaged("the key's state file"))?
            }
        };
        Ok(Self { file, content })
    }

    /// What was signed last of a log.
    #[must_use]
    pub fn last(&self, origin: &KeyName) -> Option<Signed> {
        self.content.logs.get(origin).copied()
    }

    /// Remembers, durably, what is about to be signed: possession says that it may be.
    ///
    /// # Errors
    /// [`PublisherError::Fork`] when it contradicts what was signed before by its size alone; what the file system
    /// says. That the tree begins with the one signed before is for the caller to have checked.
    pub fn remember(&mut self, origin: &KeyName, next: Signed) -> Result<Remembered, PublisherError> {
        if let Some(last) = self.last(origin) {
            if next.size < last.size || (next.size == last.size && next != last) {
                return Err(PublisherError::Fork);
            }
            if next == last {
                return Ok(Remembered(next));
            }
        }
        let mut logs = self.content.logs.clone();
        logs.insert(origin.clone(), next);
        let content = Content {
            logs,
            version: StateVersion::V1,
        };
        self.file
            .replace(&canonical::to_vec(&content))
            .map_err(PublisherError::io(STATE))?;
        self.content = content;
        Ok(Remembered(next))
    }
}

/// A tree that is remembered, durably: it may be signed.
#[must_use]
pub struct Remembered(Signed);

impl Remembered {
    /// The tree.
    pub(super) const fn tree(&self) -> &Signed {
        &self.0
    }
}
