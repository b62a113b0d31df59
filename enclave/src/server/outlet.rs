//! Whether the network has taken what was written.
//!
//! Why apart: hyper gathers what it is given until it may write. A head and what follows it, or two pieces for a reader
//! who is slow, would leave as one record, and how they were merged would show how they were made.
//!
//! # Invariants
//! A body's next piece is handed to hyper only after a flush that followed the piece before it. Asked by the task that
//! drives the connection alone, so that nothing happens between a question and its answer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

/// The way out of one connection.
#[derive(Debug, Default)]
pub(super) struct Outlet {
    /// How often everything had been taken.
    flushes: AtomicU64,
    /// A body waits for the next time.
    waiting: AtomicBool,
}

/// Everything that was written by then is before a certain flush.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written(u64);

impl Outlet {
    /// Something is about to be written: remembered for [`Self::poll_taken`].
    pub(super) fn writing(&self) -> Written {
        Written(self.flushes.load(Ordering::Relaxed))
    }

    /// Ready when all of `written` has been taken.
    pub(super) fn poll_taken(&self, written: Written) -> Poll<()> {
        if self.flushes.load(Ordering::Relaxed) == written.0 {
            self.waiting.store(true, Ordering::Relaxed);
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// All that was written has been taken. Wakes the task of `context` when a body waits in it.
    pub(super) fn flushed(&self, context: &Context<'_>) {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        if self.waiting.swap(false, Ordering::Relaxed) {
            context.waker().wake_by_ref();
        }
    }
}
