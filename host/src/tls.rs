//! TLS 1.3 as every role uses it: no resumption, no early data, post-quantum key exchange first.
//!
//! Why apart: who is at the other end is never a name from a public certificate authority here. It is one
//! pinned key, or whatever key the evidence then has to name. Both verifiers are on this page.
//!
//! # Invariants
//! The handshake signature is always checked: whoever answers holds the key of the certificate. Only
//! TLS 1.3. No ticket is asked for, kept or used, so every connection is a full handshake.

use std::fmt;
use std::sync::Arc;

use anchorhold_encoding::{Digest, sha256};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::{ClientConfig, DigitallySignedStruct, PeerIncompatible, ServerConfig, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode, Encode};

/// Which key the peer must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerKey {
    /// Exactly the key with this SHA-256 of its SubjectPublicKeyInfo (RFC 5280, 4.1.2.7; DER).
    Pinned(Digest<32>),
    /// Any key: for the first contact with an enclave, before its evidence names one, and for the operator,
    /// who is trusted with nothing. Nothing but a nonce may be sent on such a connection.
    Unknown,
}

/// The TLS of a client that expects `peer`.
///
/// # Panics
/// Never: the compiled provider has TLS 1.3.
#[must_use]
pub fn client_config(peer: PeerKey) -> ClientConfig {
    let provider = provider();
    let verifier = KeyVerifier {
        peer,
        algorithms: provider.signature_verification_algorithms,
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config
}

/// The TLS of a server with one certificate.
///
/// # Errors
/// When `key` is not the key of `certificate`.
///
/// # Panics
/// Never: the compiled provider has TLS 1.3.
pub fn server_config(
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)?;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// SHA-256 of the DER of a certificate's SubjectPublicKeyInfo; `None` when that is not a certificate.
#[must_use]
pub fn spki_sha256(certificate: &CertificateDer<'_>) -> Option<Digest<32>> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let spki = certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .ok()?;
    Some(sha256(&[&spki]))
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    // Order is preference: the hybrid first, so that recorded traffic stays closed to a later quantum computer.
    provider.kx_groups = vec![
        aws_lc_rs::kx_group::X25519MLKEM768,
        aws_lc_rs::kx_group::X25519,
        aws_lc_rs::kx_group::SECP256R1,
    ];
    Arc::new(provider)
}

/// Knows keys, not names: certificate chains, names and dates say nothing here.
struct KeyVerifier {
    peer: PeerKey,
    algorithms: WebPkiSupportedAlgorithms,
}

impl fmt::Debug for KeyVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyVerifier({:?})", self.peer)
    }
}

impl ServerCertVerifier for KeyVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let found = spki_sha256(end_entity).ok_or(rustls::Error::InvalidCertificate(
            rustls::CertificateError::BadEncoding,
        ))?;
        match self.peer {
            PeerKey::Pinned(expected) if expected != found => Err(rustls::Error::InvalidCertificate(
                rustls::CertificateError::ApplicationVerificationFailure,
            )),
            PeerKey::Pinned(_) | PeerKey::Unknown => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::PeerIncompatible(PeerIncompatible::Tls12NotOffered))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
