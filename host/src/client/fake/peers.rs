//! Peers that are no enclave: one with a stolen certificate, one that wants sessions to be resumed.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use rustls::HandshakeKind;
use rustls::crypto::aws_lc_rs::{self, Ticketer, sign::any_supported_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::Fake;

/// A certificate beside a key that is not its own: no library puts the two together by itself.
#[derive(Debug)]
struct Mismatched(Arc<CertifiedKey>);

impl ResolvesServerCert for Mismatched {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

fn builder() -> rustls::ConfigBuilder<rustls::ServerConfig, rustls::server::WantsServerCert> {
    rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
}

/// Presents `certificate` and signs with `key`.
pub(in crate::client) async fn impostor(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> SocketAddr {
    let pair = CertifiedKey::new(vec![certificate], any_supported_type(&key).unwrap());
    let config = builder().with_cert_resolver(Arc::new(Mismatched(Arc::new(pair))));
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(tcp).await;
        }
    });
    address
}

/// Offers tickets, and notes how each handshake went; to any request it says 404.
pub(in crate::client) async fn generous(fake: &Fake) -> (SocketAddr, Arc<Mutex<Vec<HandshakeKind>>>) {
    let mut config = builder()
        .with_single_cert(vec![fake.state.certificate.clone()], fake.state.key())
        .unwrap();
    config.ticketer = Ticketer::new().unwrap();
    config.session_storage = ServerSessionMemoryCache::new(64);
    config.send_tls13_tickets = 2;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let kinds = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&kinds);
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut tls = acceptor.accept(tcp).await.unwrap();
            noted.lock().unwrap().extend(tls.get_ref().1.handshake_kind());
            let _ = tls.read(&mut [0; 1024]).await;
            let _ = tls
                .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                .await;
        }
    });
    (address, kinds)
}
