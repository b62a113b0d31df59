//! Why a provider's TPM proves nothing: every check by its stable name.
//!
//! Why apart: documentation lists exactly these, and no message may repeat what a stranger wrote.
//!
//! # Invariants
//! An id never changes its meaning. Errors hold constants and offsets, nothing of the input.

use std::fmt;

use crate::checks::checks;
use crate::x509::ChainError;

checks! {
    /// One check; [`Self::id`] is its name everywhere.
    Check {
        /// The certificates are framed, and each is one.
        GoogleCertificates = "google-certificates", "the TPM's certificates are not in their frame",
            "the evidence was altered, or its Attester does not frame certificates as this version does";
        /// The key's certificate leads to Google's root.
        GoogleChain = "google-chain", "the certificate of the TPM's key is not Google's",
            "hand over the key's certificate and Google's intermediate, leaf first; a date may have passed";
        /// The quote, its signature and its registers have their forms.
        GoogleQuoteForm = "google-quote-form", "the TPM's quote is not one",
            "the Attester must hand over TPMS_ATTEST, TPMT_SIGNATURE and every value that is selected";
        /// The certified key signed the quote.
        GoogleQuoteSignature = "google-quote-signature", "the TPM's quote is not signed by the certified key",
            "the quote was altered, or another key than the certified one signed it";
        /// Its qualifying data are SHA-256 of the 64 bytes of the SEV-SNP report.
        GoogleQualifyingData = "google-qualifying-data", "the TPM's quote is for other report data",
            "the quote is old, or of another machine than the report";
        /// The values are those that the quote covers.
        GooglePcrDigest = "google-pcr-digest", "the values are not those that the TPM quoted",
            "a register was extended between quote and reading, or the values were altered";
        /// The document is a COSE_Sign1 in the one form that AWS writes.
        NitroForm = "nitro-form", "the NitroTPM document is no COSE_Sign1 with ES384",
            "hand over the document as the TPM gives it, without a tag or an envelope";
        /// Its payload has the members of an attestation document, each of its type.
        NitroPayload = "nitro-payload", "the NitroTPM document has other members than this version knows",
            "the document is of another kind (a Nitro Enclave's?), or newer than this version";
        /// The certificate in it leads to AWS's root.
        NitroChain = "nitro-chain", "the NitroTPM document's certificate is not AWS's",
            "documents are good for a few hours: ask again; or this machine's clock is wrong";
        /// That certificate's key signed the document.
        NitroSignature = "nitro-signature", "the NitroTPM document's signature does not hold",
            "the document was altered or forged; do not trust this machine";
        /// Its user data are SHA-256 of the 64 bytes of the SEV-SNP report.
        NitroUserData = "nitro-user-data", "the NitroTPM document is for other report data",
            "the document is old, or of another machine than the report";
    }
}

/// A provider's TPM proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProviderError {
    /// Bytes are not of the form they should have.
    Form {
        /// Which check failed.
        check: Check,
        /// Offset of what is wrong, or the number of values.
        at: usize,
    },
    /// A certificate is none, or leads to no root.
    Chain {
        /// Which check failed.
        check: Check,
        /// Which certificate, and why.
        error: ChainError,
    },
    /// A signature or a bound value is another.
    Binding {
        /// Which check failed.
        check: Check,
    },
}

impl ProviderError {
    /// Which check failed.
    #[must_use]
    pub const fn check(&self) -> Check {
        match self {
            Self::Form { check, .. } | Self::Chain { check, .. } | Self::Binding { check } => *check,
        }
    }

    /// Its stable identifier.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.check().id()
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.check().hint()
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form { check, at } => write!(f, "{check} (at {at})"),
            Self::Chain { check, error } => write!(f, "{check}: {error}"),
            Self::Binding { check } => check.fmt(f),
        }
    }
}

impl std::error::Error for ProviderError {}
