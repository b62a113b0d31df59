//! Bytes of a report, read once from front to back.
//!
//! Why apart: every error of a report names the byte where it is, so reading has to count.
//!
//! # Invariants
//! Never reads beyond its end; what is too short is an error of the field that was to be read.

use crate::nvidia::error::{DeviceError, ReportField};

/// What is left of some bytes, and where in the report it begins.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            offset: 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) const fn len(&self) -> usize {
        self.rest.len()
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    /// An error of `field`, here.
    pub(crate) const fn error(&self, field: ReportField) -> DeviceError {
        DeviceError::Form {
            field,
            offset: self.offset,
        }
    }

    /// The next `N` bytes.
    pub(crate) fn take<const N: usize>(&mut self, field: ReportField) -> Result<&'a [u8; N], DeviceError> {
        let (head, tail) = self.rest.split_first_chunk().ok_or_else(|| self.error(field))?;
        self.rest = tail;
        self.offset = self.offset.saturating_add(N);
        Ok(head)
    }

    /// The next `length` bytes, to be read on their own.
    pub(crate) fn part(&mut self, length: usize, field: ReportField) -> Result<Self, DeviceError> {
        let (head, tail) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| self.error(field))?;
        let part = Self {
            rest: head,
            offset: self.offset,
        };
        self.rest = tail;
        self.offset = self.offset.saturating_add(length);
        Ok(part)
    }

    pub(crate) fn byte(&mut self, field: ReportField) -> Result<u8, DeviceError> {
        let [byte] = *self.take(field)?;
        Ok(byte)
    }

    /// Two bytes, little endian.
    pub(crate) fn le16(&mut self, field: ReportField) -> Result<u16, DeviceError> {
        self.take(field).map(|bytes| u16::from_le_bytes(*bytes))
    }

    /// One byte that can only be `expected`.
    pub(crate) fn fixed(&mut self, expected: u8, field: ReportField) -> Result<(), DeviceError> {
        let here = *self;
        if self.byte(field)? == expected {
            return Ok(());
        }
        Err(here.error(field))
    }

    /// All that is left.
    pub(crate) const fn bytes(&self) -> &'a [u8] {
        self.rest
    }
}
