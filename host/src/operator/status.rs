//! An operator's look at an enclave: alive, ready, nothing more.
//!
//! Why apart: it talks to an enclave without verifying it, which no other role may do.
//!
//! # Invariants
//! Sends two requests without any content. What comes back proves nothing, and the output says so.

use std::fmt;
use std::sync::Arc;

use axum::http::Uri;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::error::{Exit, Explain};
use crate::limits;
use crate::tls::{self, PeerKey};

/// What the enclave's probes say. Unverified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Status {
    alive: bool,
    ready: bool,
    evidence: &'static str,
}

impl Status {
    /// Serving requests, by its own words.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.alive && self.ready
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |yes| if yes { "yes" } else { "no" };
        write!(
            f,
            "alive: {}\nready: {}\nevidence: {} (use `anchorhold client verify`)",
            word(self.alive),
            word(self.ready),
            self.evidence
        )
    }
}

/// Asks `/healthz` and `/readyz` at `url`, an `https://HOST:PORT`.
///
/// # Errors
/// [`StatusError`] when there is no enclave to ask.
pub async fn probe(url: &str) -> Result<Status, StatusError> {
    let uri: Uri = url.parse().map_err(|_| StatusError::Url)?;
    let (host, port) = place(&uri).ok_or(StatusError::Url)?;
    timeout(limits::HEALTH_TIME, ask_both(host, port))
        .await
        .map_err(|_| StatusError::Slow)?
}

/// Host and port of an `https://HOST:PORT`; `None` for anything that has more or less.
fn place(uri: &Uri) -> Option<(&str, u16)> {
    let authority = uri.authority()?;
    let more = uri.path_and_query().is_some_and(|path| path != "/") || authority.as_str().contains('@');
    if uri.scheme_str() != Some("https") || more {
        return None;
    }
    let port = match authority.port_u16() {
        Some(port) => port,
        // `HOST:` and `HOST:99999` are typing errors, not the port of another program.
        None if authority.as_str() != authority.host() => return None,
        None => 443,
    };
    Some((authority.host(), port))
}

async fn ask_both(host: &str, port: u16) -> Result<Status, StatusError> {
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port))
        .await
        .map_err(|error| StatusError::Connect(error.kind()))?;
    let server = ServerName::try_from(name.to_owned()).map_err(|_| StatusError::Url)?;
    let stream = TlsConnector::from(Arc::new(tls::client_config(PeerKey::Unknown)))
        .connect(server, stream)
        .await
        .map_err(|_| StatusError::Tls)?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|_| StatusError::Answer)?;
    // Ends with the sender; its outcome is the requests' outcome.
    let connection = tokio::spawn(connection);
    let authority = format!("{host}:{port}");
    let alive = ask(&mut sender, &authority, "/healthz").await?;
    let ready = ask(&mut sender, &authority, "/readyz").await?;
    connection.abort();
    Ok(Status {
        alive,
        ready,
        evidence: "not verified",
    })
}

async fn ask(
    sender: &mut SendRequest<Empty<Bytes>>,
    authority: &str,
    path: &'static str,
) -> Result<bool, StatusError> {
    let request = Request::get(path)
        .header("host", authority)
        .body(Empty::new())
        .map_err(|_| StatusError::Url)?;
    sender.ready().await.map_err(|_| StatusError::Answer)?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|_| StatusError::Answer)?;
    let status = response.status();
    // Read to the end, so that the connection can carry the next request.
    Limited::new(response.into_body(), limits::HEALTH_BODY_BYTES)
        .collect()
        .await
        .map_err(|_| StatusError::Answer)?;
    match status {
        StatusCode::OK => Ok(true),
        StatusCode::SERVICE_UNAVAILABLE => Ok(false),
        _ => Err(StatusError::Answer),
    }
}

/// Nobody answered as an enclave does.
#[derive(Debug, PartialEq, Eq)]
pub enum StatusError {
    /// Not an `https://HOST:PORT`.
    Url,
    /// No connection.
    Connect(std::io::ErrorKind),
    /// No TLS 1.3.
    Tls,
    /// No answer in time.
    Slow,
    /// Not an enclave's answer.
    Answer,
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url => f.write_str("the URL is not https://HOST:PORT"),
            Self::Connect(kind) => write!(f, "cannot connect: {kind}"),
            Self::Tls => f.write_str("the other side does not speak TLS 1.3"),
            Self::Slow => f.write_str("no answer in time"),
            Self::Answer => f.write_str("the answer is not an enclave's"),
        }
    }
}

impl std::error::Error for StatusError {}

impl Explain for StatusError {
    fn code(&self) -> &'static str {
        "status"
    }

    fn hint(&self) -> String {
        match self {
            Self::Url => "use the port of the enclave's event `listening`: --url https://127.0.0.1:PORT",
            Self::Connect(_) | Self::Slow => {
                "is the enclave running? Its events say on which port it listens"
            }
            Self::Tls | Self::Answer => "is this the enclave's own port? Nothing may end TLS before it",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Url => Exit::Usage,
            _ => Exit::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_plain_https_origin_is_asked() {
        for url in [
            "http://127.0.0.1:1",
            "127.0.0.1:1",
            "https://127.0.0.1:1/v1",
            "",
            "https://",
            "https://127.0.0.1:99999",
            "https://127.0.0.1:",
            "https://user@127.0.0.1:1",
        ] {
            assert_eq!(probe(url).await, Err(StatusError::Url), "{url}");
        }
        assert_eq!(StatusError::Url.exit(), Exit::Usage);
    }
}
