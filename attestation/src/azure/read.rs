//! A cursor over bytes from outside that knows where it stands.
//!
//! Why apart: three binary formats (HCL report, TDREPORT, TPM structures) are read alike, and each error names
//! the offset of the field that was wrong.
//!
//! # Invariants
//! Never past the end, never backwards; the offset is that of the next unread byte.

/// What is left of the bytes, and how many were read.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, at: 0 }
    }

    /// Offset of the next byte.
    pub(super) const fn at(&self) -> usize {
        self.at
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `length` bytes; `None`, and nothing read, when there are fewer.
    pub(super) fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(length)?;
        self.rest = tail;
        self.at = self.at.checked_add(length)?;
        Some(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        self.slice(N)?.first_chunk()
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]: &[u8; 1]| *byte)
    }

    pub(super) fn u16_be(&mut self) -> Option<u16> {
        self.array().copied().map(u16::from_be_bytes)
    }

    pub(super) fn u32_be(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_be_bytes)
    }

    pub(super) fn u64_be(&mut self) -> Option<u64> {
        self.array().copied().map(u64::from_be_bytes)
    }

    pub(super) fn u32_le(&mut self) -> Option<u32> {
        self.array().copied().map(u32::from_le_bytes)
    }

    /// A TPM2B: a big-endian 16-bit size of at most `limit`, and as many bytes.
    pub(super) fn sized(&mut self, limit: u16) -> Option<&'a [u8]> {
        let size = self.u16_be().filter(|size| *size <= limit)?;
        self.slice(usize::from(size))
    }
}

/// True when every byte is zero.
pub(super) fn all_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stops_at_the_end_and_says_where_it_stands() {
        let mut reader = Reader::new(&[1, 0, 2, 0xff, 0xee, 3, 0, 0, 0]);
        assert_eq!((reader.u8(), reader.at()), (Some(1), 1));
        assert_eq!((reader.sized(2), reader.at()), (Some([0xff, 0xee].as_slice()), 5));
        assert_eq!((reader.u64_be(), reader.at()), (None, 5));
        assert_eq!((reader.u32_le(), reader.is_empty()), (Some(3), true));
        assert_eq!(reader.slice(0), Some([].as_slice()));
        assert_eq!(reader.slice(usize::MAX), None);
    }

    #[test]
    fn a_sized_buffer_is_within_its_limit() {
        assert_eq!(Reader::new(&[0, 3, 1, 2, 3]).sized(3), Some([1, 2, 3].as_slice()));
        assert_eq!(Reader::new(&[0, 3, 1, 2, 3]).sized(2), None);
        assert_eq!(Reader::new(&[0, 3, 1, 2]).sized(3), None);
    }

    #[test]
    fn zero_is_every_byte() {
        assert!(all_zero(&[]) && all_zero(&[0, 0]));
        assert!(!all_zero(&[0, 1]) && !all_zero(&[1, 0]));
    }
}
