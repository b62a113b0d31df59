//! The broker's own keys, and the models' keys: in the database wrapped, in memory only as long as needed.
//!
//! Why apart: the list of doors for secrets is short enough to read on one page.
//!
//! # Invariants
//! A model key is unwrapped for one release and wiped after it. Each of the broker's own keys has one
//! purpose: TLS (ECDSA P-256), releases and log (Ed25519), tokens (ECDSA P-256).

use anchorhold_attestation::{Class, KeyId};
use anchorhold_encoding::{Digest, sha256};
use anchorhold_models::key::ModelKey;
use anchorhold_models::name;
use anchorhold_models::wrap::Kek;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rusqlite::{Connection, TransactionBehavior, params};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use zeroize::Zeroizing;

use super::{BrokerIdentity, Store, optional, schema};
use crate::owner::error::StoreError;

const TLS: &str = "broker tls";
const RELEASE: &str = "broker release";
const TOKEN: &str = "broker token";

/// The store's own keys as the database has them.
pub(super) struct WrappedKeys {
    pub(super) tls: Vec<u8>,
    pub(super) tls_spki_sha256: Digest<32>,
    pub(super) release: Vec<u8>,
    pub(super) release_public: Digest<32>,
    pub(super) token: Vec<u8>,
}

impl WrappedKeys {
    /// Fresh keys, wrapped under `kek`.
    pub(super) fn generate(kek: &Kek, class: Class) -> Result<Self, StoreError> {
        let class = sealing_class(class);
        let random = SystemRandom::new();
        let tls = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|_| StoreError::KeyGeneration)?;
        let tls_spki_sha256 = sha256(&[&tls.subject_public_key_info()]);
        let tls = kek.wrap_secret(&Zeroizing::new(tls.serialize_der()), TLS, class);
        let release = Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| StoreError::KeyGeneration)?;
        let release_public = ed25519_public(
            &Ed25519KeyPair::from_pkcs8(release.as_ref()).map_err(|_| StoreError::KeyGeneration)?,
        );
        let token = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .map_err(|_| StoreError::KeyGeneration)?;
        Ok(Self {
            tls,
            tls_spki_sha256,
            release: kek.wrap_secret(release.as_ref(), RELEASE, class),
            release_public,
            token: kek.wrap_secret(token.as_ref(), TOKEN, class),
        })
    }
}

/// The broker's own keys, open.
pub struct BrokerKeys {
    tls: KeyPair,
    release: Ed25519KeyPair,
    token: EcdsaKeyPair,
    identity: BrokerIdentity,
}

impl BrokerKeys {
    pub(super) fn unwrap(wrapped: &WrappedKeys, kek: &Kek, class: Class) -> Result<Self, StoreError> {
        let class = sealing_class(class);
        let tls = kek.unwrap_secret(&wrapped.tls, TLS, class)?;
        let tls = PrivatePkcs8KeyDer::from(tls.as_slice());
        let tls = KeyPair::from_pkcs8_der_and_sign_algo(&tls, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| StoreError::Corrupt("the TLS key"))?;
        let release = kek.unwrap_secret(&wrapped.release, RELEASE, class)?;
        let release =
            Ed25519KeyPair::from_pkcs8(&release).map_err(|_| StoreError::Corrupt("the release key"))?;
        let token = kek.unwrap_secret(&wrapped.token, TOKEN, class)?;
        let token = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &token)
            .map_err(|_| StoreError::Corrupt("the token key"))?;
        let identity = BrokerIdentity {
            tls_spki_sha256: sha256(&[&tls.subject_public_key_info()]),
            release_key: ed25519_public(&release),
        };
        // The log is checked offline against the public key in the clear: it must be this one.
        if wrapped.release_public != identity.release_key
            || wrapped.tls_spki_sha256 != identity.tls_spki_sha256
        {
            return Err(StoreError::Corrupt("a public key"));
        }
        Ok(Self {
            tls,
            release,
            token,
            identity,
        })
    }

    /// The public halves that others pin.
    #[must_use]
    pub fn identity(&self) -> BrokerIdentity {
        self.identity
    }

    /// Signs a release statement or a log entry.
    #[must_use]
    pub(crate) fn sign_release(&self, preimage: &[u8]) -> Digest<64> {
        let mut signature = [0; 64];
        signature.copy_from_slice(self.release.sign(preimage).as_ref());
        Digest::new(signature)
    }

    /// Signs a token: ES256, `r || s` (RFC 7518 section 3.4).
    pub(crate) fn sign_token(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.token.sign(&SystemRandom::new(), message).ok()?;
        Some(signature.as_ref().to_vec())
    }

    /// The token key's public point, uncompressed (SEC 1 section 2.3.3): 65 bytes.
    pub(crate) fn token_public(&self) -> &[u8] {
        self.token.public_key().as_ref()
    }

    /// A certificate around the TLS key, made anew at each start: enclaves pin the key, not the certificate.
    pub(crate) fn certificate(
        &self,
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), StoreError> {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.distinguished_name = rcgen::DistinguishedName::new();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "anchorhold broker");
        let certificate = parameters
            .self_signed(&self.tls)
            .map_err(|_| StoreError::KeyGeneration)?;
        let key = PrivatePkcs8KeyDer::from(self.tls.serialize_der());
        Ok((certificate.der().clone(), key.into()))
    }
}

