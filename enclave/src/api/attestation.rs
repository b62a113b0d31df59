//! Evidence for a client's nonce, and the binding of its connection.
//!
//! Why apart: the only two questions of a client that this enclave answers before it knows the client has
//! judged it. The answers hold nothing secret.
//!
//! # Invariants
//! The query is exactly `nonce=` and 64 lower-case hexadecimal digits; nothing else of the request is read.

use std::sync::Arc;

use anchorhold_attestation::{AttestationDocument, Evidence, Lease, Nonce};
use axum::extract::{Extension, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::api::ApiState;
use crate::api::error::ApiError;
use crate::connection::Connection;

/// The two routes under `/.well-known/anchorhold`.
pub fn router() -> Router<Arc<ApiState>> {
    Router::new()
        .route("/.well-known/anchorhold/attestation", get(attestation))
        .route("/.well-known/anchorhold/channel", get(channel))
}

async fn attestation(State(state): State<Arc<ApiState>>, RawQuery(query): RawQuery) -> Response {
    let Some(nonce) = nonce_of(query) else {
        return bad_nonce();
    };
    let unavailable = |message| {
        ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "server_error",
            "evidence_unavailable",
            message,
        )
        .into_response()
    };
    let answer = match state.evidence.evidence_for(nonce).await {
        Ok(answer) => answer,
        Err(error) => return unavailable(error.hint()),
    };
    let Ok(evidence) = Evidence::from_json(&answer.evidence) else {
        return unavailable("the evidence made is not evidence: report this");
    };
    let document = AttestationDocument {
        identity: state.identity.bytes().to_vec(),
        evidence,
        proof: answer.proof,
        lease: Some(Lease {
            seconds_left: state.lease.seconds_left(),
        }),
        endorsements: Vec::new(),
    };
    ([(header::CONTENT_TYPE, "application/json")], document.to_json()).into_response()
}

#[derive(Serialize)]
struct ChannelAnswer {
    signature: String,
}

async fn channel(
    State(state): State<Arc<ApiState>>,
    Extension(connection): Extension<Arc<Connection>>,
    RawQuery(query): RawQuery,
) -> Response {
    let Some(nonce) = nonce_of(query) else {
        return bad_nonce();
    };
    match connection.bind(nonce, &state.identity) {
        Ok(signature) => Json(ChannelAnswer {
            signature: signature.to_string(),
        })
        .into_response(),
        Err(error) => ApiError::new(
            StatusCode::CONFLICT,
            "invalid_request_error",
            "channel_already_bound",
            error.hint(),
        )
        .into_response(),
    }
}

fn nonce_of(query: Option<String>) -> Option<Nonce> {
    query?.strip_prefix("nonce=")?.parse().ok()
}

fn bad_nonce() -> Response {
    ApiError::new(
        StatusCode::BAD_REQUEST,
        "invalid_request_error",
        "invalid_nonce",
        "the query must be nonce= and 64 lower-case hexadecimal digits",
    )
    .into_response()
}
