//! A connection bound to an appraised identity.
//!
//! Why apart: the enclave signs and the client checks the same bytes, and a connection that is not bound
//! must not carry a request.
//!
//! # Invariants
//! Only [`Appraised::into_channel`](crate::Appraised::into_channel) makes a [`PinnedIdentity`], and only
//! [`PinnedIdentity::bind`] a [`ChannelProof`]: the right leaf, then a signature by the channel key over this
//! connection's exporter, this nonce and this identity, before the appraisal expires.

use std::fmt;

use anchorhold_encoding::{Digest, Preimage};

use crate::binding::Nonce;
use crate::claims::{Claims, Class};
use crate::identity::ReceivedIdentity;
use crate::signature;
use crate::time::Timestamp;

/// Label of the TLS exporter (RFC 8446 section 7.5). Context: the nonce. Length: 32 bytes.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-anchorhold-channel-v1";

/// What the channel key signs: `LP("anchorhold channel v1") || LP(exporter) || LP(nonce) ||
/// LP(SHA-512(identity))`.
#[must_use]
pub fn channel_message(exporter: &[u8; 32], nonce: &Nonce, identity_digest: &Digest<64>) -> Preimage {
    Preimage::new("anchorhold channel v1")
        .lp(exporter)
        .lp(nonce.as_bytes())
        .lp(identity_digest.as_bytes())
}

/// A connection is not one to the pinned identity. Whoever answers it is to blame, except for `Expired`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChannelError {
    /// The connection's certificate has another key.
    Leaf,
    /// The signature does not hold for this connection, nonce and identity.
    Signature,
    /// The appraisal has expired: fetch evidence anew.
    Expired,
}

impl ChannelError {
    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Leaf => "a proxy ends TLS on the way, or the enclave restarted; verify it anew",
            Self::Signature => "the connection ends elsewhere than in the enclave that was verified",
            Self::Expired => "verify the enclave anew",
        }
    }
}

impl fmt::Display for ChannelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leaf => "the connection's TLS key is not the enclave's",
            Self::Signature => "the channel signature does not hold for this connection",
            Self::Expired => "the enclave's evidence has expired",
        })
    }
}

impl std::error::Error for ChannelError {}

/// The enclave a client has appraised, to which each connection must be bound.
#[derive(Debug)]
pub struct PinnedIdentity {
    tls_spki_sha256: Digest<32>,
    channel_key: Digest<32>,
    receipt_key: Digest<32>,
    manifest_sha256: Digest<32>,
    config_sha256: Digest<32>,
    identity_digest: Digest<64>,
    evidence_digest: Digest<64>,
    policy_id: Digest<32>,
    boot_id: Digest<16>,
    class: Class,
    valid_until: Timestamp,
}

/// A connection's certificate has the pinned key; possession of the key is not shown by this alone.
#[must_use]
#[derive(Debug)]
pub struct LeafMatched(Digest<32>);

/// One connection ends in the pinned enclave. Not Clone: one a connection.
///
/// ```compile_fail
/// fn twice(proof: &anchorhold_attestation::ChannelProof) -> anchorhold_attestation::ChannelProof { proof.clone() }
/// ```
#[must_use]
#[derive(Debug)]
pub struct ChannelProof {
    nonce: Nonce,
    identity_digest: Digest<64>,
    valid_until: Timestamp,
}

impl PinnedIdentity {
    pub(crate) fn new(
        claims: &Claims,
        identity: &ReceivedIdentity,
        policy_id: Digest<32>,
        valid_until: Timestamp,
    ) -> Self {
        let document = identity.document();
        Self {
            tls_spki_sha256: document.tls_spki_sha256,
            channel_key: document.channel_key,
            receipt_key: document.receipt_key,
            manifest_sha256: document.model.manifest_sha256,
            config_sha256: document.config_sha256,
            identity_digest: identity.digest(),
            evidence_digest: claims.evidence_digest,
            policy_id,
            boot_id: document.boot_id,
            class: claims.class,
            valid_until,
        }
    }

    /// Compares the SHA-256 of the connection's SubjectPublicKeyInfo, in DER, with the pinned one.
    ///
    /// # Errors
    /// [`ChannelError::Leaf`] when it is another.
    pub fn check_leaf(&self, spki_sha256: &Digest<32>) -> Result<LeafMatched, ChannelError> {
        if *spki_sha256 == self.tls_spki_sha256 {
            Ok(LeafMatched(*spki_sha256))
        } else {
            Err(ChannelError::Leaf)
        }
    }

    /// Binds the connection whose exporter and certificate these are, at `now` by the client's clock.
    ///
    /// # Errors
    /// [`ChannelError`] when the leaf was matched with another identity, the appraisal has expired or the
    /// signature does not hold.
    pub fn bind(
        &self,
        leaf: LeafMatched,
        exporter: &[u8; 32],
        nonce: &Nonce,
        signature: &[u8],
        now: Timestamp,
    ) -> Result<ChannelProof, ChannelError> {
        let LeafMatched(spki) = leaf;
        if spki != self.tls_spki_sha256 {
            return Err(ChannelError::Leaf);
        }
        if now >= self.valid_until {
            return Err(ChannelError::Expired);
        }
        let message = channel_message(exporter, nonce, &self.identity_digest);
        signature::ed25519(&self.channel_key, message.as_bytes(), signature)
            .ok_or(ChannelError::Signature)
            .map(|_| ChannelProof {
                nonce: *nonce,
                identity_digest: self.identity_digest,
                valid_until: self.valid_until,
            })
    }

    /// SHA-256 of the TLS key's SubjectPublicKeyInfo.
    #[must_use]
    pub const fn tls_spki_sha256(&self) -> &Digest<32> {
        &self.tls_spki_sha256
    }

    /// Ed25519 key that binds connections.
    #[must_use]
    pub const fn channel_key(&self) -> &Digest<32> {
        &self.channel_key
    }

    /// Ed25519 key that signs receipts.
    #[must_use]
    pub const fn receipt_key(&self) -> &Digest<32> {
        &self.receipt_key
    }

    /// The model.
    #[must_use]
    pub const fn manifest_sha256(&self) -> &Digest<32> {
        &self.manifest_sha256
    }

    /// The configuration.
    #[must_use]
    pub const fn config_sha256(&self) -> &Digest<32> {
        &self.config_sha256
    }

    /// SHA-512 of the identity document.
    #[must_use]
    pub const fn identity_digest(&self) -> &Digest<64> {
        &self.identity_digest
    }

    /// SHA-512 of the evidence that was appraised.
    #[must_use]
    pub const fn evidence_digest(&self) -> &Digest<64> {
        &self.evidence_digest
    }

    /// The policy that decided.
    #[must_use]
    pub const fn policy_id(&self) -> &Digest<32> {
        &self.policy_id
    }

    /// The boot: another one is another enclave.
    #[must_use]
    pub const fn boot_id(&self) -> &Digest<16> {
        &self.boot_id
    }

    /// Real or insecure.
    #[must_use]
    pub const fn class(&self) -> Class {
        self.class
    }

    /// When to fetch evidence anew.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }
}

impl ChannelProof {
    /// The nonce of the binding, which receipts repeat.
    #[must_use]
    pub const fn nonce(&self) -> &Nonce {
        &self.nonce
    }

    /// SHA-512 of the identity the connection is bound to.
    #[must_use]
    pub const fn identity_digest(&self) -> &Digest<64> {
        &self.identity_digest
    }

    /// When the connection must be bound anew.
    #[must_use]
    pub const fn valid_until(&self) -> Timestamp {
        self.valid_until
    }
}

#[cfg(test)]
mod tests;
