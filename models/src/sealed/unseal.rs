//! A sealed file becomes a model in clear, or nothing.
//!
//! Why apart: it is the one place where bytes that a host controls meet the weight key.
//!
//! # Invariants
//! The source is read once, from front to back, into private memory. Chunks are decrypted straight into the
//! file they belong to; only one that crosses a file's border passes through a buffer of its own. Nothing is
//! allocated by a length that is not the pinned manifest's. On any failure all that was decrypted is wiped.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
#[cfg(feature = "inference")]
use std::sync::Arc;

use rayon::prelude::*;

use anchorhold_encoding::{Digest, sha256, tree};

use crate::aead::{ChunkKey, NotAuthentic};
use crate::key::ModelKey;
use crate::limits::{self, CHUNK};
use crate::manifest::Manifest;
use crate::manifest::folder::{batch, fill_up};
use crate::name::{Class, KeyId};
use crate::progress::Progress;
use crate::sealed::error::{Field, UnsealError};
use crate::sealed::header::{Header, fill};
use crate::sealed::stream::{COMMITMENT, Layout, SEALED_CHUNK, chunk_key_if_committed};
#[cfg(feature = "inference")]
use crate::unsealed::again::{Again, Source};
use crate::unsealed::{Plaintext, UnsealedModel};

/// What a configuration pins: a sealed file that differs is refused. There is no way to leave one out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// The key that was released.
    pub key_id: KeyId,
    /// What this program may unseal.
    pub class: Class,
    /// The model.
    pub manifest_sha256: Digest<32>,
    /// Bytes of plaintext that there is memory for.
    pub max_plaintext: u64,
}

/// A sealed file whose header was read, and nothing more.
pub struct SealedModel<R> {
    reader: R,
    header: Header,
    prefix_length: u64,
    prefix_digest: Digest<64>,
}

impl SealedModel<File> {
    /// Opens a file and compares its length with what its header says.
    ///
    /// # Errors
    /// [`UnsealError`], when it cannot be read, is no sealed model, or has another length.
    pub fn open(path: &Path) -> Result<Self, UnsealError> {
        let io = |error: std::io::Error| UnsealError::Io(error.kind());
        let file = File::open(path).map_err(io)?;
        let metadata = file.metadata().map_err(io)?;
        if metadata.is_dir() {
            return Err(UnsealError::Io(ErrorKind::IsADirectory));
        }
        let model = Self::from_reader(file)?;
        // Other kinds of files (a device, a pipe) tell their length only by being read.
        if metadata.is_file() {
            match metadata.len().cmp(&model.sealed_size()) {
                std::cmp::Ordering::Less => return Err(UnsealError::Truncated),
                std::cmp::Ordering::Greater => return Err(UnsealError::TrailingBytes),
                std::cmp::Ordering::Equal => {}
            }
        }
        Ok(model)
    }
}

#[cfg(feature = "inference")]
impl SealedModel<File> {
    /// As [`Self::unseal`], for weights that are to become smaller than they lie in the file: what is checked of a file of weights
    /// is not kept, and comes from the sealed file again when it is packed. That takes a second reading and decrypting, and in
    /// place of the whole file a few MiB of memory.
    ///
    /// # Errors
    /// As [`Self::unseal`]. A file that changes afterwards fails to load.
    pub fn unseal_sparing(
        self,
        key: ModelKey,
        expected: &Expected,
        progress: &dyn Progress,
    ) -> Result<UnsealedModel, UnsealError> {
        let io = |error: std::io::Error| UnsealError::Io(error.kind());
        // A device or a pipe may give something else at the same place, or nothing.
        if !self.reader.metadata().map_err(io)?.is_file() {
            return self.unseal(key, expected, progress);
        }
        let file = self.reader.try_clone().map_err(io)?;
        let chunks_at = self.prefix_length + COMMITMENT as u64;
        let layout = Layout::new(self.header.plaintext_length);
        let (manifest, mut target, key) = self.open_all(key, expected, progress, true)?;
        let source = Arc::new(Source {
            file,
            key,
            layout,
            chunks_at,
        });
        target.read_again_from(&manifest, layout, &source);
        Ok(UnsealedModel::new(
            manifest,
            expected.manifest_sha256,
            target.finish()?,
        ))
    }
}

