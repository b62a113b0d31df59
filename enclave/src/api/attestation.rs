//! Evidence for a client's nonce, and the binding of its connection.
//!
//! Why apart: the only two questions of a client that this enclave answers before it knows the client has
//! judged it. The answers hold nothing secret.
//!
//! # Invariants
//! The query is exactly `nonce=` and 64 lower-case hexadecimal digits; nothing else of the request is read. Evidence and
//! endorsements are encoded once for all: an answer refers to them and owns only its client's part.

use std::sync::Arc;

use anchorhold_attestation::document::Frame;
use anchorhold_attestation::{Lease, Nonce, limits};
use axum::body::Body;
use axum::extract::{Extension, RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use bytes::Bytes;
use serde::Serialize;

use crate::api::ApiState;
use crate::api::error::ApiError;
use crate::api::pieces::Pieces;
use crate::batch::{Answer, NoEvidence};
use crate::connection::{BindError, Connection};

/// The two routes under `/.well-known/anchorhold`.
pub fn router() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/.well-known/anchorhold/attestation", get(attestation))
        .route("/.well-known/anchorhold/channel", get(channel))
}

async fn attestation(
    State(state): State<Arc<ApiState>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let nonce = nonce_of(query)?;
    let answer = state
        .evidence
        .evidence_for(nonce)
        .await
        .map_err(|(NoEvidence::Busy | NoEvidence::Unavailable)| ApiError::NoEvidence)?;
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    Ok((headers, Body::new(document(&state, answer))).into_response())
}

/// `AttestationDocument::to_json` of this answer, in pieces. Stapled is what the host gave beside its own report, then
/// what the operator brought, within the limit of a document: nobody who reaches the operator's listener can push the
/// host's certificates out.
pub(super) fn document(state: &ApiState, answer: Answer) -> Pieces {
    let lease = Lease {
        seconds_left: state.lease.seconds_left(),
    };
    let frame = Frame::new(state.identity.bytes(), &answer.proof, Some(lease));
    let brought = state.stapled.current();
    let stapled = answer.endorsements.iter().chain(brought.iter());
    let mut pieces = vec![Bytes::from_static(frame.head)];
    for (index, endorsement) in stapled.take(limits::ENDORSEMENTS).enumerate() {
        if index > 0 {
            pieces.push(Bytes::from_static(b","));
        }
        pieces.push(endorsement.clone());
    }
    pieces.extend([
        Bytes::from_static(frame.middle),
        answer.evidence,
        Bytes::from(frame.tail),
    ]);
    Pieces::new(pieces)
}

#[derive(Serialize)]
struct ChannelAnswer {
    signature: String,
}

async fn channel(
    State(state): State<Arc<ApiState>>,
    Extension(connection): Extension<Arc<Connection>>,
    RawQuery(query): RawQuery,
) -> Result<Response, ApiError> {
    let nonce = nonce_of(query)?;
    let signature = connection
        .bind(nonce, &state.identity)
        .map_err(|error| match error {
            BindError::AlreadyBound => ApiError::AlreadyBound,
            BindError::NoExporter => ApiError::ChannelNotBound,
        })?;
    let answer = ChannelAnswer {
        signature: signature.to_string(),
    };
    Ok(([(CACHE_CONTROL, "no-store")], Json(answer)).into_response())
}

fn nonce_of(query: Option<String>) -> Result<Nonce, ApiError> {
    let text = query.ok_or(ApiError::InvalidNonce)?;
    let digits = text.strip_prefix("nonce=").ok_or(ApiError::InvalidNonce)?;
    digits.parse().map_err(|_| ApiError::InvalidNonce)
}
