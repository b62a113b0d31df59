//! Receipts: what an enclave signs about one answer, and does not keep.
//!
//! Why apart: the enclave writes, the client judges offline, and both must hash the same bytes.
//!
//! # Invariants
//! Commitments are salted, since plain digests of short texts can be guessed; the salt goes to the client
//! alone. Signed: `LP("anchorhold receipt v1") || LP(canonical JSON)` by the identity's `receipt_key`.

use std::fmt;

use anchorhold_encoding::{Digest, Preimage, canonical, sha512};
use aws_lc_rs::digest as sha2;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize as _;

use crate::base64_text::{Base64, decode_url, encode_url};
use crate::binding::Nonce;
use crate::identity::ReceivedIdentity;
use crate::limits;
use crate::parse::{self, ParseError, Part, at_most};
use crate::signature;
use crate::time::Timestamp;

const REQUEST_LABEL: &str = "anchorhold receipt request v1";
const ANSWER_LABEL: &str = "anchorhold receipt answer v1";

/// 32 random bytes that keep a commitment from being guessed. Wiped when dropped.
pub struct Salt([u8; 32]);

impl Salt {
    /// From the enclave's random generator, new for each answer.
    #[must_use]
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl Drop for Salt {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The commitment to a request's body: `SHA-256(LP("anchorhold receipt request v1") || LP(salt) || LP(body))`.
#[must_use]
pub fn request_commitment(salt: &Salt, body: &[u8]) -> Digest<32> {
    let mut hasher = ContentHasher::labelled(REQUEST_LABEL, salt);
    hasher.event(body);
    hasher.finish()
}

/// Commits to an answer as it is made: `SHA-256(LP("anchorhold receipt answer v1") || LP(salt) || LP(event)...)`.
///
/// A plain answer is one event, its whole body. A stream is the data payload of each SSE event in order,
/// without comments and without `[DONE]`.
pub struct ContentHasher(sha2::Context);

impl ContentHasher {
    /// Starts a commitment to an answer.
    #[must_use]
    pub fn answer(salt: &Salt) -> Self {
        Self::labelled(ANSWER_LABEL, salt)
    }

    fn labelled(label: &'static str, salt: &Salt) -> Self {
        let mut context = sha2::Context::new(&sha2::SHA256);
        let mut start = Preimage::new(label);
        start = start.lp(&salt.0);
        context.update(start.as_bytes());
        Self(context)
    }

    /// Adds `LP(payload)`.
    ///
    /// # Panics
    /// When one payload has 4 GiB or more: bodies are limited far below.
    pub fn event(&mut self, payload: &[u8]) {
        let length = u32::try_from(payload.len()).expect("bodies are limited far below 4 GiB");
        self.0.update(&length.to_be_bytes());
        self.0.update(payload);
    }

    /// The commitment.
    ///
    /// # Panics
    /// Never: SHA-256 has 32 bytes.
    #[must_use]
    pub fn finish(self) -> Digest<32> {
        Digest::from_slice(self.0.finish().as_ref()).expect("SHA-256 has 32 bytes")
    }
}

/// The receipt's version, the only one there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReceiptVersion {
    /// `anchorhold receipt v1`
    #[serde(rename = "anchorhold receipt v1")]
    V1,
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FinishReason {
    /// The model or a stop string ended it.
    Stop,
    /// A limit on tokens ended it.
    Length,
    /// The client left.
    Cancelled,
    /// The enclave failed.
    Error,
    /// Nothing was generated: embeddings.
    None,
}

/// What an enclave's calendar time rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeSource {
    /// The broker's signed time, advanced by the enclave's counter.
    Broker,
    /// The image's build date: a lower bound and nothing more.
    BuildDate,
}

/// What an enclave says about one answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Always [`ReceiptVersion::V1`].
    pub version: ReceiptVersion,
    /// [`request_commitment`] of the request's body.
    pub request_commitment: Digest<32>,
    /// [`ContentHasher`] over the answer.
    pub answer_commitment: Digest<32>,
    /// The nonce with which the connection was bound.
    pub binding_nonce: Digest<32>,
    /// The model.
    pub manifest_sha256: Digest<32>,
    /// SHA-512 of the identity document.
    pub identity_sha512: Digest<64>,
    /// SHA-512 of the last evidence this enclave made.
    pub evidence_sha512: Digest<64>,
    /// Tokens read.
    pub prompt_tokens: u64,
    /// Tokens written.
    pub completion_tokens: u64,
    /// Why it ended.
    pub finish_reason: FinishReason,
    /// Counts this boot's receipts, from 0.
    pub sequence: u64,
    /// When, as far as the enclave knows.
    pub time: Timestamp,
    /// How far that is.
    pub time_source: TimeSource,
}

impl Receipt {
    /// What the receipt key signs.
    #[must_use]
    pub fn signing_preimage(&self) -> Preimage {
        preimage(&canonical::to_vec(self))
    }
}

fn preimage(receipt: &[u8]) -> Preimage {
    Preimage::new("anchorhold receipt v1").lp(receipt)
}

/// A receipt does not prove what it is shown for. Whoever presents it is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptError {
    /// Not a receipt.
    Parse(ParseError),
    /// The signature does not hold under the receipt key.
    Signature,
    /// It is about another request.
    Request,
    /// It is about another answer.
    Answer,
    /// It is of another enclave, or names another model than that one's.
    Identity,
    /// It is about another connection.
    Connection,
}