impl<R: Read + Send> SealedModel<R> {
    /// Reads the header of a sealed model from its first byte on.
    ///
    /// # Errors
    /// [`UnsealError`], when this is not how a sealed model begins.
    pub fn from_reader(mut reader: R) -> Result<Self, UnsealError> {
        let (header, prefix_length, prefix_digest) = Header::read(&mut reader)?;
        Ok(Self {
            reader,
            header,
            prefix_length,
            prefix_digest,
        })
    }

    /// What the file says about itself. Not authentic.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes that the whole file must have.
    #[must_use]
    pub fn sealed_size(&self) -> u64 {
        let chunks = Layout::new(self.header.plaintext_length).sealed_length();
        self.prefix_length + COMMITMENT as u64 + chunks
    }

    /// Decrypts and checks everything. The key is wiped whatever comes of it.
    ///
    /// # Errors
    /// [`UnsealError`], for the first check that fails in the fixed order; nothing is kept.
    pub fn unseal(
        self,
        key: ModelKey,
        expected: &Expected,
        progress: &dyn Progress,
    ) -> Result<UnsealedModel, UnsealError> {
        let (manifest, target, _) = self.open_all(key, expected, progress, false)?;
        let files = target.finish()?;
        Ok(UnsealedModel::new(manifest, expected.manifest_sha256, files))
    }

    /// Decrypts and checks everything; with `sparing`, bytes of files with weights are not kept but their digests are.
    fn open_all(
        mut self,
        key: ModelKey,
        expected: &Expected,
        progress: &dyn Progress,
        sparing: bool,
    ) -> Result<(Manifest, Target, ChunkKey), UnsealError> {
        self.compare(expected)?;
        let mut commitment = [0; COMMITMENT];
        fill(&mut self.reader, &mut commitment)?;
        let chunk_key = chunk_key_if_committed(&key, &self.header.salt, &self.prefix_digest, &commitment)
            .ok_or(UnsealError::WrongKey)?;
        drop(key);

        progress.total(self.header.plaintext_length);
        let layout = Layout::new(self.header.plaintext_length);
        let mut chunks = Chunks {
            reader: self.reader,
            key: chunk_key,
            layout,
        };
        let first = chunks.first()?;
        let (manifest, front) = read_manifest(&first, expected.manifest_sha256, layout)?;
        let mut target = Target::new(&manifest, sparing);
        target.copy(&first[front..]);
        target.check(&manifest)?;
        progress.advance(first.len() as u64);
        drop(first);
        chunks.rest(&manifest, &mut target, progress)?;
        Ok((manifest, target, chunks.key))
    }

    fn compare(&self, expected: &Expected) -> Result<(), UnsealError> {
        let mismatch = |field| Err(UnsealError::HeaderMismatch { field });
        if self.header.key_id != expected.key_id {
            return mismatch(Field::KeyId);
        }
        if self.header.class != expected.class {
            return mismatch(Field::Class);
        }
        // With a private name the digest inside, compared below, is the only one.
        if self
            .header
            .manifest_sha256
            .is_some_and(|digest| digest != expected.manifest_sha256)
        {
            return mismatch(Field::ManifestSha256);
        }
        if self.header.plaintext_length > expected.max_plaintext {
            return Err(UnsealError::TooLarge);
        }
        Ok(())
    }
}

/// `be32(length) || manifest` at the plaintext's start; the manifest and where the files begin.
fn read_manifest(first: &[u8], pinned: Digest<32>, layout: Layout) -> Result<(Manifest, usize), UnsealError> {
    let (length, rest) = first.split_first_chunk().ok_or(UnsealError::Layout)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| UnsealError::Layout)?;
    if length > limits::MANIFEST {
        return Err(UnsealError::Layout);
    }
    let json = rest.get(..length).ok_or(UnsealError::Layout)?;
    if sha256(&[json]) != pinned {
        return Err(UnsealError::ManifestMismatch);
    }
    let manifest = Manifest::from_slice(json).map_err(UnsealError::Manifest)?;
    let front = 4 + length;
    if front as u64 + manifest.total_size() != layout.plaintext_length() {
        return Err(UnsealError::Layout);
    }
    Ok((manifest, front))
}

/// The chunks of a file, in order.
struct Chunks<R> {
    reader: R,
    key: ChunkKey,
    layout: Layout,
}

impl<R: Read + Send> Chunks<R> {
    /// Chunk 0, which holds the manifest.
    fn first(&mut self) -> Result<Plaintext, UnsealError> {
        let size = self.layout.plaintext_size(0);
        let mut sealed = vec![0; size + SEALED_CHUNK - CHUNK];
        fill(&mut self.reader, &mut sealed)?;
        self.end_after(1)?;
        let mut plaintext = Plaintext::zeroed(size);
        let opened = self
            .key
            .open(self.layout.nonce(0), &sealed, plaintext.part_mut(0, size));
        opened.map_err(|NotAuthentic| UnsealError::Corrupt { chunk: 0 })?;
        Ok(plaintext)
    }

