//! A model in clear: every byte of it was authenticated, and is the pinned one.
//!
//! Why apart: possession of this value is the proof that unsealing succeeded as a whole.
//!
//! - [`used`]: which parts of a file are used up
//!
//! # Invariants
//! Only `sealed::unseal` makes one, after its last check. No `Clone`, `Debug` or `Serialize`; every file is
//! wiped when dropped.

mod used;

use std::collections::BTreeMap;
use std::ops::Deref;
#[cfg(feature = "inference")]
use std::ops::Range;

use memmap2::MmapMut;
use zeroize::ZeroizeOnDrop;

use anchorhold_encoding::Digest;

use crate::manifest::Manifest;
use crate::secret::wipe;
use used::Used;

/// Bytes in clear. Read them through `Deref`; they are wiped when dropped.
pub struct Plaintext {
    /// Pages of its own: none is shared with other data, and all go back to the system at once.
    bytes: MmapMut,
    /// Where plaintext may lie: the rest was never touched, and wiping it would only make the system find
    /// memory for it.
    written: usize,
    /// Wiped already.
    used: Used,
}

impl Plaintext {
    /// Zeros to be written over. The system gives zero pages lazily, so this costs nothing by itself.
    pub(crate) fn zeroed(length: usize) -> Self {
        let bytes = MmapMut::map_anon(length).expect("the system has address space for a buffer");
        // Touching a gigabyte first costs a fault for each page, as long as hashing it does when pages are small.
        // A system without large pages has small ones.
        #[cfg(target_os = "linux")]
        let _ = bytes.advise(memmap2::Advice::HugePage);
        Self {
            bytes,
            written: 0,
            used: Used::default(),
        }
    }

    /// The bytes from `from` up to `to`, to be written.
    pub(crate) fn part_mut(&mut self, from: usize, to: usize) -> &mut [u8] {
        self.written = self.written.max(to);
        &mut self.bytes[from..to]
    }

    /// Wipes what is of no more use; its memory goes back to the system as soon as whole large pages are used up.
    #[cfg(feature = "inference")]
    pub(crate) fn use_up(&mut self, part: Range<usize>) {
        let part = part.start.min(self.written)..part.end.min(self.written);
        wipe(&mut self.bytes[part.clone()]);
        let whole = self.used.add(part);
        anchorhold_kernels::memory::give_back(&mut self.bytes, whole);
    }
}

impl Deref for Plaintext {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        // Not again what was wiped: the system would have to find memory for it.
        for part in self.used.rest(self.written) {
            wipe(&mut self.bytes[part]);
        }
    }
}

impl ZeroizeOnDrop for Plaintext {}

/// The files of one model, by name. It can be neither copied nor shown:
///
/// ```compile_fail,E0599
/// fn copy(model: &anchorhold_models::UnsealedModel) -> anchorhold_models::UnsealedModel {
///     model.clone()
/// }
/// ```
/// ```compile_fail,E0277
/// fn show(model: &anchorhold_models::UnsealedModel) -> String {
///     format!("{model:?}")
/// }
/// ```
pub struct UnsealedModel {
    manifest: Manifest,
    manifest_sha256: Digest<32>,
    files: BTreeMap<String, Plaintext>,
}

impl UnsealedModel {
    /// For `sealed::unseal` alone.
    pub(crate) fn new(manifest: Manifest, manifest_sha256: Digest<32>, files: Vec<Plaintext>) -> Self {
        let names = manifest.files().iter().map(|file| file.name.clone());
        let files = names.zip(files).collect();
        Self {
            manifest,
            manifest_sha256,
            files,
        }
    }

    /// A file's bytes. `None` when the model has no such file, or it was taken.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(|plaintext| &**plaintext)
    }

    /// Moves a file out, so that it can be wiped as soon as it has been loaded.
    #[must_use]
    pub fn take(&mut self, name: &str) -> Option<Plaintext> {
        self.files.remove(name)
    }

    /// Names of the files not yet taken, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// What was unsealed.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The pinned digest that the manifest was found to have.
    #[must_use]
    pub fn manifest_sha256(&self) -> Digest<32> {
        self.manifest_sha256
    }
}
