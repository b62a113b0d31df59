//! Bytes of prompts and answers on their way: wiped wherever they were.
//!
//! Why apart: a `Vec` that grows leaves its old block behind as it was. Bodies are read into, and answers
//! written into, this buffer alone.
//!
//! # Invariants
//! Every block that held the bytes is zeroed before it is freed: the small one at each growth, the last one on
//! drop, also when it became a response body.

use std::io;

use bytes::Bytes;
use zeroize::Zeroizing;

/// A growing buffer that leaves nothing behind.
pub(super) struct WipedBuffer(Zeroizing<Vec<u8>>);

impl WipedBuffer {
    /// An empty buffer that takes `capacity` bytes before it moves.
    pub(super) fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Appends `bytes`; when they do not fit, moves to a block of at least twice the size.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let needed = self.0.len().saturating_add(bytes.len());
        if needed > self.0.capacity() {
            let capacity = needed.max(self.0.capacity().saturating_mul(2));
            let mut larger = Zeroizing::new(Vec::with_capacity(capacity));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// What is in it.
    pub(super) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    /// Bytes held.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The same block as a body; it is wiped when the last handle to it is dropped.
    pub(super) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self.0)
    }
}

impl io::Write for WipedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.push(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_keeps_the_bytes() {
        let mut buffer = WipedBuffer::with_capacity(3);
        for piece in [&b"ab"[..], b"", b"cdefgh", b"i"] {
            buffer.push(piece);
        }
        assert_eq!(buffer.as_slice(), b"abcdefghi");
        assert_eq!(buffer.len(), 9);
        assert_eq!(&buffer.into_bytes()[..], b"abcdefghi");
    }
}
