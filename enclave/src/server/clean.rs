//! A stream whose reader's buffer is wiped while there is nothing to read.
//!
//! Why apart: TLS and HTTP keep a buffer for each connection, in which the last request lies until the next one comes. Neither can be
//! asked to wipe it, but both hand out all of its free part whenever they want to read.
//!
//! It stands below TLS, where rustls decrypts what came in place, and below hyper, which is held to one size of buffer
//! ([`crate::limits::REQUEST_HEAD_BYTES`]) so that it hands out its beginning too. Both look for more as soon as they have read what there is.
//!
//! # Invariants
//! When a read waits, no byte that was read before is in the free part of its buffer. A stream that waits for a request, or is gone, has
//! told that one ended.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anchorhold_memory::measures::{self, Measure};
use anchorhold_memory::stack;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pace::Pace;

/// A stream that wipes behind its reader.
pub(super) struct Clean<S> {
    stream: S,
    /// Whether a request is being answered, where that is known.
    pace: Option<Arc<Pace>>,
    /// Bytes were read since it last waited.
    read: bool,
    /// Bytes were read or written since a request was told to have ended.
    used: bool,
}

impl<S> Clean<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            pace: None,
            read: false,
            used: false,
        }
    }

    /// The same for the stream that carries requests of this pace.
    pub(super) fn of(stream: S, pace: Arc<Pace>) -> Self {
        let mut clean = Self::new(stream);
        clean.pace = Some(pace);
        clean
    }
}

impl<S> Drop for Clean<S> {
    fn drop(&mut self) {
        stack::ended();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Clean<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            (self.read, self.used) = (true, true);
            return read;
        }
        if self.read && measures::is_on(Measure::Connections) {
            self.read = false;
            buffer.initialize_unfilled().fill(0);
        }
        if self.used && self.pace.as_ref().is_some_and(|pace| !pace.is_busy()) {
            self.used = false;
            stack::ended();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Clean<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.used = true;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.used = true;
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        // hyper copies bodies into a buffer of its own for a stream that does not take them as they are.
        measures::is_on(Measure::Connections) && self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;
    use tokio::io::AsyncWriteExt as _;

    #[tokio::test]
    async fn what_was_read_is_gone_from_the_buffer_when_the_next_read_waits() {
        let (mut far, near) = tokio::io::duplex(64);
        let mut near = Clean::new(near);
        far.write_all(b"a prompt").await.unwrap();
        let mut block = [0; 32];
        let mut context = Context::from_waker(Waker::noop());
        let mut buffer = ReadBuf::new(&mut block);
        assert!(
            Pin::new(&mut near)
                .poll_read(&mut context, &mut buffer)
                .is_ready()
        );
        assert_eq!(buffer.filled(), b"a prompt");
        // Read and done with: the whole block is free again, and handed out.
        let mut buffer = ReadBuf::new(&mut block);
        assert!(
            Pin::new(&mut near)
                .poll_read(&mut context, &mut buffer)
                .is_pending()
        );
        assert_eq!(block, [0; 32]);
    }
}
