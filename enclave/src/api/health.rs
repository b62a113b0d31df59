//! Whether the process lives, and whether it takes work.
//!
//! Why apart: orchestrators ask these without a bound connection, so they must say nothing else.
//!
//! # Invariants
//! Two constants each.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::api::ApiState;
use crate::api::error::ApiError;

/// `GET /healthz`: the process answers.
pub(super) async fn live() -> Response {
    (StatusCode::OK, "ok\n").into_response()
}

/// `GET /readyz`: new work is taken. 503 from the start of the drain on.
pub(super) async fn ready(State(api): State<Arc<ApiState>>) -> Response {
    match api.lifecycle.cause() {
        None => (StatusCode::OK, "ready\n").into_response(),
        Some(_) => ApiError::ShuttingDown.into_response(),
    }
}
