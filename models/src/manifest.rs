//! Which files make up a model, and what is in them.
//!
//! Why apart: the digest of this document is what evidence, policies and receipts call *the model*. Anyone
//! computes it from public files, without a key and without trusting whoever sealed them.
//!
//! - [`folder`]: a Hugging Face folder becomes a manifest
//!
//! # Invariants
//! Files are sorted by name (byte order) and no name comes twice. Names are data, never paths: nothing in
//! this crate opens a file by a name out of a manifest that was read. One model has one manifest: only the
//! canonical JSON (RFC 8785) is accepted.

use std::fmt;
use std::io;

use serde::{Deserialize, Serialize};

use anchorhold_encoding::{Digest, canonical, sha256};

use crate::gguf::error::GgufError;
use crate::limits;
use crate::name::{is_portable, shown};

pub mod folder;
mod weights;

pub use folder::Folder;

const VERSION: &str = "anchorhold manifest v1";

/// The files of a model. Public.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Manifest {
    files: Vec<ManifestFile>,
    version: &'static str,
}

/// One file of a model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// Where it lies in the model's folder, `/` between parts.
    pub name: String,
    /// SHA-256 of the whole file: the digest that public hubs show. Informative: unsealing checks `tree`.
    pub sha256: Digest<32>,
    /// Bytes.
    pub size: u64,
    /// RFC 9162 root over the file's pieces of 1 MiB; of an empty file, the root of no leaf.
    pub tree: Digest<32>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    files: Vec<ManifestFile>,
    version: String,
}

impl Manifest {
    /// Orders the files and checks what [`Self::from_slice`] checks.
    ///
    /// # Errors
    /// [`ManifestError`], see its variants.
    pub fn new(mut files: Vec<ManifestFile>) -> Result<Self, ManifestError> {
        files.sort_by(|one, other| one.name.cmp(&other.name));
        Self::checked(files)
    }

    /// Reads the canonical JSON.
    ///
    /// # Errors
    /// [`ManifestError::Document`] for other bytes, and as [`Self::new`].
    pub fn from_slice(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > limits::MANIFEST {
            return Err(ManifestError::Document);
        }
        let document: Document = canonical::from_slice(bytes).map_err(|_| ManifestError::Document)?;
        if document.version != VERSION {
            return Err(ManifestError::Document);
        }
        Self::checked(document.files)
    }

    fn checked(files: Vec<ManifestFile>) -> Result<Self, ManifestError> {
        if files.is_empty() {
            return Err(ManifestError::NoWeights);
        }
        if files.len() > limits::FILES {
            return Err(ManifestError::TooManyFiles);
        }
        let mut total = 0u64;
        for (index, file) in files.iter().enumerate() {
            if Kind::of(&file.name).is_none() {
                return Err(ManifestError::Name {
                    name: shown(&file.name),
                });
            }
            if index > 0 && files[index - 1].name >= file.name {
                return Err(ManifestError::Order);
            }
            total = total
                .checked_add(file.size)
                .filter(|total| *total <= limits::PLAINTEXT)
                .ok_or(ManifestError::TooLarge)?;
        }
        Ok(Self {
            files,
            version: VERSION,
        })
    }

    /// The canonical JSON.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }

    /// SHA-256 of the canonical JSON: `manifest_sha256` everywhere.
    #[must_use]
    pub fn digest(&self) -> Digest<32> {
        sha256(&[&self.to_vec()])
    }

    /// The files, by name.
    #[must_use]
    pub fn files(&self) -> &[ManifestFile] {
        &self.files
    }

