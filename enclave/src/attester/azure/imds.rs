//! Azure's host service that has Intel's quoting enclave make a quote of a TDREPORT.
//!
//! Why apart: the one request that leaves the VM without TLS. It holds nothing secret, and its answer is worth what
//! Intel's signature in it is.
//!
//! # Invariants
//! One fixed address, one path, no redirect, no proxy; bounded in bytes and time. Needs a thread that may block.
//!
//! Sources: *Azure Confidential VM guest attestation design detail* (Microsoft Learn, 2025-02-06), TDX; the form of the request as in
//! Microsoft's azure-cvm-tooling, `az-tdx-vtpm`: base64url without padding both ways.

use std::net::{Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

use super::super::error::Fault;
use crate::limits;

/// Where Azure's hosts answer their guests.
pub(crate) const ADDRESS: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
const PATH: &str = "/acc/tdquote";

/// What makes quotes of TDREPORTs.
pub trait QuoteService: Send + Sync {
    /// A quote of `report`.
    ///
    /// # Errors
    /// [`Fault`].
    fn quote(&self, report: &[u8; 1024]) -> Result<Vec<u8>, Fault>;
}

/// The service of the host this VM runs on.
#[derive(Debug)]
pub struct Imds {
    address: SocketAddr,
}

impl Default for Imds {
    fn default() -> Self {
        Self { address: ADDRESS }
    }
}

#[derive(Serialize)]
struct Ask {
    report: String,
}

#[derive(Deserialize)]
struct Answer {
    quote: String,
}

impl QuoteService for Imds {
    fn quote(&self, report: &[u8; 1024]) -> Result<Vec<u8>, Fault> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|_| Fault::Busy)?;
        runtime.block_on(async {
            tokio::time::timeout(limits::QUOTE_SERVICE_TIME, self.ask(report))
                .await
                .map_err(|_| Fault::Busy)?
        })
    }
}

impl Imds {
    async fn ask(&self, report: &[u8; 1024]) -> Result<Vec<u8>, Fault> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|_| Fault::Missing)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|_| Fault::Refused)?;
        let ask = serde_json::to_vec(&Ask {
            report: URL_SAFE_NO_PAD.encode(report),
        })
        .map_err(|_| Fault::Malformed)?;
        let request = Request::builder()
            .method(Method::POST)
            .uri(PATH)
            .header(HOST, self.address.ip().to_string())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(ask)))
            .map_err(|_| Fault::Malformed)?;
        let exchange = async {
            let response = sender.send_request(request).await.map_err(|_| Fault::Refused)?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => return Err(Fault::Busy),
                _ => return Err(Fault::Refused),
            }
            let body = Limited::new(response.into_body(), limits::QUOTE_SERVICE_BODY);
            let body = body.collect().await.map_err(|_| Fault::TooLarge)?.to_bytes();
            quote_of(&body)
        };
        tokio::pin!(exchange);
        tokio::select! {
            quote = &mut exchange => quote,
            // The connection may end as soon as the answer is whole.
            _ = connection => exchange.await,
        }
    }
}

fn quote_of(body: &[u8]) -> Result<Vec<u8>, Fault> {
    let answer: Answer = serde_json::from_slice(body).map_err(|_| Fault::Malformed)?;
    let text = answer.quote.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(text).map_err(|_| Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A service that answers one request with these bytes, and gives back what it was asked.
    fn service(answer: Vec<u8>) -> (Imds, thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            let mut part = [0; 4096];
            // A TDREPORT in base64 inside JSON ends the request.
            while !asked.ends_with(b"\"}") {
                let length = stream.read(&mut part).unwrap();
                assert_ne!(length, 0, "the request ends early");
                asked.extend(&part[..length]);
            }
            // A client that has enough may go before it has all.
            let _ = stream.write_all(&answer);
            String::from_utf8(asked).unwrap()
        });
        (Imds { address }, thread)
    }

    fn http(status: &str, body: &str) -> Vec<u8> {
        format!(
            "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    }

    #[test]
    fn the_quote_comes_back_and_the_request_is_the_services() {
        let quote = URL_SAFE_NO_PAD.encode([0xfb; 50]);
        for body in [
            format!(r#"{{"quote":"{quote}"}}"#),
            format!(r#"{{"quote":"{quote}==","other":1}}"#),
        ] {
            let (imds, thread) = service(http("200 OK", &body));
            assert_eq!(imds.quote(&[7; 1024]).unwrap(), [0xfb; 50]);
            let asked = thread.join().unwrap();
            assert!(asked.starts_with("POST /acc/tdquote HTTP/1.1\r\n"), "{asked}");
            assert!(
                asked.contains("host: 127.0.0.1\r\n") && asked.contains("content-type: application/json\r\n")
            );
            let report = URL_SAFE_NO_PAD.encode([7; 1024]);
            assert!(asked.ends_with(&format!("\r\n\r\n{{\"report\":\"{report}\"}}")));
        }
        assert_eq!(ADDRESS.to_string(), "169.254.169.254:80");
    }

    #[test]
    fn chunks_and_an_end_without_length_are_http_too() {
        let chunked =
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{\"quote\":\"AQID\"}\r\n0\r\n\r\n";
        let ended = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"quote\":\"AQID\"}";
        for answer in [chunked, ended] {
            let (imds, _thread) = service(answer.as_bytes().to_vec());
            assert_eq!(imds.quote(&[0; 1024]).unwrap(), [1, 2, 3], "{answer}");
        }
    }

    #[test]
    fn anything_else_is_a_fault() {
        let large = format!(r#"{{"quote":"{}"}}"#, "A".repeat(limits::QUOTE_SERVICE_BODY));
        let cases = [
            (http("429 Too Many Requests", ""), Fault::Busy),
            (http("503 Service Unavailable", ""), Fault::Busy),
            (http("500 Internal Server Error", ""), Fault::Refused),
            (http("302 Found", ""), Fault::Refused),
            (http("200 OK", ""), Fault::Malformed),
            (http("200 OK", r#"{"quote":1}"#), Fault::Malformed),
            (http("200 OK", r#"{"quote":"+/+/"}"#), Fault::Malformed),
            (http("200 OK", &large), Fault::TooLarge),
            (b"HELLO\r\n\r\n".to_vec(), Fault::Refused),
            (Vec::new(), Fault::Refused),
        ];
        for (answer, fault) in cases {
            let shown = String::from_utf8_lossy(&answer)
                .chars()
                .take(60)
                .collect::<String>();
            let (imds, _thread) = service(answer);
            assert_eq!(imds.quote(&[0; 1024]).unwrap_err(), fault, "{shown}");
        }
        // A port nobody listens on any more.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(Imds { address }.quote(&[0; 1024]).unwrap_err(), Fault::Missing);
    }
}
