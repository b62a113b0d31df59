//! A TLS stream that hyper drives, whose exporter a handler can still reach, and whose end is noticed even
//! while hyper does not look.
//!
//! Why apart: hyper owns the stream it serves, and the binding of a connection needs keying material of that
//! very stream after requests have begun. Nor does hyper read while it answers once it holds a byte of what
//! comes next: a client that sent a line break too many and left would keep the model at work.
//!
//! # Invariants
//! The lock is held within one poll or one export, never across an await. Every byte that comes in is told to
//! the connection's pace. hyper gets the bytes in their order, whoever read them.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use super::outlet::Outlet;
use super::pace::Pace;
use crate::connection::Exporter;
use crate::limits;

/// One stream, shared by hyper and by the connection's exporter.
pub(super) struct Shared<S> {
    stream: Arc<Mutex<Inner<S>>>,
    pace: Arc<Pace>,
    outlet: Arc<Outlet>,
}

struct Inner<S> {
    stream: S,
    /// Read while hyper did not; what it reads next.
    ahead: Zeroizing<Vec<u8>>,
}

impl<S: AsyncRead + Unpin> Inner<S> {
    /// Reads what fits into `ahead`: the end of the stream, or an error, is `Ready`.
    fn poll_ahead(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let room = limits::READ_AHEAD_BYTES.saturating_sub(self.ahead.len());
        if room == 0 {
            return Poll::Pending;
        }
        let mut bytes = Zeroizing::new([0; limits::READ_AHEAD_BYTES]);
        let mut buffer = ReadBuf::new(&mut bytes[..room]);
        let read = ready!(Pin::new(&mut self.stream).poll_read(context, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(());
        }
        // All the room at once, so that no smaller block is left behind.
        let held = self.ahead.len();
        self.ahead.reserve_exact(limits::READ_AHEAD_BYTES - held);
        self.ahead.extend_from_slice(buffer.filled());
        // hyper may be waiting for these bytes, and there may be more.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S> Shared<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self {
            stream: Arc::new(Mutex::new(Inner {
                stream,
                ahead: Zeroizing::new(Vec::new()),
            })),
            pace,
            outlet: Arc::default(),
        }
    }

    /// The same stream once more, for when hyper has shut it down.
    pub(super) fn share(&self) -> Self {
        Self {
            stream: Arc::clone(&self.stream),
            pace: Arc::clone(&self.pace),
            outlet: Arc::clone(&self.outlet),
        }
    }

    /// Where it is seen whether the network has taken what was written.
    pub(super) fn outlet(&self) -> Arc<Outlet> {
        Arc::clone(&self.outlet)
    }

    fn lock(&self) -> MutexGuard<'_, Inner<S>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: AsyncRead + Unpin> Shared<S> {
    /// Waits until the client has left in the middle of its request. Must be polled by hyper's task and after
    /// hyper, so that there is one waker and what hyper wants to read is read by hyper.
    pub(super) async fn left(&self) {
        poll_fn(|context| {
            if self.pace.is_busy() {
                self.lock().poll_ahead(context)
            } else {
                Poll::Pending
            }
        })
        .await;
    }
}

impl<S: Send + 'static> Shared<TlsStream<S>> {
    pub(super) fn exporter(&self) -> Box<dyn Exporter> {
        Box::new(TlsExporter(Arc::clone(&self.stream)))
    }
}

struct TlsExporter<S>(Arc<Mutex<Inner<TlsStream<S>>>>);

impl<S: Send> Exporter for TlsExporter<S> {
    fn export(&self, label: &[u8], context: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, tls) = inner.stream.get_ref();
        let mut output = Zeroizing::new([0; 32]);
        tls.export_keying_material(output.as_mut_slice(), label, Some(context))
            .ok()?;
        Some(output)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Shared<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = {
            let mut inner = self.lock();
            if inner.ahead.is_empty() {
                Pin::new(&mut inner.stream).poll_read(context, buffer)
            } else {
                let taken = inner.ahead.len().min(buffer.remaining());
                buffer.put_slice(&inner.ahead[..taken]);
                inner.ahead.drain(..taken);
                if inner.ahead.is_empty() {
                    // What was drained is still in the block.
                    inner.ahead = Zeroizing::new(Vec::new());
                }
                Poll::Ready(Ok(()))
            }
        };
        if buffer.filled().len() > before {
            self.pace.received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shared<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.lock().stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.lock().stream).poll_flush(context))?;
        self.outlet.flushed(context);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.lock().stream).poll_shutdown(context)
    }
}
