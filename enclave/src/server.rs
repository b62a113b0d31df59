//! Accepting connections within limits, and serving each at its pace.
//!
//! Why apart: everything a stranger can do before a request is a request ends here.
//!
//! - `bound`: an address that is taken before there is anything to serve
//! - [`outlet`]: whether the network has taken what was written
//! - [`pace`]: how long a connection may take
//! - [`stream`]: the stream that hyper drives
//! - [`clean`]: wipes what is kept for a connection while it waits
//!
//! # Invariants
//! There are never more connections than the limit; further ones wait in the operating system's queue. A
//! connection carries nothing but HTTP/1.1, and what hyper is given at different times leaves in different records. An answer given before its request was read to the end arrives all
//! the same, unless the rest is beyond a limit. When draining begins nothing more is accepted, requests in flight
//! get the drain time, and then every connection is cut.

mod bound;
mod clean;
mod outlet;
mod pace;
mod stream;

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use bytes::Bytes;
use hyper::body::{Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;
use zeroize::Zeroizing;

pub use self::bound::Bound;
use self::clean::Clean;
use self::outlet::{Outlet, Written};
use self::pace::{Busy, Pace};
use self::stream::Shared;
use crate::confine::Confined;
use crate::connection::Connection;
use crate::lifecycle::Lifecycle;
use crate::limits::{self, Limits};

/// One address, and what is served there.
pub struct Server {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
}

struct Service {
    app: Router,
    limits: Limits,
    lifecycle: Lifecycle,
}

impl Server {
    /// Listens for clients, over TLS.
    ///
    /// # Errors
    /// Somebody else listens there.
    pub fn tls(
        address: Bound,
        tls: Arc<rustls::ServerConfig>,
        app: Router,
        limits: Limits,
        lifecycle: Lifecycle,
    ) -> std::io::Result<Self> {
        Self::listen(address, Some(TlsAcceptor::from(tls)), app, limits, lifecycle)
    }

    /// Listens for the operator, in clear: only for what may be read by anyone, and what nobody here believes.
    ///
    /// # Errors
    /// Somebody else listens there.
    pub fn plain(
        address: Bound,
        app: Router,
        mut limits: Limits,
        lifecycle: Lifecycle,
    ) -> std::io::Result<Self> {
        limits.connections = limits::METRICS_CONNECTIONS;
        Self::listen(address, None, app, limits, lifecycle)
    }

    fn listen(
        address: Bound,
        tls: Option<TlsAcceptor>,
        app: Router,
        limits: Limits,
        lifecycle: Lifecycle,
    ) -> std::io::Result<Self> {
        Ok(Self {
            listener: TcpListener::from_std(address.listen()?)?,
            tls,
            service: Arc::new(Service {
                app,
                limits,
                lifecycle,
            }),
        })
    }

    /// Where it listens; the port is the one the system chose when 0 was asked for.
    ///
    /// # Errors
    /// The system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until the lifecycle drains and every connection has ended. Nothing is accepted by a process that is not
    /// confined.
    pub async fn serve(self, _: Confined) {
        let places = Arc::new(Semaphore::new(self.service.limits.connections));
        let mut connections = JoinSet::new();
        let draining = self.service.lifecycle.draining();
        tokio::pin!(draining);
        loop {
            // Tasks that ended are let go as soon as another connection comes.
            while connections.try_join_next().is_some() {}
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                _ = &mut draining => break,
                accepted = accepted => accepted,
            };
            let (Ok(place), Ok((tcp, _))) = (place, accepted) else {
                tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                continue;
            };
            let (service, tls) = (Arc::clone(&self.service), self.tls.clone());
            connections.spawn(async move {
                serve_connection(service, tls, tcp).await;
                drop(place);
            });
        }
        drop(self.listener);
        let all = async { while connections.join_next().await.is_some() {} };
        // What is still there after the drain time is cut when the set is dropped.
        let _ = timeout(self.service.limits.drain_time, all).await;
    }
}

