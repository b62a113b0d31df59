//! Endorsements the operator pushes in, stapled to the answers clients get.
//!
//! Why apart: the one thing an operator may change in a running enclave. It is for clients that cannot reach a vendor
//! themselves; nothing in here is believed, by the enclave least of all.
//!
//! # Invariants
//! Number and size are bounded, kinds are known, bodies are opaque: not a byte of one is looked at. A new bundle takes
//! the place of the whole old one at once, or of nothing. What is stapled decides nothing here.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

use anchorhold_attestation::document::endorsement_text;
use anchorhold_attestation::{Endorsements, ParseError, limits as formats};
use axum::body::{Body, HttpBody as _};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::put;
use axum::{Json, Router};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::Serialize;
use tokio::time::timeout;

use crate::event::{self, Event};
use crate::limits;

/// What is stapled now. Nothing until an operator brings something.
#[derive(Default)]
pub struct Stapled(Mutex<Arc<Vec<Bytes>>>);

impl std::fmt::Debug for Stapled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stapled({})", self.current().len())
    }
}

impl Stapled {
    /// Each endorsement as it stands in a document, encoded once for all answers.
    #[must_use]
    pub fn current(&self) -> Arc<Vec<Bytes>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Staples a bundle's endorsements from now on, and no others. Says how many they are.
    pub(crate) fn replace(&self, bundle: &[u8]) -> Result<usize, ParseError> {
        let stapled = Endorsements::from_bundle(bundle)?.to_stapled();
        let stapled: Vec<_> = stapled
            .iter()
            .map(|blob| Bytes::from(endorsement_text(blob)))
            .collect();
        let items = stapled.len();
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(stapled);
        Ok(items)
    }
}

/// `PUT /endorsements`, for the operator's own listener: clients never reach it.
pub fn router(stapled: Arc<Stapled>) -> Router {
    Router::new()
        .route("/endorsements", put(staple))
        .with_state(stapled)
}

#[derive(Serialize)]
struct Done {
    items: usize,
}

#[derive(Serialize)]
struct Refused {
    error: &'static str,
}

fn refused(status: StatusCode, error: &'static str) -> Response {
    (status, Json(Refused { error })).into_response()
}

async fn staple(State(stapled): State<Arc<Stapled>>, body: Body) -> Response {
    let bundle = match timeout(limits::BODY_TIME, read(body)).await {
        Ok(Some(bundle)) => bundle,
        Ok(None) => return refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Err(_) => return refused(StatusCode::REQUEST_TIMEOUT, "body_timeout"),
    };
    match stapled.replace(&bundle) {
        Ok(items) => {
            event::emit(Event::EndorsementsStapled { items });
            Json(Done { items }).into_response()
        }
        Err(ParseError::TooLarge { .. }) => refused(StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
        Err(_) => refused(StatusCode::BAD_REQUEST, "not_a_bundle"),
    }
}

/// The whole body; `None` when it is larger than a bundle, or breaks off.
async fn read(body: Body) -> Option<Vec<u8>> {
    let limit = formats::ENDORSEMENT_BUNDLE;
    if usize::try_from(body.size_hint().lower()).map_or(true, |declared| declared > limit) {
        return None;
    }
    let mut bytes = Vec::new();
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.ok()?.into_data() else {
            continue;
        };
        if data.len() > limit.saturating_sub(bytes.len()) {
            return None;
        }
        bytes.extend_from_slice(&data);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use anchorhold_attestation::{Endorsement, EndorsementKind};
    use axum::http::Request;
    use tower::ServiceExt as _;

    use super::*;

    fn bundle(bodies: &[&[u8]]) -> Vec<u8> {
        let item = |body: &&[u8]| Endorsement::new(EndorsementKind::AmdVek, body.to_vec()).unwrap();
        let items = bodies.iter().map(item).collect();
        Endorsements::new(items).unwrap().to_bundle()
    }

    async fn put(stapled: &Arc<Stapled>, body: Vec<u8>) -> (u16, String) {
        let request = Request::put("/endorsements").body(Body::from(body)).unwrap();
        let answer = router(Arc::clone(stapled)).oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn a_bundle_replaces_all_or_nothing() {
        let stapled = Arc::new(Stapled::default());
        assert!(stapled.current().is_empty());
        // Nothing is a certificate here: bodies are opaque.
        assert_eq!(
            put(&stapled, bundle(&[b"a", b"b"])).await,
            (200, "{\"items\":2}".to_owned())
        );
        let before = stapled.current();
        let first = endorsement_text(b"{\"body\":\"YQ==\",\"kind\":\"amd-vek\"}");
        assert_eq!(before.first().map(|text| text.to_vec()), Some(first));
        for (wrong, status) in [
            (b"".to_vec(), 400),
            (b"{}".to_vec(), 400),
            ([bundle(&[b"c"]), b"\n".to_vec()].concat(), 400),
            (
                bundle(&[b"c"])
                    .iter()
                    .map(|byte| if *byte == b'v' { b'w' } else { *byte })
                    .collect(),
                400,
            ),
            (vec![b' '; formats::ENDORSEMENT_BUNDLE + 1], 413),
        ] {
            assert_eq!(put(&stapled, wrong).await.0, status);
            assert_eq!(stapled.current(), before);
        }
        assert_eq!(put(&stapled, bundle(&[b"c"])).await.0, 200);
        assert_eq!(stapled.current().len(), 1);
        assert_eq!(put(&stapled, bundle(&[])).await.0, 200);
        assert!(stapled.current().is_empty());
    }

    #[tokio::test]
    async fn a_body_without_end_is_cut() {
        let stapled = Arc::new(Stapled::default());
        // Of unknown length, so the head does not give it away.
        let endless = Body::new(http_body_util::BodyExt::boxed(Endless));
        let request = Request::put("/endorsements").body(endless).unwrap();
        let answer = router(Arc::clone(&stapled)).oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
        assert!(stapled.current().is_empty());
    }

    /// A body that never ends.
    struct Endless;

    impl axum::body::HttpBody for Endless {
        type Data = bytes::Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Result<hyper::body::Frame<bytes::Bytes>, Self::Error>>> {
            let piece = bytes::Bytes::from_static(&[b' '; 4096]);
            std::task::Poll::Ready(Some(Ok(hyper::body::Frame::data(piece))))
        }
    }
}
