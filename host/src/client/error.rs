//! Why a client could not get a proven answer.
//!
//! Why apart: every stage before the answer has its own culprit: the person, the network, the enclave's
//! operator, the policy.
//!
//! # Invariants
//! Nothing here holds text that a peer sent, or a byte of a prompt or an answer.

use std::{fmt, io};

use anchorhold_attestation::{ChannelError, Denial, ReceiptError, VerifyError};

use super::endpoint::EndpointError;
use super::seen::SeenError;
use crate::error::{Exit, Explain};

/// What the client was waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The TCP connection.
    Connect,
    /// The TLS handshake.
    Handshake,
    /// `/.well-known/anchorhold/attestation`.
    Attestation,
    /// `/.well-known/anchorhold/channel`.
    Channel,
    /// The answer to a request.
    Answer,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "connection",
            Self::Handshake => "TLS handshake",
            Self::Attestation => "attestation",
            Self::Channel => "channel signature",
            Self::Answer => "answer",
        })
    }
}

/// Why an answer is not proven to be the enclave's answer to this request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptFault {
    /// There is none.
    Missing,
    /// There is more than one, or it is not where it belongs.
    Misplaced,
    /// It does not parse, its signature is not the enclave's, or it is about another connection, request or answer.
    Invalid(ReceiptError),
    /// The stream ended before `[DONE]`, or has something after it.
    Unfinished,
    /// The stream holds something that programs read in more than one way.
    Ambiguous,
}

impl fmt::Display for ReceiptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("the answer has no receipt"),
            Self::Misplaced => f.write_str("the answer's receipt is not where it belongs"),
            Self::Invalid(error) => write!(f, "the answer's receipt does not hold: {error}"),
            Self::Unfinished => f.write_str("the answer ended before its end"),
            Self::Ambiguous => f.write_str("the answer is not a well-formed event stream"),
        }
    }
}

/// Why there is no proven answer.
#[derive(Debug)]
pub enum ClientError {
    /// The address is no address of an enclave.
    Endpoint(EndpointError),
    /// The system gives no random bytes.
    Random,
    /// No connection to the address.
    Unreachable(io::ErrorKind),
    /// The peer took longer than the limit.
    TimedOut(Stage),
    /// The handshake failed: not TLS 1.3, or a certificate without its private key.
    Handshake,
    /// The peer's TLS key is not the one in the evidence.
    NotPinned,
    /// The connection ended in the middle.
    Disconnected(Stage),
    /// The peer answered with a status that is no success.
    Status(Stage, u16),
    /// The peer sent something of another shape.
    Malformed(Stage),
    /// The peer sent more than the limit.
    TooLarge(Stage),
    /// The evidence is not authentic.
    Verify(VerifyError),
    /// It was proven with an older list than was seen before, or what was seen cannot be read.
    Seen(SeenError),
    /// The policy denied.
    Denied(Box<Denial>),
    /// The connection is not the one the evidence speaks for.
    Channel(ChannelError),
    /// The evidence is too old to send another request under it.
    Expired,
    /// The answer is not proven.
    Receipt(ReceiptFault),
}

impl ClientError {
    /// True when a fresh look at the evidence could help: the enclave was started anew, or the evidence is old.
    pub(crate) const fn calls_for_new_evidence(&self) -> bool {
        matches!(
            self,
            Self::NotPinned
                | Self::Channel(_)
                | Self::Expired
                | Self::Status(Stage::Channel, _)
                | Self::Malformed(Stage::Channel)
        )
    }

