//! An attacker between client and enclave: it ends the client's TLS with a key of its own and speaks to the
//! enclave on a second connection.
//!
//! Why apart: both the adversarial tests and `cargo demo -- --tamper` need a real one, on real sockets.
//!
//! # Invariants
//! It never has the enclave's private keys: all it can do is pass on, alter and replay.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use anchorhold::tls::{PeerKey, client_config};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What the attacker does to what passes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trick {
    /// Nothing: it only ends TLS, to read prompts.
    Terminate,
    /// One bit of the hardware report is flipped.
    FlipEvidence,
    /// Every client gets the one genuine answer that the relay asked for itself.
    ReplayEvidence,
    /// The identity document names the relay's own TLS key instead of the enclave's.
    SwapIdentity,
}

impl Trick {
    /// The trick of this name on a command line.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "terminate" => Self::Terminate,
            "flip-evidence" => Self::FlipEvidence,
            "replay-evidence" => Self::ReplayEvidence,
            "swap-identity" => Self::SwapIdentity,
            _ => return None,
        })
    }
}

/// A relay that listens.
#[derive(Debug)]
pub struct Relay {
    /// Where clients reach it.
    pub address: SocketAddr,
}

struct Shared {
    upstream: SocketAddr,
    trick: Trick,
    own_spki_sha256: String,
    recorded: Option<Vec<u8>>,
}

/// The path whose answers are worth tampering with.
const ATTESTATION: &str = "/.well-known/anchorhold/attestation";

/// Starts a relay on a free port of the loopback address; it runs until the runtime ends.
///
/// # Panics
/// When it cannot listen, or cannot record the evidence it is to replay.
pub async fn start(upstream: SocketAddr, trick: Trick) -> Relay {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rcgen::KeyPair::generate().expect("a key pair");
    let certificate = rcgen::CertificateParams::new(vec!["localhost".to_owned()])
        .expect("a name")
        .self_signed(&key)
        .expect("a certificate");
    let own_spki_sha256 =
        anchorhold_encoding::sha256(&[&rcgen::PublicKeyData::subject_public_key_info(&key)]).to_string();
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).expect("a PKCS#8 key"),
        )
        .expect("a server configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let recorded = match trick {
        Trick::ReplayEvidence => {
            let path = format!("{ATTESTATION}?nonce={}", "5a".repeat(32));
            let mut sender = connect(upstream).await;
            let request = Request::get(path)
                .header("host", "localhost")
                .body(Full::default())
                .expect("a request");
            let answer = sender.send_request(request).await.expect("the enclave answers");
            Some(
                answer
                    .into_body()
                    .collect()
                    .await
                    .expect("a body")
                    .to_bytes()
                    .to_vec(),
            )
        }
        _ => None,
    };
    let shared = Arc::new(Shared {
        upstream,
        trick,
        own_spki_sha256,
        recorded,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
            tokio::spawn(async move {
                let Ok(tls) = acceptor.accept(stream).await else {
                    return;
                };
                let upstream = Arc::new(tokio::sync::Mutex::new(connect(shared.upstream).await));
                let service =
                    service_fn(move |request| pass_on(Arc::clone(&shared), Arc::clone(&upstream), request));
                // A client that hangs up is what the tests want to see.
                let _ = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(tls), service)
                    .await;
            });
        }
    });
    Relay { address }
}

type Sender = hyper::client::conn::http1::SendRequest<Full<Bytes>>;

async fn connect(upstream: SocketAddr) -> Sender {
    // The attacker does not mind whom it talks to.
    let config = client_config(PeerKey::Unknown);
    let stream = TcpStream::connect(upstream).await.expect("the enclave listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let tls = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("a handshake");
    let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .expect("an HTTP connection");
    tokio::spawn(connection);
    sender
}

async fn pass_on(
    shared: Arc<Shared>,
    upstream: Arc<tokio::sync::Mutex<Sender>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_attestation = request.uri().path() == ATTESTATION;
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(bad_gateway());
    };
    let request = Request::from_parts(parts, Full::new(body.to_bytes()));
    let Ok(answer) = upstream.lock().await.send_request(request).await else {
        return Ok(bad_gateway());
    };
    let (mut parts, body) = answer.into_parts();
    let Ok(body) = body.collect().await else {
        return Ok(bad_gateway());
    };
    let mut bytes = body.to_bytes().to_vec();
    if is_attestation {
        bytes = tamper(&shared, bytes);
        parts.headers.remove("content-length");
    }
    parts.headers.remove("transfer-encoding");
    Ok(Response::from_parts(parts, Full::new(Bytes::from(bytes))))
}

fn bad_gateway() -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}

fn tamper(shared: &Shared, genuine: Vec<u8>) -> Vec<u8> {
    let mut document: serde_json::Value = serde_json::from_slice(&genuine).expect("an attestation document");
    match shared.trick {
        Trick::Terminate => return genuine,
        Trick::ReplayEvidence => return shared.recorded.clone().expect("recorded at the start"),
        Trick::FlipEvidence => {
            let report = document["evidence"]["report"]
                .as_str()
                .expect("a report")
                .to_owned();
            // The middle of the report: a measurement's or the nonce's byte, base64-coded.
            let at = report.len() / 2;
            let other = if report.as_bytes()[at] == b'A' { "B" } else { "A" };
            document["evidence"]["report"] = format!("{}{other}{}", &report[..at], &report[at + 1..]).into();
        }
        Trick::SwapIdentity => {
            use base64::Engine as _;
            let engine = base64::engine::general_purpose::STANDARD;
            let text = document["identity"].as_str().expect("an identity document");
            let bytes = engine.decode(text).expect("base64");
            let mut identity: serde_json::Value = serde_json::from_slice(&bytes).expect("JSON");
            identity["tls_spki_sha256"] = shared.own_spki_sha256.clone().into();
            document["identity"] = engine
                .encode(anchorhold_encoding::canonical::to_vec(&identity))
                .into();
        }
    }
    serde_json::to_vec(&document).expect("JSON")
}
