//! The chunks of one sealed file: how many, where, under which nonce and which keys.
//!
//! Why apart: sealing and unsealing must agree on each of these to the bit, and an attack on a chunked format
//! (cut, swapped, repeated, foreign chunks) is an attack on exactly this arithmetic.
//!
//! # Invariants
//! `count = max(1, ceil(length / CHUNK))`; every chunk is full but the last, which has at least one byte
//! unless the length is 0. A nonce is the chunk's index and whether it is the last, so no chunk can stand in
//! another's place. The keys depend on every byte from the magic to the header's end.

use subtle::ConstantTimeEq;

use anchorhold_encoding::Digest;

use crate::aead::{ChunkKey, NONCE, TAG};
use crate::key::ModelKey;
use crate::limits::CHUNK;
use crate::secret::Secret;

const CHUNK_KEY_LABEL: &str = "anchorhold sealed v1 chunk key";
const COMMITMENT_LABEL: &str = "anchorhold sealed v1 commitment";

/// Bytes of the key commitment.
pub(crate) const COMMITMENT: usize = 32;
/// Bytes of a full chunk in the file.
pub(crate) const SEALED_CHUNK: usize = CHUNK + TAG;

/// The numbers of a stream, from its plaintext's length alone.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    length: u64,
}

impl Layout {
    /// `length` is at most [`limits::PLAINTEXT`](crate::limits::PLAINTEXT), so nothing below overflows.
    pub(crate) fn new(length: u64) -> Self {
        Self { length }
    }

    pub(crate) fn plaintext_length(self) -> u64 {
        self.length
    }

    pub(crate) fn count(self) -> u64 {
        self.length.div_ceil(CHUNK as u64).max(1)
    }

    /// Plaintext bytes of chunk `index`, which is below the count.
    pub(crate) fn plaintext_size(self, index: u64) -> usize {
        let before = index * CHUNK as u64;
        usize::try_from((self.length - before).min(CHUNK as u64)).expect("at most a chunk")
    }

    /// Bytes of all sealed chunks.
    pub(crate) fn sealed_length(self) -> u64 {
        self.length + self.count() * TAG as u64
    }

    /// `0^3 || be64(index) || last (00|01)`.
    pub(crate) fn nonce(self, index: u64) -> [u8; NONCE] {
        let mut nonce = [0; NONCE];
        nonce[3..11].copy_from_slice(&index.to_be_bytes());
        nonce[11] = u8::from(index + 1 == self.count());
        nonce
    }
}

/// The commitment that a model key has under a given prefix.
pub(crate) struct Commitment(Secret);

impl Commitment {
    pub(crate) fn new(key: &ModelKey, salt: &Digest<32>, prefix: &Digest<64>) -> Self {
        Self(key.derive(salt.as_bytes(), COMMITMENT_LABEL, prefix))
    }

    /// Published in the file: it tells nothing of the key, only whether a key is the one.
    pub(crate) fn publish(&self) -> [u8; COMMITMENT] {
        *self.0.expose()
    }
}

/// The chunk key, given only to whoever's key has the commitment in the file.
/// `None` when it has not; compared in constant time.
pub(crate) fn chunk_key_if_committed(
    key: &ModelKey,
    salt: &Digest<32>,
    prefix: &Digest<64>,
    in_file: &[u8; COMMITMENT],
) -> Option<ChunkKey> {
    let own = Commitment::new(key, salt, prefix);
    bool::from(own.0.expose().ct_eq(in_file)).then(|| chunk_key(key, salt, prefix))
}

/// The chunk key of a file that is being sealed.
pub(crate) fn chunk_key(key: &ModelKey, salt: &Digest<32>, prefix: &Digest<64>) -> ChunkKey {
    ChunkKey::new(&key.derive(salt.as_bytes(), CHUNK_KEY_LABEL, prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_chunk_is_never_empty_but_for_an_empty_plaintext() {
        let mib = CHUNK as u64;
        for (length, count, last) in [
            (0, 1, 0),
            (1, 1, 1),
            (mib - 1, 1, CHUNK - 1),
            (mib, 1, CHUNK),
            (mib + 1, 2, 1),
            (2 * mib, 2, CHUNK),
        ] {
            let layout = Layout::new(length);
            assert_eq!(layout.count(), count);
            assert_eq!(layout.plaintext_size(count - 1), last);
            assert_eq!(layout.sealed_length(), length + count * 16);
            let total: u64 = (0..count).map(|index| layout.plaintext_size(index) as u64).sum();
            assert_eq!(total, length);
        }
    }

    #[test]
    fn nonces_number_the_chunks_and_mark_the_last() {
        let layout = Layout::new(3 * CHUNK as u64);
        assert_eq!(layout.nonce(0), [0; 12]);
        assert_eq!(layout.nonce(1), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
        assert_eq!(layout.nonce(2), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1]);
        assert_eq!(Layout::new(1).nonce(0), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
