//! Judging a kept receipt offline, and saying what it cannot prove.
//!
//! Why apart: someone who was not there must not be told more than the file holds.
//!
//! # Invariants
//! Nothing is fetched. Evidence is judged as of the time at which its keeper says to have asked for it: that
//! time is the keeper's word, and the judgement says so.

use std::fmt;

use anchorhold_attestation::receipt::TimeSource;
use anchorhold_attestation::{
    AttestationDocument, Challenge, Platform, Receipt, ReceiptError, ReceivedIdentity, SignedReceipt, Verdict,
};
use anchorhold_encoding::canonical;
use bytes::Bytes;
use serde::Serialize;

use super::KeptReceipt;
use crate::client::error::ClientError;
use crate::client::padding::padded;
use crate::client::sse::{Part, Splitter};
use crate::client::trust::Trust;
use crate::client::verify;
use crate::client::wiped::Wiped;
use crate::error::{Exit, Explain};
use crate::trust::Verifier;

/// The texts a receipt is said to be about, as bytes that were sent and received.
pub struct Texts<'a> {
    /// The request's body.
    pub request: &'a [u8],
    /// The answer's body: JSON, or the whole event stream.
    pub answer: &'a [u8],
}

/// One thing that was checked and holds.
#[derive(Debug, Serialize)]
pub struct Finding {
    /// What.
    pub check: String,
    /// What was there.
    pub found: String,
}

/// What a kept receipt proves and what it does not.
#[derive(Debug, Serialize)]
pub struct Judgement {
    /// What holds.
    pub proven: Vec<Finding>,
    /// What nobody can tell from this file, in whole sentences.
    pub not_proven: Vec<&'static str>,
    /// What the enclave signed.
    pub receipt: Receipt,
}

/// A kept receipt proves nothing, or not what it is shown for.
#[derive(Debug)]
pub enum JudgeError {
    /// Not the file of a kept receipt.
    Shape,
    /// The answer is an event stream that programs read in more than one way.
    Stream,
    /// The evidence or the policy.
    Evidence(ClientError),
    /// The receipt.
    Receipt(ReceiptError),
}

impl fmt::Display for JudgeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape => f.write_str("this is not the file of a kept receipt"),
            Self::Stream => f.write_str("the answer is not a well-formed event stream"),
            Self::Evidence(error) => error.fmt(f),
            Self::Receipt(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for JudgeError {}

impl Explain for JudgeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Shape => "receipt_file",
            Self::Stream => "answer_file",
            Self::Evidence(error) => error.code(),
            Self::Receipt(_) => "receipt_invalid",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Shape => "use a file that --keep-receipts wrote".to_owned(),
            Self::Stream => {
                "save the answer's body byte for byte, for instance with curl --no-buffer -o".to_owned()
            }
            Self::Evidence(error) => error.hint(),
            Self::Receipt(error) => error.hint().to_owned(),
        }
    }

    fn denial(&self) -> Option<&anchorhold_attestation::Denial> {
        match self {
            Self::Evidence(error) => error.denial(),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Shape | Self::Stream => Exit::Error,
            Self::Evidence(error) => error.exit(),
            Self::Receipt(_) => Exit::Denied,
        }
    }
}

impl From<ClientError> for JudgeError {
    fn from(error: ClientError) -> Self {
        Self::Evidence(error)
    }
}

impl From<ReceiptError> for JudgeError {
    fn from(error: ReceiptError) -> Self {
        Self::Receipt(error)
    }
}

