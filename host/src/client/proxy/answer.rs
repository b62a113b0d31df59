//! What the proxy says to a local program: the enclave's answers, and its own errors in OpenAI's shape.
//!
//! Why apart: a program that knows only the OpenAI API must see every refusal as an error, never as an answer.
//!
//! # Invariants
//! Errors hold constants and what [`ClientError`] may say: no text of a peer, no byte of a prompt or an answer.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use tokio::sync::mpsc;

use super::access::Refused;
use super::tokens::NoTokens;
use crate::client::error::{ClientError, Stage};
use crate::client::wiped::Wiped;
use crate::error::Explain as _;

/// The body of an answer to a local program.
pub(in crate::client) enum LocalBody {
    /// All of it.
    Whole(Option<Bytes>),
    /// Pieces as they come.
    Pieces(mpsc::Receiver<Bytes>),
}

impl Body for LocalBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.get_mut() {
            Self::Whole(body) => Poll::Ready(body.take()),
            Self::Pieces(pieces) => pieces.poll_recv(context),
        };
        next.map(|piece| piece.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Pieces(_) => SizeHint::default(),
        }
    }
}

/// Why the proxy itself answers.
#[derive(Debug)]
pub(super) enum Fault {
    /// A rule of access.
    Access(Refused),
    /// Nothing under this path is forwarded.
    Path,
    /// Only GET and POST are forwarded.
    Method,
    /// The request's body is over the limit.
    RequestTooLarge,
    /// The request's body did not come, or not in time.
    RequestBody,
    /// A proven answer is not to be had.
    Enclave(ClientError),
    /// The question cannot go out in ids.
    Tokens(NoTokens),
    /// The answer did not come in ids.
    NotIds,
    /// The receipt could not be kept as the person demanded.
    Keep,
}

impl Fault {
    fn status(&self) -> StatusCode {
        match self {
            Self::Access(Refused::Origin | Refused::Host) => StatusCode::FORBIDDEN,
            Self::Access(Refused::Token) => StatusCode::UNAUTHORIZED,
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RequestBody => StatusCode::REQUEST_TIMEOUT,
            Self::Enclave(error) => match error {
                ClientError::Unreachable(_)
                | ClientError::TimedOut(_)
                | ClientError::Disconnected(_)
                | ClientError::Status(Stage::Attestation | Stage::Channel, _)
                | ClientError::Random => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_GATEWAY,
            },
            Self::Tokens(NoTokens::OtherModel) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Tokens(_) => StatusCode::BAD_REQUEST,
            Self::NotIds => StatusCode::BAD_GATEWAY,
            Self::Keep => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// OpenAI's `type`.
    fn kind(&self) -> &'static str {
        match self {
            Self::Access(Refused::Token) => "authentication_error",
            Self::Access(_) | Self::Path | Self::Method | Self::RequestTooLarge | Self::RequestBody => {
                "invalid_request_error"
            }
            Self::Tokens(NoTokens::OtherModel) | Self::NotIds => "server_error",
            Self::Tokens(_) => "invalid_request_error",
            Self::Enclave(_) | Self::Keep => "server_error",
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Access(Refused::Origin) => "origin_refused",
            Self::Access(Refused::Host) => "host_refused",
            Self::Access(Refused::Token) => "invalid_api_key",
            Self::Path => "not_found",
            Self::Method => "method_not_allowed",
            Self::RequestTooLarge => "request_too_large",
            Self::RequestBody => "request_timeout",
            Self::Enclave(error) => error.code(),
            Self::Tokens(_) => "not_tokenised",
            Self::NotIds => "answer_not_in_ids",
            Self::Keep => "receipt_not_kept",
        }
    }

    fn message(&self) -> String {
        let text = match self {
            Self::Access(Refused::Origin) => "requests of web pages are refused",
            Self::Access(Refused::Host) => "the Host header does not name this proxy",
            Self::Access(Refused::Token) => {
                "the proxy's own token is missing or wrong: give it as the API key"
            }
            Self::Path => "only paths under /v1/ are forwarded",
            Self::Method => "only GET and POST are forwarded",
            Self::RequestTooLarge => "the request is larger than the proxy's limit",
            Self::RequestBody => "the request's body did not arrive",
            Self::Enclave(error) => return format!("anchorhold: {error}; {}", error.hint()),
            Self::Tokens(why) => return format!("anchorhold: {}", why.message()),
            Self::NotIds => "the enclave's answer is not in token ids: it may be older than this proxy",
            Self::Keep => "the receipt could not be kept, so the answer is held back",
        };
        format!("anchorhold: {text}")
    }

    fn json(&self) -> Vec<u8> {
        let error = serde_json::json!({
            "error": {
                "message": self.message(),
                "type": self.kind(),
                "param": null,
                "code": self.code(),
            }
        });
        error.to_string().into_bytes()
    }

    /// The whole answer.
    pub(super) fn response(&self) -> Response<LocalBody> {
        let mut response = Response::new(LocalBody::Whole(Some(self.json().into())));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if matches!(self, Self::Method) {
            headers.insert(ALLOW, HeaderValue::from_static("GET, POST"));
        }
        response
    }

    /// The last event of a stream that has begun. No `[DONE]` follows: a program must not take what came before
    /// for a whole answer.
    pub(super) fn event(&self) -> Bytes {
        let mut event = b"data: ".to_vec();
        event.extend_from_slice(&self.json());
        event.extend_from_slice(b"\n\n");
        event.into()
    }
}

/// A body that is there as a whole.
pub(super) fn whole(body: Wiped) -> LocalBody {
    LocalBody::Whole((!body.is_empty()).then(|| body.into_bytes()))
}
