//! The frames of a stream: as many bytes as fit at each beat, or a filler.
//!
//! Why apart: what is said and when it is seen part here. Whoever has something to say appends it; what leaves, and when,
//! is decided by the clock and by sizes alone.
//!
//! # Invariants
//! At each beat the same number of frames leaves, whether anything waits or not, and none between two beats. The
//! last of them belongs to a class. A filler stands between events, never inside one. What waited is wiped.

use bytes::Bytes;
use tokio::time::timeout;

use crate::api::buffer::WipedBuffer;
use crate::api::sse::{self, Left, Writer};
use crate::limits;
use crate::traffic::Ticks;

/// A comment, which whoever reads events skips (WHATWG HTML, section 9.2.6).
const COMMENT: &[u8] = b":\n\n";

/// Insignificant whitespace (RFC 8259, section 2).
const SPACE: &[u8] = b" ";

/// A stream's way to the network.
pub(super) struct Frames {
    writer: Writer,
    ticks: Ticks,
    /// Frames of each beat.
    lanes: usize,
    filler: &'static [u8],
    waiting: WipedBuffer,
    /// The number of the next beat.
    next: u64,
    /// Beats so far.
    sent: u64,
    /// Beats that there is time for.
    most: u64,
}

impl Frames {
    /// Frames of events, `lanes` a beat, the first at beat `first`, and `most` beats at most.
    pub(super) fn of_events(writer: Writer, ticks: Ticks, lanes: usize, first: u64, most: u64) -> Self {
        Self {
            writer,
            ticks,
            lanes: lanes.max(1),
            filler: COMMENT,
            waiting: WipedBuffer::with_capacity(4 * ticks.shape().frame),
            next: first,
            sent: 0,
            most,
        }
    }

    /// The frames of a document in place of a stream.
    pub(super) fn of_document(
        writer: Writer,
        ticks: Ticks,
        lanes: usize,
        first: u64,
        document: &[u8],
    ) -> Self {
        let mut frames = Self::of_events(writer, ticks, lanes, first, u64::MAX);
        frames.filler = SPACE;
        frames.waiting.push(document);
        frames
    }

    /// Appends an event.
    pub(super) fn event(&mut self, payload: &[u8]) {
        sse::event(&mut self.waiting, payload);
    }

    /// Appends the receipt.
    pub(super) fn receipt(&mut self, receipt: &str) {
        sse::receipt(&mut self.waiting, receipt);
    }

    /// Bytes that the next beat still takes.
    pub(super) fn room(&self) -> usize {
        let all = self.ticks.shape().room().saturating_mul(self.lanes);
        all.saturating_sub(self.waiting.len())
    }

    /// Waits for the next beat.
    pub(super) async fn reach(&self) {
        self.ticks.reach(self.next).await;
    }

    /// Lets the frames of this beat go.
    pub(super) async fn send(&mut self) -> Result<(), Left> {
        let room = self.ticks.shape().room();
        for _ in 0..self.lanes {
            let frame = match self.waiting.len() {
                0 => Bytes::from_static(self.filler),
                waiting => self.waiting.take_front(waiting.min(room)).into_bytes(),
            };
            self.writer.bytes(frame).await?;
        }
        self.sent = self.sent.saturating_add(1);
        // A beat that was missed is not made up for: two at once would be seen.
        self.next = self.ticks.next().max(self.next.saturating_add(1));
        Ok(())
    }

    /// Lets all that waits go, then fillers until a class is full, whose last beat is `last`; then ends the body.
    pub(super) async fn end(&mut self, last: &[u8]) -> Result<(), Left> {
        while self.waiting.len() > 0 {
            self.beat().await?;
        }
        let class = self
            .ticks
            .shape()
            .stream_class(self.sent.saturating_add(1), self.most);
        while self.sent.saturating_add(1) < class {
            self.beat().await?;
        }
        self.waiting.push(last);
        self.beat().await?;
        self.writer.end().await
    }

    /// One beat. A reader that takes nothing for a while after all was said has left.
    async fn beat(&mut self) -> Result<(), Left> {
        self.reach().await;
        timeout(limits::LAST_WORD, self.send()).await.unwrap_or(Err(Left))
    }

    /// The half that writes, to see whether anybody reads.
    pub(super) fn writer(&self) -> Writer {
        self.writer.clone()
    }
}
