//! Google's vTPM: a quote, and the certificate that Google gives the key that signed it.
//!
//! Why apart: on Azure hardware names the TPM's key; here only a certificate of Google's does.
//!
//! # Invariants
//! The chain is proven before the quote is read. The scheme follows from the certified key. That the key signs nothing a
//! stranger made to look like a quote (a restricted key) is Google's word: its authority certifies such keys for
//! signing and no others.

use anchorhold_encoding::{Digest, sha256};

use super::error::{Check, ProviderError};
use super::machine::{MachineRegisters, ProviderMachine, Said};
use crate::azure::{self, AzureError, Quote};
use crate::binding::ReportData;
use crate::limits;
use crate::time::Timestamp;
use crate::x509::{Anchor, Certificate, ChainError, VerifiedChain};

/// A vTPM's quote as the Attester hands it over.
#[derive(Debug, Clone, Copy)]
pub struct GoogleQuote<'a> {
    /// The key's certificate and those above it: each in DER after its length in 4 bytes, big endian, the leaf first.
    pub certificates: &'a [u8],
    /// TPMS_ATTEST.
    pub message: &'a [u8],
    /// TPMT_SIGNATURE.
    pub signature: &'a [u8],
    /// The values of the selected registers, ascending, 32 bytes each.
    pub registers: &'a [u8],
}

/// Proves a quote over `report_data`, those of the machine's SEV-SNP report, at `now`.
///
/// # Errors
/// [`ProviderError`]: the first check that fails, in the order of docs/platforms/provider.md.
pub fn verify(
    given: &GoogleQuote<'_>,
    report_data: &ReportData,
    anchor: &Anchor,
    now: Timestamp,
) -> Result<ProviderMachine, ProviderError> {
    let chain = chain(given.certificates, anchor, now)?;
    let form = |at| ProviderError::Form {
        check: Check::GoogleQuoteForm,
        at,
    };
    let (values, rest) = given.registers.as_chunks::<32>();
    if !rest.is_empty() {
        return Err(form(values.len()));
    }
    let values: Vec<_> = values.iter().copied().map(Digest::new).collect();
    let quote = Quote::parse(given.message, given.signature, &values).map_err(|error| match error {
        AzureError::Quote { at, .. } => form(at),
        _ => form(0),
    })?;
    let qualifying = sha256(&[report_data.as_bytes()]);
    let (clock, registers) = quote
        .proven_by(chain.key(), qualifying.as_bytes())
        .map_err(|error| ProviderError::Binding {
            check: match error.check() {
                azure::Check::QuoteQualifyingData => Check::GoogleQualifyingData,
                azure::Check::QuotePcrDigest => Check::GooglePcrDigest,
                _ => Check::GoogleQuoteSignature,
            },
        })?;
    Ok(ProviderMachine {
        registers: MachineRegisters::Sha256(registers),
        certificate: sha256(&[chain.leaf().der()]),
        not_after: chain.not_after(),
        said: Said::Clock(clock),
    })
}

fn chain(framed: &[u8], anchor: &Anchor, now: Timestamp) -> Result<VerifiedChain, ProviderError> {
    let frame = |at| ProviderError::Form {
        check: Check::GoogleCertificates,
        at,
    };
    let wrong = |error| ProviderError::Chain {
        check: Check::GoogleChain,
        error,
    };
    let mut rest = framed;
    let mut certificates = Vec::new();
    while !rest.is_empty() {
        let at = framed.len().saturating_sub(rest.len());
        let (one, tail) = split(rest).ok_or(frame(at))?;
        if certificates.len() >= limits::PATH {
            return Err(frame(at));
        }
        let link = certificates.len();
        let read = Certificate::parse(one).map_err(|fault| wrong(ChainError { link, fault }))?;
        certificates.push(read);
        rest = tail;
    }
    let mut certificates = certificates.into_iter();
    let leaf = certificates.next().ok_or(frame(0))?;
    VerifiedChain::verify(leaf, certificates.collect(), anchor, &[], now).map_err(wrong)
}

/// The first frame, and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}