/// Judges the bytes of a kept receipt's file.
///
/// # Errors
/// [`JudgeError`] when anything that can be checked does not hold.
pub fn judge(file: &[u8], trust: Option<&Trust>, texts: Option<&Texts<'_>>) -> Result<Judgement, JudgeError> {
    let kept: KeptReceipt = serde_json::from_slice(file).map_err(|_| JudgeError::Shape)?;
    let document = canonical::to_vec(&kept.attestation.document);
    let document = AttestationDocument::from_json(&document).map_err(|_| JudgeError::Shape)?;
    let identity = ReceivedIdentity::parse(&document.identity).map_err(|_| JudgeError::Shape)?;
    let mut proven = Vec::new();
    let mut not_proven = vec![
        "When the evidence was asked for and when the answer came: both times are the word of whoever kept the file.",
        "That the answer went to whoever kept the file: a TLS connection leaves nothing a third party could check.",
        "That this is every receipt: one that was not kept leaves no gap that is visible here.",
    ];

    match trust {
        Some(trust) => {
            let challenge = Challenge::new(*kept.attestation.nonce.as_bytes(), kept.attestation.drawn_at);
            let judged = verify::judge(&document, &challenge, trust, kept.attestation.drawn_at)?;
            if kept.answered_at >= judged.identity.valid_until() {
                return Err(ClientError::Expired.into());
            }
            proven.extend(judged.checks.iter().map(|check| Finding {
                check: check.rule.to_string(),
                found: match check.verdict {
                    Verdict::DangerouslyAccepted => format!("{} (dangerously accepted)", check.found),
                    Verdict::Holds => check.found.clone(),
                },
            }));
        }
        None => {
            let claims = Verifier::compiled()
                .verify(
                    &document.evidence,
                    &document.endorsements,
                    None,
                    kept.attestation.drawn_at,
                )
                .map_err(ClientError::from)?;
            proven.push(finding("evidence signature", claims.get().platform.name()));
            not_proven.push(
                "That the evidence speaks for this identity, code, configuration and model: that takes --policy.",
            );
        }
    }

    let signed = SignedReceipt::parse(&kept.receipt).map_err(ReceiptError::from)?;
    let receipt = signed.verify(&identity.document().receipt_key)?;
    let _origin = receipt.matches_origin(&identity, &kept.channel_nonce)?;
    proven.push(finding("receipt signature", receipt.digest().short()));
    proven.push(finding("receipt's enclave", identity.digest().short()));
    proven.push(finding("receipt's model", receipt.receipt().manifest_sha256));
    match texts {
        Some(texts) => {
            let events = answer_events(texts.answer)?;
            let events: Vec<&[u8]> = events.iter().map(|event| &**event).collect();
            let _matched = match receipt.matches(texts.request, &events) {
                Ok(matched) => matched,
                // What a client was given, before it made its length that of a class.
                Err(_) => receipt.matches(&padded(&Bytes::copy_from_slice(texts.request)), &events)?,
            };
            proven.push(finding("request and answer", "these bytes and no others"));
        }
        None => not_proven.push("What was asked and answered: that takes --request and --answer."),
    }
    if receipt.receipt().evidence_sha512 != document.evidence.digest() {
        not_proven.push(
            "What the enclave's newest evidence said: the receipt names evidence that is not in the file.",
        );
    }
    not_proven.push(match receipt.receipt().time_source {
        TimeSource::Broker => {
            "The time in the receipt, beyond what the model owner's broker says the time was."
        }
        TimeSource::BuildDate => "The time in the receipt: it is the image's build date, a lower bound.",
    });
    if identity.document().platform == Platform::InsecureSimulated {
        not_proven.push(
            "Anything against someone who wants to deceive: simulated evidence is signed with a public key.",
        );
    }
    Ok(Judgement {
        proven,
        not_proven,
        receipt: receipt.receipt().clone(),
    })
}

fn finding(check: &'static str, found: impl fmt::Display) -> Finding {
    Finding {
        check: check.to_owned(),
        found: found.to_string(),
    }
}

/// The content a receipt commits to: each event's payload of a stream, else the body as one. JSON never starts
/// with `data:` or a colon, so the two cannot be mistaken.
fn answer_events(answer: &[u8]) -> Result<Vec<Wiped>, JudgeError> {
    if !answer.starts_with(b"data:") && !answer.starts_with(b":") {
        return Ok(vec![Wiped::from(answer)]);
    }
    let (mut splitter, mut parts) = (Splitter::default(), Vec::new());
    splitter
        .push(answer, &mut parts)
        .map_err(|_| JudgeError::Stream)?;
    if !splitter.is_at_border() {
        return Err(JudgeError::Stream);
    }
    let data = |part| match part {
        Part::Data { data, .. } => Some(data),
        Part::Done(_) | Part::Receipt { .. } | Part::Filler(_) => None,
    };
    Ok(parts.into_iter().filter_map(data).collect())
}
