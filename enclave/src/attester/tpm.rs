//! The few TPM 2.0 commands that evidence needs, as bytes.
//!
//! Why apart: a TPM library would bring C code and a daemon's protocol into the trust boundary for seven commands.
//!
//! - [`wire`]: a command under construction, a response being read
//!
//! # Invariants
//! A response is believed when its size is its own, its code is zero and every byte of it is accounted for. Nothing in
//! it is trusted beyond that: the vTPM is the paravisor's, whose word verifiers judge.
//!
//! Source: TPM 2.0 Library, revision 1.59 (2019-11-08), Part 3 sections 18.4 (Quote), 22.2 (PCR_Extend), 22.4 (PCR_Read), 31.3
//! (NV_DefineSpace), 31.6 (NV_ReadPublic), 31.7 (NV_Write), 31.13 (NV_Read); Part 2 for structures and constants.

mod device;
mod wire;

use std::io;

use anchorhold_encoding::Digest;

use super::error::Fault;
use crate::limits;
pub use device::{Device, PATH};
use wire::{Command, Response};

const CC_NV_DEFINE_SPACE: u32 = 0x12a;
const CC_NV_WRITE: u32 = 0x137;
const CC_NV_READ: u32 = 0x14e;
const CC_QUOTE: u32 = 0x158;
const CC_NV_READ_PUBLIC: u32 = 0x169;
const CC_PCR_READ: u32 = 0x17e;
const CC_PCR_EXTEND: u32 = 0x182;

const RH_OWNER: u32 = 0x4000_0001;
const ALG_SHA256: u16 = 0x000b;
const ALG_NULL: u16 = 0x0010;

/// TPM_RC_HANDLE for the first handle: there is no such index.
const RC_NO_HANDLE: u32 = 0x18b;
/// TPM_RC_YIELDED, TPM_RC_TESTING, TPM_RC_NV_RATE and TPM_RC_RETRY: later it may work.
const RC_LATER: [u32; 4] = [0x908, 0x90a, 0x920, 0x922];

/// TPMA_NV: OWNERWRITE, AUTHWRITE, OWNERREAD and AUTHREAD, so that guest and paravisor can both use the index.
const NV_ATTRIBUTES: u32 = 1 << 1 | 1 << 2 | 1 << 17 | 1 << 18;

/// Registers of a PC Client TPM: all are quoted, so that a policy can ask for any.
pub const REGISTERS: u8 = 24;
/// TPML_PCR_SELECTION of one bank: count, hash, size of the bits; the bits follow.
const SELECTION_HEAD: [u8; 7] = [0, 0, 0, 1, 0, 0x0b, 3];

/// A TPM, or what stands in for it.
pub trait Tpm: Send + Sync {
    /// One command, one response.
    ///
    /// # Errors
    /// The system's.
    fn exchange(&self, command: &[u8]) -> io::Result<Vec<u8>>;
}

/// A quote, and the values of the registers it covers.
#[derive(Debug, PartialEq, Eq)]
pub struct Quoted {
    /// TPMS_ATTEST.
    pub message: Vec<u8>,
    /// TPMT_SIGNATURE.
    pub signature: Vec<u8>,
    /// All registers of the SHA-256 bank, ascending.
    pub registers: Vec<Digest<32>>,
}

/// The size of an index; `None` when it is not defined.
///
/// # Errors
/// [`Fault`].
pub fn nv_size(tpm: &dyn Tpm, index: u32) -> Result<Option<u16>, Fault> {
    let command = Command::new(CC_NV_READ_PUBLIC).handle(index);
    let response = run(tpm, &command)?;
    if response.code() == RC_NO_HANDLE {
        return Ok(None);
    }
    let mut body = response.body()?;
    let mut public = body.sized()?;
    let named = public.u32()?;
    public.skip(6)?; // name algorithm and attributes
    public.sized()?; // policy
    let size = public.u16()?;
    public.end()?;
    body.sized()?; // name
    body.end()?;
    if named != index {
        return Err(Fault::Malformed);
    }
    Ok(Some(size))
}

/// Defines an ordinary index with the owner's empty password.
///
/// # Errors
/// [`Fault`].
pub fn nv_define(tpm: &dyn Tpm, index: u32, size: u16) -> Result<(), Fault> {
    let mut public = Vec::new();
    public.extend(index.to_be_bytes());
    public.extend(ALG_SHA256.to_be_bytes());
    public.extend(NV_ATTRIBUTES.to_be_bytes());
    public.extend([0, 0]); // no policy
    public.extend(size.to_be_bytes());
    let command = Command::new(CC_NV_DEFINE_SPACE)
        .handle(RH_OWNER)
        .password()
        .sized(&[]) // no password of its own
        .sized(&public);
    run(tpm, &command)?.body()?.end()
}

/// Writes a whole index of at most 512 bytes.
///
/// # Errors
/// [`Fault`].
pub fn nv_write(tpm: &dyn Tpm, index: u32, bytes: &[u8]) -> Result<(), Fault> {
    let command = Command::new(CC_NV_WRITE)
        .handle(RH_OWNER)
        .handle(index)
        .password()
        .sized(bytes)
        .raw(&[0, 0]); // offset
    run(tpm, &command)?.body()?.end()
}

