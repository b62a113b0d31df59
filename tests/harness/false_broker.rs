//! A broker that lies: between an enclave and a genuine broker, with a copy of the genuine one's TLS key if a
//! test gives it that, it alters, withholds, records and replays.
//!
//! Why apart: the enclave's pin of the TLS key would keep it out at the door; only with the stolen key does a
//! test see whether the next door is shut too.
//!
//! # Invariants
//! It never has the release key: what it cannot pass on, it cannot sign.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use anchorhold::tls::{PeerKey, client_config, server_config};
use anchorhold_attestation::release::RELEASE_HEADER;
use anchorhold_encoding::{Digest, sha256};
use anchorhold_models::name::Class;
use anchorhold_models::wrap::Kek;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{KeyPair, PublicKeyData as _};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A step of RCAR.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// `POST /auth`
    Auth,
    /// `POST /attest`
    Attest,
    /// `GET /resource/...`
    Resource,
}

/// An answer as it came, or as it goes on.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: StatusCode,
    /// All headers but those of the connection.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// Status and body, without a header.
    #[must_use]
    pub fn new(status: u16, body: impl Into<Bytes>) -> Self {
        let status = StatusCode::from_u16(status).expect("a status");
        Self {
            status,
            headers: HeaderMap::new(),
            body: body.into(),
        }
    }

    /// The same with one header set.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers
            .insert(name, value.parse().expect("a header's value"));
        self
    }

    /// The signed release in its header.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.headers.get(RELEASE_HEADER)?.to_str().ok()
    }
}

/// What the enclave is told.
pub enum Told {
    /// This.
    Answer(Answer),
    /// The first half of it; then the connection breaks.
    Half(Answer),
    /// The first half of it; then nothing more.
    Stalls(Answer),
    /// Nothing.
    Nothing,
}

type Tell = dyn Fn(Step, Answer) -> Told + Send + Sync;
type Ask = dyn Fn(&str) -> String + Send + Sync;

/// How it lies. [`Lies::none`] passes everything on.
pub struct Lies {
    ask: Box<Ask>,
    tell: Box<Tell>,
}

impl Lies {
    /// An honest go-between: the control of every other case.
    #[must_use]
    pub fn none() -> Self {
        Self::telling(|_, answer| Told::Answer(answer))
    }

    /// Alters what the enclave is told.
    #[must_use]
    pub fn telling(tell: impl Fn(Step, Answer) -> Told + Send + Sync + 'static) -> Self {
        Self {
            ask: Box::new(str::to_owned),
            tell: Box::new(tell),
        }
    }

    /// Alters only the answer that carries the key.
    #[must_use]
    pub fn about_the_key(tell: impl Fn(Answer) -> Told + Send + Sync + 'static) -> Self {
        Self::telling(move |step, answer| match step {
            Step::Resource => tell(answer),
            _ => Told::Answer(answer),
        })
    }

    /// Asks the genuine broker for another path than the enclave did.
    #[must_use]
    pub fn asking(ask: impl Fn(&str) -> String + Send + Sync + 'static) -> Self {
        Self {
            ask: Box::new(ask),
            ..Self::none()
        }
    }
}

struct Shared {
    upstream: SocketAddr,
    lies: Lies,
    heard: Mutex<Vec<(Step, Answer)>>,
}

/// A lying broker that listens. It ends with its value.
pub struct FalseBroker {
    /// Where enclaves reach it.
    pub address: SocketAddr,
    /// Fingerprint of the TLS key it shows.
    pub tls_spki_sha256: Digest<32>,
    shared: Arc<Shared>,
    _runtime: tokio::runtime::Runtime,
}

/// A TLS key of the attacker's own.
#[must_use]
pub fn own_tls_key() -> KeyPair {
    KeyPair::generate().expect("a key pair")
}

/// The TLS key of the store in `folder`, as someone copies it who has the store and its KEK. `class` is the
/// store's.
#[must_use]
pub fn stolen_tls_key(folder: &Path, class: Class) -> KeyPair {
    let kek = Kek::parse(&std::fs::read(folder.join("kek")).expect("the KEK")).expect("a KEK");
    let database = rusqlite::Connection::open(folder.join("broker.sqlite")).expect("the store");
    let wrapped: Vec<u8> = database
        .query_row("SELECT tls_key FROM store", [], |row| row.get(0))
        .expect("a row");
    let key = kek
        .unwrap_secret(&wrapped, "broker tls", class)
        .expect("the KEK opens it");
    KeyPair::from_pkcs8_der_and_sign_algo(
        &PrivatePkcs8KeyDer::from(key.as_slice()),
        &rcgen::PKCS_ECDSA_P256_SHA256,
    )
    .expect("a P-256 key")
}

