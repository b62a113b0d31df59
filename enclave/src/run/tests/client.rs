//! A client by hand: it connects to anyone, then binds the connection as the specification says.

use std::net::SocketAddr;
use std::sync::Arc;

use anchorhold_attestation::channel::{EXPORTER_LABEL, channel_message};
use anchorhold_attestation::{AttestationDocument, IdentityDocument, Nonce, ReceivedIdentity};
use anchorhold_encoding::{Digest, sha256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{aws_lc_rs as provider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme, version};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

/// First contact: any certificate, as long as its key signed the handshake.
#[derive(Debug)]
struct AnyKey;

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = provider::default_provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = provider::default_provider().signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

pub(super) struct Client {
    stream: TlsStream<TcpStream>,
    pub(super) spki_sha256: Digest<32>,
}

impl Client {
    pub(super) async fn connect(address: SocketAddr) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(&[&version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyKey))
            .with_no_client_auth();
        let tcp = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(name, tcp)
            .await
            .unwrap();
        let leaf = &stream.get_ref().1.peer_certificates().unwrap()[0];
        let leaf = Certificate::from_der(leaf).unwrap();
        let spki = leaf.tbs_certificate().subject_public_key_info().to_der().unwrap();
        let spki_sha256 = sha256(&[&spki]);
        Self { stream, spki_sha256 }
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(&format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n"))
            .await
    }

    pub(super) async fn post(&mut self, path: &str, body: &str) -> Answer {
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        self.send(&request).await
    }

    async fn send(&mut self, request: &str) -> Answer {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.strip_prefix("content-length: "));
                if length.map_or(0, |length| length.parse().unwrap()) == body.len() {
                    return Answer {
                        status: head[9..12].parse().unwrap(),
                        head: head.to_owned(),
                        body: body.to_owned(),
                    };
                }
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "the connection ended within an answer: {text}");
            bytes.extend_from_slice(&buffer[..read]);
        }
    }

    /// The identity, judged only as far as this test needs it.
    pub(super) async fn attest(&mut self) -> IdentityDocument {
        let nonce = Digest::new([3; 32]);
        let path = format!("/.well-known/anchorhold/attestation?nonce={nonce}");
        let answer = self.get(&path).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let document = AttestationDocument::from_json(answer.body.as_bytes()).unwrap();
        assert!(document.lease.is_some());
        ReceivedIdentity::parse(&document.identity)
            .unwrap()
            .document()
            .clone()
    }

    pub(super) async fn try_bind(&mut self, nonce: [u8; 32]) -> Answer {
        let nonce = Digest::new(nonce);
        self.get(&format!("/.well-known/anchorhold/channel?nonce={nonce}"))
            .await
    }

    /// Whether the channel key signed this connection's exporter under `nonce`.
    pub(super) async fn bind(&mut self, identity: &IdentityDocument, nonce: [u8; 32]) -> bool {
        let answer = self.try_bind(nonce).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let answer: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        let signature: Digest<64> = answer["signature"].as_str().unwrap().parse().unwrap();
        let mut exporter = [0; 32];
        let (_, tls) = self.stream.get_ref();
        tls.export_keying_material(&mut exporter, EXPORTER_LABEL, Some(&nonce))
            .unwrap();
        let digest = ReceivedIdentity::parse(&identity.encode()).unwrap().digest();
        let message = channel_message(&exporter, &Nonce::from_random(nonce), &digest);
        UnparsedPublicKey::new(&ED25519, identity.channel_key.as_bytes())
            .verify(message.as_bytes(), signature.as_bytes())
            .is_ok()
    }
}
