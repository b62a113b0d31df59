//! A TLS connection to an enclave that nothing speaks for yet.
//!
//! Why apart: what may be sent before a connection is bound must be possible to read on one page. It is one of
//! two GET requests, with a nonce each.
//!
//! # Invariants
//! [`Connection`] can send nothing but the two well-known requests, whose only header is Host; there is no
//! other door to its sender than [`super::bound`]. The exporter is taken from the live handshake, under the
//! label and a nonce of this connection, before any byte is sent. The handshake signature was checked.

use std::io;
use std::time::Duration;

use anchorhold_attestation::channel::EXPORTER_LABEL;
use anchorhold_attestation::{AttestationDocument, Challenge, Nonce};
use anchorhold_encoding::Digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

use super::endpoint::Endpoint;
use super::error::{ClientError, Stage};
use super::limits;
use super::wiped::{Wiped, wipe};
use crate::tls::{self, PeerKey};

/// Where the enclave answers a nonce with evidence.
const ATTESTATION_PATH: &str = "/.well-known/anchorhold/attestation?nonce=";
/// Where the enclave signs for a connection.
const CHANNEL_PATH: &str = "/.well-known/anchorhold/channel?nonce=";

/// A live connection on which nothing but nonces can be sent.
pub struct Connection {
    pub(super) sender: SendRequest<Full<Bytes>>,
    pub(super) authority: header::HeaderValue,
    leaf: Digest<32>,
    nonce: Nonce,
    exporter: Zeroizing<[u8; 32]>,
    key_exchange: &'static str,
    _driver: Driver,
}

/// The task that moves bytes for hyper; it ends with the connection.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the handshake says about itself, for a person.
fn key_exchange_name(group: rustls::NamedGroup) -> &'static str {
    match group {
        rustls::NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        rustls::NamedGroup::X25519 => "X25519",
        rustls::NamedGroup::secp256r1 => "secp256r1",
        _ => "other",
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChannelAnswer {
    signature: Digest<64>,
}

/// Opens a connection to `endpoint`, whose TLS key must be `peer`.
///
/// # Errors
/// When there is no connection, no TLS 1.3 handshake with a valid signature, or another key.
pub async fn connect(endpoint: &Endpoint, peer: PeerKey) -> Result<Connection, ClientError> {
    let tcp = TcpStream::connect((endpoint.host(), endpoint.port()));
    let tcp = within(limits::CONNECT, Stage::Connect, tcp)
        .await?
        .map_err(|error| ClientError::Unreachable(error.kind()))?;
    // Tokens are small writes; without this they wait for one another.
    tcp.set_nodelay(true)
        .map_err(|error| ClientError::Unreachable(error.kind()))?;
    let connector = TlsConnector::from(std::sync::Arc::new(tls::client_config(peer)));
    let handshake = connector.connect(endpoint.server_name().clone(), tcp);
    let stream = within(limits::HANDSHAKE, Stage::Handshake, handshake)
        .await?
        .map_err(|error| handshake_error(&error))?;

    let nonce = Nonce::from_random(*random()?);
    let (_, session) = stream.get_ref();
    let leaf = session
        .peer_certificates()
        .and_then(<[_]>::first)
        .and_then(tls::spki_sha256)
        .ok_or(ClientError::Handshake)?;
    let exporter = session
        .export_keying_material(Zeroizing::new([0; 32]), EXPORTER_LABEL, Some(nonce.as_bytes()))
        .map_err(|_| ClientError::Handshake)?;
    let key_exchange = session
        .negotiated_key_exchange_group()
        .map_or("unknown", |group| key_exchange_name(group.name()));

    let (sender, driver) = http1::Builder::new()
        .max_buf_size(limits::HEAD_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|_| ClientError::Disconnected(Stage::Handshake))?;
    let driver = tokio::spawn(async move {
        // The request that was under way reports the failure.
        let _ = driver.await;
    });
    Ok(Connection {
        sender,
        authority: endpoint.authority().clone(),
        leaf,
        nonce,
        exporter,
        key_exchange,
        _driver: Driver(driver),
    })
}

fn handshake_error(error: &io::Error) -> ClientError {
    use rustls::CertificateError::ApplicationVerificationFailure;
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(ApplicationVerificationFailure)) => ClientError::NotPinned,
        _ => ClientError::Handshake,
    }
}

/// 32 bytes that nobody can predict.
pub(super) fn random() -> Result<Zeroizing<[u8; 32]>, ClientError> {
    let mut bytes = Zeroizing::new([0; 32]);
    SystemRandom::new()
        .fill(bytes.as_mut())
        .map_err(|_| ClientError::Random)?;
    Ok(bytes)
}

pub(super) async fn within<F: Future>(
    limit: Duration,
    stage: Stage,
    work: F,
) -> Result<F::Output, ClientError> {
    timeout(limit, work)
        .await
        .map_err(|_| ClientError::TimedOut(stage))
}

