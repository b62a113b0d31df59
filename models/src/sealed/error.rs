//! Why a model could not be sealed, and why a sealed file was refused.
//!
//! Why apart: both stages are read by people, and both must say what is wrong without saying what is inside.
//!
//! # Invariants
//! No text of a sealed file, of a dependency or of the system passes through: only constants, numbers, and
//! names of the grammar in [`name`](crate::name).

use std::fmt;
use std::io::ErrorKind;

use crate::manifest::ManifestError;

/// Why a folder could not be sealed. Nothing lies under the final name then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SealError {
    /// The folder is not a model that can be sealed.
    Model(ManifestError),
    /// Something already has the name of the sealed file; it is left alone.
    Exists,
    /// The name of the sealed file is not one that a file can have.
    OutputName,
    /// A file is not any more what it was when the manifest was made.
    Changed {
        /// The file.
        name: String,
    },
    /// The sealed file cannot be written.
    Write(ErrorKind),
}

impl SealError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Model(error) => error.hint(),
            Self::Exists => "choose another name, or remove the old file first",
            Self::OutputName => "give the path of a file, in a folder that exists",
            Self::Changed { .. } => "wait until nothing writes to the model's folder, then seal again",
            Self::Write(ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge) => {
                "make room: the sealed file is about as large as the model"
            }
            Self::Write(_) => "check that the folder of the sealed file exists and can be written",
        }
    }
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Model(error) => error.fmt(f),
            Self::Exists => f.write_str("the sealed file already exists"),
            Self::OutputName => f.write_str("the sealed file's path names no file"),
            Self::Changed { name } => write!(f, "{name} changed while it was being sealed"),
            Self::Write(kind) => write!(f, "cannot write the sealed file: {kind}"),
        }
    }
}

impl std::error::Error for SealError {}

impl From<ManifestError> for SealError {
    fn from(error: ManifestError) -> Self {
        Self::Model(error)
    }
}

/// A member of a sealed header that was not what was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// `key_id`
    KeyId,
    /// `class`
    Class,
    /// `manifest_sha256`
    ManifestSha256,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyId => "key_id",
            Self::Class => "class",
            Self::ManifestSha256 => "manifest_sha256",
        })
    }
}

/// Why a sealed file was refused. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnsealError {
    /// The file does not begin as a sealed model does.
    NotSealed,
    /// A sealed model of a version that this program does not know.
    UnsupportedVersion,
    /// The header is not the canonical JSON of version 1.
    Header,
    /// The header is not of the model that the configuration pins.
    HeaderMismatch {
        /// What differs first.
        field: Field,
    },
    /// More plaintext than the format or the configuration allows.
    TooLarge,
    /// The file ends too early.
    Truncated,
    /// The file goes on after its last chunk.
    TrailingBytes,
    /// The key's commitment is not the file's: another key, or an altered header.
    WrongKey,
    /// A chunk is not authentic: altered, moved, or from another file.
    Corrupt {
        /// Counted from 0.
        chunk: u64,
    },
    /// The manifest inside is not the pinned one.
    ManifestMismatch,
    /// The pinned manifest is not one this program accepts.
    Manifest(ManifestError),
    /// The lengths inside do not add up to the header's.
    Layout,
    /// A file's tree is not the one in its manifest: a key holder sealed other bytes under this name.
    FileDigest {
        /// The file.
        name: String,
    },
    /// The file cannot be read.
    Io(ErrorKind),
}

impl UnsealError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotSealed => "seal the model's folder first: `anchorhold owner seal`",
            Self::UnsupportedVersion => "use the release of this program that sealed it, or a newer one",
            Self::Header => "seal the model again: the file is damaged or was made by another program",
            Self::HeaderMismatch { .. } => {
                "this is another model, or an older one: check the path and what is pinned"
            }
            Self::TooLarge => "raise the configured limit, or choose a smaller model",
            Self::Truncated => "copy or download the file again: a part is missing",
            Self::TrailingBytes => "copy or download the file again: something was added to it",
            Self::WrongKey => {
                "use the key that the file names, or copy the file again: its header may be altered"
            }
            Self::Corrupt { .. } => "copy or download the file again: it was altered",
            Self::ManifestMismatch => "this is another model than the one that is pinned",
            Self::Manifest(_) | Self::Layout | Self::FileDigest { .. } => {
                "do not use this file: who sealed it did not follow the format"
            }
            Self::Io(_) => "check that the file is there and readable",
        }
    }
}

impl fmt::Display for UnsealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSealed => f.write_str("not a sealed model"),
            Self::UnsupportedVersion => f.write_str("a sealed model of an unknown version"),
            Self::Header => f.write_str("the sealed model's header is malformed"),
            Self::HeaderMismatch { field } => write!(f, "the sealed model's {field} is not the expected one"),
            Self::TooLarge => f.write_str("the sealed model is larger than allowed"),
            Self::Truncated => f.write_str("the sealed model is cut short"),
            Self::TrailingBytes => f.write_str("the sealed model has bytes after its end"),
            Self::WrongKey => f.write_str("the key does not belong to this sealed model"),
            Self::Corrupt { chunk } => write!(f, "chunk {chunk} of the sealed model is not authentic"),
            Self::ManifestMismatch => f.write_str("the sealed manifest is not the pinned one"),
            Self::Manifest(error) => write!(f, "the sealed manifest is refused: {error}"),
            Self::Layout => f.write_str("the sealed model's lengths contradict each other"),
            Self::FileDigest { name } => {
                write!(f, "{name} in the sealed model is not what its manifest says")
            }
            Self::Io(kind) => write!(f, "cannot read the sealed model: {kind}"),
        }
    }
}

impl std::error::Error for UnsealError {}
