//! What a sealed file says about itself: `magic | version | header length | header`.
//!
//! Why apart: it is all that anyone without a key can read, and everything derived depends on its bytes.
//!
//! # Invariants
//! Only canonical JSON of exactly these members is accepted, within [`limits::HEADER`]. Nothing in it selects
//! what a program believes: it is compared with what was expected.

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use anchorhold_encoding::{Digest, canonical, sha512};

use crate::limits;
use crate::name::{Class, KeyId, ModelName};
use crate::sealed::error::UnsealError;

/// The first eight bytes of every sealed file.
pub const MAGIC: [u8; 8] = *b"ANCHSEAL";
/// The version that this crate reads and writes.
pub const VERSION: u32 = 1;

/// The readable part of a sealed file. Public; not authentic until the file was unsealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub(crate) chunk_size: u64,
    pub(crate) class: Class,
    pub(crate) key_id: KeyId,
    /// Absent together with `name` when sealed with a private name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) manifest_sha256: Option<Digest<32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<ModelName>,
    pub(crate) plaintext_length: u64,
    pub(crate) salt: Digest<32>,
}

impl Header {
    /// Which key opens the file.
    #[must_use]
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// What the key and the file are meant for.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The model's digest, unless it was sealed with a private name.
    #[must_use]
    pub fn manifest_sha256(&self) -> Option<Digest<32>> {
        self.manifest_sha256
    }

    /// The model's name, unless it was sealed with a private name. For people only.
    #[must_use]
    pub fn name(&self) -> Option<&ModelName> {
        self.name.as_ref()
    }

    /// Bytes of plaintext in all chunks: the manifest with its length, and the files.
    #[must_use]
    pub fn plaintext_length(&self) -> u64 {
        self.plaintext_length
    }

    /// Random bytes that make every sealed file's keys its own.
    #[must_use]
    pub fn salt(&self) -> Digest<32> {
        self.salt
    }

    /// The canonical JSON.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }

    /// `magic | version | header length | header`.
    pub(crate) fn prefix(&self) -> Vec<u8> {
        let json = self.to_vec();
        let length = u32::try_from(json.len()).expect("a header is a few hundred bytes");
        let mut prefix = Vec::with_capacity(16 + json.len());
        prefix.extend_from_slice(&MAGIC);
        prefix.extend_from_slice(&VERSION.to_be_bytes());
        prefix.extend_from_slice(&length.to_be_bytes());
        prefix.extend_from_slice(&json);
        prefix
    }

    /// Reads the prefix of a sealed file. Returns its length and SHA-512 too.
    pub(crate) fn read(reader: &mut impl Read) -> Result<(Self, u64, Digest<64>), UnsealError> {
        let mut magic = [0; 8];
        fill(reader, &mut magic).map_err(|error| match error {
            // Too short to be anything: an empty file among them.
            UnsealError::Truncated => UnsealError::NotSealed,
            other => other,
        })?;
        if magic != MAGIC {
            return Err(UnsealError::NotSealed);
        }
        let (mut version, mut length) = ([0; 4], [0; 4]);
        fill(reader, &mut version)?;
        if u32::from_be_bytes(version) != VERSION {
            return Err(UnsealError::UnsupportedVersion);
        }
        fill(reader, &mut length)?;
        let size = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
        if size > limits::HEADER {
            return Err(UnsealError::Header);
        }
        let mut json = vec![0; size];
        fill(reader, &mut json)?;
        let header: Self = canonical::from_slice(&json).map_err(|_| UnsealError::Header)?;
        if header.chunk_size != limits::CHUNK as u64
            || header.manifest_sha256.is_some() != header.name.is_some()
        {
            return Err(UnsealError::Header);
        }
        if header.plaintext_length > limits::PLAINTEXT {
            return Err(UnsealError::TooLarge);
        }
        Ok((
            header,
            16 + size as u64,
            sha512(&[&magic, &version, &length, &json]),
        ))
    }
}

/// `read_exact` in this module's errors.
pub(crate) fn fill(reader: &mut impl Read, bytes: &mut [u8]) -> Result<(), UnsealError> {
    reader.read_exact(bytes).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => UnsealError::Truncated,
        kind => UnsealError::Io(kind),
    })
}
