//! Over TLS: whose name is believed.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::endorsements::fake::Hands;
use crate::endorsements::origin::PlainHttp;

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.not_before = date_time_ymd(2029, 1, 1);
    params.not_after = date_time_ymd(2031, 1, 1);
    params
}

/// A mirror with a certificate for `name`, and the certificate of its authority.
async fn mirror(name: &str) -> (String, Vec<u8>) {
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let mut authority = params(&[]);
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&authority_key).unwrap().der().to_vec();
    let issuer = Issuer::new(authority, authority_key);
    let leaf = params(&[name]).signed_by(&key, &issuer).unwrap().der().clone();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let acceptor = TlsAcceptor::from(Arc::new(tls::server_config(leaf, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(tcp).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
            let _ = stream.shutdown().await;
        }
    });
    (address, root)
}

async fn ask(address: &str, extra: &[Vec<u8>], hands: &Hands) -> Result<Bytes, FetchError> {
    let origin = Origin::parse(address, PlainHttp::LoopbackOnly).unwrap();
    let http = Http::new(extra, &hands.clock(), Times::default()).unwrap();
    http.get(&origin, "/", 10).await.map(|answer| answer.body)
}

#[tokio::test]
async fn a_mirrors_own_authority_is_believed_only_when_it_is_named() {
    let hands = Hands::new();
    let (address, root) = mirror("127.0.0.1").await;
    assert_eq!(ask(&address, &[], &hands).await, Err(FetchError::Tls));
    assert_eq!(
        ask(&address, std::slice::from_ref(&root), &hands).await.unwrap(),
        "ok"
    );
    let (other, other_root) = mirror("mirror.example").await;
    assert_eq!(ask(&other, &[other_root], &hands).await, Err(FetchError::Tls));
    // By the clock that was given.
    hands.set(1_956_528_001);
    assert_eq!(ask(&address, &[root], &hands).await, Err(FetchError::Tls));
    assert!(Http::new(&[vec![1]], &hands.clock(), Times::default()).is_err());
}
