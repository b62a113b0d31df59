//! What all tests of the format start from; one module a claim.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use anchorhold_encoding::{Digest, sha512};

use super::header::Header;
use super::seal::Plan;
use super::stream::{COMMITMENT, Commitment, Layout, SEALED_CHUNK, chunk_key};
use super::*;
use crate::key::ModelKey;
use crate::limits::CHUNK;
use crate::manifest::tests::safetensors;
use crate::manifest::{Folder, Manifest};
use crate::name::Class;
use crate::secret::Secret;
use crate::unsealed::UnsealedModel;

#[cfg(feature = "inference")]
mod again;
mod collision;
mod faults;
mod round_trip;
mod tampering;
mod vectors;

/// A key that a test can use twice: `ModelKey` is consumed and cannot be cloned, on purpose.
pub(super) fn key(byte: u8) -> ModelKey {
    ModelKey::from_secret(Secret::filled_by(|key| key.fill(byte)))
}

/// Bytes without a pattern that a swapped chunk could hide in.
pub(super) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

pub(super) fn options(private_name: bool) -> SealOptions {
    SealOptions {
        key_id: "test/key".parse().unwrap(),
        class: Class::Insecure,
        name: "tests/model".parse().unwrap(),
        private_name,
    }
}

/// A folder with a model: tiny weights, and one text file of the wanted content.
pub(super) fn folder(text: &[u8]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.json"), b"{}").unwrap();
    fs::write(dir.path().join("model.safetensors"), safetensors(b"tiny weights")).unwrap();
    fs::write(dir.path().join("vocab.txt"), text).unwrap();
    dir
}

/// A sealed file in memory, and what was pinned of it.
pub(super) struct Sealed {
    pub(super) file: Vec<u8>,
    pub(super) header: Header,
    pub(super) manifest: Manifest,
    pub(super) expected: Expected,
}

impl Sealed {
    pub(super) fn new(text: &[u8]) -> Self {
        Self::with(&folder(text), [9; 32], false)
    }

    pub(super) fn with(dir: &TempDir, salt: [u8; 32], private_name: bool) -> Self {
        let folder = Folder::open(dir.path()).unwrap();
        let plan = Plan::new(folder.manifest(&()).unwrap(), &options(private_name), salt);
        let mut file = Vec::new();
        let written = plan.write(&folder, &key(1), &mut file, &()).unwrap();
        assert_eq!(written, file.len() as u64);
        let expected = Expected {
            key_id: plan.header.key_id().clone(),
            class: Class::Insecure,
            manifest_sha256: plan.manifest.digest(),
            max_plaintext: 1 << 30,
        };
        Self {
            file,
            header: plan.header,
            manifest: plan.manifest,
            expected,
        }
    }

    /// Where the commitment begins.
    pub(super) fn prefix(&self) -> usize {
        self.header.prefix().len()
    }

    /// Where chunk `index` begins.
    pub(super) fn chunk(&self, index: usize) -> usize {
        self.prefix() + COMMITMENT + index * SEALED_CHUNK
    }

    pub(super) fn unseal(&self) -> Result<UnsealedModel, UnsealError> {
        self.unseal_bytes(&self.file)
    }

    /// Other bytes, under the same key and the same expectation.
    pub(super) fn unseal_bytes(&self, file: &[u8]) -> Result<UnsealedModel, UnsealError> {
        SealedModel::from_reader(file)?.unseal(key(1), &self.expected, &())
    }

    pub(super) fn refusal(&self, file: &[u8]) -> UnsealError {
        self.unseal_bytes(file)
            .err()
            .expect("an altered file must be refused")
    }
}

/// A sealed file with any plaintext at all, as a holder of the key could make it.
pub(super) fn forge(header: &Header, key: &ModelKey, plaintext: &[u8]) -> Vec<u8> {
    let mut header = header.clone();
    header.plaintext_length = plaintext.len() as u64;
    let mut file = header.prefix();
    let digest = sha512(&[&file]);
    file.extend_from_slice(&Commitment::new(key, &header.salt, &digest).publish());
    let layout = Layout::new(plaintext.len() as u64);
    let chunk_key = chunk_key(key, &header.salt, &digest);
    for index in 0..layout.count() {
        let from = index as usize * CHUNK;
        let chunk = &plaintext[from..from + layout.plaintext_size(index)];
        let mut sealed = vec![0; chunk.len() + SEALED_CHUNK - CHUNK];
        chunk_key.seal(layout.nonce(index), chunk, &mut sealed);
        file.extend_from_slice(&sealed);
    }
    file
}

/// `be32(length) || manifest || files`
pub(super) fn plaintext(manifest: &[u8], files: &[&[u8]]) -> Vec<u8> {
    let length = u32::try_from(manifest.len()).unwrap().to_be_bytes();
    [&length[..], manifest, &files.concat()].concat()
}

pub(super) fn vectors_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors")
}

pub(super) fn digest_of(byte: u8) -> Digest<32> {
    Digest::new([byte; 32])
}