impl Store {
    /// Makes a model key under a new id.
    ///
    /// # Errors
    /// [`StoreError::KeyExists`]: a key is never replaced, since files are sealed under it.
    pub fn add_key(&mut self, key_id: &KeyId) -> Result<(), StoreError> {
        let wrapped = self.kek.wrap(
            &ModelKey::generate(),
            &sealing_id(key_id),
            sealing_class(self.class),
        );
        let change = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if exists(&change, key_id)? {
            return Err(StoreError::KeyExists);
        }
        change.execute(
            "INSERT INTO model_key (key_id, class, wrapped) VALUES (?1, ?2, ?3)",
            params![key_id.as_str(), self.class.to_string(), wrapped],
        )?;
        change.commit()?;
        Ok(())
    }

    /// Unwraps a model key. The caller drops it, which wipes it, as soon as it is used.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`]; [`StoreError::Wrap`] when the row was altered or moved.
    pub fn model_key(&self, key_id: &KeyId) -> Result<ModelKey, StoreError> {
        let row = optional(self.connection.query_row(
            "SELECT class, wrapped FROM model_key WHERE key_id = ?1",
            [key_id.as_str()],
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)),
        ))?;
        let (class, wrapped) = row.ok_or(StoreError::NoSuchKey)?;
        if schema::class_of(&class)? != self.class {
            return Err(StoreError::Corrupt("a key's class"));
        }
        Ok(self
            .kek
            .unwrap(&wrapped, &sealing_id(key_id), sealing_class(self.class))?)
    }

    /// Whether there is a key of that name.
    ///
    /// # Errors
    /// What the database says.
    pub fn has_key(&self, key_id: &KeyId) -> Result<bool, StoreError> {
        exists(&self.connection, key_id)
    }
}

pub(super) fn exists(connection: &Connection, key_id: &KeyId) -> Result<bool, StoreError> {
    let found = optional(connection.query_row(
        "SELECT 1 FROM model_key WHERE key_id = ?1",
        [key_id.as_str()],
        |_| Ok(()),
    ))?;
    Ok(found.is_some())
}

fn ed25519_public(key: &Ed25519KeyPair) -> Digest<32> {
    Digest::from_slice(key.public_key().as_ref()).expect("an Ed25519 public key has 32 bytes")
}

/// The class as the sealed format writes it.
#[must_use]
pub fn sealing_class(class: Class) -> name::Class {
    match class {
        Class::Real => name::Class::Real,
        Class::Insecure => name::Class::Insecure,
    }
}

/// The key's id as the sealed format writes it: its grammar contains the release's.
#[must_use]
pub fn sealing_id(key_id: &KeyId) -> name::KeyId {
    key_id
        .as_str()
        .parse()
        .expect("lower-case letters, digits and '-' are a portable name")
}
