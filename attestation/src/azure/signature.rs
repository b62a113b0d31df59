//! TPMT_SIGNATURE: the signature as the TPM gives it.
//!
//! Why apart: it says its own scheme and hash, and both are fixed here before any key is touched.
//!
//! # Invariants
//! RSASSA or ECDSA, SHA-256, exactly consumed (TPM 2.0 Library Part 2 r1.59, section 11.3.4). An ECDSA signature has
//! a twin, (r, n - s), that only who has the first can make and that says the same.

use super::error::{AzureError, Check};
use super::read::Reader;

const RSASSA: u16 = 0x0014;
const ECDSA: u16 = 0x0018;
const SHA256: u16 = 0x000b;

/// Bytes of a signature by an RSA key of 4096 bits.
const RSA_LIMIT: u16 = 512;

/// A signature of a quote, by its scheme.
#[derive(Debug)]
pub(super) enum QuoteSignature<'a> {
    Rsassa(&'a [u8]),
    Ecdsa { r: &'a [u8; 32], s: &'a [u8; 32] },
}

impl<'a> QuoteSignature<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, AzureError> {
        let mut reader = Reader::new(bytes);
        match Self::read(&mut reader) {
            Some(signature) if reader.is_empty() => Ok(signature),
            _ => Err(AzureError::Quote {
                check: Check::QuoteSignatureShape,
                at: reader.at(),
            }),
        }
    }

    fn read(reader: &mut Reader<'a>) -> Option<Self> {
        let scheme = reader.u16_be()?;
        let _sha256 = reader.u16_be().filter(|hash| *hash == SHA256)?;
        match scheme {
            RSASSA => reader.sized(RSA_LIMIT).map(Self::Rsassa),
            ECDSA => {
                let r = reader.sized(32)?.try_into().ok()?;
                let s = reader.sized(32)?.try_into().ok()?;
                Some(Self::Ecdsa { r, s })
            }
            _ => None,
        }
    }
}
