//! Handshakes in memory: which peers are let in, and that no session is ever resumed.

use std::sync::Arc;

use anchorhold_encoding::Digest;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConnection, HandshakeKind, NamedGroup, ServerConnection};

use super::*;

fn self_signed() -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let key = rcgen::KeyPair::generate().unwrap();
    let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap();
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    (certificate.der().clone(), key)
}

/// Moves bytes between both ends until the handshake is over or one of them refuses.
fn handshake(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
) -> Result<(ClientConnection, ServerConnection), rustls::Error> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(Arc::clone(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() {
        let mut flight = Vec::new();
        client.write_tls(&mut flight).unwrap();
        server.read_tls(&mut flight.as_slice()).unwrap();
        server.process_new_packets()?;
        let mut flight = Vec::new();
        server.write_tls(&mut flight).unwrap();
        client.read_tls(&mut flight.as_slice()).unwrap();
        client.process_new_packets()?;
    }
    Ok((client, server))
}

#[test]
fn only_the_pinned_key_is_let_in() {
    let (certificate, key) = self_signed();
    let pin = spki_sha256(&certificate).unwrap();
    let server = Arc::new(server_config(certificate, key).unwrap());
    let client = Arc::new(client_config(PeerKey::Pinned(pin)));
    assert!(handshake(&client, &server).is_ok());
    let unknown = Arc::new(client_config(PeerKey::Unknown));
    assert!(handshake(&unknown, &server).is_ok());
    let other = Arc::new(client_config(PeerKey::Pinned(Digest::new([7; 32]))));
    assert!(handshake(&other, &server).is_err());
}

#[test]
fn every_connection_is_a_full_hybrid_handshake() {
    let (certificate, key) = self_signed();
    let server = Arc::new(server_config(certificate, key).unwrap());
    let client = Arc::new(client_config(PeerKey::Unknown));
    for _ in 0..2 {
        let (client, _) = handshake(&client, &server).unwrap();
        assert_eq!(client.handshake_kind(), Some(HandshakeKind::Full));
        let group = client.negotiated_key_exchange_group().unwrap();
        assert_eq!(group.name(), NamedGroup::X25519MLKEM768);
    }
}

/// A certificate anyone can copy, with a key that is not its own: the signature must give it away.
#[test]
fn a_copied_certificate_without_its_key_is_refused() {
    #[derive(Debug)]
    struct Impostor(Arc<rustls::sign::CertifiedKey>);
    impl rustls::server::ResolvesServerCert for Impostor {
        fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
            Some(Arc::clone(&self.0))
        }
    }
    let (certificate, _) = self_signed();
    let (_, foreign) = self_signed();
    let pin = spki_sha256(&certificate).unwrap();
    let signing = aws_lc_rs::sign::any_supported_type(&foreign).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate], signing);
    let server = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Impostor(Arc::new(certified))));
    let server = Arc::new(server);
    for peer in [PeerKey::Pinned(pin), PeerKey::Unknown] {
        assert!(handshake(&Arc::new(client_config(peer)), &server).is_err());
    }
}
