//! A file of a model that was found whole and is not kept: parts of it are read from the sealed file again.
//!
//! Why apart: weights that become smaller while they are packed would lie in memory twice their packed size and more.
//!
//! # Invariants
//! Whoever owns the disk can change it between two readings. Each piece of 1 MiB is compared with the digest that it had in the
//! first, whose tree was found equal to the pinned manifest's: what comes again is what was checked, or an error.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use anchorhold_encoding::{Digest, tree};
use rayon::prelude::*;

use super::Plaintext;
use crate::aead::{ChunkKey, NotAuthentic};
use crate::limits::CHUNK;
use crate::sealed::error::UnsealError;
use crate::sealed::stream::{Layout, SEALED_CHUNK};

/// A sealed file that can be read at any place.
pub(crate) struct Source {
    pub(crate) file: File,
    pub(crate) key: ChunkKey,
    pub(crate) layout: Layout,
    /// Where chunk 0 begins in the file.
    pub(crate) chunks_at: u64,
}

/// One file of the model in it.
pub(crate) struct Again {
    pub(crate) source: Arc<Source>,
    /// Where it begins in the plaintext.
    pub(crate) begin: u64,
    /// Bytes.
    pub(crate) size: usize,
    /// Digests of its pieces.
    pub(crate) leaves: Vec<Digest<32>>,
}

impl Again {
    /// Puts the bytes of `range` into `into`, which is as long.
    pub(super) fn read(&self, range: Range<usize>, into: &mut [u8]) -> Result<(), UnsealError> {
        if range.is_empty() {
            return Ok(());
        }
        let pieces = range.start / CHUNK..range.end.div_ceil(CHUNK);
        let wanted = pieces.start * CHUNK..(pieces.end * CHUNK).min(self.size);
        let (first, last) = (
            (self.begin + wanted.start as u64) / CHUNK as u64,
            (self.begin + wanted.end as u64 - 1) / CHUNK as u64,
        );
        let plaintext = self.source.chunks(first, last)?;
        let start = usize::try_from(self.begin + wanted.start as u64 - first * CHUNK as u64);
        let start = start.map_err(|_| UnsealError::Layout)?;
        let whole = plaintext
            .get(start..start + wanted.len())
            .ok_or(UnsealError::Layout)?;
        let listed = self.leaves.get(pieces.clone()).ok_or(UnsealError::Layout)?;
        let changed = whole
            .par_chunks(CHUNK)
            .zip(listed)
            .map(|(piece, listed)| tree::leaf(piece) != *listed)
            .collect::<Vec<_>>();
        if let Some(piece) = changed.iter().position(|changed| *changed) {
            let chunk = (self.begin + wanted.start as u64) / CHUNK as u64 + piece as u64;
            return Err(UnsealError::Corrupt { chunk });
        }
        let inside = range.start - wanted.start..range.end - wanted.start;
        into.copy_from_slice(&whole[inside]);
        Ok(())
    }
}

impl Source {
    /// Decrypts the chunks from the `first` to the `last`.
    fn chunks(&self, first: u64, last: u64) -> Result<Plaintext, UnsealError> {
        let layout = self.layout;
        let sizes = (first..=last).map(|chunk| layout.plaintext_size(chunk));
        let size: usize = sizes.sum();
        let count = usize::try_from(last - first + 1).map_err(|_| UnsealError::Layout)?;
        let mut sealed = vec![0; size + count * (SEALED_CHUNK - CHUNK)];
        let at = self.chunks_at + first * SEALED_CHUNK as u64;
        self.file
            .read_exact_at(&mut sealed, at)
            .map_err(|error| match error.kind() {
                std::io::ErrorKind::UnexpectedEof => UnsealError::Truncated,
                kind => UnsealError::Io(kind),
            })?;
        let mut plaintext = Plaintext::zeroed(size);
        let opened = sealed
            .par_chunks(SEALED_CHUNK)
            .zip(plaintext.part_mut(0, size).par_chunks_mut(CHUNK))
            .enumerate()
            .map(|(offset, (sealed, place))| {
                let chunk = first + offset as u64;
                let opened = self.key.open(layout.nonce(chunk), sealed, place);
                opened.map_err(|NotAuthentic| UnsealError::Corrupt { chunk })
            });
        opened
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<(), _>>()?;
        Ok(plaintext)
    }
}