/// Reads a whole index.
///
/// # Errors
/// [`Fault::Missing`] when it is not defined; [`Fault::TooLarge`] beyond `limit`.
pub fn nv_read(tpm: &dyn Tpm, index: u32, limit: usize) -> Result<Vec<u8>, Fault> {
    let size = nv_size(tpm, index)?.ok_or(Fault::Missing)?;
    if usize::from(size) > limit {
        return Err(Fault::TooLarge);
    }
    let mut bytes = Vec::new();
    let mut offset = 0;
    while offset < size {
        let length = limits::TPM_NV_CHUNK.min(size - offset);
        let command = Command::new(CC_NV_READ)
            .handle(RH_OWNER)
            .handle(index)
            .password()
            .raw(&length.to_be_bytes())
            .raw(&offset.to_be_bytes());
        let response = run(tpm, &command)?;
        let mut body = response.body()?;
        let chunk = body.sized()?;
        body.end()?;
        if chunk.rest().len() != usize::from(length) {
            return Err(Fault::Malformed);
        }
        bytes.extend(chunk.rest());
        offset += length;
    }
    Ok(bytes)
}

/// Has the key at a persistent handle sign all registers with `qualifying_data`. The values read beside it are those
/// that were signed: when a register is extended meanwhile, it starts again.
///
/// # Errors
/// [`Fault`]; [`Fault::Disturbed`] when registers do not stand still.
pub fn quote(tpm: &dyn Tpm, key: u32, qualifying_data: &Digest<32>) -> Result<Quoted, Fault> {
    for _ in 0..limits::REPORT_ATTEMPTS {
        let command = Command::new(CC_QUOTE)
            .handle(key)
            .password()
            .sized(qualifying_data.as_bytes())
            .raw(&ALG_NULL.to_be_bytes()) // the key's own scheme
            .raw(&SELECTION_HEAD)
            .raw(&[0xff; 3]);
        let response = run(tpm, &command)?;
        let mut body = response.body()?;
        let message = body.sized()?.rest().to_vec();
        let signature = body.rest().to_vec();
        let registers = registers(tpm)?;
        let values: Vec<&[u8]> = registers
            .iter()
            .map(|value| value.as_bytes().as_slice())
            .collect();
        // TPMS_QUOTE_INFO ends with the digest of the values (Part 2, section 10.12.4).
        if message.ends_with(anchorhold_encoding::sha256(&values).as_bytes()) {
            return Ok(Quoted {
                message,
                signature,
                registers,
            });
        }
    }
    Err(Fault::Disturbed)
}

/// Extends a register of the SHA-256 bank.
///
/// # Errors
/// [`Fault`].
pub fn extend(tpm: &dyn Tpm, register: u8, digest: &Digest<32>) -> Result<(), Fault> {
    let command = Command::new(CC_PCR_EXTEND)
        .handle(u32::from(register))
        .password()
        .raw(&[0, 0, 0, 1])
        .raw(&ALG_SHA256.to_be_bytes())
        .raw(digest.as_bytes());
    run(tpm, &command)?.body()?.end()
}

/// All registers of the SHA-256 bank. A TPM gives eight at a time (TPML_DIGEST).
///
/// # Errors
/// [`Fault`]; [`Fault::Unsupported`] when it has no such bank.
pub fn registers(tpm: &dyn Tpm) -> Result<Vec<Digest<32>>, Fault> {
    let mut values = Vec::new();
    for first in (0..REGISTERS).step_by(8) {
        let mut bits = [0; 3];
        for (byte, bits) in (0..).step_by(8).zip(&mut bits) {
            if byte == first {
                *bits = 0xff;
            }
        }
        let command = Command::new(CC_PCR_READ).raw(&SELECTION_HEAD).raw(&bits);
        let response = run(tpm, &command)?;
        let mut body = response.body()?;
        body.u32()?; // counter of updates
        // The selection repeats what was read: less than asked for is a bank that the TPM does not have.
        if body.array::<7>()? != SELECTION_HEAD || body.array::<3>()? != bits || body.u32()? != 8 {
            return Err(Fault::Unsupported);
        }
        for _ in 0..8 {
            let value = body.sized()?;
            values.push(Digest::from_slice(value.rest()).ok_or(Fault::Malformed)?);
        }
        body.end()?;
    }
    Ok(values)
}

/// Sends a command, again when the TPM wants that.
fn run(tpm: &dyn Tpm, command: &Command) -> Result<Response, Fault> {
    let bytes = command.bytes();
    for _ in 0..limits::REPORT_ATTEMPTS {
        let response = tpm.exchange(&bytes).map_err(|error| fault(&error))?;
        let response = Response::parse(response, command.has_session())?;
        if !RC_LATER.contains(&response.code()) {
            return Ok(response);
        }
    }
    Err(Fault::Busy)
}

fn fault(error: &io::Error) -> Fault {
    match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        io::ErrorKind::PermissionDenied => Fault::Forbidden,
        io::ErrorKind::FileTooLarge => Fault::TooLarge,
        io::ErrorKind::ResourceBusy | io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Fault::Busy,
        _ => Fault::Refused,
    }
}

#[cfg(test)]
pub(super) mod fake;
#[cfg(test)]
mod tests;
