//! CBOR (RFC 8949), as little of it as an attestation document needs.
//!
//! Why apart: one strict reader without a library, small enough to be read whole.
//!
//! # Invariants
//! Lengths and numbers in their shortest form (section 4.2.1). No tags, floats, nesting or strings in chunks; of
//! indefinite length only a map, which AWS writes for the payload of some documents. Never past the end.

/// What is left of the bytes, and where it stands.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    length: usize,
}

const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;

const NULL: &[u8] = &[0xf6];
const OPEN_MAP: &[u8] = &[0xbf];
const BREAK: &[u8] = &[0xff];

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            length: bytes.len(),
        }
    }

    /// Offset of the next byte.
    pub(super) const fn at(&self) -> usize {
        self.length.saturating_sub(self.rest.len())
    }

    /// What was not read yet.
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Exactly these bytes; nothing is read when others come.
    pub(super) fn literal(&mut self, expected: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(expected)?;
        Some(())
    }

    /// Initial byte and argument (section 3), the shortest.
    fn head(&mut self, major: u8) -> Option<u64> {
        let (first, rest) = self.rest.split_first()?;
        if first >> 5 != major {
            return None;
        }
        let (value, rest) = match first & 0x1f {
            small @ 0..24 => (u64::from(small), rest),
            24 => {
                let ([value], rest) = rest.split_first_chunk()?;
                (u64::from(*value), rest)
            }
            25 => {
                let (value, rest) = rest.split_first_chunk()?;
                (u64::from(u16::from_be_bytes(*value)), rest)
            }
            26 => {
                let (value, rest) = rest.split_first_chunk()?;
                (u64::from(u32::from_be_bytes(*value)), rest)
            }
            27 => {
                let (value, rest) = rest.split_first_chunk()?;
                (u64::from_be_bytes(*value), rest)
            }
            _ => return None,
        };
        let shortest = match value {
            0..24 => first & 0x1f < 24,
            24..0x100 => first & 0x1f == 24,
            0x100..0x1_0000 => first & 0x1f == 25,
            0x1_0000..0x1_0000_0000 => first & 0x1f == 26,
            _ => true,
        };
        if !shortest {
            return None;
        }
        self.rest = rest;
        Some(value)
    }

    fn string(&mut self, major: u8) -> Option<&'a [u8]> {
        let length = usize::try_from(self.head(major)?).ok()?;
        let (string, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(string)
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        self.head(UNSIGNED)
    }

    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        self.string(BYTES)
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        str::from_utf8(self.string(TEXT)?).ok()
    }

    /// A byte string, or null.
    pub(super) fn bytes_or_null(&mut self) -> Option<Option<&'a [u8]>> {
        if self.literal(NULL).is_some() {
            return Some(None);
        }
        self.bytes().map(Some)
    }

    /// How many items follow.
    pub(super) fn array(&mut self) -> Option<u64> {
        self.head(ARRAY)
    }

    /// How many pairs follow.
    pub(super) fn map(&mut self) -> Option<u64> {
        self.head(MAP)
    }

    /// How many pairs follow; `None` inside when [`Self::end`] tells.
    pub(super) fn any_map(&mut self) -> Option<Option<u64>> {
        if self.literal(OPEN_MAP).is_some() {
            return Some(None);
        }
        self.map().map(Some)
    }

    /// Whether a map of indefinite length ends here.
    pub(super) fn end(&mut self) -> bool {
        self.literal(BREAK).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_form() {
        let read = |bytes: &[u8]| Reader::new(bytes).number();
        // RFC 8949, Appendix A.
        for (bytes, value) in [
            ([0x00].as_slice(), 0),
            (&[0x17], 23),
            (&[0x18, 0x18], 24),
            (&[0x18, 0x64], 100),
            (&[0x19, 0x03, 0xe8], 1000),
            (&[0x1a, 0x00, 0x0f, 0x42, 0x40], 1_000_000),
            (&[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0], 1_000_000_000_000),
        ] {
            assert_eq!(read(bytes), Some(value));
            assert_eq!(read(&bytes[..bytes.len() - 1]), None);
        }
        for bytes in [
            [0x18, 0x17].as_slice(),
            &[0x19, 0, 0xff],
            &[0x1a, 0, 0, 0xff, 0xff],
            &[0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff],
            &[0x1c],
            &[0x1f],
            &[0x20],
            &[],
        ] {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn strings_end_within_the_bytes() {
        assert_eq!(Reader::new(&[0x42, 1, 2, 3]).bytes(), Some([1, 2].as_slice()));
        assert_eq!(Reader::new(&[0x42, 1]).bytes(), None);
        assert_eq!(
            Reader::new(&[0x5b, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]).bytes(),
            None
        );
        assert_eq!(Reader::new(&[0x5f, 0x41, 1, 0xff]).bytes(), None);
        assert_eq!(Reader::new(b"\x62ok").text(), Some("ok"));
        assert_eq!(Reader::new(b"\x61\xff").text(), None);
        assert_eq!(Reader::new(b"\x41k").text(), None);
        assert_eq!(Reader::new(&[0xf6]).bytes_or_null(), Some(None));
        assert_eq!(Reader::new(&[0x40]).bytes_or_null(), Some(Some([].as_slice())));
        assert_eq!(Reader::new(&[0xf7]).bytes_or_null(), None);
    }

    #[test]
    fn it_knows_where_it_stands() {
        let mut reader = Reader::new(&[0x82, 0x01, 0xbf, 0xff, 0xa0]);
        assert_eq!(
            (reader.array(), reader.number(), reader.at()),
            (Some(2), Some(1), 2)
        );
        assert_eq!(reader.map(), None);
        assert_eq!((reader.any_map(), reader.at()), (Some(None), 3));
        assert_eq!((reader.end(), reader.end(), reader.at()), (true, false, 4));
        assert_eq!((reader.any_map(), reader.rest()), (Some(Some(0)), [].as_slice()));
    }
}