impl Connection {
    /// SHA-256 of the peer's SubjectPublicKeyInfo. Its private key signed this handshake.
    #[must_use]
    pub const fn leaf(&self) -> &Digest<32> {
        &self.leaf
    }

    /// The nonce the enclave must sign to bind this connection; also in each receipt of it.
    #[must_use]
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// Name of the key exchange, for a person: it decides nothing.
    #[must_use]
    pub const fn key_exchange(&self) -> &'static str {
        self.key_exchange
    }

    /// RFC 8446 7.5, under the channel's label and this connection's nonce.
    pub(super) fn exporter(&self) -> &[u8; 32] {
        &self.exporter
    }

    /// Asks for evidence over the challenge's nonce.
    pub(super) async fn attestation(
        &mut self,
        challenge: &Challenge,
    ) -> Result<AttestationDocument, ClientError> {
        let path = format!("{ATTESTATION_PATH}{}", challenge.nonce());
        let bytes = self
            .well_known(Stage::Attestation, &path, limits::ATTESTATION_BYTES)
            .await?;
        AttestationDocument::from_json(&bytes).map_err(|_| ClientError::Malformed(Stage::Attestation))
    }

    /// Asks for the channel key's signature over this connection.
    pub(super) async fn channel_signature(&mut self) -> Result<Digest<64>, ClientError> {
        let path = format!("{CHANNEL_PATH}{}", self.nonce);
        let bytes = self
            .well_known(Stage::Channel, &path, limits::CHANNEL_BYTES)
            .await?;
        let answer: ChannelAnswer =
            serde_json::from_slice(&bytes).map_err(|_| ClientError::Malformed(Stage::Channel))?;
        Ok(answer.signature)
    }

    async fn well_known(&mut self, stage: Stage, path: &str, limit: usize) -> Result<Wiped, ClientError> {
        let request = Request::get(path)
            .header(header::HOST, self.authority.clone())
            .body(Full::new(Bytes::new()))
            .map_err(|_| ClientError::Malformed(stage))?;
        let work = async {
            self.sender
                .ready()
                .await
                .map_err(|_| ClientError::Disconnected(stage))?;
            let answer = self.sender.send_request(request).await;
            let mut answer = answer.map_err(|error| broken(&error, stage))?;
            if answer.status() != StatusCode::OK {
                return Err(ClientError::Status(stage, answer.status().as_u16()));
            }
            collect(answer.body_mut(), stage, limit).await
        };
        within(limits::WELL_KNOWN, stage, work).await?
    }
}

/// What a failed exchange means, without hyper's words.
pub(super) fn broken(error: &hyper::Error, stage: Stage) -> ClientError {
    if error.is_parse() {
        ClientError::Malformed(stage)
    } else {
        ClientError::Disconnected(stage)
    }
}

/// The whole body of an answer, at most `limit` bytes, each piece in time.
pub(super) async fn collect(
    received: &mut Incoming,
    stage: Stage,
    limit: usize,
) -> Result<Wiped, ClientError> {
    let mut body = Wiped::default();
    while let Some(piece) = next_piece(received, stage).await? {
        if body.len() + piece.len() > limit {
            return Err(ClientError::TooLarge(stage));
        }
        body.extend(&piece);
        wipe(piece);
    }
    Ok(body)
}

/// The next bytes of a body, or `None` at its end.
pub(super) async fn next_piece(body: &mut Incoming, stage: Stage) -> Result<Option<Bytes>, ClientError> {
    loop {
        match within(limits::ANSWER_IDLE, stage, body.frame()).await? {
            None => return Ok(None),
            Some(Err(error)) => return Err(broken(&error, stage)),
            // Trailers say nothing that is hashed or signed, so they are dropped.
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::client::bound::bind;
    use crate::client::fake::{Fake, GENUINE, Hands, policy};
    use crate::client::verify::verify;

    #[tokio::test]
    async fn a_person_is_told_the_key_exchange_that_was_made() {
        let (fake, clock) = (Fake::start(GENUINE).await, Hands::new().clock());
        let verified = verify(&fake.endpoint(), &policy().into(), &clock).await.unwrap();
        assert_eq!(verified.connection.key_exchange(), "X25519MLKEM768");
        let bound = bind(verified.connection, Arc::new(verified.identity), &clock).await;
        assert_eq!(bound.unwrap().key_exchange(), "X25519MLKEM768");
    }

    #[test]
    fn each_key_exchange_we_offer_has_its_name() {
        let names = crate::tls::client_config(PeerKey::Unknown)
            .crypto_provider()
            .kx_groups
            .iter()
            .map(|group| key_exchange_name(group.name()))
            .collect::<Vec<_>>();
        assert_eq!(names, ["X25519MLKEM768", "X25519", "secp256r1"]);
        assert_eq!(key_exchange_name(rustls::NamedGroup::secp521r1), "other");
    }
}
