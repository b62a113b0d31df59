//! Preimages of hashes and signatures: a label, then fields that cannot run into each other.
//!
//! Why apart: every signature of the project is over such bytes, and a second way of writing a length
//! would be a second meaning.
//!
//! # Invariants
//! `LP(x)` is the length of `x` as four bytes, big endian, then `x`. Every preimage starts with the LP of a
//! label, hence with a zero byte: it can never be mistaken for JSON, which starts with `{`.

use crate::digest::{Digest, sha256, sha512};

/// The bytes under one label, field by field.
#[derive(Clone)]
pub struct Preimage(Vec<u8>);

impl Preimage {
    /// Starts with `LP(label)`. Labels are constants, one a purpose.
    #[must_use]
    pub fn new(label: &'static str) -> Self {
        Self(Vec::with_capacity(256)).lp(label.as_bytes())
    }

    /// Starts without a label: for a part that is itself hashed into a labelled preimage.
    #[must_use]
    pub fn unlabelled() -> Self {
        Self(Vec::new())
    }

    /// Adds `LP(bytes)`.
    ///
    /// # Panics
    /// When `bytes` has 4 GiB or more: limits on input are far below.
    #[must_use]
    pub fn lp(mut self, bytes: &[u8]) -> Self {
        let length = u32::try_from(bytes.len()).expect("a field is shorter than 4 GiB");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds `bytes` as they are: only for fields of a fixed length.
    #[must_use]
    pub fn fixed<const N: usize>(mut self, bytes: &[u8; N]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a 32-bit number, big endian, without a length.
    #[must_use]
    pub fn be32(self, number: u32) -> Self {
        self.fixed(&number.to_be_bytes())
    }

    /// Adds a 64-bit number, big endian, without a length.
    #[must_use]
    pub fn be64(self, number: u64) -> Self {
        self.fixed(&number.to_be_bytes())
    }

    /// The bytes so far: what a signature is made over.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn sha256(&self) -> Digest<32> {
        sha256(&[&self.0])
    }

    /// SHA-512 of the bytes.
    #[must_use]
    pub fn sha512(&self) -> Digest<64> {
        sha512(&[&self.0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_length_prefixed_big_endian() {
        let bytes = Preimage::new("ab").lp(b"").be32(1).fixed(b"xy");
        assert_eq!(bytes.as_bytes(), b"\0\0\0\x02ab\0\0\0\0\0\0\0\x01xy");
    }

    #[test]
    fn moving_a_byte_between_fields_changes_the_bytes() {
        let one = Preimage::new("l").lp(b"a").lp(b"bc");
        let two = Preimage::new("l").lp(b"ab").lp(b"c");
        assert_ne!(one.as_bytes(), two.as_bytes());
    }
}
