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

    /// Moves the first `count` bytes, or all there are, into a buffer of their own.
    pub(super) fn take_front(&mut self, count: usize) -> Self {
        let count = count.min(self.len());
        let mut front = Self::with_capacity(count);
        front.push(&self.0[..count]);
        self.0.copy_within(count.., 0);
        let rest = self.len() - count;
        // What lies behind is part of the block, and wiped with it.
        self.0.truncate(rest);
        front
    }

    /// Appends spaces up to `length` bytes.
    pub(super) fn pad(&mut self, length: usize) {
        let missing = length.saturating_sub(self.len());
        self.push(&vec![b' '; missing]);
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

    #[test]
    fn bytes_are_taken_from_the_front_and_spaces_put_at_the_end() {
        let mut buffer = WipedBuffer::with_capacity(8);
        buffer.push(b"abcde");
        assert_eq!(buffer.take_front(2).as_slice(), b"ab");
        assert_eq!(buffer.as_slice(), b"cde");
        buffer.pad(5);
        buffer.pad(1);
        assert_eq!(buffer.as_slice(), b"cde  ");
        assert_eq!(buffer.take_front(9).as_slice(), b"cde  ");
        assert_eq!(buffer.len(), 0);
    }
}