impl ReceiptError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Parse(error) => error.hint(),
            Self::Signature => "the receipt was altered, or another enclave signed it",
            Self::Request => "compare with the exact bytes of the request body that was sent",
            Self::Answer => "compare with the exact bytes of the answer that was received",
            Self::Identity => "use the identity document that was kept with this receipt",
            Self::Connection => "the receipt was made for another connection",
        }
    }
}

impl fmt::Display for ReceiptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parse(error) => error.fmt(f),
            Self::Signature => f.write_str("the receipt's signature does not hold"),
            Self::Request => f.write_str("the receipt is about another request"),
            Self::Answer => f.write_str("the receipt is about another answer"),
            Self::Identity => f.write_str("the receipt is of another enclave"),
            Self::Connection => f.write_str("the receipt is about another connection"),
        }
    }
}

impl std::error::Error for ReceiptError {}

impl From<ParseError> for ReceiptError {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}

/// A receipt with its salt and signature, as it travels. Not checked yet.
pub struct SignedReceipt {
    bytes: Vec<u8>,
    receipt: Receipt,
    salt: Salt,
    signature: Digest<64>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    receipt: Base64,
    salt: Digest<32>,
    signature: Digest<64>,
}

impl SignedReceipt {
    /// Puts together what the enclave made: `signature` over [`Receipt::signing_preimage`].
    #[must_use]
    pub fn new(receipt: Receipt, salt: Salt, signature: Digest<64>) -> Self {
        Self {
            bytes: canonical::to_vec(&receipt),
            receipt,
            salt,
            signature,
        }
    }

    /// The text for a header or an SSE comment: base64url of canonical JSON.
    #[must_use]
    pub fn encode(&self) -> String {
        encode_url(&canonical::to_vec(&Wire {
            receipt: Base64(self.bytes.clone()),
            salt: Digest::new(self.salt.0),
            signature: self.signature,
        }))
    }

    /// Reads the text.
    ///
    /// # Errors
    /// [`ParseError`] when it is too long, no base64url, not canonical inside or outside, or has an
    /// integer above [`limits::INTEGER`].
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let part = Part::Receipt;
        at_most(text.len(), limits::RECEIPT, part)?;
        let outer = decode_url(text).ok_or(ParseError::Shape(part))?;
        let wire: Wire = canonical::from_slice(&outer).map_err(|error| parse::canonical(error, part))?;
        let receipt: Receipt =
            canonical::from_slice(&wire.receipt.0).map_err(|error| parse::canonical(error, part))?;
        let numbers = [receipt.prompt_tokens, receipt.completion_tokens, receipt.sequence];
        if numbers.iter().any(|number| *number > limits::INTEGER) {
            return Err(ParseError::Value(part));
        }
        Ok(Self {
            bytes: wire.receipt.0,
            receipt,
            salt: Salt(*wire.salt.as_bytes()),
            signature: wire.signature,
        })
    }

    /// Checks the signature under the receipt key of an identity document.
    ///
    /// # Errors
    /// [`ReceiptError::Signature`] when it does not hold.
    pub fn verify(self, receipt_key: &Digest<32>) -> Result<VerifiedReceipt, ReceiptError> {
        let message = preimage(&self.bytes);
        signature::ed25519(receipt_key, message.as_bytes(), self.signature.as_bytes())
            .ok_or(ReceiptError::Signature)
            .map(|_| VerifiedReceipt {
                digest: sha512(&[&self.bytes]),
                receipt: self.receipt,
                salt: self.salt,
            })
    }
}

/// A receipt that the receipt key signed.
#[must_use]
pub struct VerifiedReceipt {
    receipt: Receipt,
    salt: Salt,
    digest: Digest<64>,
}

/// The receipt is about these texts.
#[must_use]
#[derive(Debug)]
pub struct TextsMatched(());

/// The receipt is of this enclave, on this connection where one was given.
#[must_use]
#[derive(Debug)]
pub struct OriginMatched(());

impl VerifiedReceipt {
    /// What it says.
    #[must_use]
    pub const fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// SHA-512 of the receipt's bytes: its name.
    #[must_use]
    pub const fn digest(&self) -> &Digest<64> {
        &self.digest
    }

    /// That it is about this request body and this answer. For a plain answer `answer` is its body alone,
    /// for a stream the data payload of each event but `[DONE]`.
    ///
    /// # Errors
    /// [`ReceiptError::Request`] or [`ReceiptError::Answer`].
    pub fn matches(&self, request_body: &[u8], answer: &[&[u8]]) -> Result<TextsMatched, ReceiptError> {
        if request_commitment(&self.salt, request_body) != self.receipt.request_commitment {
            return Err(ReceiptError::Request);
        }
        let mut hasher = ContentHasher::answer(&self.salt);
        for payload in answer {
            hasher.event(payload);
        }
        if hasher.finish() != self.receipt.answer_commitment {
            return Err(ReceiptError::Answer);
        }
        Ok(TextsMatched(()))
    }

    /// That it is of this enclave and its model, and of the connection bound with `nonce`.
    ///
    /// # Errors
    /// [`ReceiptError::Identity`] or [`ReceiptError::Connection`].
    pub fn matches_origin(
        &self,
        identity: &ReceivedIdentity,
        nonce: &Nonce,
    ) -> Result<OriginMatched, ReceiptError> {
        let model = identity.document().model.manifest_sha256;
        if self.receipt.identity_sha512 != identity.digest() || self.receipt.manifest_sha256 != model {
            return Err(ReceiptError::Identity);
        }
        if self.receipt.binding_nonce.as_bytes() != nonce.as_bytes() {
            return Err(ReceiptError::Connection);
        }
        Ok(OriginMatched(()))
    }
}

#[cfg(test)]
mod tests;
