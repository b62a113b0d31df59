//! Numbers and texts out of bytes that may end anywhere.
//!
//! Why apart: every length in a file passes here and nowhere else.
//!
//! # Invariants
//! Never reads behind the end, never goes back.

use super::error::GgufError;
use crate::shown::ShownName;

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Of the whole file, of which `bytes` may be the begin.
    length: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], length: u64) -> Self {
        Self { bytes, at: 0, length }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.at as u64
    }

    pub(super) fn take(&mut self, count: u64) -> Result<&'a [u8], GgufError> {
        let cut = GgufError::Cut {
            needed: self.position().saturating_add(count),
            length: self.length,
        };
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = usize::try_from(count)
            .ok()
            .and_then(|count| rest.get(..count))
            .ok_or(cut)?;
        self.at += taken.len();
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], GgufError> {
        let taken = self.take(N as u64)?;
        let mut array = [0; N];
        array.copy_from_slice(taken);
        Ok(array)
    }

    pub(super) fn u32(&mut self) -> Result<u32, GgufError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, GgufError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A length and so many bytes.
    pub(super) fn text(&mut self) -> Result<&'a [u8], GgufError> {
        let length = self.u64()?;
        self.take(length)
    }

    /// A name of at least one byte and at most `most`.
    pub(super) fn name(&mut self, what: &'static str, most: u64) -> Result<&'a str, GgufError> {
        let length = self.u64()?;
        if length == 0 || length > most {
            return Err(GgufError::NameLength {
                what,
                found: length,
                most,
            });
        }
        std::str::from_utf8(self.take(length)?).map_err(|_| GgufError::NameText(what))
    }

    /// What `read` goes through, as bytes.
    pub(super) fn span(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<(), GgufError>,
    ) -> Result<&'a [u8], GgufError> {
        let start = self.at;
        read(self)?;
        Ok(self.bytes.get(start..self.at).unwrap_or_default())
    }

    /// A text under a key.
    pub(super) fn utf8(&mut self, key: &str) -> Result<&'a str, GgufError> {
        std::str::from_utf8(self.text()?).map_err(|_| GgufError::NotText(ShownName::new(key)))
    }
}