async fn serve_connection(service: Arc<Service>, tls: Option<TlsAcceptor>, tcp: TcpStream) {
    // Small answers must not wait for acknowledgements; a socket that refuses is slower and nothing else.
    let _ = tcp.set_nodelay(true);
    let pace = Arc::new(Pace::new(service.limits));
    match tls {
        None => {
            let stream = Shared::new(Clean::new(tcp), Arc::clone(&pace));
            serve_http(service, stream, pace, None).await;
        }
        Some(acceptor) => {
            let handshake = timeout(service.limits.header_time, acceptor.accept(Clean::new(tcp)));
            let stream = tokio::select! {
                stream = handshake => stream,
                _ = service.lifecycle.draining() => return,
            };
            let Ok(Ok(stream)) = stream else {
                return;
            };
            let stream = Shared::new(stream, Arc::clone(&pace));
            let connection = Arc::new(Connection::new(stream.exporter()));
            serve_http(service, stream, pace, Some(connection)).await;
        }
    }
}

async fn serve_http<S>(
    service: Arc<Service>,
    stream: Shared<S>,
    pace: Arc<Pace>,
    connection: Option<Arc<Connection>>,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let answer = {
        let (service, pace) = (Arc::clone(&service), Arc::clone(&pace));
        let outlet = stream.outlet();
        move |request| {
            answer(
                service.app.clone(),
                Arc::clone(&pace),
                Arc::clone(&outlet),
                connection.clone(),
                request,
            )
        }
    };
    let rest = stream.share();
    let http = http1::Builder::new()
        // The date would be the host's clock.
        .auto_date_header(false)
        // The pace sees to time; hyper's own timer also counts rest between requests.
        .header_read_timeout(None::<Duration>)
        .timer(TokioTimer::new())
        .max_buf_size(limits::REQUEST_HEAD_BYTES)
        .max_headers(limits::REQUEST_HEADERS)
        .half_close(false)
        .serve_connection(
            TokioIo::new(Clean::of(stream, Arc::clone(&pace))),
            service_fn(answer),
        );
    tokio::pin!(http);
    tokio::select! {
        // hyper first: what it wants to read, it reads.
        biased;
        // How a connection ended is the client's affair.
        _ = http.as_mut() => return linger(rest, &service.lifecycle).await,
        () = rest.left() => return,
        () = pace.exceeded() => return,
        _ = service.lifecycle.draining() => {}
    }
    http.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = http => {}
        () = rest.left() => {}
        () = pace.exceeded() => {}
    }
}

/// Reads on, for a while, what a client is still sending after its answer: closing a socket with unread bytes
/// resets the connection (RFC 9112, section 9.6), and the answer would be lost on its way.
async fn linger<S: AsyncRead + Unpin>(mut rest: Shared<S>, lifecycle: &Lifecycle) {
    let discard = async {
        let mut buffer = Zeroizing::new(vec![0; 16 * 1024]);
        let mut left = limits::LINGER_BYTES;
        while let Ok(read @ 1..) = rest.read(&mut buffer).await {
            match left.checked_sub(read) {
                Some(less) => left = less,
                None => return,
            }
        }
    };
    tokio::select! {
        _ = timeout(limits::LINGER_TIME, discard) => {}
        // Nobody's bytes hold up the end.
        _ = lifecycle.draining() => {}
    }
}

async fn answer(
    app: Router,
    pace: Arc<Pace>,
    outlet: Arc<Outlet>,
    connection: Option<Arc<Connection>>,
    request: Request<Incoming>,
) -> Result<Response<Body>, std::convert::Infallible> {
    let busy = pace.request();
    let mut request = request.map(Body::new);
    if let Some(connection) = &connection {
        request.extensions_mut().insert(Arc::clone(connection));
    }
    let response = app.oneshot(request).await?;
    if connection.is_some_and(|connection| connection.bound().is_some()) {
        pace.bound();
    }
    // The head is written next.
    let written = outlet.writing();
    Ok(response.map(|body| {
        Body::new(Held {
            body,
            outlet,
            written,
            _busy: busy,
        })
    }))
}

/// An answer's body, piece by piece as the network takes them, with the guard that says it is not yet handed over.
struct Held {
    body: Body,
    outlet: Arc<Outlet>,
    written: Written,
    _busy: Busy,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        ready!(self.outlet.poll_taken(self.written));
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.written = self.outlet.writing();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
