//! Buffers for prompts and answers, wiped when they are dropped and when they grow.
//!
//! Why apart: a `Vec` that grows leaves its old bytes behind in freed memory, and `Zeroizing` cannot see that.
//!
//! # Invariants
//! No byte that was pushed stays in memory this module gave up. hyper's own read buffer is outside its reach: a
//! piece received is wiped only when nothing else of that buffer is alive.

use std::io;
use std::ops::Deref;

use bytes::Bytes;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a prompt or an answer.
#[derive(Default)]
pub struct Wiped(Zeroizing<Vec<u8>>);

impl Wiped {
    /// Room for `capacity` bytes before the buffer must move.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Self(Zeroizing::new(Vec::with_capacity(capacity)))
    }

    /// Appends. When there is no room the bytes move to a larger buffer and the old one is wiped.
    pub fn extend(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(2 * self.0.capacity()).max(256)));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    /// The bytes as a body for hyper, which wipes them when it drops them.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl io::Write for Wiped {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRef<[u8]> for Wiped {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Deref for Wiped {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Wiped {
    fn from(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }
}

impl From<Vec<u8>> for Wiped {
    fn from(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }
}

/// Drops a piece that hyper received, wiping it when this was the last handle on its memory.
pub(crate) fn wipe(piece: Bytes) {
    if let Ok(mut piece) = piece.try_into_mut() {
        piece.as_mut().zeroize();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_survive_growth() {
        let mut buffer = Wiped::with_capacity(1);
        let mut expected = Vec::new();
        for round in 0..2000_u32 {
            let piece = round.to_le_bytes();
            buffer.extend(&piece);
            expected.extend_from_slice(&piece);
        }
        assert_eq!(&*buffer, expected);
        assert_eq!(buffer.into_bytes(), expected);
    }
}
