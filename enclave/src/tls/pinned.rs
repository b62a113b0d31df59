//! A peer that must hold one named key.
//!
//! Why apart: the only certificate verifier of this crate, to be read in one go.
//!
//! # Invariants
//! A handshake succeeds only if the leaf's SubjectPublicKeyInfo has the pinned digest *and* the peer signed
//! the handshake with that key.

use anchorhold_encoding::{Digest, sha256};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

#[derive(Debug)]
pub(super) struct PinnedKey {
    spki_sha256: Digest<32>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinnedKey {
    pub(super) fn new(spki_sha256: Digest<32>, provider: &CryptoProvider) -> Self {
        Self {
            spki_sha256,
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

fn spki_sha256(certificate: &CertificateDer<'_>) -> Option<Digest<32>> {
    let certificate = Certificate::from_der(certificate.as_ref()).ok()?;
    let key = certificate
        .tbs_certificate()
        .subject_public_key_info()
        .to_der()
        .ok()?;
    Some(sha256(&[&key]))
}

impl ServerCertVerifier for PinnedKey {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if spki_sha256(leaf) == Some(self.spki_sha256) {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(CertificateError::ApplicationVerificationFailure.into())
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
