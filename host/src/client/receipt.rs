//! What makes an answer a proven one.
//!
//! Why apart: the checks of a receipt are one list, the same for an answer just received and for one kept.
//!
//! # Invariants
//! A [`KeptReceipt`] of a live answer is made only by [`Commitment::check`]: signed by the affirmed enclave's
//! receipt key, for this connection, this request body and this answer, byte for byte.

use anchorhold_attestation::{Nonce, SignedReceipt, Timestamp};

use super::enclave::Affirmed;
use super::error::{ClientError, ReceiptFault};
use super::kept::KeptReceipt;
use super::wiped::Wiped;

/// What a receipt must be about.
pub(super) struct Commitment<'a> {
    /// Who answered.
    pub(super) affirmed: &'a Affirmed,
    /// On which connection.
    pub(super) nonce: &'a Nonce,
    /// What was sent.
    pub(super) request: &'a [u8],
    /// When the answer came, by this client's clock.
    pub(super) now: Timestamp,
}

/// The content of an answer.
pub(super) enum Answer<'a> {
    /// A whole body.
    Whole(&'a [u8]),
    /// The data payload of each event but the end mark.
    Stream(&'a [Wiped]),
}

impl Answer<'_> {
    pub(super) fn events(&self) -> Vec<&[u8]> {
        match self {
            Self::Whole(body) => vec![body],
            Self::Stream(events) => events.iter().map(|event| &**event).collect(),
        }
    }
}

impl Commitment<'_> {
    /// Checks the receipt in `text` against all of it.
    pub(super) fn check(&self, text: &[u8], answer: Answer<'_>) -> Result<KeptReceipt, ClientError> {
        let text = str::from_utf8(text).map_err(|_| ClientError::Receipt(ReceiptFault::Misplaced))?;
        let signed = SignedReceipt::parse(text)
            .map_err(|error| ClientError::Receipt(ReceiptFault::Invalid(error.into())))?;
        let receipt = signed.verify(self.affirmed.identity.receipt_key())?;
        let origin = receipt.matches_origin(&self.affirmed.received, self.nonce)?;
        let texts = receipt.matches(self.request, &answer.events())?;
        Ok(KeptReceipt::new((origin, texts), self, &receipt, text))
    }
}
