//! The shape of an answer that is no stream: its head, its length, and when it goes.
//!
//! Why apart: every answer of a model's endpoint passes here, refusals too, and a handler cannot forget it.
//!
//! # Invariants
//! Head lines have one length, and every error has the length of the shortest answer. A whole answer leaves at a beat
//! whose number is a class, counted from the last byte of its request. Streams have beats of their own.

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::ApiState;
use crate::api::buffer::WipedBuffer;
use crate::api::error::ApiError;
use crate::limits;
use crate::traffic::{self, Shape, Ticks};

/// The line that makes all heads equally long. Its value says nothing.
const PADDING: HeaderName = HeaderName::from_static("anchorhold-padding");

/// `: ` and the line's end.
const LINE: usize = 4;

/// When a request had been read to its end: set once, by whoever reads it.
#[derive(Debug, Clone)]
pub(super) struct Start {
    shape: Shape,
    ticks: Arc<OnceLock<Ticks>>,
}

impl Start {
    /// It has been read now.
    pub(super) fn now(&self) -> Ticks {
        *self.ticks.get_or_init(|| Ticks::start(self.shape))
    }
}

/// An answer that has its own beats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paced;

/// Gives answers their shape.
pub(super) async fn shape(State(api): State<Arc<ApiState>>, mut request: Request, next: Next) -> Response {
    let Some(shape) = api.traffic else {
        return next.run(request).await;
    };
    // What is refused before its body was read counts from here.
    let arrival = Ticks::start(shape);
    let start = Start {
        shape,
        ticks: Arc::default(),
    };
    request.extensions_mut().insert(start.clone());
    let mut response = next.run(request).await;
    if response.extensions().get::<Paced>().is_none() {
        if let Some(error) = response.extensions().get::<ApiError>() {
            let body = document(*error);
            *response.body_mut() = Body::from(body.into_bytes());
            // Of the body that it was.
            response.headers_mut().remove(CONTENT_LENGTH);
        }
        let ticks = start.ticks.get().copied().unwrap_or(arrival);
        ticks.reach_class(api.limits.request_time).await;
    }
    pad_head(response.headers_mut());
    response
}

/// Pads a whole answer, before its receipt is made.
pub(super) fn pad_body(body: &mut WipedBuffer) {
    let class = traffic::body_class(body.len());
    body.pad(class);
}

fn document(error: ApiError) -> WipedBuffer {
    let json = error.to_json();
    let mut body = WipedBuffer::with_capacity(limits::LEAST_BODY);
    body.push(&json);
    pad_body(&mut body);
    body
}

fn pad_head(headers: &mut HeaderMap) {
    let line = |name: usize, value: usize| name + value + LINE;
    let lines: usize = headers
        .iter()
        .map(|(name, value)| line(name.as_str().len(), value.len()))
        .sum();
    let missing = limits::HEAD_LINES.saturating_sub(lines + line(PADDING.as_str().len(), 0));
    let filler = HeaderValue::from_bytes(&vec![b'0'; missing]).expect("digits may stand in a header");
    headers.insert(PADDING, filler);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_equally_long() {
        let lengths = ["", "a", "a longer value"].map(|value| {
            let mut headers = HeaderMap::new();
            headers.insert("anchorhold-receipt", HeaderValue::from_static(value));
            headers.insert("retry-after", HeaderValue::from_static("1"));
            pad_head(&mut headers);
            let lines = headers
                .iter()
                .map(|(name, value)| name.as_str().len() + value.len() + 4);
            lines.sum::<usize>()
        });
        assert_eq!(lengths, [limits::HEAD_LINES; 3]);
    }
}
