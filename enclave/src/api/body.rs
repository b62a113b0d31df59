//! The bytes of a question, within limits and wiped afterwards.
//!
//! Why apart: axum's own extractors keep bodies in memory that is not wiped, and their rejections quote them.
//!
//! # Invariants
//! Never more than the limit is held. The body must be there within [`limits::BODY_TIME`], and
//! within the request's own time.

use std::pin::pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use http_body_util::BodyExt as _;

use crate::api::ApiState;
use crate::api::buffer::WipedBuffer;
use crate::api::error::ApiError;
use crate::api::shape::Start;
use crate::limits;
use crate::traffic::Ticks;

/// The whole body of a request that is declared to be JSON.
pub(super) struct JsonBody {
    bytes: WipedBuffer,
    /// Beats since its last byte, where answers have beats.
    pub(super) ticks: Option<Ticks>,
}

impl JsonBody {
    /// The exact bytes; receipts commit to them.
    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// The bytes as text.
    ///
    /// # Errors
    /// [`ApiError::InvalidUtf8`].
    pub(super) fn text(&self) -> Result<&str, ApiError> {
        std::str::from_utf8(self.bytes()).map_err(|_| ApiError::InvalidUtf8)
    }
}

impl FromRequest<Arc<ApiState>> for JsonBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Arc<ApiState>) -> Result<Self, ApiError> {
        if !is_json(request.headers()) {
            return Err(ApiError::NotJson);
        }
        let time = limits::BODY_TIME.min(api.limits.request_time);
        let start = request.extensions().get::<Start>().cloned();
        let reading = read(request.into_body(), api.limits.request_bytes);
        let bytes = match tokio::time::timeout(time, reading).await {
            Ok(body) => body?,
            Err(_) => return Err(ApiError::BodyTimeout),
        };
        let ticks = start.map(|start| start.now());
        Ok(Self { bytes, ticks })
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(value)) = headers.get(CONTENT_TYPE).map(|value| value.to_str()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

async fn read(body: Body, limit: usize) -> Result<WipedBuffer, ApiError> {
    let too_large = ApiError::BodyTooLarge { limit };
    let declared = body.size_hint().lower();
    if usize::try_from(declared).map_or(true, |declared| declared > limit) {
        return Err(too_large);
    }
    // What a head declares is no reason to set memory aside: it grows as the bytes arrive.
    let mut buffer = WipedBuffer::with_capacity(4096);
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::BodyBroken)?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        if data.len() > limit.saturating_sub(buffer.len()) {
            return Err(too_large);
        }
        buffer.push(&data);
    }
    Ok(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[tokio::test]
    async fn a_body_is_held_up_to_the_limit() {
        assert_eq!(
            read(Body::from("12345678"), 8).await.unwrap().as_slice(),
            b"12345678"
        );
        assert_eq!(
            read(Body::from("123456789"), 8).await.err(),
            Some(ApiError::BodyTooLarge { limit: 8 })
        );
        assert_eq!(read(Body::empty(), 8).await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn a_body_that_does_not_say_its_length_is_cut_off_at_the_limit() {
        let (writer, response) = crate::api::sse::stream();
        writer.event(b"12").await.unwrap();
        writer.event(b"34").await.unwrap();
        writer.end().await.unwrap();
        // Two events of "data: ", two digits and two line ends.
        assert_eq!(read(response.into_body(), 20).await.unwrap().len(), 20);
        let (writer, response) = crate::api::sse::stream();
        writer.event(b"12").await.unwrap();
        writer.event(b"345").await.unwrap();
        let outcome = read(response.into_body(), 20).await;
        assert_eq!(outcome.err(), Some(ApiError::BodyTooLarge { limit: 20 }));
    }

    #[test]
    fn json_is_declared() {
        let declared = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(value));
            is_json(&headers)
        };
        assert!(declared("application/json"));
        assert!(declared("Application/JSON; charset=utf-8"));
        for other in [
            "text/plain",
            "application/jsonp",
            "",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!declared(other), "{other}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
