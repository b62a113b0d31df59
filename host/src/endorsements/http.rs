//! One request to a vendor's service, and its whole answer.
//!
//! Why apart: these are the only connections of this program on which a name in the public web's hierarchy counts. All
//! others know a key (see [`crate::tls`]).
//!
//! # Invariants
//! Each wait and each buffer is bounded. No redirection is followed, nothing is decompressed, no header goes out that
//! the request does not need. TLS 1.2 or 1.3; without [`Origin::is_secure`] no TLS.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::error::FetchError;
use super::origin::Origin;
use crate::clock::Clock;
use crate::{limits, tls};

/// How long is waited.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// From looking up a name to the end of the TLS handshake.
    pub connect: Duration,
    /// From the request to the last byte of its answer.
    pub answer: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            connect: limits::FETCH_CONNECT,
            answer: limits::FETCH_ANSWER,
        }
    }
}

/// Makes requests. Cheap to clone.
#[derive(Clone)]
pub struct Http {
    tls: TlsConnector,
    times: Times,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("times", &self.times)
            .finish_non_exhaustive()
    }
}

/// An answer with status 200.
#[derive(Debug)]
pub struct Answer {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
}

/// The clock by which certificates of services are judged.
#[derive(Debug)]
struct ClockTime(Clock);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(
            self.0.now().unix(),
        )))
    }
}

impl Http {
    /// Believes the public web's authorities, and `extra` ones: a mirror's own.
    ///
    /// # Errors
    /// When one of `extra` is no certificate of an authority.
    ///
    /// # Panics
    /// Never: the compiled provider has TLS 1.2 and 1.3.
    pub fn new(extra: &[Vec<u8>], clock: &Clock, times: Times) -> Result<Self, rustls::Error> {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        for der in extra {
            roots.add(CertificateDer::from(der.as_slice()))?;
        }
        let time = Arc::new(ClockTime(clock.clone()));
        let mut config = ClientConfig::builder_with_details(tls::provider(), time)
            .with_safe_default_protocol_versions()
            .expect("the provider has TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.resumption = Resumption::disabled();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            tls: TlsConnector::from(Arc::new(config)),
            times,
        })
    }

    /// GET of `path`, which begins with `/`.
    ///
    /// # Errors
    /// [`FetchError`] for anything but a whole body of at most `limit` bytes with status 200.
    pub async fn get(&self, origin: &Origin, path: &str, limit: usize) -> Result<Answer, FetchError> {
        let request = Request::get(origin.path(path)).body(Full::default());
        self.send(origin, request, limit).await
    }

    /// POST of `body` to `path`, which begins with `/`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn post(
        &self,
        origin: &Origin,
        path: &str,
        kind: &'static str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let request = Request::post(origin.path(path))
            .header(header::CONTENT_TYPE, kind)
            .body(Full::new(Bytes::from(body)));
        self.send(origin, request, limit).await
    }

    /// PUT of `body`, JSON, to `path`, which begins with `/`.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn put(
        &self,
        origin: &Origin,
        path: &str,
        body: Vec<u8>,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let request = Request::put(origin.path(path))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)));
        self.send(origin, request, limit).await
    }

    async fn send(
        &self,
        origin: &Origin,
        request: hyper::http::Result<Request<Full<Bytes>>>,
        limit: usize,
    ) -> Result<Answer, FetchError> {
        let mut request = request.map_err(|_| FetchError::Malformed)?;
        let headers = request.headers_mut();
        headers.insert(header::HOST, origin.authority().clone());
        headers.insert(header::USER_AGENT, HeaderValue::from_static("anchorhold"));
        let connect = TcpStream::connect((origin.host(), origin.port()));
        let tcp = in_time(self.times.connect, connect)
            .await?
            .map_err(|error| FetchError::Unreachable(error.kind()))?;
        if origin.is_secure() {
            let handshake = self.tls.connect(origin.server_name().clone(), tcp);
            let stream = in_time(self.times.connect, handshake).await?.map_err(tls_error)?;
            in_time(self.times.answer, exchange(stream, request, limit)).await?
        } else {
            in_time(self.times.answer, exchange(tcp, request, limit)).await?
        }
    }
}

/// A connection that broke is worth another attempt; a certificate that is not believed is not.
fn tls_error(error: std::io::Error) -> FetchError {
    if error.get_ref().is_some_and(|inner| inner.is::<rustls::Error>()) {
        FetchError::Tls
    } else {
        FetchError::Truncated
    }
}

async fn in_time<F: Future>(limit: Duration, work: F) -> Result<F::Output, FetchError> {
    timeout(limit, work).await.map_err(|_| FetchError::TimedOut)
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>, limit: usize) -> Result<Answer, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, driver) = http1::Builder::new()
        .max_buf_size(limits::FETCH_HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| FetchError::Truncated)?;
    let request = async move {
        let answer = sender.send_request(request).await.map_err(broken)?;
        judge(&answer)?;
        let (head, body) = answer.into_parts();
        Ok(Answer {
            headers: head.headers,
            body: collect(body, limit).await?,
        })
    };
    tokio::pin!(request, driver);
    tokio::select! {
        biased;
        answer = &mut request => answer,
        // The connection is over before the answer was read: what was received is still there.
        _ = &mut driver => request.await,
    }
}

fn broken(error: hyper::Error) -> FetchError {
    if error.is_parse() {
        FetchError::Malformed
    } else {
        FetchError::Truncated
    }
}

fn judge(answer: &Response<Incoming>) -> Result<(), FetchError> {
    let status = answer.status();
    match status {
        StatusCode::OK => Ok(()),
        StatusCode::NOT_FOUND => Err(FetchError::NotFound),
        StatusCode::TOO_MANY_REQUESTS => Err(FetchError::TooMany {
            retry_after: retry_after(answer.headers()),
        }),
        _ if status.is_server_error() => Err(FetchError::Failing {
            status: status.as_u16(),
            retry_after: retry_after(answer.headers()),
        }),
        _ => Err(FetchError::Refused(status.as_u16())),
    }
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3). A date counts as none: the pause is then ours.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

async fn collect(mut body: Incoming, limit: usize) -> Result<Bytes, FetchError> {
    let too_large = FetchError::TooLarge { limit };
    let known = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if known > limit {
        return Err(too_large);
    }
    let mut bytes = BytesMut::with_capacity(known);
    while let Some(frame) = body.frame().await {
        // Trailers say nothing that anybody signed.
        let Ok(piece) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if bytes.len() + piece.len() > limit {
            return Err(too_large);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests;
