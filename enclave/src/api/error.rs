//! What a caller is told when there is no answer, in OpenAI's shape.
//!
//! Why apart: one place decides status, type, code and words, and it can be read in one sitting for what it
//! could leak.
//!
//! # Invariants
//! Every text is a constant or a number of ours. Nothing of a request, and no message of a dependency, is
//! ever repeated: field names come from our own lists.

use std::fmt;

use anchorhold_models::{ConstraintError, SchemaError};
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request got no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiError {
    /// The connection has not been bound to evidence.
    ChannelNotBound,
    /// A nonce is not 64 lower-case hexadecimal digits.
    InvalidNonce,
    /// The connection is bound under another nonce.
    AlreadyBound,
    /// The platform gave no evidence in time.
    NoEvidence,
    /// API keys are configured and none was sent.
    MissingKey,
    /// The API key is none of the configured ones.
    WrongKey,
    /// As many answers are in the making on this key as may be.
    TooManyAtOnce,
    /// The quota of this key, or of all callers without one, is used up.
    QuotaSpent {
        /// Seconds until one more request is allowed.
        retry_after: u64,
    },
    /// As many requests wait as may.
    QueueFull,
    /// No such path.
    NotFound,
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The named model is not the one served here.
    ModelNotFound,
    /// The body is not declared to be JSON.
    NotJson,
    /// The body is larger than the limit.
    BodyTooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The body did not arrive in time.
    BodyTimeout,
    /// The body broke off.
    BodyBroken,
    /// The body is not UTF-8.
    InvalidUtf8,
    /// The body is not JSON (RFC 8259).
    InvalidJson,
    /// The body, or the element of the named field, is not a JSON object.
    NotAnObject(Option<&'static str>),
    /// A member that must be there is not.
    MissingField(&'static str),
    /// A member appears twice.
    DuplicateField(&'static str),
    /// A member nobody defined.
    UnknownField,
    /// A member OpenAI defines and this server does not implement.
    UnsupportedField(&'static str),
    /// A member has a type or a value that is not taken.
    InvalidValue {
        /// The member.
        field: &'static str,
        /// What is taken.
        expected: &'static str,
    },
    /// A number is above the limit of this server.
    AboveLimit {
        /// The member.
        field: &'static str,
        /// The largest value taken.
        limit: usize,
    },
    /// There is nothing to continue.
    EmptyPrompt,
    /// A text to embed is too long.
    InputTooLong {
        /// Tokens the model takes.
        limit: usize,
    },
    /// Prompt and answer do not fit in the model's context.
    ContextExceeded {
        /// Tokens the model can hold, prompt and answer together.
        limit: usize,
    },
    /// Memory for prompt and answer is not free now.
    NoCapacity,
    /// Prompt and answer need more memory than this enclave keeps for all answers together.
    ExceedsMemory {
        /// Tokens that the memory would have to hold.
        needed: usize,
        /// Tokens that it holds.
        total: usize,
    },
    /// The model is of the other kind: a decoder asked for embeddings, or an embedder asked for text.
    WrongModelKind,
    /// The model has no chat template.
    NoChatTemplate,
    /// The model's chat template does not take these messages (an order of roles, for instance).
    TemplateRefused,
    /// The answer cannot be held to the form that was asked for.
    Form {
        /// The member that asks for it.
        field: &'static str,
        /// Why.
        error: ConstraintError,
    },
    /// Holding the answer to its form took more work than one answer may.
    FormExceeded,
    /// The answer was not complete when the time for a request had passed.
    Deadline,
    /// The lease on the model does not cover this prompt before it is renewed.
    LeaseBudget,
    /// The enclave is draining, or its lease has ended.
    ShuttingDown,
    /// The model failed; nothing is known about the request.
    ModelFailed,
}

/// OpenAI's `type` of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    InvalidRequest,
    Authentication,
    Permission,
    RateLimit,
    Server,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request_error",
            Self::Authentication => "authentication_error",
            Self::Permission => "permission_error",
            Self::RateLimit => "rate_limit_error",
            Self::Server => "server_error",
        }
    }
}

impl ApiError {
    /// Status, type and code.
    fn class(self) -> (StatusCode, Kind, &'static str) {
        use Kind::{Authentication, InvalidRequest, Permission, RateLimit, Server};
        match self {
            Self::ChannelNotBound => (StatusCode::FORBIDDEN, Permission, "channel_not_bound"),
            Self::InvalidNonce => (StatusCode::BAD_REQUEST, InvalidRequest, "invalid_nonce"),
            Self::AlreadyBound => (StatusCode::CONFLICT, InvalidRequest, "channel_already_bound"),
            Self::NoEvidence => (StatusCode::SERVICE_UNAVAILABLE, Server, "no_evidence"),
            Self::MissingKey => (StatusCode::UNAUTHORIZED, Authentication, "missing_api_key"),
            Self::WrongKey => (StatusCode::UNAUTHORIZED, Authentication, "invalid_api_key"),
            Self::TooManyAtOnce => (StatusCode::TOO_MANY_REQUESTS, RateLimit, "too_many_at_once"),
            Self::QuotaSpent { .. } => (StatusCode::TOO_MANY_REQUESTS, RateLimit, "rate_limit_exceeded"),
            Self::QueueFull => (StatusCode::TOO_MANY_REQUESTS, RateLimit, "queue_full"),
            Self::NotFound => (StatusCode::NOT_FOUND, InvalidRequest, "not_found"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                InvalidRequest,
                "method_not_allowed",
            ),
            Self::ModelNotFound => (StatusCode::NOT_FOUND, InvalidRequest, "model_not_found"),
            Self::NotJson => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                InvalidRequest,
                "unsupported_media_type",
            ),
            Self::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, InvalidRequest, "request_too_large"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, InvalidRequest, "request_timeout"),
            Self::BodyBroken => (StatusCode::BAD_REQUEST, InvalidRequest, "incomplete_body"),
            Self::InvalidUtf8 => (StatusCode::BAD_REQUEST, InvalidRequest, "invalid_utf8"),
            Self::InvalidJson | Self::NotAnObject(_) => {
                (StatusCode::BAD_REQUEST, InvalidRequest, "invalid_json")
            }
            Self::MissingField(_) => (
                StatusCode::BAD_REQUEST,
                InvalidRequest,
                "missing_required_parameter",
            ),
            Self::DuplicateField(_) => (StatusCode::BAD_REQUEST, InvalidRequest, "duplicate_parameter"),
            Self::UnknownField => (StatusCode::BAD_REQUEST, InvalidRequest, "unknown_parameter"),
            Self::UnsupportedField(_) => (StatusCode::BAD_REQUEST, InvalidRequest, "unsupported_parameter"),
            Self::InvalidValue { .. } | Self::AboveLimit { .. } => {
                (StatusCode::BAD_REQUEST, InvalidRequest, "invalid_value")
            }
            Self::EmptyPrompt => (StatusCode::BAD_REQUEST, InvalidRequest, "empty_prompt"),
            Self::ContextExceeded { .. } | Self::InputTooLong { .. } => {
                (StatusCode::BAD_REQUEST, InvalidRequest, "context_length_exceeded")
            }
            Self::NoCapacity => (StatusCode::TOO_MANY_REQUESTS, RateLimit, "no_capacity"),
            Self::ExceedsMemory { .. } => (StatusCode::BAD_REQUEST, InvalidRequest, "exceeds_memory"),
            Self::WrongModelKind => (StatusCode::BAD_REQUEST, InvalidRequest, "wrong_model_kind"),
            Self::NoChatTemplate => (StatusCode::BAD_REQUEST, InvalidRequest, "no_chat_template"),
            Self::TemplateRefused => (StatusCode::BAD_REQUEST, InvalidRequest, "messages_refused"),
            Self::Form { error, .. } => form_class(error),
            Self::FormExceeded => (StatusCode::BAD_REQUEST, InvalidRequest, "schema_too_complex"),
            Self::Deadline => (StatusCode::REQUEST_TIMEOUT, Server, "deadline_exceeded"),
            Self::LeaseBudget => (StatusCode::SERVICE_UNAVAILABLE, Server, "lease_budget"),
            Self::ShuttingDown => (StatusCode::SERVICE_UNAVAILABLE, Server, "shutting_down"),
            Self::ModelFailed => (StatusCode::INTERNAL_SERVER_ERROR, Server, "internal_error"),
        }
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> StatusCode {
        self.class().0
    }

    /// The member of the request at fault, where one is.
    #[must_use]
    pub fn param(self) -> Option<&'static str> {
        match self {
            Self::MissingField(field)
            | Self::DuplicateField(field)
            | Self::UnsupportedField(field)
            | Self::InvalidValue { field, .. }
            | Self::AboveLimit { field, .. }
            | Self::Form { field, .. } => Some(field),
            Self::NotAnObject(field) => field,
            Self::ModelNotFound => Some("model"),
            Self::InvalidNonce => Some("nonce"),
            Self::InputTooLong { .. } => Some("input"),
            Self::TemplateRefused | Self::NoChatTemplate => Some("messages"),
            _ => None,
        }
    }

    /// The JSON object, as a body or as the data of a stream's last event.
    #[must_use]
    pub fn to_json(self) -> Vec<u8> {
        let (_, kind, code) = self.class();
        let document = Document {
            error: Detail {
                message: self.to_string(),
                kind: kind.name(),
                param: self.param(),
                code,
            },
        };
        serde_json::to_vec(&document).expect("strings always serialize")
    }
}

