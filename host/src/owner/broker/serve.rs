//! The broker's connections and routes.
//!
//! Why apart: limits on time and size are all on this page; what is decided is not.
//!
//! # Invariants
//! TLS 1.3 only. Every connection, handshake, header and body has a limit in time and size. No answer
//! depends on anything a caller wrote but by the constants of `Refusal`.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anchorhold_attestation::ResourcePath;
use anchorhold_attestation::release::RELEASE_HEADER;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::refusal::Refusal;
use super::sessions::SessionId;
use super::wire::TokenBody;
use super::{Broker, BrokerError};
use crate::{limits, tls};

/// The protocol's cookie.
const COOKIE: &str = "kbs-session-id";

/// Serves until `shutdown` ends, then lets requests in progress finish.
///
/// # Errors
/// [`BrokerError`] when the broker's own certificate cannot be made.
pub async fn serve(
    listener: TcpListener,
    broker: Arc<Broker>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BrokerError> {
    let (certificate, key) = broker.store().keys().certificate()?;
    let config = tls::server_config(certificate, key)
        .map_err(|_| crate::owner::error::StoreError::Corrupt("the TLS key"))?;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let router = routes(broker);
    let permits = Arc::new(Semaphore::new(limits::BROKER_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: waiting gives connections time to end.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        // One connection too many is closed at once: its peer tries again.
        let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
            continue;
        };
        let (acceptor, router, watcher) = (acceptor.clone(), router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _ = timeout(limits::BROKER_CONNECTION_TIME, async {
                if let Ok(Ok(stream)) = timeout(limits::HANDSHAKE_TIME, acceptor.accept(stream)).await {
                    converse(stream, router, watcher).await;
                }
            })
            .await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = timeout(limits::DRAIN_TIME, graceful.shutdown()).await;
    Ok(())
}

async fn converse(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADER_TIME)
        .max_buf_size(limits::HTTP_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // How a peer's connection ends is nobody's business.
    let _ = watcher.watch(connection).await;
}

fn routes(broker: Arc<Broker>) -> Router {
    Router::new()
        .route("/kbs/v0/auth", post(auth))
        .route("/kbs/v0/attest", post(attest))
        // Without its own handler a HEAD would release a key and send none.
        .route(
            "/kbs/v0/resource/{repository}/{kind}/{tag}",
            get(resource).head(async || Refusal::Path),
        )
        .route("/kbs/v0/{*plugin}", any(plugin))
        .fallback(async || Refusal::Path)
        .method_not_allowed_fallback(async || Refusal::Path)
        .with_state(broker)
}

async fn plugin(Path(path): Path<String>) -> Refusal {
    if path == "resource" || path.starts_with("resource/") {
        Refusal::Path
    } else {
        Refusal::Plugin
    }
}

async fn auth(State(broker): State<Arc<Broker>>, request: Request) -> Result<Response, Refusal> {
    let body = read(request.into_body()).await?;
    let (id, challenge) = broker.auth(&body)?;
    let cookie = format!(
        "{COOKIE}={}; HttpOnly; Secure; SameSite=Strict; Path=/kbs/v0; Max-Age={}",
        id.to_text(),
        limits::SESSION_LIFE.as_secs()
    );
    let cookie = HeaderValue::try_from(cookie).map_err(|_| Refusal::Internal)?;
    Ok(([(header::SET_COOKIE, cookie)], axum::Json(challenge)).into_response())
}

async fn attest(State(broker): State<Arc<Broker>>, request: Request) -> Result<Response, Refusal> {
    let id = session(request.headers())?;
    let body = read(request.into_body()).await?;
    let token = blocking(move || broker.attest(&id, &body)).await?;
    Ok(axum::Json(TokenBody { token }).into_response())
}

async fn resource(
    State(broker): State<Arc<Broker>>,
    Path((repository, kind, tag)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let path: ResourcePath = format!("{repository}/{kind}/{tag}")
        .parse()
        .map_err(|_| Refusal::Path)?;
    let id = session(&headers)?;
    let released = blocking(move || broker.release(&id, &path)).await?;
    let header = HeaderValue::try_from(released.header).map_err(|_| Refusal::Internal)?;
    let mut response = Body::from(released.body).into_response();
    response.headers_mut().insert(RELEASE_HEADER, header);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

/// The session's cookie. A bearer token opens nothing here: possession of a session does.
fn session(headers: &HeaderMap) -> Result<SessionId, Refusal> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .and_then(SessionId::parse)
        .ok_or(Refusal::Session)
}

async fn read(body: Body) -> Result<Bytes, Refusal> {
    let body = Limited::new(body, limits::BROKER_BODY_BYTES);
    match timeout(limits::BODY_TIME, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(_)) | Err(_) => Err(Refusal::Message),
    }
}

/// Signatures and the disk, off the threads that serve connections.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or(Err(Refusal::Internal))
}
