//! Elements of a response, read once from front to back.
//!
//! Why apart: the shape is nested six deep, and every error names the byte where it is.
//!
//! # Invariants
//! DER only: definite lengths in their shortest form, and nothing left over in any element.

use x509_cert::der::asn1::{AnyRef, GeneralizedTime};
use x509_cert::der::{Decode as _, Reader as _, SliceReader};

use crate::time::Timestamp;
use crate::x509::ocsp::OcspFault;

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OID: u8 = 0x06;
pub(super) const ENUMERATED: u8 = 0x0a;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;

/// The tag of `[number]` around a constructed element.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// One element: tag, length and content, and where it lies.
#[derive(Clone, Copy)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    /// With its tag and length.
    pub(super) whole: &'a [u8],
    pub(super) content: &'a [u8],
    offset: usize,
}

impl<'a> Element<'a> {
    /// An error here.
    pub(super) const fn wrong(&self) -> OcspFault {
        OcspFault::Syntax { offset: self.offset }
    }

    /// What is in it.
    pub(super) fn open(&self) -> Result<Elements<'a>, OcspFault> {
        let header = self.whole.len().saturating_sub(self.content.len());
        Elements::new(self.content, self.offset.saturating_add(header))
    }

    /// The one element in it, with that tag.
    pub(super) fn only(&self, tag: u8) -> Result<Self, OcspFault> {
        let mut inner = self.open()?;
        let found = inner.expect(tag)?;
        inner.finish()?;
        Ok(found)
    }

    /// As a GeneralizedTime in whole seconds of UTC (RFC 6960 section 4.2.2.1).
    pub(super) fn time(&self) -> Result<Timestamp, OcspFault> {
        let time = GeneralizedTime::from_der(self.whole).map_err(|_| self.wrong())?;
        Ok(Timestamp::from_unix(time.to_unix_duration().as_secs()))
    }
}

/// Elements in a row.
pub(super) struct Elements<'a> {
    reader: SliceReader<'a>,
    base: usize,
}

impl<'a> Elements<'a> {
    /// Of `bytes`, which begin at `base` of the whole.
    pub(super) fn new(bytes: &'a [u8], base: usize) -> Result<Self, OcspFault> {
        let reader = SliceReader::new(bytes).map_err(|_| OcspFault::Syntax { offset: base })?;
        Ok(Self { reader, base })
    }

    fn offset(&self) -> usize {
        let position = usize::try_from(u32::from(self.reader.position())).unwrap_or(usize::MAX);
        self.base.saturating_add(position)
    }

    /// The next, whatever it is.
    pub(super) fn any(&mut self) -> Result<Element<'a>, OcspFault> {
        let offset = self.offset();
        let whole = self
            .reader
            .tlv_bytes()
            .map_err(|_| OcspFault::Syntax { offset })?;
        let content = AnyRef::from_der(whole).map_err(|_| OcspFault::Syntax { offset })?;
        Ok(Element {
            tag: *whole.first().ok_or(OcspFault::Syntax { offset })?,
            whole,
            content: content.value(),
            offset,
        })
    }

    /// The next, with that tag.
    pub(super) fn expect(&mut self, tag: u8) -> Result<Element<'a>, OcspFault> {
        let next = self.any()?;
        if next.tag == tag {
            return Ok(next);
        }
        Err(next.wrong())
    }

    /// The next, if it has that tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, OcspFault> {
        if self.reader.peek_byte() == Some(tag) {
            return self.any().map(Some);
        }
        Ok(None)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.reader.is_finished()
    }

    /// Nothing is left.
    pub(super) fn finish(&self) -> Result<(), OcspFault> {
        if self.is_finished() {
            return Ok(());
        }
        Err(OcspFault::Syntax {
            offset: self.offset(),
        })
    }
}
