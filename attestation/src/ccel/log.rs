//! The binary log: TCG crypto-agile format, as the ACPI table CCEL points to it.
//!
//! Why apart: lengths in it come from firmware, boot loader and whoever can write that memory.
//!
//! # Invariants
//! Little endian (TCG PC Client Platform Firmware Profile 1.06, section 10.2; UEFI 2.10, section 38.4). Header event:
//! index 4, type 4 (EV_NO_ACTION), 20 zero bytes, size 4, `Spec ID Event03` with the algorithms. Each event: index 4,
//! type 4, count 4, that many (algorithm 2, digest), size 4, data. Ends with the bytes, or with one filler of 0xff or
//! zero up to their end. Nothing is skipped.

use anchorhold_encoding::Digest;

use super::error::{CcelCheck, CcelError};
use super::{Event, EventLog, Register, sha384};
use crate::limits;

const SIGNATURE: &[u8; 16] = b"Spec ID Event03\0";
const SHA384: u16 = 0x000c;

/// TCG algorithm registry 1.34: SHA-1, SHA-256, SHA-384, SHA-512, SM3-256, with the sizes of their digests.
const SIZES: [(u16, usize); 5] = [
    (0x0004, 20),
    (0x000b, 32),
    (SHA384, 48),
    (0x000d, 64),
    (0x0012, 32),
];

/// Types whose digest is that of the event's data (Firmware Profile 1.06, table 27): separator, action, EFI variable
/// of the driver configuration, GPT, EFI action, EFI variable authority.
const DATA_IS_MEASURED: [u32; 6] = [4, 5, 0x8000_0001, 0x8000_0006, 0x8000_0007, 0x8000_00e0];

struct Cursor<'a> {
    rest: &'a [u8],
    offset: usize,
}

impl<'a> Cursor<'a> {
    const fn fault(&self, check: CcelCheck) -> CcelError {
        CcelError::Log {
            check,
            offset: self.offset,
        }
    }

    fn slice(&mut self, length: usize) -> Result<&'a [u8], CcelError> {
        let (head, tail) = self
            .rest
            .split_at_checked(length)
            .ok_or(self.fault(CcelCheck::Length))?;
        self.rest = tail;
        self.offset = self.offset.saturating_add(length);
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], CcelError> {
        let (head, tail) = self
            .rest
            .split_first_chunk()
            .ok_or(self.fault(CcelCheck::Length))?;
        self.rest = tail;
        self.offset = self.offset.saturating_add(N);
        Ok(head)
    }

    fn u16(&mut self) -> Result<u16, CcelError> {
        Ok(u16::from_le_bytes(*self.array()?))
    }

    fn u32(&mut self) -> Result<u32, CcelError> {
        Ok(u32::from_le_bytes(*self.array()?))
    }

    /// A size, and that many bytes.
    fn sized(&mut self) -> Result<&'a [u8], CcelError> {
        let size = self.u32()?;
        self.slice(usize::try_from(size).unwrap_or(usize::MAX))
    }

    /// True at the end, or at a filler; an error when filler turns into something else.
    fn ended(&self) -> Result<bool, CcelError> {
        let Some(first) = self.rest.first() else {
            return Ok(true);
        };
        let uniform = self.rest.iter().all(|byte| byte == first);
        if uniform && (*first == 0 || *first == 0xff) {
            return Ok(true);
        }
        if self.rest.starts_with(&[0xff; 4]) {
            return Err(self.fault(CcelCheck::Filler));
        }
        Ok(false)
    }
}

impl EventLog {
    /// Reads a binary log.
    ///
    /// # Errors
    /// [`CcelError`] with the offset or the event that is not as it must be.
    pub fn parse(bytes: &[u8]) -> Result<Self, CcelError> {
        let mut cursor = Cursor {
            rest: bytes,
            offset: 0,
        };
        if bytes.len() > limits::EVENT_LOG {
            return Err(cursor.fault(CcelCheck::Length));
        }
        let algorithms = header(&mut cursor)?;
        let mut events = Vec::new();
        while !cursor.ended()? {
            if events.len() >= limits::EVENTS {
                return Err(cursor.fault(CcelCheck::Count));
            }
            let event = event(&mut cursor, &algorithms)?;
            if !event.measured && DATA_IS_MEASURED.contains(&event.kind) {
                return Err(CcelError::Event {
                    check: CcelCheck::Data,
                    event: events.len(),
                });
            }
            events.push(event);
        }
        Ok(Self { events })
    }
}

/// The algorithms, with the sizes of their digests.
fn header(cursor: &mut Cursor<'_>) -> Result<Vec<(u16, usize)>, CcelError> {
    let start = cursor.fault(CcelCheck::Header);
    // OVMF numbers the header's register 1, a PC's firmware 0; it goes nowhere.
    let (index, kind, digest) = (cursor.u32()?, cursor.u32()?, cursor.array::<20>()?);
    if index > 1 || kind != Event::NO_ACTION || *digest != [0; 20] {
        return Err(start);
    }
    let end = cursor.fault(CcelCheck::Header);
    let data = cursor.sized()?;
    let mut inner = Cursor {
        rest: data,
        offset: cursor.offset.saturating_sub(data.len()),
    };
    let (signature, class) = (inner.array::<16>()?, inner.u32()?);
    let [minor, major, _errata, word] = *inner.array()?;
    if signature != SIGNATURE || class != 0 || (major, minor) != (2, 0) || !(1..=2).contains(&word) {
        return Err(end);
    }
    let fault = inner.fault(CcelCheck::Algorithms);
    let count = usize::try_from(inner.u32()?).unwrap_or(usize::MAX);
    if count > limits::EVENT_DIGESTS {
        return Err(fault);
    }
    let mut algorithms: Vec<(u16, usize)> = Vec::with_capacity(count);
    for _ in 0..count {
        let named = (inner.u16()?, usize::from(inner.u16()?));
        if !SIZES.contains(&named) || algorithms.contains(&named) {
            return Err(fault);
        }
        algorithms.push(named);
    }
    let vendor = inner.array::<1>()?;
    inner.slice(usize::from(u8::from_le_bytes(*vendor)))?;
    if !inner.rest.is_empty() || !algorithms.iter().any(|(algorithm, _)| *algorithm == SHA384) {
        return Err(inner.fault(CcelCheck::Algorithms));
    }
    Ok(algorithms)
}

fn event(cursor: &mut Cursor<'_>, algorithms: &[(u16, usize)]) -> Result<Event, CcelError> {
    let unknown = cursor.fault(CcelCheck::RegisterIndex);
    let register = Register::from_index(cursor.u32()?).ok_or(unknown)?;
    let kind = cursor.u32()?;
    let fault = cursor.fault(CcelCheck::Digests);
    if usize::try_from(cursor.u32()?) != Ok(algorithms.len()) {
        return Err(fault);
    }
    let mut digest = None;
    let mut seen = Vec::with_capacity(algorithms.len());
    for _ in algorithms {
        let fault = cursor.fault(CcelCheck::Digests);
        let algorithm = cursor.u16()?;
        let known = algorithms.iter().find(|(named, _)| *named == algorithm);
        let (_, size) = known.filter(|_| !seen.contains(&algorithm)).ok_or(fault)?;
        seen.push(algorithm);
        let value = cursor.slice(*size)?;
        if algorithm == SHA384 {
            digest = Digest::from_slice(value);
        }
    }
    let digest = digest.ok_or(fault)?;
    let data = cursor.sized()?.to_vec();
    Ok(Event {
        register,
        kind,
        digest,
        measured: sha384(&[&data]) == digest,
        data,
        name: None,
    })
}
