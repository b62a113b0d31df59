//! Why the broker gave no key.
//!
//! Why apart: who is to blame decides whether asking again makes sense, and the exit code.
//!
//! # Invariants
//! Nothing the broker wrote is repeated: it may be an attacker, and our output goes to the host.

use std::fmt;

use anchorhold_attestation::ReleaseError;
use anchorhold_models::wrap::WrapError;

use crate::attester::AttesterError;

/// At which step the broker said no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It opened no session.
    Session,
    /// It did not accept the evidence.
    Evidence,
    /// It did not release this resource.
    Resource,
    /// It has no such resource.
    UnknownResource,
}

/// Why the broker gave no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RcarError {
    /// No connection, a broken one, or no answer in time.
    Unreachable,
    /// The peer does not hold the pinned TLS key.
    WrongTlsKey,
    /// The broker had an error of its own (5xx).
    BrokerFailed,
    /// The answer is not RCAR 0.4.0.
    Protocol,
    /// The broker said no.
    Denied(Refusal),
    /// The platform gave no evidence.
    Attester(AttesterError),
    /// The answer has no signed release.
    Unsigned,
    /// The release is not what was asked for, or not signed by the pinned key.
    Release(ReleaseError),
    /// The release is for another key.
    OtherKey,
    /// The wrapped key does not open.
    Wrap(WrapError),
}

impl RcarError {
    /// Whether asking again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unreachable | Self::BrokerFailed)
    }

    /// For scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable => "broker_unreachable",
            Self::WrongTlsKey => "broker_tls_key",
            Self::BrokerFailed => "broker_failed",
            Self::Protocol => "broker_protocol",
            Self::Denied(Refusal::Session) => "session_refused",
            Self::Denied(Refusal::Evidence) => "evidence_refused",
            Self::Denied(Refusal::Resource) => "release_refused",
            Self::Denied(Refusal::UnknownResource) => "resource_unknown",
            Self::Attester(error) => error.code(),
            Self::Unsigned => "release_unsigned",
            Self::Release(ReleaseError::Manifest) => "release_other_model",
            Self::Release(_) => "release_signature",
            Self::OtherKey => "release_other_key",
            Self::Wrap(_) => "release_unwrap",
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unreachable => "check broker.url, the network and that the broker runs",
            Self::WrongTlsKey => "compare broker.tls_spki_sha256 with what the broker's owner published",
            Self::BrokerFailed => "ask the model's owner to look at the broker's log",
            Self::Protocol => "broker.url must lead to a broker that speaks RCAR 0.4.0",
            Self::Denied(Refusal::UnknownResource) => "compare broker.resource with the broker's resources",
            Self::Denied(_) => "the broker's log has every reason; ask the model's owner",
            Self::Attester(error) => error.hint(),
            Self::Unsigned => "this broker does not sign releases; only an Anchorhold broker does",
            Self::Release(error) => error.hint(),
            Self::OtherKey => "compare model.key_id with the key of broker.resource",
            Self::Wrap(error) => error.hint(),
        }
    }
}

impl fmt::Display for RcarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the broker cannot be reached",
            Self::WrongTlsKey => "the broker does not hold the pinned TLS key",
            Self::BrokerFailed => "the broker had an error of its own",
            Self::Protocol => "the broker does not answer as RCAR 0.4.0 says",
            Self::Denied(Refusal::Session) => "the broker opened no session",
            Self::Denied(Refusal::Evidence) => "the broker did not accept the evidence",
            Self::Denied(Refusal::Resource) => "the broker did not release the key",
            Self::Denied(Refusal::UnknownResource) => "the broker has no such resource",
            Self::Attester(_) => "there is no evidence to send",
            Self::Unsigned => "the broker's answer is not signed",
            Self::Release(_) => "the broker's answer is not the release that was asked for",
            Self::OtherKey => "the broker released another key",
            Self::Wrap(_) => "the released key does not open",
        })
    }
}

impl std::error::Error for RcarError {}