    /// True when the peer was reached and is not what it must be: exit status 3.
    pub(crate) const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::NotPinned
                | Self::Verify(_)
                | Self::Seen(SeenError::Refused(_))
                | Self::Denied(_)
                | Self::Channel(_)
                | Self::Expired
                | Self::Receipt(_)
        )
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Endpoint(error) => error.fmt(f),
            Self::Random => f.write_str("the system gives no random bytes"),
            Self::Unreachable(kind) => write!(f, "cannot reach the enclave: {kind}"),
            Self::TimedOut(stage) => write!(f, "the enclave took too long: {stage}"),
            Self::Handshake => f.write_str("the TLS 1.3 handshake with the enclave failed"),
            Self::NotPinned => f.write_str("the connection's TLS key is not the enclave's"),
            Self::Disconnected(stage) => write!(f, "the enclave closed the connection: {stage}"),
            Self::Status(stage, status) => write!(f, "the enclave answered {status}: {stage}"),
            Self::Malformed(stage) => write!(f, "the enclave sent something of another shape: {stage}"),
            Self::TooLarge(stage) => write!(f, "the enclave sent too much: {stage}"),
            Self::Verify(error) => write!(f, "the evidence does not verify: {error}"),
            Self::Seen(error) => error.fmt(f),
            Self::Denied(_) => f.write_str("the policy denies this enclave"),
            Self::Channel(error) => write!(f, "the connection is not bound to the enclave: {error}"),
            Self::Expired => f.write_str("the evidence is older than the policy allows"),
            Self::Receipt(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for ClientError {}

impl Explain for ClientError {
    fn code(&self) -> &'static str {
        match self {
            Self::Endpoint(_) => "endpoint",
            Self::Random => "random",
            Self::Unreachable(_) => "enclave_unreachable",
            Self::TimedOut(_) => "enclave_timeout",
            Self::Handshake => "tls_handshake",
            Self::NotPinned => "tls_key_not_pinned",
            Self::Disconnected(_) => "enclave_disconnected",
            Self::Status(..) => "enclave_status",
            Self::Malformed(_) => "enclave_malformed",
            Self::TooLarge(_) => "enclave_too_large",
            Self::Verify(_) => "evidence_invalid",
            Self::Seen(error) => error.code(),
            Self::Denied(_) => "enclave_denied",
            Self::Channel(_) => "channel_not_bound",
            Self::Expired => "evidence_expired",
            Self::Receipt(_) => "receipt_invalid",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Endpoint(_) => "write the address as https://host:port".to_owned(),
            Self::Random => "check that the kernel offers getrandom(2)".to_owned(),
            Self::Unreachable(_) => "check the address, and that the enclave is listening there".to_owned(),
            Self::TimedOut(_) => "try again; when it stays so, ask the operator whether the enclave is ready".to_owned(),
            Self::Handshake => "check that this is an Anchorhold enclave and not a proxy in front of it".to_owned(),
            Self::NotPinned => {
                "something between you and the enclave ends TLS, or the enclave was started anew: verify again".to_owned()
            }
            Self::Disconnected(_) => "try again; nothing of the answer so far is proven".to_owned(),
            Self::Status(..) => "ask the operator whether the enclave is ready (operator status)".to_owned(),
            Self::Malformed(_) | Self::TooLarge(_) => {
                "check that this is an Anchorhold enclave of a version that fits this client".to_owned()
            }
            Self::Verify(error) => error.hint().to_string(),
            Self::Seen(error) => error.hint(),
            Self::Denied(_) => "see each rule; the policy says what you trust, so change it only when you do".to_owned(),
            Self::Channel(error) => error.hint().to_string(),
            Self::Expired => "verify again; a request is never sent under evidence this old".to_owned(),
            Self::Receipt(_) => "do not rely on this answer; keep what you have and tell the model's owner".to_owned(),
        }
    }

    fn denial(&self) -> Option<&Denial> {
        match self {
            Self::Denied(denial) => Some(denial),
            _ => None,
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Endpoint(_) => Exit::Usage,
            _ if self.is_refusal() => Exit::Denied,
            _ => Exit::Error,
        }
    }
}

impl From<EndpointError> for ClientError {
    fn from(error: EndpointError) -> Self {
        Self::Endpoint(error)
    }
}

impl From<VerifyError> for ClientError {
    fn from(error: VerifyError) -> Self {
        Self::Verify(error)
    }
}

impl From<Denial> for ClientError {
    fn from(denial: Denial) -> Self {
        Self::Denied(Box::new(denial))
    }
}

impl From<ChannelError> for ClientError {
    fn from(error: ChannelError) -> Self {
        Self::Channel(error)
    }
}

impl From<ReceiptError> for ClientError {
    fn from(error: ReceiptError) -> Self {
        Self::Receipt(ReceiptFault::Invalid(error))
    }
}
