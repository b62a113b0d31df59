//! The keys made at boot and the document that commits to them.
//!
//! Why apart: evidence binds this document and nothing else, so everything a client must believe about this
//! boot is in it, and the private halves never leave this file.
//!
//! # Invariants
//! Made once a boot, encoded once. The channel key signs channel messages only, the receipt key receipts only.
//! No private key has `Clone`, `Debug` or a way out.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use anchorhold_attestation::evidence::Evidence;
use anchorhold_attestation::identity::{IdentityDocument, IdentityVersion, ModelName, ReceivedIdentity};
use anchorhold_encoding::{Digest, Preimage};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};

use crate::attester::ConfirmedConfig;
use crate::config::Config;
use crate::tls::ServerKey;

/// The system gave no randomness, or a key could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoKeys;

impl fmt::Display for NoKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the keys of this boot could not be made")
    }
}

impl std::error::Error for NoKeys {}

/// Who this boot of the enclave is, and the keys it proves that with.
pub struct Identity {
    received: ReceivedIdentity,
    channel_key: Ed25519KeyPair,
    receipt_key: Ed25519KeyPair,
    /// SHA-512 of the newest evidence this boot produced.
    evidence: Mutex<Digest<64>>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("digest", &self.digest())
            .finish_non_exhaustive()
    }
}

impl Identity {
    /// Makes the keys of this boot and commits to them, under the configuration that the platform was found to fix.
    ///
    /// # Errors
    /// [`NoKeys`].
    pub fn create(config: &Config, confirmed: &ConfirmedConfig, tls: &ServerKey) -> Result<Self, NoKeys> {
        let channel_key = Ed25519KeyPair::generate().map_err(|_| NoKeys)?;
        let receipt_key = Ed25519KeyPair::generate().map_err(|_| NoKeys)?;
        let mut boot_id = [0; 16];
        SystemRandom::new().fill(&mut boot_id).map_err(|_| NoKeys)?;
        let document = IdentityDocument {
            version: IdentityVersion::V1,
            platform: config.platform,
            tls_spki_sha256: tls.spki_sha256(),
            channel_key: public(&channel_key)?,
            receipt_key: public(&receipt_key)?,
            model: ModelName {
                name: config.model.name.clone(),
                manifest_sha256: config.model.manifest_sha256,
            },
            config_sha256: confirmed.sha256(),
            config_bound_by: confirmed.by(),
            weakened: config.weakened(),
            devices: Vec::new(),
            boot_id: Digest::new(boot_id),
            not_after: config.not_after,
        };
        let received = ReceivedIdentity::parse(&document.encode()).map_err(|_| NoKeys)?;
        Ok(Self {
            received,
            channel_key,
            receipt_key,
            evidence: Mutex::new(Digest::new([0; 64])),
        })
    }

    /// The document's bytes, as every relying party hashes them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.received.bytes()
    }

    /// The document with its bytes, as relying parties receive it.
    #[must_use]
    pub fn received(&self) -> &ReceivedIdentity {
        &self.received
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> &IdentityDocument {
        self.received.document()
    }

    /// SHA-512 of the document.
    #[must_use]
    pub fn digest(&self) -> Digest<64> {
        self.received.digest()
    }

    /// The digest that evidence, policy and receipts call *the model*.
    #[must_use]
    pub fn manifest_sha256(&self) -> Digest<32> {
        self.document().model.manifest_sha256
    }

    /// Remembers the newest evidence; receipts name it.
    pub fn note_evidence(&self, evidence: &Evidence) {
        *self.evidence.lock().unwrap_or_else(PoisonError::into_inner) = evidence.digest();
    }

    /// SHA-512 of the newest evidence. There is some from [`crate::boot::Keyed`] on: the broker's.
    #[must_use]
    pub fn newest_evidence(&self) -> Digest<64> {
        *self.evidence.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a channel message of `anchorhold_attestation::channel`.
    pub(crate) fn sign_channel(&self, message: &Preimage) -> Digest<64> {
        sign(&self.channel_key, message)
    }

    /// Signs a receipt's preimage of `anchorhold_attestation::receipt`.
    pub(crate) fn sign_receipt(&self, message: &Preimage) -> Digest<64> {
        sign(&self.receipt_key, message)
    }
}

fn public(key: &Ed25519KeyPair) -> Result<Digest<32>, NoKeys> {
    Digest::from_slice(key.public_key().as_ref()).ok_or(NoKeys)
}

fn sign(key: &Ed25519KeyPair, message: &Preimage) -> Digest<64> {
    Digest::from_slice(key.sign(message.as_bytes()).as_ref()).expect("an Ed25519 signature has 64 bytes")
}

#[cfg(test)]
impl Identity {
    /// For unit tests of any module: a fresh identity of the example configuration.
    pub(crate) fn for_tests() -> Self {
        let tls = ServerKey::generate().expect("there is randomness");
        let confirmed = ConfirmedConfig::for_tests(Digest::new([7; 32]));
        Self::create(&Config::for_tests(), &confirmed, &tls).expect("there is randomness")
    }
}

#[cfg(test)]
mod tests {
    use anchorhold_attestation::identity::Weakening;

    use super::*;

    #[test]
    fn the_document_commits_to_the_keys_that_sign() {
        let identity = Identity::for_tests();
        let message = Preimage::new("a test of identity").lp(b"x");
        let verify = |key: Digest<32>, signature: Digest<64>| {
            aws_lc_rs::signature::UnparsedPublicKey::new(&aws_lc_rs::signature::ED25519, key.as_bytes())
                .verify(message.as_bytes(), signature.as_bytes())
                .is_ok()
        };
        let document = identity.document();
        assert!(verify(document.channel_key, identity.sign_channel(&message)));
        assert!(verify(document.receipt_key, identity.sign_receipt(&message)));
        assert!(!verify(document.channel_key, identity.sign_receipt(&message)));
        assert_eq!(document.weakened, [Weakening::HostTime]);
        assert_eq!(document.config_sha256, Digest::new([7; 32]));
        assert_eq!(
            ReceivedIdentity::parse(identity.bytes()).unwrap().digest(),
            identity.digest()
        );
    }

    #[test]
    fn every_boot_is_another() {
        let (one, two) = (Identity::for_tests(), Identity::for_tests());
        assert_ne!(one.document().boot_id, two.document().boot_id);
        assert_ne!(one.document().channel_key, two.document().channel_key);
        assert_ne!(one.document().channel_key, one.document().receipt_key);
        assert_ne!(one.document().tls_spki_sha256, two.document().tls_spki_sha256);
    }
}