fn form_class(error: ConstraintError) -> (StatusCode, Kind, &'static str) {
    let code = match error {
        ConstraintError::Schema {
            error: SchemaError::TooLarge(_) | SchemaError::TooComplex | SchemaError::Recursive,
            ..
        } => "schema_too_complex",
        ConstraintError::Schema { .. } | ConstraintError::Tools => "invalid_schema",
        ConstraintError::NoToolForm => "tools_not_supported",
        ConstraintError::Vocabulary => "structured_output_not_supported",
        ConstraintError::NoThread => {
            return (StatusCode::INTERNAL_SERVER_ERROR, Kind::Server, "internal_error");
        }
    };
    (StatusCode::BAD_REQUEST, Kind::InvalidRequest, code)
}

#[derive(Serialize)]
struct Document {
    error: Detail,
}

#[derive(Serialize)]
struct Detail {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'static str>,
    code: &'static str,
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ChannelNotBound => f.write_str(
                "this connection is not bound to evidence: verify the enclave and bind the channel first \
                 (`anchorhold client proxy` does both)",
            ),
            Self::InvalidNonce => f.write_str("`nonce` must be 64 lower-case hexadecimal digits"),
            Self::AlreadyBound => {
                f.write_str("this connection is bound under another nonce: open a new one and bind that")
            }
            Self::NoEvidence => f.write_str("the platform gave no evidence in time: try again"),
            Self::MissingKey => f.write_str("an API key is needed: send `Authorization: Bearer KEY`"),
            Self::WrongKey => f.write_str("the API key is not one of this enclave's"),
            Self::QuotaSpent { .. } => {
                f.write_str("the quota of this key, or of all callers without one, is used up: wait")
            }
            Self::TooManyAtOnce => {
                f.write_str("as many answers are in the making on this key as may be: wait for one of them")
            }
            Self::QueueFull => f.write_str("too many requests are waiting: try again"),
            Self::NotFound => f.write_str("no such path"),
            Self::MethodNotAllowed => f.write_str("this path does not take this method"),
            Self::ModelNotFound => {
                f.write_str("this enclave does not serve that model: GET /v1/models names the one it serves")
            }
            Self::NotJson => f.write_str("the body must be declared as `Content-Type: application/json`"),
            Self::BodyTooLarge { limit } => write!(f, "the body is larger than {limit} bytes"),
            Self::BodyTimeout => f.write_str("the body did not arrive in time"),
            Self::BodyBroken => f.write_str("the body ended before it was complete"),
            Self::InvalidUtf8 => f.write_str("the body is not valid UTF-8"),
            Self::InvalidJson => f.write_str("the body is not valid JSON"),
            Self::NotAnObject(None) => f.write_str("the body must be a JSON object"),
            Self::NotAnObject(Some(field)) => write!(f, "each element of `{field}` must be a JSON object"),
            Self::MissingField(field) => write!(f, "`{field}` is required"),
            Self::DuplicateField(field) => write!(f, "`{field}` is given twice"),
            Self::UnknownField => f.write_str("the request has a field that does not exist in this API"),
            Self::UnsupportedField(field) => {
                write!(
                    f,
                    "`{field}` is not supported, and is refused rather than ignored"
                )
            }
            Self::InvalidValue { field, expected } => write!(f, "`{field}` must be {expected}"),
            Self::AboveLimit { field, limit } => write!(f, "`{field}` is at most {limit} here"),
            Self::ContextExceeded { limit } => write!(
                f,
                "prompt and answer do not fit: this model holds {limit} tokens in all; shorten the prompt or ask \
                 for fewer tokens"
            ),
            Self::NoCapacity => f.write_str(
                "no memory is free for a prompt and an answer of this length: try again, or ask for fewer tokens",
            ),
            Self::ExceedsMemory { needed, total } => write!(
                f,
                "prompt and answer need memory for {needed} tokens, and there is memory for {total}: shorten the \
                 prompt or ask for fewer tokens"
            ),
            Self::EmptyPrompt => f.write_str("the prompt is empty: there is nothing to continue"),
            Self::InputTooLong { limit } => {
                write!(
                    f,
                    "a text in `input` is too long: this model takes {limit} tokens; split the text"
                )
            }
            Self::WrongModelKind => {
                f.write_str("the model served here does not do this: GET /v1/models shows what it is")
            }
            Self::NoChatTemplate => f.write_str("this model has no chat template: use /v1/completions"),
            Self::TemplateRefused => f.write_str(
                "the model's chat template does not take these messages: check the order and kinds of roles",
            ),
            Self::Form {
                error: ConstraintError::NoThread,
                ..
            } => f.write_str("the model failed"),
            Self::Form { error, .. } => write!(f, "{error}: {}", error.hint()),
            Self::FormExceeded => f.write_str(
                "keeping the answer to its schema takes too much work: shorten lengths and simplify patterns",
            ),
            Self::Deadline => f.write_str("the answer was not complete within the time for one request"),
            Self::LeaseBudget => f.write_str(
                "the lease on the model does not cover this prompt now: ask something shorter, or later",
            ),
            Self::ShuttingDown => f.write_str("this enclave is shutting down"),
            Self::ModelFailed => f.write_str("the model failed"),
        }
    }
}

