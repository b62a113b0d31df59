//! Tests of TLS: version, key exchange, no resumption, the exporter on both sides.

use rustls::pki_types::ServerName;
use rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

type Client = tokio_rustls::client::TlsStream<tokio::io::DuplexStream>;
type Server = tokio_rustls::server::TlsStream<tokio::io::DuplexStream>;

async fn connect(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> (std::io::Result<Client>, std::io::Result<Server>) {
    let (near, far) = duplex(64 * 1024);
    let name = ServerName::try_from("localhost").unwrap();
    tokio::join!(
        TlsConnector::from(client).connect(name, near),
        TlsAcceptor::from(server).accept(far)
    )
}

#[tokio::test]
async fn the_pinned_key_is_accepted_and_no_other() {
    let (key, other) = (ServerKey::generate().unwrap(), ServerKey::generate().unwrap());
    let pinned = pinned_client_config(key.spki_sha256()).unwrap();
    let (client, server) = connect(pinned.clone(), server_config(&key, None).unwrap()).await;
    let (client, server) = (client.unwrap(), server.unwrap());
    let (_, tls) = client.get_ref();
    assert_eq!(tls.protocol_version(), Some(ProtocolVersion::TLSv1_3));
    let group = tls.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, NamedGroup::X25519MLKEM768);
    drop(server);
    let (client, server) = connect(pinned, server_config(&other, None).unwrap()).await;
    assert!(client.is_err() && server.is_err());
}

#[tokio::test]
async fn no_connection_is_resumed() {
    let key = ServerKey::generate().unwrap();
    let (pinned, config) = (
        pinned_client_config(key.spki_sha256()).unwrap(),
        server_config(&key, None).unwrap(),
    );
    for _ in 0..2 {
        let (client, server) = connect(pinned.clone(), config.clone()).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        // A ticket would arrive with the first data.
        server.write_all(b"x").await.unwrap();
        server.flush().await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
        // The first hello may have lacked the share of the wanted group; a resumption it never is.
        assert_ne!(client.get_ref().1.handshake_kind(), Some(HandshakeKind::Resumed));
        assert_eq!(client.get_ref().1.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn both_sides_export_the_same_and_every_connection_another() {
    let key = ServerKey::generate().unwrap();
    let (pinned, config) = (
        pinned_client_config(key.spki_sha256()).unwrap(),
        server_config(&key, None).unwrap(),
    );
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (client, server) = connect(pinned.clone(), config.clone()).await;
        let (client, server) = (client.unwrap(), server.unwrap());
        let (mut near, mut far) = ([0; 32], [0; 32]);
        let (label, nonce) = (b"label".as_slice(), Some([1; 32].as_slice()));
        client
            .get_ref()
            .1
            .export_keying_material(&mut near, label, nonce)
            .unwrap();
        server
            .get_ref()
            .1
            .export_keying_material(&mut far, label, nonce)
            .unwrap();
        assert_eq!(near, far);
        seen.push(near);
    }
    assert_ne!(seen[0], seen[1]);
}

/// A certificate that carries the pinned key, offered by someone who does not hold it.
#[tokio::test]
async fn a_copied_certificate_proves_nothing() {
    let (key, other) = (ServerKey::generate().unwrap(), ServerKey::generate().unwrap());
    let copied =
        rustls::sign::CertifiedKey::new(key.certified().cert.clone(), Arc::clone(&other.certified().key));
    let mut config = (*server_config(&other, None).unwrap()).clone();
    config.cert_resolver = Arc::new(SingleCertAndKey::from(copied));
    let pinned = pinned_client_config(key.spki_sha256()).unwrap();
    let (client, _) = connect(pinned, Arc::new(config)).await;
    assert!(client.is_err());
}

/// Lengths of the records in `bytes`, headers left out.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        // Only application data is encrypted (RFC 8446, section 5.2).
        if *kind == 23 {
            lengths.push(length);
        }
        bytes = &rest[length..];
    }
    lengths
}

#[tokio::test]
async fn every_record_of_a_padded_server_has_one_length_and_says_what_was_said() {
    const FRAME: usize = 512;
    let key = ServerKey::generate().unwrap();
    let mut client = rustls::ClientConnection::new(
        pinned_client_config(key.spki_sha256()).unwrap(),
        ServerName::try_from("localhost").unwrap(),
    )
    .unwrap();
    let mut server = rustls::ServerConnection::new(server_config(&key, Some(FRAME)).unwrap()).unwrap();
    let mut seen = Vec::new();
    let mut turn = |client: &mut rustls::ClientConnection, server: &mut rustls::ServerConnection| {
        let mut bytes = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut bytes).unwrap();
        }
        server.read_tls(&mut bytes.as_slice()).unwrap();
        server.process_new_packets().unwrap();
        bytes.clear();
        while server.wants_write() {
            server.write_tls(&mut bytes).unwrap();
        }
        seen.extend(records(&bytes));
        let mut bytes = bytes.as_slice();
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).unwrap();
            client.process_new_packets().unwrap();
        }
    };
    while client.is_handshaking() || server.is_handshaking() {
        turn(&mut client, &mut server);
    }
    let content: Vec<u8> = (0..3 * FRAME).map(|byte| (byte % 251) as u8).collect();
    for length in [1, 2, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME] {
        std::io::Write::write_all(&mut server.writer(), &content[..length]).unwrap();
        turn(&mut client, &mut server);
        let mut read = vec![0; length];
        std::io::Read::read_exact(&mut client.reader(), &mut read).unwrap();
        assert_eq!(read, content[..length]);
    }
    server.send_close_notify();
    turn(&mut client, &mut server);
    // The rest of the content's type, and the cipher's tag.
    assert!(
        seen.len() > 10 && seen.iter().all(|length| *length == FRAME + 1 + 16),
        "{seen:?}"
    );
}