impl FalseBroker {
    /// Starts on a free port, in front of the broker at `upstream`.
    #[must_use]
    pub fn start(key: &KeyPair, upstream: &str, lies: Lies) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), key, upstream, lies)
    }

    /// Starts on a port that one before it has left.
    #[must_use]
    pub fn start_at(place: SocketAddr, key: &KeyPair, upstream: &str, lies: Lies) -> Self {
        let certificate = rcgen::CertificateParams::default()
            .self_signed(key)
            .expect("a certificate");
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = server_config(certificate.der().clone(), private).expect("a server configuration");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build();
        let runtime = runtime.expect("a runtime");
        let upstream = upstream.parse().expect("an address");
        let shared = Arc::new(Shared {
            upstream,
            lies,
            heard: Mutex::default(),
        });
        let listener = runtime.block_on(TcpListener::bind(place)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        runtime.spawn(accept(listener, acceptor, Arc::clone(&shared)));
        let tls_spki_sha256 = sha256(&[&key.subject_public_key_info()]);
        Self {
            address,
            tls_spki_sha256,
            shared,
            _runtime: runtime,
        }
    }

    /// Every answer of the genuine broker so far: what an attacker keeps for later.
    #[must_use]
    pub fn heard(&self) -> Vec<(Step, Answer)> {
        self.shared
            .heard
            .lock()
            .expect("no test panics while it records")
            .clone()
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            // An enclave that does not like the key hangs up here: that is what the tests want to see.
            let Ok(tls) = acceptor.accept(stream).await else {
                return;
            };
            let service = service_fn(move |request| answer(Arc::clone(&shared), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(tls), service)
                .await;
        });
    }
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Paced>, Infallible> {
    let path = request.uri().path().to_owned();
    let step = match path.rsplit('/').next() {
        Some("auth") => Step::Auth,
        Some("attest") => Step::Attest,
        _ => Step::Resource,
    };
    let genuine = pass_on(&shared, request).await;
    shared
        .heard
        .lock()
        .expect("no test panics while it records")
        .push((step, genuine.clone()));
    let (shared, told) = tokio::task::spawn_blocking(move || {
        let told = (shared.lies.tell)(step, genuine);
        (shared, told)
    })
    .await
    .expect("a lie does not panic");
    drop(shared);
    let (answer, end) = match told {
        Told::Answer(answer) => (answer, End::Clean),
        Told::Half(answer) => (answer, End::Broken),
        Told::Stalls(answer) => (answer, End::Never),
        Told::Nothing => return std::future::pending().await,
    };
    let length = if end == End::Clean {
        answer.body.len()
    } else {
        answer.body.len() / 2
    };
    let mut response = Response::new(Paced {
        rest: Some(answer.body.slice(..length)),
        end,
    });
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    Ok(response)
}

async fn pass_on(shared: &Shared, request: Request<Incoming>) -> Answer {
    let path = (shared.lies.ask)(request.uri().path());
    let (parts, body) = request.into_parts();
    let body = body.collect().await.expect("the enclave's whole body").to_bytes();
    let mut onward = Request::builder().method(parts.method.clone()).uri(&path);
    for (name, value) in &parts.headers {
        onward = onward.header(name, value);
    }
    let onward = onward.body(Full::new(if parts.method == Method::GET {
        Bytes::new()
    } else {
        body
    }));
    let Ok(stream) = TcpStream::connect(shared.upstream).await else {
        return Answer::new(502, "");
    };
    let name = ServerName::try_from("localhost").expect("a name");
    let connector = TlsConnector::from(Arc::new(client_config(PeerKey::Unknown)));
    let tls = connector
        .connect(name, stream)
        .await
        .expect("the genuine broker's handshake");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
        .await
        .expect("an HTTP connection");
    tokio::spawn(connection);
    let genuine = sender
        .send_request(onward.expect("a request"))
        .await
        .expect("the genuine broker answers");
    let (mut parts, body) = genuine.into_parts();
    let body = body
        .collect()
        .await
        .expect("the genuine broker's whole body")
        .to_bytes();
    for name in ["content-length", "date", "connection", "transfer-encoding"] {
        parts.headers.remove(name);
    }
    Answer {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Clean,
    Broken,
    Never,
}

/// A body that ends as it is told to.
struct Paced {
    rest: Option<Bytes>,
    end: End,
}

impl Body for Paced {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        match (self.rest.take(), self.end) {
            (Some(bytes), _) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            (None, End::Clean) => Poll::Ready(None),
            (None, End::Broken) => Poll::Ready(Some(Err(std::io::ErrorKind::ConnectionAborted.into()))),
            // Nobody wakes it: the peer's patience ends it.
            (None, End::Never) => Poll::Pending,
        }
    }
}
