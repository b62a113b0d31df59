//! A TPM quote: TPMS_ATTEST, its signature, and the register values it covers.
//!
//! Why apart: one strict reader of one statement of a TPM. Whose TPM it is, binding says.
//!
//! # Invariants
//! Exactly consumed; magic, type, bank and digest sizes fixed; one value a selected register, so none can be shown
//! that the quote does not cover. The signed bytes are those received.
//!
//! Layout (big endian; TPM 2.0 Library Part 2 r1.59, sections 10.12.12, 10.11.1, 10.12.4, 10.9.7 and 10.6.2): magic 4,
//! type 2, qualified signer TPM2B, extra data TPM2B, clock 8, resets 4, restarts 4, safe 1, firmware version 8,
//! selections 4 = 1, hash 2, size 1 = 3, bits 3, digest TPM2B.

use anchorhold_encoding::{Digest, sha256};
use subtle::ConstantTimeEq as _;

use super::error::{AzureError, Check};
use super::key::ALG_SHA256;
use super::read::Reader;
use super::signature::QuoteSignature;
use crate::signature::Scheme;
use crate::x509::PublicKey;

const MAGIC: u32 = 0xff54_4347;
const TYPE_QUOTE: u16 = 0x8018;
/// A name: the algorithm's identifier and a SHA-256 value.
const NAME_LENGTH: u16 = 34;
/// TPM2B_DATA holds at most a TPMT_HA: an algorithm's identifier and a SHA-512 value.
const EXTRA_DATA_LIMIT: u16 = 66;
const DIGEST_LENGTH: u16 = 32;
/// Registers of a PC Client TPM, and the bytes of a selection of them.
const REGISTERS: u8 = 24;
const SELECTION_LENGTH: u8 = 3;

/// A quote of the right form. Believed by nobody yet.
#[derive(Debug)]
pub struct Quote<'a> {
    message: &'a [u8],
    signature: QuoteSignature<'a>,
    signer: Digest<32>,
    extra_data: &'a [u8],
    clock: Clock,
    registers: Registers,
    digest: Digest<32>,
}

/// What a TPM says of its own time and firmware (TPMS_CLOCK_INFO and the firmware version). The paravisor's vTPM
/// under a hardware report says so; the host can start the VM anew as it likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds that the TPM was powered, as it keeps them.
    pub milliseconds: u64,
    /// How often the TPM was reset.
    pub resets: u32,
    /// How often it was restarted or resumed since then.
    pub restarts: u32,
    /// False when an earlier value of the clock may have been larger.
    pub safe: bool,
    /// The vTPM's firmware version, as its maker numbers it.
    pub firmware_version: u64,
}

/// The values of the registers that a quote covers, SHA-256 bank.
#[derive(Debug, PartialEq, Eq)]
pub struct Registers(Vec<(u8, Digest<32>)>);

impl Registers {
    /// The value of register `index`; `None` when the quote does not cover it.
    #[must_use]
    pub fn get(&self, index: u8) -> Option<&Digest<32>> {
        self.0
            .iter()
            .find_map(|(register, value)| (*register == index).then_some(value))
    }

    /// The registers covered, ascending, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &Digest<32>)> {
        self.0.iter().map(|(register, value)| (*register, value))
    }

    /// The digest of the values in ascending order (Part 3, section 18.4).
    fn digest(&self) -> Digest<32> {
        let values: Vec<&[u8]> = self
            .0
            .iter()
            .map(|(_, value)| value.as_bytes().as_slice())
            .collect();
        sha256(&values)
    }
}

impl<'a> Quote<'a> {
    /// Reads a quote: `message` is TPMS_ATTEST (without the size that TPM2B_ATTEST puts in front), `signature` is
    /// TPMT_SIGNATURE, `values` are those of the selected registers and no others, in ascending order.
    ///
    /// # Errors
    /// [`AzureError::Quote`] with the offset of the field that is wrong.
    pub fn parse(message: &'a [u8], signature: &'a [u8], values: &[Digest<32>]) -> Result<Self, AzureError> {
        let mut reader = Reader::new(message);
        let reader = &mut reader;
        let magic = read(reader, Reader::u32_be)?;
        if magic != MAGIC {
            return Err(wrong(Check::QuoteMagic, 0));
        }
        let at = reader.at();
        if read(reader, Reader::u16_be)? != TYPE_QUOTE {
            return Err(wrong(Check::QuoteType, at));
        }
        let at = reader.at();
        let signer = read(reader, |reader| reader.sized(NAME_LENGTH))?;
        let signer = signer
            .strip_prefix(&ALG_SHA256)
            .and_then(Digest::from_slice)
            .ok_or(wrong(Check::QuoteShape, at))?;
        let extra_data = read(reader, |reader| reader.sized(EXTRA_DATA_LIMIT))?;
        let clock = Self::clock(reader)?;
        let registers = Self::registers(reader, values)?;
        let at = reader.at();
        let digest = read(reader, |reader| reader.sized(DIGEST_LENGTH))?;
        let digest = Digest::from_slice(digest).ok_or(wrong(Check::QuoteShape, at))?;
        if !reader.is_empty() {
            return Err(wrong(Check::QuoteShape, reader.at()));
        }
        Ok(Self {
            message,
            signature: QuoteSignature::parse(signature)?,
            signer,
            extra_data,
            clock,
            registers,
            digest,
        })
    }

