//! One connection to the broker: HTTP/1.1 over TLS with a pinned key.
//!
//! Why apart: not a general client. It goes to addresses fixed before, follows no redirect, reads no proxy setting and
//! takes bounded answers.
//!
//! # Invariants
//! Every wait has the configured timeout; every answer has the limits of [`crate::limits`].

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, COOKIE, HOST, HeaderValue, SET_COOKIE};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::RcarError;
use crate::config::BrokerUrl;
use crate::limits;

/// Name of RCAR's session cookie.
const SESSION_COOKIE: &str = "kbs-session-id";

/// Bytes of a session cookie's value; a UUID has 32 or 36.
const COOKIE_BYTES: usize = 128;

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    host: HeaderValue,
    prefix: String,
    cookie: Option<HeaderValue>,
    timeout: Duration,
    driver: tokio::task::JoinHandle<()>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    pub(super) async fn open(
        url: &BrokerUrl,
        addresses: &[SocketAddr],
        tls: Arc<rustls::ClientConfig>,
        limit: Duration,
    ) -> Result<Self, RcarError> {
        timeout(limit, Self::connect(url, addresses, tls, limit))
            .await
            .map_err(|_| RcarError::Unreachable)?
    }

    async fn connect(
        url: &BrokerUrl,
        addresses: &[SocketAddr],
        tls: Arc<rustls::ClientConfig>,
        timeout: Duration,
    ) -> Result<Self, RcarError> {
        // The name is only sent, as SNI; what is believed is the pinned key.
        let name = ServerName::try_from(url.host.clone()).map_err(|_| RcarError::Unreachable)?;
        let tcp = TcpStream::connect(addresses)
            .await
            .map_err(|_| RcarError::Unreachable)?;
        let stream = TlsConnector::from(tls)
            .connect(name, tcp)
            .await
            .map_err(|error| handshake_error(&error))?;
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(limits::BROKER_HEADER_BYTES)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|_| RcarError::Unreachable)?;
        let driver = tokio::spawn(async move {
            // Its failure reaches the caller through the request that it fails.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            host: host_header(url).ok_or(RcarError::Unreachable)?,
            prefix: url.prefix.clone(),
            cookie: None,
            timeout,
            driver,
        })
    }

    pub(super) async fn post(&mut self, path: &str, json: Vec<u8>) -> Result<Answer, RcarError> {
        self.send(Method::POST, path, json).await
    }

    pub(super) async fn get(&mut self, path: &str) -> Result<Answer, RcarError> {
        self.send(Method::GET, path, Vec::new()).await
    }

    async fn send(&mut self, method: Method, path: &str, body: Vec<u8>) -> Result<Answer, RcarError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.prefix))
            .header(HOST, self.host.clone())
            .header(ACCEPT, "application/json");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(cookie) = &self.cookie {
            request = request.header(COOKIE, cookie.clone());
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|_| RcarError::Unreachable)?;
        let limit = self.timeout;
        let answer = timeout(limit, self.exchange(request))
            .await
            .map_err(|_| RcarError::Unreachable)??;
        if let Some(cookie) = session_cookie(&answer.headers) {
            self.cookie.get_or_insert(cookie);
        }
        Ok(answer)
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> Result<Answer, RcarError> {
        let unreachable = |_: hyper::Error| RcarError::Unreachable;
        self.sender.ready().await.map_err(unreachable)?;
        let response = self.sender.send_request(request).await.map_err(unreachable)?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, limits::BROKER_BODY_BYTES)
            .collect()
            .await
            .map_err(|error| match error.downcast_ref::<hyper::Error>() {
                Some(_) => RcarError::Unreachable,
                None => RcarError::Protocol,
            })?;
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        })
    }

    pub(super) fn has_session(&self) -> bool {
        self.cookie.is_some()
    }
}

/// A peer with another key will not get the right one by asking again; a broken connection may heal.
fn handshake_error(error: &std::io::Error) -> RcarError {
    match error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
    {
        Some(rustls::Error::InvalidCertificate(_)) => RcarError::WrongTlsKey,
        _ => RcarError::Unreachable,
    }
}

fn host_header(url: &BrokerUrl) -> Option<HeaderValue> {
    let host = if url.host.contains(':') {
        format!("[{}]:{}", url.host, url.port)
    } else {
        format!("{}:{}", url.host, url.port)
    };
    HeaderValue::from_str(&host).ok()
}

/// `name=value` of the session cookie, without its attributes.
fn session_cookie(headers: &HeaderMap) -> Option<HeaderValue> {
    headers.get_all(SET_COOKIE).iter().find_map(|header| {
        let pair = header.to_str().ok()?.split(';').next()?.trim();
        let value = pair.strip_prefix(SESSION_COOKIE)?.strip_prefix('=')?;
        let plain = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        let fits = !value.is_empty() && value.len() <= COOKIE_BYTES && value.bytes().all(plain);
        if fits {
            HeaderValue::from_str(pair).ok()
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookie(text: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(SET_COOKIE, HeaderValue::from_str(text).unwrap());
        session_cookie(&headers).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn only_a_plain_session_cookie_is_kept() {
        let expected = Some("kbs-session-id=0a-Z".to_owned());
        assert_eq!(
            cookie("kbs-session-id=0a-Z; Expires=Thu, 01 Jan 2099 00:00:00 GMT"),
            expected
        );
        assert_eq!(cookie("kbs-session-id=0a-Z"), expected);
        for other in [
            "kbs-session-id=",
            "kbs-session-id=a b",
            "other=1",
            "kbs-session-ids=1",
        ] {
            assert_eq!(cookie(other), None, "{other}");
        }
    }

    #[test]
    fn the_host_header_brackets_ipv6() {
        let url = |host: &str| BrokerUrl {
            host: host.to_owned(),
            port: 8443,
            prefix: String::new(),
        };
        assert_eq!(host_header(&url("::1")).unwrap(), "[::1]:8443");
        assert_eq!(host_header(&url("kbs.example")).unwrap(), "kbs.example:8443");
    }
}
