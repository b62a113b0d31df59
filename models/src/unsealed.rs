//! A model in clear: every byte of it was authenticated, and is the pinned one.
//!
//! Why apart: possession of this value is the proof that unsealing succeeded as a whole.
//!
//! - [`used`]: which parts of a file are used up
//! - `again`: a file that is not kept is read from the sealed one again
//!
//! # Invariants
//! Only `sealed::unseal` makes one, after its last check. No `Clone`, `Debug` or `Serialize`; every file is
//! wiped when dropped.

#[cfg(feature = "inference")]
pub(crate) mod again;
mod used;

use std::collections::BTreeMap;
use std::ops::Deref;
#[cfg(feature = "inference")]
use std::ops::Range;

#[cfg(feature = "inference")]
use anchorhold_kernels::memory::GIVEN_BACK;
use memmap2::MmapMut;
#[cfg(feature = "inference")]
use rayon::prelude::*;
use zeroize::ZeroizeOnDrop;

use anchorhold_encoding::Digest;

use crate::manifest::Manifest;
#[cfg(feature = "inference")]
use crate::sealed::error::UnsealError;
use crate::secret::wipe;
use used::Used;

/// Bytes that a thread wipes before it takes others.
#[cfg(feature = "inference")]
const WIPED_AT_ONCE: usize = 1 << 20;

/// Bytes in clear. Read them through `Deref`; they are wiped when dropped.
pub struct Plaintext {
    /// Pages of its own: none is shared with other data, and all go back to the system at once.
    bytes: MmapMut,
    /// Where plaintext may lie: the rest was never touched, and wiping it would only make the system find
    /// memory for it.
    written: usize,
    /// Wiped already.
    used: Used,
    /// Where its bytes come from when they are wanted.
    #[cfg(feature = "inference")]
    again: Option<again::Again>,
    /// What came again, and is not used up.
    #[cfg(feature = "inference")]
    here: Range<usize>,
}

impl Plaintext {
    /// Zeros to be written over. The system gives zero pages lazily, so this costs nothing by itself.
    pub(crate) fn zeroed(length: usize) -> Self {
        let bytes = MmapMut::map_anon(length).expect("the system has address space for a buffer");
        // Weights belong in no core dump. A system that refuses has dumps off besides, or says so.
        #[cfg(target_os = "linux")]
        let _ = bytes.advise(memmap2::Advice::DontDump);
        // Touching a gigabyte first costs a fault for each page, as long as hashing it does when pages are small.
        // A system without large pages has small ones.
        #[cfg(target_os = "linux")]
        let _ = bytes.advise(memmap2::Advice::HugePage);
        Self {
            bytes,
            written: 0,
            used: Used::default(),
            #[cfg(feature = "inference")]
            again: None,
            #[cfg(feature = "inference")]
            here: 0..0,
        }
    }

    /// Whether all its bytes are there.
    pub(crate) fn is_kept(&self) -> bool {
        #[cfg(feature = "inference")]
        return self.again.is_none();
        #[cfg(not(feature = "inference"))]
        true
    }

    /// The bytes from `from` up to `to`, to be written.
    pub(crate) fn part_mut(&mut self, from: usize, to: usize) -> &mut [u8] {
        self.written = self.written.max(to);
        &mut self.bytes[from..to]
    }

    /// From now on its bytes come from the sealed file: all of them were used up.
    #[cfg(feature = "inference")]
    pub(crate) fn read_again_from(&mut self, again: again::Again) {
        self.again = Some(again);
    }

    /// Makes sure that a part is there to be read, in a file that is not kept: in one that is, it always is. Of such a file one
    /// part is there at a time.
    ///
    /// # Errors
    /// When it cannot be read, or has changed.
    #[cfg(feature = "inference")]
    pub(crate) fn bring(&mut self, part: Range<usize>) -> Result<(), UnsealError> {
        let Some(again) = self.again.take() else {
            return Ok(());
        };
        let before = std::mem::take(&mut self.here);
        self.use_up(before);
        self.here = part.clone();
        let read = match self.bytes.get_mut(part.clone()) {
            Some(place) => again.read(part, place),
            None => Err(UnsealError::Layout),
        };
        self.again = Some(again);
        read
    }

    /// Wipes what is of no more use, on all cores; its memory goes back to the system.
    #[cfg(feature = "inference")]
    pub(crate) fn use_up(&mut self, part: Range<usize>) {
        let part = part.start.min(self.written)..part.end.min(self.written);
        self.bytes[part.clone()]
            .par_chunks_mut(WIPED_AT_ONCE)
            .for_each(wipe);
        let whole = self.used.add(part.clone());
        // What is further away was given back when it was used up, but for pages that this part now completes.
        let near = part.start.saturating_sub(GIVEN_BACK)..part.end.saturating_add(GIVEN_BACK);
        let whole = whole.start.max(near.start)..whole.end.min(near.end);
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
        #[cfg(feature = "inference")]
        wipe(&mut self.bytes[self.here.clone()]);
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

    /// A file's bytes. `None` when the model has no such file, it was taken, or it is not kept.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        let file = self.files.get(name).filter(|file| file.is_kept());
        file.map(|plaintext| &**plaintext)
    }

    /// Moves a file out, so that it can be wiped as soon as it has been loaded. `None` as for [`Self::get`].
    #[must_use]
    pub fn take(&mut self, name: &str) -> Option<Plaintext> {
        self.get(name)?;
        self.files.remove(name)
    }

    /// All files, those that are not kept among them: their bytes are to be brought.
    #[cfg(feature = "inference")]
    pub(crate) fn into_files(self) -> BTreeMap<String, Plaintext> {
        self.files
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
