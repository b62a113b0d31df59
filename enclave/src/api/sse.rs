//! Server-sent events as a response body.
//!
//! Why apart: a stream that breaks off must not look like one that ended, and the half that writes must learn
//! at once that nobody reads any more.
//!
//! # Invariants
//! The body ends only after [`Writer::end`]; if the writer is dropped before, reading it is an error and the
//! connection is closed. Events are wiped once the connection has taken them.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, HttpBody};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use hyper::body::Frame;
use tokio::sync::mpsc;

use crate::api::buffer::WipedBuffer;
use crate::limits;
use crate::receipts::RECEIPT;

/// The stream broke off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream broke off")
    }
}

impl std::error::Error for Broken {}

/// Whoever asked has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left;

enum Part {
    Bytes(Bytes),
    End,
}

/// The half that writes.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Part>);

/// The half that the connection reads.
struct Reader {
    parts: mpsc::Receiver<Part>,
    ended: bool,
}

/// A response whose body is what the writer writes.
pub(super) fn stream() -> (Writer, Response) {
    let (sender, parts) = mpsc::channel(limits::STREAM_EVENTS);
    let body = Reader { parts, ended: false };
    let headers = [(CONTENT_TYPE, "text/event-stream"), (CACHE_CONTROL, "no-store")];
    (
        Writer(sender),
        (headers, Body::new(BoxBody::new(body))).into_response(),
    )
}

/// The event that ends an answer that is complete.
pub(super) const DONE: &[u8] = b"data: [DONE]\n\n";

/// Appends one event to `buffer`.
pub(super) fn event(buffer: &mut WipedBuffer, payload: &[u8]) {
    for piece in [b"data: ", payload, b"\n\n"] {
        buffer.push(piece);
    }
}

/// Appends the receipt to `buffer`.
pub(super) fn receipt(buffer: &mut WipedBuffer, receipt: &str) {
    for piece in [b": ", RECEIPT.as_bytes(), b" ", receipt.as_bytes(), b"\n\n"] {
        buffer.push(piece);
    }
}

impl Writer {
    /// Writes one event; waits while the connection does not take more.
    pub(super) async fn event(&self, payload: &[u8]) -> Result<(), Left> {
        let mut buffer = WipedBuffer::with_capacity(payload.len().saturating_add(8));
        event(&mut buffer, payload);
        self.bytes(buffer.into_bytes()).await
    }

    /// Writes the receipt, as a comment that clients of OpenAI's API skip.
    pub(super) async fn receipt(&self, receipt: &str) -> Result<(), Left> {
        let mut buffer = WipedBuffer::with_capacity(receipt.len().saturating_add(32));
        self::receipt(&mut buffer, receipt);
        self.bytes(buffer.into_bytes()).await
    }

    /// Writes bytes as they are, in a chunk of their own.
    pub(super) async fn bytes(&self, bytes: Bytes) -> Result<(), Left> {
        self.0.send(Part::Bytes(bytes)).await.map_err(|_| Left)
    }

    /// The end of an answer that is complete.
    pub(super) async fn done(&self) -> Result<(), Left> {
        self.bytes(Bytes::from_static(DONE)).await?;
        self.end().await
    }

    /// The end of the body.
    pub(super) async fn end(&self) -> Result<(), Left> {
        self.0.send(Part::End).await.map_err(|_| Left)
    }

    /// Waits until nobody reads any more.
    pub(super) async fn left(&self) -> Left {
        self.0.closed().await;
        Left
    }
}

impl HttpBody for Reader {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = ready!(self.parts.poll_recv(context));
        Poll::Ready(match part {
            Some(Part::Bytes(bytes)) => Some(Ok(Frame::data(bytes))),
            Some(Part::End) => {
                self.ended = true;
                None
            }
            None => {
                self.ended = true;
                Some(Err(Broken))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    #[tokio::test]
    async fn events_are_framed_and_the_end_is_told() {
        let (writer, response) = stream();
        let writing = tokio::spawn(async move {
            writer.event(b"{}").await?;
            writer.receipt("abc").await?;
            writer.done().await
        });
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes, "data: {}\n\n: anchorhold-receipt abc\n\ndata: [DONE]\n\n");
        assert_eq!(writing.await.unwrap(), Ok(()));
    }

    #[tokio::test]
    async fn a_dropped_writer_is_no_end() {
        let (writer, response) = stream();
        writer.event(b"{}").await.unwrap();
        drop(writer);
        assert!(response.into_body().collect().await.is_err());
    }

    #[tokio::test]
    async fn a_dropped_body_is_noticed() {
        let (writer, response) = stream();
        drop(response);
        assert_eq!(writer.left().await, Left);
        assert_eq!(writer.event(b"{}").await, Err(Left));
    }
}