impl std::error::Error for ApiError {}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.to_json()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::QuotaSpent { retry_after } => {
                headers.insert(RETRY_AFTER, HeaderValue::from(retry_after));
            }
            Self::QueueFull | Self::NoCapacity | Self::NoEvidence | Self::TooManyAtOnce => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            // OpenAI's packages would ask again, and pay the whole time again for the same outcome.
            Self::Deadline | Self::ModelFailed => {
                headers.insert("x-should-retry", HeaderValue::from_static("false"));
            }
            // The rest of the body is still on its way: there is nothing to gain from reading it.
            Self::BodyTooLarge { .. } | Self::BodyTimeout | Self::BodyBroken | Self::ChannelNotBound => {
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        // Whoever gives answers their length makes the body anew.
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shape_is_openais() {
        let bytes = ApiError::InvalidValue {
            field: "n",
            expected: "1",
        }
        .to_json();
        assert_eq!(
            bytes,
            br#"{"error":{"message":"`n` must be 1","type":"invalid_request_error","param":"n","code":"invalid_value"}}"#
        );
    }

    #[test]
    fn a_full_queue_and_full_memory_say_when_to_come_back() {
        for error in [ApiError::QueueFull, ApiError::NoCapacity] {
            let response = error.into_response();
            assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(response.headers()[RETRY_AFTER], "1");
        }
        let response = ApiError::QuotaSpent { retry_after: 7 }.into_response();
        assert_eq!(response.headers()[RETRY_AFTER], "7");
    }
}
