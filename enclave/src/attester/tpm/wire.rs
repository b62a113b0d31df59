//! A command as bytes, and a response read with care.
//!
//! Why apart: framing and sizes, the same for every command.
//!
//! # Invariants
//! All numbers are big endian. A read beyond the end is an error, and so are bytes that nobody read.
//!
//! Source: TPM 2.0 Library r1.59, Part 1 section 18 (command and response structure), Part 2 sections 6.9 (tags), 7.4
//! (TPM_RS_PW) and 10.13 (authorisation areas).

use super::super::error::Fault;
use crate::limits;

const TAG_NO_SESSIONS: u16 = 0x8001;
const TAG_SESSIONS: u16 = 0x8002;
/// Tag, size, code.
const HEADER: usize = 10;
/// An empty password: TPM_RS_PW, no nonce, no attributes, no bytes.
const PASSWORD: [u8; 9] = [0x40, 0, 0, 9, 0, 0, 0, 0, 0];
const RC_SUCCESS: u32 = 0;

/// A command under construction: handles, then the password if one is needed, then parameters.
pub(super) struct Command {
    code: u32,
    session: bool,
    body: Vec<u8>,
}

impl Command {
    pub(super) const fn new(code: u32) -> Self {
        Self {
            code,
            session: false,
            body: Vec::new(),
        }
    }

    pub(super) fn handle(self, handle: u32) -> Self {
        self.raw(&handle.to_be_bytes())
    }

    /// Authorises the handle before with an empty password: a VM's owner hierarchy has no other.
    pub(super) fn password(mut self) -> Self {
        self.session = true;
        self.raw(&[0, 0, 0, 9]).raw(&PASSWORD)
    }

    /// Bytes with their length as two bytes in front.
    pub(super) fn sized(self, bytes: &[u8]) -> Self {
        let length = u16::try_from(bytes.len()).expect("no parameter here has 64 KiB");
        self.raw(&length.to_be_bytes()).raw(bytes)
    }

    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.body.extend(bytes);
        self
    }

    pub(super) const fn has_session(&self) -> bool {
        self.session
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let tag = if self.session {
            TAG_SESSIONS
        } else {
            TAG_NO_SESSIONS
        };
        let size = u32::try_from(HEADER + self.body.len()).expect("no command here has 4 GiB");
        [
            tag.to_be_bytes().as_slice(),
            &size.to_be_bytes(),
            &self.code.to_be_bytes(),
            &self.body,
        ]
        .concat()
    }
}

/// A response of the right size.
#[derive(Debug)]
pub(super) struct Response {
    bytes: Vec<u8>,
    code: u32,
    session: bool,
}

impl Response {
    pub(super) fn parse(bytes: Vec<u8>, session: bool) -> Result<Self, Fault> {
        if bytes.len() > limits::TPM_RESPONSE {
            return Err(Fault::TooLarge);
        }
        let mut header = Cursor(&bytes);
        let tag = header.u16()?;
        let size = header.u32()?;
        let code = header.u32()?;
        if usize::try_from(size) != Ok(bytes.len()) {
            return Err(Fault::Malformed);
        }
        // An error has no sessions and no body, whatever was asked.
        let session = session && code == RC_SUCCESS;
        let expected = if session { TAG_SESSIONS } else { TAG_NO_SESSIONS };
        if tag != expected || (code != RC_SUCCESS && bytes.len() != HEADER) {
            return Err(Fault::Malformed);
        }
        Ok(Self { bytes, code, session })
    }

    pub(super) const fn code(&self) -> u32 {
        self.code
    }

    /// The parameters of a response that says yes.
    pub(super) fn body(&self) -> Result<Cursor<'_>, Fault> {
        if self.code != RC_SUCCESS {
            return Err(Fault::Refused);
        }
        let mut cursor = Cursor(&self.bytes);
        cursor.skip(HEADER)?;
        if !self.session {
            return Ok(cursor);
        }
        let length = usize::try_from(cursor.u32()?).map_err(|_| Fault::Malformed)?;
        let parameters = Cursor(cursor.take(length)?);
        // The password's acknowledgement: no nonce, attributes, no bytes.
        if cursor.u16()? != 0 {
            return Err(Fault::Malformed);
        }
        cursor.skip(1)?;
        if cursor.u16()? != 0 {
            return Err(Fault::Malformed);
        }
        cursor.end()?;
        Ok(parameters)
    }
}

/// What is left to read.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Fault> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Fault::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Fault> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn skip(&mut self, length: usize) -> Result<(), Fault> {
        self.take(length).map(drop)
    }

    /// A TPM2B: two bytes of length, and that many.
    pub(super) fn sized(&mut self) -> Result<Self, Fault> {
        let length = self.u16()?;
        self.take(usize::from(length)).map(Self)
    }

    pub(super) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(super) fn end(&self) -> Result<(), Fault> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(Fault::Malformed)
        }
    }
}
