//! A TLS stream that hyper drives and whose exporter a handler can still reach.
//!
//! Why apart: hyper owns the stream it serves, and the binding of a connection needs keying material of that
//! very stream after requests have begun.
//!
//! # Invariants
//! The lock is held within one poll or one export, never across an await. Every byte that comes in is told to
//! the connection's pace.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use zeroize::Zeroizing;

use super::pace::Pace;
use crate::connection::Exporter;

/// One stream, shared by hyper and by the connection's exporter.
pub(super) struct Shared<S> {
    stream: Arc<Mutex<S>>,
    pace: Arc<Pace>,
}

impl<S> Shared<S> {
    pub(super) fn new(stream: S, pace: Arc<Pace>) -> Self {
        Self {
            stream: Arc::new(Mutex::new(stream)),
            pace,
        }
    }

    /// The same stream once more, for when hyper has shut it down.
    pub(super) fn share(&self) -> Self {
        Self {
            stream: Arc::clone(&self.stream),
            pace: Arc::clone(&self.pace),
        }
    }

    fn lock(&self) -> MutexGuard<'_, S> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared<TlsStream<TcpStream>> {
    pub(super) fn exporter(&self) -> Box<dyn Exporter> {
        Box::new(TlsExporter(Arc::clone(&self.stream)))
    }
}

struct TlsExporter(Arc<Mutex<TlsStream<TcpStream>>>);

impl Exporter for TlsExporter {
    fn export(&self, label: &[u8], context: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let stream = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, tls) = stream.get_ref();
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
        let result = Pin::new(&mut *self.lock()).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.pace.received();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Shared<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(context)
    }
}
