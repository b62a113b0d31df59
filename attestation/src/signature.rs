//! Signature checks: the one door to the cryptographic backend.
//!
//! Why apart: a build for another place (a browser) swaps the backend here and nowhere else.
//!
//! # Invariants
//! Ed25519 (RFC 8032) over whole messages. [`Genuine`] exists only after a check held.

use anchorhold_encoding::Digest;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

/// A signature was checked and holds.
pub(crate) struct Genuine(());

/// Checks an Ed25519 signature of `message` by `key`; `None` when it does not hold, whatever the cause.
pub(crate) fn ed25519(key: &Digest<32>, message: &[u8], signature: &[u8]) -> Option<Genuine> {
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(message, signature)
        .ok()
        .map(Genuine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    #[test]
    fn only_the_message_under_the_key_is_genuine() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = Digest::from_slice(pair.public_key().as_ref()).unwrap();
        let signature = pair.sign(b"message");
        assert!(ed25519(&key, b"message", signature.as_ref()).is_some());
        assert!(ed25519(&key, b"massage", signature.as_ref()).is_none());
        assert!(ed25519(&Digest::new([1; 32]), b"message", signature.as_ref()).is_none());
        assert!(ed25519(&key, b"message", &signature.as_ref()[..63]).is_none());
        assert!(ed25519(&key, b"message", &[]).is_none());
    }
}