    /// Bytes of all files together.
    #[must_use]
    pub fn total_size(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// What a file of a model is, told from its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Safetensors,
    Gguf,
    /// Configuration, tokenizer, chat template.
    Text,
}

impl Kind {
    /// `None` for everything that is not part of a model, or not named portably.
    pub(crate) fn of(name: &str) -> Option<Self> {
        if !is_portable(name, limits::FILE_NAME) || name.starts_with('.') {
            return None;
        }
        // The one file that sentence-transformers keeps in a folder of its own.
        if name == "1_Pooling/config.json" {
            return Some(Self::Text);
        }
        if name.contains('/') {
            return None;
        }
        if name == "merges.txt" || name == "vocab.txt" {
            return Some(Self::Text);
        }
        match name.rsplit_once('.')?.1 {
            "safetensors" => Some(Self::Safetensors),
            "gguf" => Some(Self::Gguf),
            "json" | "jinja" => Some(Self::Text),
            _ => None,
        }
    }
}

/// Why a folder or a document is not a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ManifestError {
    /// Not the canonical JSON of a manifest of version 1.
    Document,
    /// A file's name is not portable, or not one that a model's file has.
    Name {
        /// The name, with foreign characters replaced.
        name: String,
    },
    /// The files are not in order, or one is named twice.
    Order,
    /// More files than [`limits::FILES`].
    TooManyFiles,
    /// All files together are larger than [`limits::PLAINTEXT`].
    TooLarge,
    /// The path is not a folder.
    NotAFolder,
    /// No safetensors or GGUF file.
    NoWeights,
    /// safetensors without a `config.json`.
    NoConfig,
    /// The weights are in a format that runs code when loaded.
    Pickle {
        /// The file.
        name: String,
    },
    /// A weight file does not begin as its format does.
    NotWeights {
        /// The file.
        name: String,
    },
    /// A weight file is not as long as its own header says: cut short, or still being written.
    Incomplete {
        /// The file.
        name: String,
    },
    /// A GGUF file's tables are not sound, or hold what is not read.
    Gguf {
        /// The file.
        name: String,
        /// What is wrong with it.
        problem: GgufError,
    },
    /// A pipe, a device or a folder under the name of a model's file.
    NotAFile {
        /// The file.
        name: String,
    },
    /// A file or the folder cannot be read.
    Io {
        /// The file; `.` for the folder.
        name: String,
        /// What the system said.
        kind: io::ErrorKind,
    },
}

impl ManifestError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Document => "make the manifest anew from the model's folder",
            Self::Name { .. } => "rename it with letters, digits, '.', '_' and '-' (at most 128 characters)",
            Self::Order => "make the manifest anew: files are sorted by name, each once",
            Self::TooManyFiles => "a model has at most 512 files: remove what does not belong to it",
            Self::TooLarge => "a model has at most 16 TiB",
            Self::NotAFolder => "give the folder that holds config.json and the weights",
            Self::NoWeights => "the folder needs *.safetensors or *.gguf files",
            Self::NoConfig => "download the model's config.json too",
            Self::Pickle { .. } => "convert the weights to safetensors: loading pickle runs code",
            Self::NotWeights { .. } => "download the file again: it is not what its name says",
            Self::Incomplete { .. } => "wait until the file is whole, or download it again",
            Self::Gguf { problem, .. } => problem.hint(),
            Self::NotAFile { .. } => "only regular files, and links to them, can be sealed",
            Self::Io { .. } => "check that the file is there and readable",
        }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Document => f.write_str("not a manifest of version 1"),
            Self::Name { name } => write!(f, "{name} is not the name of a model's file"),
            Self::Order => f.write_str("the manifest's files are not sorted and unique"),
            Self::TooManyFiles => write!(f, "the model has more than {} files", limits::FILES),
            Self::TooLarge => f.write_str("the model is larger than 16 TiB"),
            Self::NotAFolder => f.write_str("the model is not a folder"),
            Self::NoWeights => f.write_str("there are no weights"),
            Self::NoConfig => f.write_str("there is no config.json"),
            Self::Pickle { name } => write!(f, "{name} is pickle, which is refused"),
            Self::NotWeights { name } => write!(f, "{name} does not begin as its format does"),
            Self::Incomplete { name } => write!(f, "{name} is shorter or longer than its header says"),
            Self::Gguf { name, problem } => write!(f, "{name} is not a GGUF file that is read: {problem}"),
            Self::NotAFile { name } => write!(f, "{name} is not a regular file"),
            Self::Io { name, kind } if name == "." => write!(f, "cannot read the model's folder: {kind}"),
            Self::Io { name, kind } => write!(f, "cannot read {name}: {kind}"),
        }
    }
}

impl std::error::Error for ManifestError {}

#[cfg(test)]
pub(crate) mod tests;