    /// All other chunks: while one batch is decrypted and hashed, the next is read.
    fn rest(
        &mut self,
        manifest: &Manifest,
        target: &mut Target,
        progress: &dyn Progress,
    ) -> Result<(), UnsealError> {
        let (mut now, mut next) = (Vec::new(), Vec::new());
        let mut index = 1;
        let mut count = self.read(index, &mut now)?;
        while count > 0 {
            let (key, layout) = (&self.key, self.layout);
            let following = index + count as u64;
            let (reader, bytes) = (&mut self.reader, &now);
            let open = || {
                open_batch(key, layout, index, count, bytes, target)?;
                target.check(manifest)
            };
            let (opened, read) = rayon::join(open, || read_batch(reader, layout, following, &mut next));
            // The failure nearer to the file's start is the one to tell.
            opened?;
            progress.advance(
                (index..following)
                    .map(|index| layout.plaintext_size(index) as u64)
                    .sum(),
            );
            (index, count) = (following, read?);
            std::mem::swap(&mut now, &mut next);
        }
        Ok(())
    }

    fn read(&mut self, index: u64, buffer: &mut Vec<u8>) -> Result<usize, UnsealError> {
        read_batch(&mut self.reader, self.layout, index, buffer)
    }

    fn end_after(&mut self, index: u64) -> Result<(), UnsealError> {
        end_after(&mut self.reader, self.layout, index)
    }
}

/// Reads chunks from `index` on; how many. After the last the source must end.
fn read_batch(
    reader: &mut impl Read,
    layout: Layout,
    index: u64,
    buffer: &mut Vec<u8>,
) -> Result<usize, UnsealError> {
    let left = usize::try_from(layout.count() - index).unwrap_or(usize::MAX);
    let count = left.min(batch()).min(limits::UNSEAL_BATCH);
    if count == 0 {
        return Ok(0);
    }
    let last = layout.plaintext_size(index + count as u64 - 1);
    buffer.resize(count * SEALED_CHUNK - (CHUNK - last), 0);
    fill(reader, buffer)?;
    end_after(reader, layout, index + count as u64)?;
    Ok(count)
}

fn end_after(reader: &mut impl Read, layout: Layout, index: u64) -> Result<(), UnsealError> {
    if index < layout.count() {
        return Ok(());
    }
    match fill_up(reader, &mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(UnsealError::TrailingBytes),
        Err(error) => Err(UnsealError::Io(error.kind())),
    }
}

fn open_batch(
    key: &ChunkKey,
    layout: Layout,
    first: u64,
    count: usize,
    sealed: &[u8],
    target: &mut Target,
) -> Result<(), UnsealError> {
    let sizes = (first..first + count as u64).map(|index| layout.plaintext_size(index));
    let places = target.places(&sizes.collect::<Vec<_>>());
    let jobs = sealed.par_chunks(SEALED_CHUNK).zip(places).enumerate();
    jobs.map(|(offset, (sealed, mut places))| {
        let chunk = first + offset as u64;
        let corrupt = |NotAuthentic| UnsealError::Corrupt { chunk };
        if let [place] = places.as_mut_slice() {
            return key.open(layout.nonce(chunk), sealed, place).map_err(corrupt);
        }
        let size = layout.plaintext_size(chunk);
        let mut staging = Plaintext::zeroed(size);
        key.open(layout.nonce(chunk), sealed, staging.part_mut(0, size))
            .map_err(corrupt)?;
        let mut rest = &staging[..];
        for place in places {
            let (head, tail) = rest.split_at(place.len());
            place.copy_from_slice(head);
            rest = tail;
        }
        Ok(())
    })
    // The first in the file, not the first in time: the same damage gives the same answer.
    .collect::<Vec<_>>()
    .into_iter()
    .collect()
}

/// The files in clear while they are being filled, from the first to the last.
struct Target {
    files: Vec<Plaintext>,
    /// The file and the place in it where the next byte goes.
    file: usize,
    at: usize,
    /// The first file whose tree was not yet found equal, and the leaves it has so far.
    unchecked: usize,
    leaves: Vec<Digest<32>>,
    /// Weights are not kept.
    sparing: bool,
    /// By the numbers of files that are not kept: the digests of their pieces.
    #[cfg(feature = "inference")]
    spared: Vec<(usize, Vec<Digest<32>>)>,
}

