//! The middleware that refuses every request on a connection nobody has bound.
//!
//! Why apart: it runs before a header is judged or a body is read, so an API key or a prompt sent too early
//! is not looked at.
//!
//! # Invariants
//! The open paths are exactly [`OPEN_PATHS`]. Behind it, a request for any other path carries a [`Bound`].

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::api::error::ApiError;
use crate::connection::{Bound, Connection};

/// What a client may ask for before it has bound the connection: evidence, the binding itself, liveness.
pub const OPEN_PATHS: [&str; 4] = [
    "/.well-known/anchorhold/attestation",
    "/.well-known/anchorhold/channel",
    "/healthz",
    "/readyz",
];

/// Passes a request on only with the [`Bound`] of its connection, except on the open paths.
pub async fn require_bound(mut request: Request, next: Next) -> Response {
    // Only the connection says whether it is bound; a `Bound` from anywhere else is none.
    request.extensions_mut().remove::<Bound>();
    let bound = request
        .extensions()
        .get::<Arc<Connection>>()
        .and_then(|connection| connection.bound());
    match bound {
        Some(bound) => {
            request.extensions_mut().insert(bound);
        }
        None if OPEN_PATHS.contains(&request.uri().path()) => {}
        None => return ApiError::ChannelNotBound.into_response(),
    }
    next.run(request).await
}
