//! A body out of pieces that many answers share.
//!
//! Why apart: evidence and what is stapled to it are the same for all clients of a window, and may be some megabytes. Were
//! they copied for each connection, slow readers would cost the enclave its memory.
//!
//! # Invariants
//! No piece is copied here: an answer holds one reference to each. hyper copies what it writes, so it gets at most
//! [`limits::SHARED_PIECE_BYTES`] at a time. The length is known from the start.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::HttpBody;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};

use crate::limits;

/// What is still to be sent, in order.
pub(super) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    /// All of these, one after the other.
    pub(super) fn new(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        Self(pieces.into_iter().filter(|piece| !piece.is_empty()).collect())
    }

    /// What is left of the pieces.
    #[cfg(test)]
    #[cfg(feature = "insecure-simulated")] // who asks needs an attester
    pub(super) fn left(&self) -> impl Iterator<Item = &Bytes> {
        self.0.iter()
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(first) = self.0.front_mut() else {
            return Poll::Ready(None);
        };
        let piece = first.split_to(first.len().min(limits::SHARED_PIECE_BYTES));
        if first.is_empty() {
            self.0.pop_front();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let left: usize = self.0.iter().map(Bytes::len).sum();
        SizeHint::with_exact(u64::try_from(left).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn pieces_are_sent_in_order_in_small_parts_of_themselves() {
        let large = Bytes::from(vec![7; 3 * limits::SHARED_PIECE_BYTES + 5]);
        let all = [
            Bytes::from_static(b"head"),
            Bytes::new(),
            large.clone(),
            Bytes::from_static(b"tail"),
        ];
        let mut body = Pieces::new(all.clone());
        assert_eq!(
            body.size_hint().exact(),
            Some(u64::try_from(all.concat().len()).unwrap())
        );
        let mut sent = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            assert!(!data.is_empty() && data.len() <= limits::SHARED_PIECE_BYTES);
            if sent.len() >= 4 && sent.len() < 4 + large.len() {
                // A part of the very allocation that was given.
                assert_eq!(data.as_ptr(), large[sent.len() - 4..].as_ptr());
            }
            sent.extend_from_slice(&data);
            let left = u64::try_from(all.concat().len() - sent.len()).unwrap();
            assert_eq!(body.size_hint().exact(), Some(left));
        }
        assert!(body.is_end_stream());
        assert_eq!(sent, all.concat());
        assert!(Pieces::new([]).is_end_stream());
    }
}
