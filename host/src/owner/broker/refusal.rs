//! The constant answers of a "no" (RCAR 0.4.0: 404 for a path that is none, 401 for all else) and of a
//! failure here (500).
//!
//! Why apart: a caller learns which step failed and nothing of why; the owner's log has the reasons.
//!
//! # Invariants
//! Each answer is a constant: nothing of the request, the evidence or the policy is in it.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kbs_types::ErrorInformation;

/// Where the protocol's error names live (kbs `errors/<Name>`).
const TYPES: &str = "https://github.com/confidential-containers/kbs/errors/";

/// Why nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The path is not one of ours.
    Path,
    /// Only the plugin `resource` is offered.
    Plugin,
    /// The body is too large, too slow or not the message.
    Message,
    /// A protocol version other than 0.4.0.
    Version,
    /// No verifier for that TEE, or no hash in common.
    Tee,
    /// No live session for that cookie, or the session is past that step.
    Session,
    /// The nonce is not the session's.
    Nonce,
    /// The public key is not one that keys are wrapped to.
    PublicKey,
    /// The evidence does not verify.
    Evidence,
    /// The policy denies, or there is no such resource for this caller.
    Policy,
    /// Something failed here; nothing was released.
    Internal,
}

impl Refusal {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        let (name, detail) = match self {
            Self::Path => return (StatusCode::NOT_FOUND, "InvalidRequestPath", "invalid_path"),
            Self::Plugin => return (StatusCode::NOT_FOUND, "PluginNotFound", "unknown_plugin"),
            Self::Message => ("InvalidRequest", "malformed_message"),
            Self::Version => ("ProtocolVersion", "unsupported_version"),
            Self::Tee => ("AttestationError", "unsupported_tee"),
            Self::Session => ("SessionNotFound", "no_session"),
            Self::Nonce => ("AttestationError", "nonce_mismatch"),
            Self::PublicKey => ("AttestationError", "unsupported_public_key"),
            Self::Evidence => ("AttestationError", "evidence_not_verified"),
            Self::Policy => ("PolicyDeny", "denied"),
            // Not a "no": the caller may try again, which existing guests and our enclave do at 5xx.
            Self::Internal => return (StatusCode::INTERNAL_SERVER_ERROR, "InternalError", "internal"),
        };
        (StatusCode::UNAUTHORIZED, name, detail)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, name, detail) = self.parts();
        let information = ErrorInformation {
            error_type: format!("{TYPES}{name}"),
            detail: detail.to_owned(),
        };
        (status, Json(information)).into_response()
    }
}
