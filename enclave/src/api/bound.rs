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

#[cfg(test)]
mod tests {
    use anchorhold_attestation::Nonce;
    use axum::Router;
    use axum::body::Body;
    use axum::http::StatusCode;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    /// Answers 200 when the handler behind the middleware sees a proof, 204 when it sees none.
    async fn seen(path: &str, proof: Option<Bound>) -> StatusCode {
        let see = |request: Request| async move {
            match request.extensions().get::<Bound>() {
                Some(_) => StatusCode::OK,
                None => StatusCode::NO_CONTENT,
            }
        };
        let app = Router::new().fallback(get(see)).layer(from_fn(require_bound));
        let mut request = Request::get(path).body(Body::empty()).expect("a request");
        if let Some(proof) = proof {
            request.extensions_mut().insert(proof);
        }
        app.oneshot(request)
            .await
            .expect("the router never fails")
            .status()
    }

    #[tokio::test]
    async fn only_the_connection_gives_a_proof() {
        let foreign = || Some(Bound::for_tests(Nonce::from_random([1; 32])));
        assert_eq!(seen("/v1/models", foreign()).await, StatusCode::FORBIDDEN);
        assert_eq!(seen("/v1/models", None).await, StatusCode::FORBIDDEN);
        for path in OPEN_PATHS {
            assert_eq!(seen(path, foreign()).await, StatusCode::NO_CONTENT, "{path}");
        }
    }
}
