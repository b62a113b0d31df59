//! The signed statement that goes out with each answer and is not kept here.
//!
//! Why apart: what is committed to, and when, is easy to get wrong in a handler; a handler that holds a
//! [`Draft`] can only feed it what it sends and finish it once.
//!
//! # Invariants
//! A new salt for each answer. Only whole answers get a receipt: an error, a deadline or a cancelled stream
//! has none.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anchorhold_attestation::receipt::{
    ContentHasher, FinishReason, Receipt, ReceiptVersion, Salt, SignedReceipt, request_commitment,
};
use anchorhold_encoding::Digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::clock::Clock;
use crate::connection::Bound;
use crate::identity::Identity;

/// The header of a whole answer, and the word that begins a stream's comment.
pub const RECEIPT: &str = "anchorhold-receipt";

/// The system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSalt;

impl fmt::Display for NoSalt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no randomness for the receipt")
    }
}

impl std::error::Error for NoSalt {}

/// Makes receipts of this boot.
pub struct Receipts {
    identity: Arc<Identity>,
    clock: Arc<Clock>,
    sequence: AtomicU64,
}

impl fmt::Debug for Receipts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipts").finish_non_exhaustive()
    }
}

impl Receipts {
    /// Signed by `identity`, dated by `clock`.
    #[must_use]
    pub fn new(identity: Arc<Identity>, clock: Arc<Clock>) -> Self {
        Self {
            identity,
            clock,
            sequence: AtomicU64::new(0),
        }
    }

    /// Commits to a request that arrived with `body` on the connection of `bound`.
    ///
    /// # Errors
    /// [`NoSalt`].
    pub(crate) fn draft(self: &Arc<Self>, bound: Bound, body: &[u8]) -> Result<Draft, NoSalt> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| NoSalt)?;
        let salt = Salt::from_random(*bytes);
        Ok(Draft {
            request_commitment: request_commitment(&salt, body),
            answer: ContentHasher::answer(&salt),
            binding_nonce: Digest::new(*bound.nonce().as_bytes()),
            salt,
            receipts: Arc::clone(self),
        })
    }
}

/// A receipt in the making.
pub(crate) struct Draft {
    receipts: Arc<Receipts>,
    salt: Salt,
    request_commitment: Digest<32>,
    answer: ContentHasher,
    binding_nonce: Digest<32>,
}

impl Draft {
    /// Commits to the next part of the answer: the whole body, or the data of one event.
    pub(crate) fn sent(&mut self, payload: &[u8]) {
        self.answer.event(payload);
    }

    /// Signs it; the text for the header or the comment.
    pub(crate) fn finish(
        self,
        prompt_tokens: u64,
        completion_tokens: u64,
        finish_reason: FinishReason,
    ) -> String {
        let Receipts {
            identity,
            clock,
            sequence,
        } = &*self.receipts;
        let (time, time_source) = clock.calendar();
        let receipt = Receipt {
            version: ReceiptVersion::V1,
            request_commitment: self.request_commitment,
            answer_commitment: self.answer.finish(),
            binding_nonce: self.binding_nonce,
            manifest_sha256: identity.manifest_sha256(),
            identity_sha512: identity.digest(),
            evidence_sha512: identity.newest_evidence(),
            prompt_tokens,
            completion_tokens,
            finish_reason,
            sequence: sequence.fetch_add(1, Ordering::Relaxed),
            time,
            time_source,
        };
        let signature = identity.sign_receipt(&receipt.signing_preimage());
        SignedReceipt::new(receipt, self.salt, signature).encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_attestation::binding::Nonce;
    use anchorhold_attestation::identity::ReceivedIdentity;

    #[test]
    fn a_receipt_verifies_and_is_about_its_texts_alone() {
        let identity = Arc::new(Identity::for_tests());
        let receipts = Arc::new(Receipts::new(Arc::clone(&identity), Arc::new(Clock::for_tests())));
        let nonce = Nonce::from_random([3; 32]);
        let mut texts = Vec::new();
        for _ in 0..2 {
            let mut draft = receipts.draft(Bound::for_tests(nonce), b"request").unwrap();
            draft.sent(b"one");
            draft.sent(b"two");
            texts.push(draft.finish(5, 2, FinishReason::Stop));
        }
        let received = ReceivedIdentity::parse(identity.bytes()).unwrap();
        for (sequence, text) in texts.iter().enumerate() {
            let receipt = SignedReceipt::parse(text).unwrap();
            let receipt = receipt.verify(&identity.document().receipt_key).unwrap();
            assert_eq!(receipt.receipt().sequence, sequence as u64);
            assert!(receipt.matches(b"request", &[b"one", b"two"]).is_ok());
            assert!(receipt.matches(b"request", &[b"onetwo"]).is_err());
            assert!(receipt.matches(b"Request", &[b"one", b"two"]).is_err());
            assert!(receipt.matches_origin(&received, &nonce).is_ok());
            assert!(
                receipt
                    .matches_origin(&received, &Nonce::from_random([4; 32]))
                    .is_err()
            );
        }
    }
}
