//! A log as a folder of static files (C2SP tlog-tiles): what any web server can serve.
//!
//! Why apart: the folder is public and may be copied, mirrored and lost; what keeps a log honest is its key's memory
//! ([`super::state`]) and its witnesses.
//!
//! - [`tree`](mod@tree): entries and tiles, read and written
//!
//! Appending is: write entries and tiles; remember size and root beside the key; sign; put the checkpoint in place.
//! After a crash between the second and the last step the files of the remembered size are there, and the next
//! append signs that size again, which is the same tree.
//!
//! # Invariants
//! Nothing is signed that does not begin with everything signed before. Every entry is read and hashed again before
//! each signature: tiles and checkpoint are results, never inputs. A statement's serial is above all others of its
//! line. One process writes at a time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anchorhold_attestation::Timestamp;
use anchorhold_attestation::limits::{CONSISTENCY_PROOFS, LOG_PROOF};
use anchorhold_attestation::published::bundle::Consistency;
use anchorhold_attestation::published::proof::proof_text;
use anchorhold_attestation::published::{
    Bundle, Checkpoint, Line, LogKey, LoggedCheckpoint, SignedStatement, WitnessKey,
};
use anchorhold_encoding::tree as hash_tree;

use self::tree::Tree;
use super::error::PublisherError;
use super::key::SigningKey;
use super::state::{Remembered, Signed, SignedState};
use crate::limits::LOG_ENTRIES;
use crate::state_file::{self, sync_folder_of};

pub mod tree;

const CHECKPOINT: &str = "checkpoint";
const THE_CHECKPOINT: &str = "the log's checkpoint";
/// Mode of what a log serves.
const PUBLIC: u32 = 0o644;

/// A log's folder, locked until this is dropped.
pub struct LogFolder {
    folder: PathBuf,
    _lock: File,
}

/// What appending did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// The checkpoint that is in place now.
    pub checkpoint: Checkpoint,
    /// The place of each given entry, from 0.
    pub places: Vec<u64>,
}