impl Target {
    fn new(manifest: &Manifest, sparing: bool) -> Self {
        let size =
            |size: u64| usize::try_from(size).expect("the configured limit is below the address space");
        let files = manifest
            .files()
            .iter()
            .map(|file| Plaintext::zeroed(size(file.size)));
        Self {
            files: files.collect(),
            file: 0,
            at: 0,
            unchecked: 0,
            leaves: Vec::new(),
            sparing,
            #[cfg(feature = "inference")]
            spared: Vec::new(),
        }
    }

    /// Where the next chunks go: for each, the parts of files that it fills.
    fn places(&mut self, sizes: &[usize]) -> Vec<Vec<&mut [u8]>> {
        let (first, start) = (self.file, self.at);
        let mut left: usize = sizes.iter().sum();
        let mut parts = Vec::new();
        for (offset, file) in self.files[first..].iter_mut().enumerate() {
            let from = if offset == 0 { start } else { 0 };
            let take = left.min(file.len() - from);
            (self.file, self.at) = (first + offset, from + take);
            parts.push(file.part_mut(from, from + take));
            left -= take;
            if left == 0 {
                break;
            }
        }
        let mut parts = parts.into_iter();
        let mut open: &mut [u8] = &mut [];
        let place = |size: &usize| {
            let (mut left, mut places) = (*size, Vec::new());
            while left > 0 {
                if open.is_empty() {
                    open = parts.next().expect("the lengths were found to add up");
                    continue;
                }
                let length = left.min(open.len());
                let (head, tail) = std::mem::take(&mut open).split_at_mut(length);
                left -= head.len();
                places.push(head);
                open = tail;
            }
            places
        };
        sizes.iter().map(place).collect()
    }

    fn copy(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        for place in self.places(&[bytes.len()]).into_iter().flatten() {
            let (head, tail) = rest.split_at(place.len());
            place.copy_from_slice(head);
            rest = tail;
        }
    }

    /// Hashes the pieces that became whole; compares the tree of each file that did.
    fn check(&mut self, manifest: &Manifest) -> Result<(), UnsealError> {
        while let Some(file) = self.files.get_mut(self.unchecked) {
            let filled = match self.unchecked.cmp(&self.file) {
                std::cmp::Ordering::Less => file.len(),
                std::cmp::Ordering::Equal => self.at,
                std::cmp::Ordering::Greater => 0,
            };
            let whole = filled == file.len();
            let until = if whole { filled } else { filled / CHUNK * CHUNK };
            let from = (self.leaves.len() * CHUNK).min(until);
            let pieces = file[from..until].par_chunks(CHUNK).map(tree::leaf);
            self.leaves.extend(pieces.collect::<Vec<_>>());
            let listed = &manifest.files()[self.unchecked];
            let weights = [".safetensors", ".gguf"];
            let spared = self.sparing && weights.iter().any(|kind| listed.name.ends_with(kind));
            #[cfg(feature = "inference")]
            if spared {
                file.use_up(from..until);
            }
            if !whole {
                return Ok(());
            }
            if tree::root(&self.leaves) != listed.tree {
                return Err(UnsealError::FileDigest {
                    name: listed.name.clone(),
                });
            }
            let leaves = std::mem::take(&mut self.leaves);
            #[cfg(feature = "inference")]
            if spared {
                self.spared.push((self.unchecked, leaves));
            }
            #[cfg(not(feature = "inference"))]
            drop((spared, leaves));
            self.unchecked += 1;
        }
        Ok(())
    }

    /// What was not kept is to come from the sealed file.
    #[cfg(feature = "inference")]
    fn read_again_from(&mut self, manifest: &Manifest, layout: Layout, source: &Arc<Source>) {
        let front = layout.plaintext_length() - manifest.total_size();
        for (number, leaves) in std::mem::take(&mut self.spared) {
            let before: u64 = manifest.files()[..number].iter().map(|file| file.size).sum();
            let file = &mut self.files[number];
            let size = file.len();
            file.read_again_from(Again {
                source: Arc::clone(source),
                begin: front + before,
                size,
                leaves,
            });
        }
    }

    /// The files, once every one of them was found equal.
    fn finish(self) -> Result<Vec<Plaintext>, UnsealError> {
        if self.unchecked == self.files.len() {
            Ok(self.files)
        } else {
            Err(UnsealError::Layout)
        }
    }
}
