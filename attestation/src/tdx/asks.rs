//! Which collateral a quote asks for, read without any proof.
//!
//! Why apart: what is to be fetched must be known before anything can be verified with it. A quote that lies here gets
//! collateral that does not fit it, and no verdict.
//!
//! # Invariants
//! The same strict reading as for [`super::verify()`]; nothing that is said here is used by it.

use dcap_qvl::intel::parse_pck_extension_with;

use super::checks::PckChain;
use super::crypto;
use super::error::{Certificate, CertificateCheck, TdxError};
use super::quote::Quote;

/// Which of Intel's two authorities issued a PCK certificate (Intel PCS API v4, `ca` of "Get Revocation List").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PckAuthority {
    /// Single-package platforms.
    Processor,
    /// Platforms that were registered as a whole.
    Platform,
}

impl PckAuthority {
    /// Intel's word in a query.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Platform => "platform",
        }
    }
}

/// Names of the collateral that a quote needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollateralAsked {
    /// FMSPC: family, model, stepping and customer SKU.
    pub fmspc: [u8; 6],
    /// Whose revocation list.
    pub authority: PckAuthority,
}

impl CollateralAsked {
    /// Reads a quote of version 4 or 5 with its PCK certificates.
    ///
    /// # Errors
    /// [`TdxError`]: what of it is not of its form.
    pub fn by_quote(quote: &[u8]) -> Result<Self, TdxError> {
        let parsed = Quote::parse(quote)?;
        let chain = PckChain::parse(parsed.pck_chain)?;
        let refuse = |check, certificate| TdxError::Certificate { check, certificate };
        let extension = parse_pck_extension_with::<crypto::Backend>(&chain.pck.der)
            .map_err(|_| refuse(CertificateCheck::Encoding, Certificate::Pck))?;
        let authority = match chain.authority.name.as_str() {
            "Intel SGX PCK Processor CA" => PckAuthority::Processor,
            "Intel SGX PCK Platform CA" => PckAuthority::Platform,
            _ => return Err(refuse(CertificateCheck::Encoding, Certificate::PckCa)),
        };
        Ok(Self {
            fmspc: extension.fmspc,
            authority,
        })
    }
}