impl LogFolder {
    /// Opens a folder, which must exist.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: &Path) -> Result<Self, PublisherError> {
        let io = PublisherError::io("the log's folder");
        let lock = File::open(folder).map_err(&io)?;
        lock.lock().map_err(&io)?;
        Ok(Self {
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// Opens a folder, made when it is not there.
    ///
    /// # Errors
    /// What the file system says.
    pub fn create(folder: &Path) -> Result<Self, PublisherError> {
        let io = PublisherError::io("the log's folder");
        fs::create_dir_all(folder).map_err(&io)?;
        sync_folder_of(folder).map_err(&io)?;
        Self::open(folder)
    }

    /// The signed checkpoint as it is, if the log has one and this key signed it.
    fn checkpoint(&self, log: &LogKey) -> Result<Option<LoggedCheckpoint>, PublisherError> {
        let path = self.folder.join(CHECKPOINT);
        let bytes = match state_file::read(&path, LOG_PROOF) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(PublisherError::io(THE_CHECKPOINT))?,
        };
        let note = String::from_utf8(bytes).map_err(|_| PublisherError::Damaged("checkpoint"))?;
        Ok(Some(LoggedCheckpoint::verify(&note, log)?))
    }

    /// Reads the log and checks every file of it against the checkpoint.
    ///
    /// # Errors
    /// [`PublisherError::NoLog`], [`PublisherError::Damaged`]; a checkpoint that this log did not sign.
    pub fn read(&self, log: &LogKey) -> Result<(LoggedCheckpoint, Tree), PublisherError> {
        let logged = self.checkpoint(log)?.ok_or(PublisherError::NoLog)?;
        let tree = Tree::read(&self.folder, logged.checkpoint().size)?;
        if tree.root() != logged.checkpoint().root {
            return Err(PublisherError::Damaged(
                "its entries do not give the checkpoint's root",
            ));
        }
        tree.check_tiles(&self.folder)?;
        Ok((logged, tree))
    }

    fn publish(&self, note: &str) -> Result<(), PublisherError> {
        state_file::replace(&self.folder.join(CHECKPOINT), note.as_bytes(), PUBLIC)
            .map_err(PublisherError::io(THE_CHECKPOINT))
    }

    /// Signs a remembered tree and puts the checkpoint in place.
    fn sign(&self, key: &SigningKey, log: &LogKey, tree: &Remembered) -> Result<Checkpoint, PublisherError> {
        let checkpoint = Checkpoint {
            origin: log.name().clone(),
            size: tree.tree().size,
            root: tree.tree().root,
        };
        let text = checkpoint.text();
        let line = log.line(key.sign(text.as_bytes()).as_bytes());
        self.publish(&format!("{text}\n{line}"))?;
        Ok(checkpoint)
    }

    /// What the key signed last, with its tree, the checkpoint in place.
    fn resume(
        &self,
        key: &SigningKey,
        log: &LogKey,
        state: &mut SignedState,
    ) -> Result<Tree, PublisherError> {
        let found = self.checkpoint(log)?;
        let at = found.map(|logged| logged.checkpoint().clone());
        let Some(last) = state.last(log.name()) else {
            return if at.is_some() {
                Err(PublisherError::Forgotten)
            } else {
                Ok(Tree::default())
            };
        };
        let size = at.as_ref().map_or(0, |checkpoint| checkpoint.size);
        if size > last.size {
            return Err(PublisherError::Behind);
        }
        // Entries up to what was signed are there, or this is another folder.
        let tree = Tree::read(&self.folder, last.size).map_err(|error| match error {
            PublisherError::Damaged(_) if size < last.size => PublisherError::Fork,
            error => error,
        })?;
        if tree.root() != last.root {
            return Err(PublisherError::Fork);
        }
        if at.is_some_and(|checkpoint| tree.root_at(checkpoint.size) != Some(checkpoint.root)) {
            return Err(PublisherError::Fork);
        }
        if size < last.size {
            tree.write(&self.folder, size)?;
            let remembered = state.remember(log.name(), last)?;
            self.sign(key, log, &remembered)?;
        } else {
            tree.check_tiles(&self.folder)?;
        }
        Ok(tree)
    }

    /// Appends signed statements that are not there yet, and signs the tree.
    ///
    /// # Errors
    /// Before anything is signed: an entry that does not hold, a serial that is not above the last of its line, a
    /// history that is not the one signed before, no room.
    pub fn append(
        &self,
        key: &SigningKey,
        log: &LogKey,
        state: &mut SignedState,
        entries: &[SignedStatement],
    ) -> Result<Appended, PublisherError> {
        let mut tree = self.resume(key, log, state)?;
        let before = tree.size();
        let mut places = Vec::with_capacity(entries.len());
        for entry in entries {
            let place = match tree.place(&entry.leaf()) {
                Some(place) => place,
                None => {
                    let statement = entry.statement();
                    let last = tree.newest(&statement.line)?;
                    if last.is_some_and(|(_, last)| last.statement().serial >= statement.serial) {
                        return Err(PublisherError::SerialInLog);
                    }
                    if tree.size() >= LOG_ENTRIES {
                        return Err(PublisherError::Full);
                    }
                    tree.push(entry.encode())
                }
            };
            places.push(place);
        }
        let next = Signed {
            root: tree.root(),
            size: tree.size(),
        };
        let checkpoint = if next.size == before {
            Checkpoint {
                origin: log.name().clone(),
                size: next.size,
                root: next.root,
            }
        } else {
            tree.write(&self.folder, before)?;
            self.sign(key, log, &state.remember(log.name(), next)?)?
        };
        Ok(Appended { checkpoint, places })
    }

    /// A witness's cosignature line of the checkpoint, after the whole log was read, hashed and compared with what
    /// the witness signed before.
    ///
    /// # Errors
    /// [`PublisherError::Fork`] when the log does not begin with what the witness signed before, so also when it is
    /// smaller.
    pub fn cosign(
        &self,
        log: &LogKey,
        key: &SigningKey,
        witness: &WitnessKey,
        state: &mut SignedState,
        now: Timestamp,
    ) -> Result<(Checkpoint, String), PublisherError> {
        let (logged, tree) = self.read(log)?;
        let checkpoint = logged.checkpoint();
        let last = state.last(log.name());
        if last.is_some_and(|last| tree.root_at(last.size) != Some(last.root)) {
            return Err(PublisherError::Fork);
        }
        let next = Signed {
            root: checkpoint.root,
            size: checkpoint.size,
        };
        let _remembered = state.remember(log.name(), next)?;
        let signature = key.sign(&checkpoint.cosigned(now));
        let bytes = [now.unix().to_be_bytes().as_slice(), signature.as_bytes()].concat();
        Ok((checkpoint.clone(), witness.line(&bytes)))
    }

    /// Puts a cosignature under the checkpoint, in the place of an earlier one of the same witness.
    ///
    /// # Errors
    /// [`PublisherError::NotACosignature`] when it is not one of this checkpoint by this witness.
    pub fn attach(
        &self,
        log: &LogKey,
        witness: &WitnessKey,
        line: &str,
        now: Timestamp,
    ) -> Result<Checkpoint, PublisherError> {
        let logged = self.checkpoint(log)?.ok_or(PublisherError::NoLog)?;
        let note = logged
            .with_cosignature(line, witness, now)
            .map_err(|_| PublisherError::NotACosignature)?;
        self.publish(&note)?;
        Ok(logged.checkpoint().clone())
    }

    /// The offline bundle of the newest statement of a line, with proofs of growth from the sizes given, and from as
    /// many of the latest sizes as there is room for.
    ///
    /// # Errors
    /// [`PublisherError::NoSuchLine`], [`PublisherError::NoSuchSize`], and those of [`LogFolder::read`].
    pub fn bundle(&self, log: &LogKey, line: &Line, since: &[u64]) -> Result<Bundle, PublisherError> {
        let (logged, tree) = self.read(log)?;
        let (index, signed) = tree.newest(line)?.ok_or(PublisherError::NoSuchLine)?;
        let mut sizes: std::collections::BTreeSet<u64> = since.iter().copied().collect();
        if sizes.iter().any(|size| *size == 0 || *size >= tree.size()) || sizes.len() > CONSISTENCY_PROOFS {
            return Err(PublisherError::NoSuchSize);
        }
        for size in (1..tree.size()).rev() {
            if sizes.len() >= CONSISTENCY_PROOFS {
                break;
            }
            sizes.insert(size);
        }
        let leaves = tree.leaves();
        let consistency = sizes.into_iter().filter_map(|size| {
            let at = usize::try_from(size).ok()?;
            Some(Consistency {
                path: hash_tree::consistency_path(leaves, at)?,
                root: tree.root_at(size)?,
                size,
            })
        });
        let at = usize::try_from(index).map_err(|_| PublisherError::Full)?;
        let path = hash_tree::inclusion_path(leaves, at).ok_or(PublisherError::NoSuchLine)?;
        let proof = proof_text(index, &path, &logged.note());
        Ok(Bundle::new(&signed, proof, consistency.collect()))
    }
}

#[cfg(test)]
mod tests;
