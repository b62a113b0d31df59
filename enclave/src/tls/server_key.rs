//! The TLS key of this boot, and the certificate around it.
//!
//! Why apart: the private half is used through this file by rustls and by the certificate's own signature,
//! and is never written as bytes anywhere.
//!
//! # Invariants
//! ECDSA P-256, new at each boot, never serialised. The certificate says nothing of the host: clients pin the
//! key, and the identity document commits to it.

use std::fmt;
use std::sync::Arc;

use anchorhold_encoding::{Digest, sha256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rcgen::{CertificateParams, DistinguishedName, DnType, PublicKeyData};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

use crate::identity::NoKeys;

/// The TLS key of this boot.
pub struct ServerKey {
    certified: Arc<CertifiedKey>,
    spki_sha256: Digest<32>,
}

impl fmt::Debug for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerKey")
            .field("spki_sha256", &self.spki_sha256)
            .finish_non_exhaustive()
    }
}

impl ServerKey {
    /// Makes a key and a certificate signed with itself.
    ///
    /// # Errors
    /// [`NoKeys`].
    pub fn generate() -> Result<Self, NoKeys> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(|_| NoKeys)?;
        let mut key = Key {
            pair: Arc::new(key),
            spki: Vec::new(),
        };
        key.spki = key.subject_public_key_info();
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CommonName, "anchorhold enclave");
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name = subject;
        let certificate = parameters.self_signed(&key).map_err(|_| NoKeys)?;
        let spki_sha256 = sha256(&[&key.spki]);
        let certified = CertifiedKey::new(vec![certificate.der().clone()], Arc::new(key));
        Ok(Self {
            certified: Arc::new(certified),
            spki_sha256,
        })
    }

    /// SHA-256 of the SubjectPublicKeyInfo in DER: what the identity document commits to.
    #[must_use]
    pub fn spki_sha256(&self) -> Digest<32> {
        self.spki_sha256
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.certified)
    }
}

#[derive(Clone)]
struct Key {
    pair: Arc<EcdsaKeyPair>,
    spki: Vec<u8>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").finish_non_exhaustive()
    }
}

impl Key {
    fn signature(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.pair.sign(&SystemRandom::new(), message).ok()?;
        Some(signature.as_ref().to_vec())
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        self.signature(message).ok_or(rcgen::Error::RemoteKeyError)
    }
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered
            .contains(&SignatureScheme::ECDSA_NISTP256_SHA256)
            .then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(SubjectPublicKeyInfoDer::from(self.spki.as_slice()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        self.signature(message)
            .ok_or_else(|| rustls::Error::General("signing failed".to_owned()))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}