    fn clock(reader: &mut Reader<'_>) -> Result<Clock, AzureError> {
        let milliseconds = read(reader, Reader::u64_be)?;
        let resets = read(reader, Reader::u32_be)?;
        let restarts = read(reader, Reader::u32_be)?;
        let at = reader.at();
        let safe = match read(reader, Reader::u8)? {
            0 => false,
            1 => true,
            _ => return Err(wrong(Check::QuoteShape, at)),
        };
        Ok(Clock {
            milliseconds,
            resets,
            restarts,
            safe,
            firmware_version: read(reader, Reader::u64_be)?,
        })
    }

    fn registers(reader: &mut Reader<'_>, values: &[Digest<32>]) -> Result<Registers, AzureError> {
        let at = reader.at();
        let selections = read(reader, Reader::u32_be)?;
        let hash: &[u8; 2] = read(reader, Reader::array)?;
        let length = read(reader, Reader::u8)?;
        if selections != 1 || hash != &ALG_SHA256 || length != SELECTION_LENGTH {
            return Err(wrong(Check::QuoteSelection, at));
        }
        let [low, middle, high] = *read(reader, Reader::array)?;
        // Bit i of byte j is register 8 j + i (section 10.6.2).
        let selected = u32::from_le_bytes([low, middle, high, 0]);
        let registers: Vec<u8> = (0..REGISTERS)
            .filter(|register| selected >> register & 1 == 1)
            .collect();
        if registers.is_empty() {
            return Err(wrong(Check::QuoteSelection, at));
        }
        if registers.len() != values.len() {
            return Err(wrong(Check::QuoteValues, values.len()));
        }
        Ok(Registers(
            registers.into_iter().zip(values.iter().copied()).collect(),
        ))
    }

    /// Proves it by a key for which somebody else vouches: that key signed it, its qualifying data are those given, and
    /// the values are those it covers.
    pub(crate) fn proven_by(
        self,
        key: &PublicKey,
        qualifying_data: &[u8],
    ) -> Result<(Clock, Registers), AzureError> {
        let wrong = |check| AzureError::Binding { check };
        let genuine = match &self.signature {
            QuoteSignature::Rsassa(signature) => key.verify(Scheme::RsaPkcs1Sha256, self.message, signature),
            QuoteSignature::Ecdsa { r, s } => {
                let signature = [r.as_slice(), s.as_slice()].concat();
                key.verify(Scheme::EcdsaP256Fixed, self.message, &signature)
            }
        };
        let _genuine = genuine.ok_or(wrong(Check::QuoteSignature))?;
        if !bool::from(self.extra_data.ct_eq(qualifying_data)) {
            return Err(wrong(Check::QuoteQualifyingData));
        }
        if !self.covers_values() {
            return Err(wrong(Check::QuotePcrDigest));
        }
        Ok(self.into_parts())
    }

    /// The bytes the TPM signed.
    pub(super) const fn message(&self) -> &'a [u8] {
        self.message
    }

    pub(super) const fn signature(&self) -> &QuoteSignature<'a> {
        &self.signature
    }

    pub(super) const fn signer(&self) -> &Digest<32> {
        &self.signer
    }

    pub(super) const fn extra_data(&self) -> &'a [u8] {
        self.extra_data
    }

    /// True when the digest the TPM signed is that of the values given.
    pub(super) fn covers_values(&self) -> bool {
        self.registers.digest() == self.digest
    }

    pub(super) fn into_parts(self) -> (Clock, Registers) {
        (self.clock, self.registers)
    }
}

fn read<'a, T>(
    reader: &mut Reader<'a>,
    part: impl FnOnce(&mut Reader<'a>) -> Option<T>,
) -> Result<T, AzureError> {
    let at = reader.at();
    part(reader).ok_or(wrong(Check::QuoteShape, at))
}

const fn wrong(check: Check, at: usize) -> AzureError {
    AzureError::Quote { check, at }
}

#[cfg(test)]
mod tests;
