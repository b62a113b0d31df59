//! Between client and enclave: taps that end TLS and record, switches that only move bytes, thieves.
//!
//! Why apart: `anchorhold_tests::relay` alters answers; these alter nothing, and see everything they can.
//!
//! # Invariants
//! A tap has only the keys it is given. Everything here ends with its value.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use anchorhold::tls::{PeerKey, client_config};
use rustls::crypto::aws_lc_rs::{self, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ServerConfig};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A runtime with a thread of its own, so that tests may block.
pub(crate) fn runtime() -> Runtime {
    let built = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    built.expect("a runtime")
}

/// Something that listens between the two.
pub(crate) struct Between {
    pub(crate) address: SocketAddr,
    recorded: Arc<Mutex<Vec<Vec<u8>>>>,
    _runtime: Runtime,
}

impl Between {
    /// What each connection brought from the client, in plaintext where the tap could read it.
    pub(crate) fn recorded(&self) -> Vec<String> {
        let recorded = self.recorded.lock().unwrap();
        let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
        recorded.iter().map(text).collect()
    }
}

/// A certificate and the key it is shown with: its own, or not.
pub(crate) struct Credentials {
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) key: PrivateKeyDer<'static>,
}

impl Credentials {
    /// An attacker's own.
    pub(crate) fn own() -> Self {
        let key = rcgen::KeyPair::generate().expect("a key pair");
        let certificate = rcgen::CertificateParams::default()
            .self_signed(&key)
            .expect("a certificate");
        Self {
            certificate: certificate.der().clone(),
            key: PrivateKeyDer::try_from(key.serialize_der()).expect("PKCS#8"),
        }
    }
}

/// A certificate beside a key that need not be its own: no library puts two strangers together by itself.
#[derive(Debug)]
struct Pair(Arc<CertifiedKey>);

impl ResolvesServerCert for Pair {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn server(credentials: Credentials) -> ServerConfig {
    let key = any_supported_type(&credentials.key).expect("a key");
    let pair = CertifiedKey::new(vec![credentials.certificate], key);
    ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Pair(Arc::new(pair))))
}

/// Ends TLS with `credentials`, records what clients send, and passes it on to `target` over TLS of its own.
pub(crate) fn tap(target: SocketAddr, credentials: Credentials) -> Between {
    let acceptor = TlsAcceptor::from(Arc::new(server(credentials)));
    let onward = TlsConnector::from(Arc::new(client_config(PeerKey::Unknown)));
    listen(move |_, near, record| {
        let (acceptor, onward) = (acceptor.clone(), onward.clone());
        async move {
            // A client that hangs up in the handshake is what some tests want to see.
            let Ok(near) = acceptor.accept(near).await else {
                return;
            };
            let far = TcpStream::connect(target).await.expect("the enclave listens");
            let name = ServerName::try_from("enclave").expect("a name");
            let far = onward.connect(name, far).await.expect("a handshake");
            join(near, far, &record).await;
        }
    })
}

/// Ends no TLS: connection `n` goes to `targets[n]`, later ones to the last.
pub(crate) fn switch(targets: Vec<SocketAddr>) -> Between {
    listen(move |turn, near, record| {
        let target = *targets.get(turn).or(targets.last()).expect("a target");
        async move {
            // An enclave that is gone: so is the connection.
            if let Ok(far) = TcpStream::connect(target).await {
                join(near, far, &record).await;
            }
        }
    })
}

fn listen<F>(serve: impl Fn(usize, TcpStream, Record) -> F + Send + 'static) -> Between
where
    F: Future<Output = ()> + Send + 'static,
{
    let runtime = runtime();
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let address = listener.local_addr().expect("an address");
    let recorded: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let records = Arc::clone(&recorded);
    runtime.spawn(async move {
        for turn in 0.. {
            let (near, _) = listener.accept().await.expect("a connection");
            records.lock().unwrap().push(Vec::new());
            let record = Record(Arc::clone(&records), turn);
            tokio::spawn(serve(turn, near, record));
        }
    });
    Between {
        address,
        recorded,
        _runtime: runtime,
    }
}

/// Where one connection is written down.
struct Record(Arc<Mutex<Vec<Vec<u8>>>>, usize);

async fn join<N, F>(near: N, far: F, record: &Record)
where
    N: AsyncRead + AsyncWrite,
    F: AsyncRead + AsyncWrite,
{
    let (mut from_client, mut to_client) = tokio::io::split(near);
    let (mut from_enclave, mut to_enclave) = tokio::io::split(far);
    let forth = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
            record.0.lock().unwrap()[record.1].extend_from_slice(&buffer[..read]);
            if to_enclave.write_all(&buffer[..read]).await.is_err() || to_enclave.flush().await.is_err() {
                break;
            }
        }
    };
    let back = async { tokio::io::copy(&mut from_enclave, &mut to_client).await };
    // Either end that closes ends both.
    tokio::select! {
        () = forth => {}
        _ = back => {}
    }
}

/// The certificate that the enclave at `address` shows to everybody.
pub(crate) fn certificate_of(address: SocketAddr) -> CertificateDer<'static> {
    let session = shake(address, client_config(PeerKey::Unknown));
    let shown = session.peer_certificates().expect("a certificate");
    shown[0].clone().into_owned()
}

/// Shakes hands at `address`, sends one request, and waits for its answer: by then tickets would have come.
pub(crate) fn shake(address: SocketAddr, config: ClientConfig) -> rustls::ClientConnection {
    let request = "GET /v1/models HTTP/1.1\r\nhost: enclave\r\nconnection: close\r\n\r\n";
    let (session, answer) = spoken(address, config, request);
    assert!(answer.starts_with("HTTP/1.1 "), "it answers: {answer}");
    session
}

/// What the enclave at `address` answers to `request` on a connection that nobody bound.
pub(crate) fn raw(address: SocketAddr, request: &str) -> String {
    spoken(address, client_config(PeerKey::Unknown), request).1
}

fn spoken(address: SocketAddr, config: ClientConfig, request: &str) -> (rustls::ClientConnection, String) {
    use std::io::{Read as _, Write as _};
    let name = ServerName::try_from("enclave").expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a client");
    let tcp = std::net::TcpStream::connect(address).expect("it listens");
    let mut stream = rustls::StreamOwned::new(session, tcp);
    stream.write_all(request.as_bytes()).expect("a handshake");
    // The other side may close without a word after its answer.
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    (stream.conn, String::from_utf8_lossy(&answer).into_owned())
}
