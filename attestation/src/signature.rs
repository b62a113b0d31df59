//! Signature checks: the one door to the cryptographic backend.
//!
//! Why apart: a build for another place (a browser) swaps the backend here and nowhere else.
//!
//! # Invariants
//! Whole messages as they came, hashed here. [`Genuine`] exists only after a check held.

use anchorhold_encoding::Digest;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_ASN1, ECDSA_P384_SHA384_FIXED,
    ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, UnparsedPublicKey, VerificationAlgorithm,
};

/// A signature was checked and holds.
pub(crate) struct Genuine(());

/// How a message was signed, with which kind of key and how the signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and 48 bytes of salt (RFC 8017 section 8.1). Key: `RSAPublicKey`.
    RsaPssSha384,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 section 8.2). Key: `RSAPublicKey`.
    RsaPkcs1Sha256,
    /// ECDSA on P-384 with SHA-384, the signature in DER (FIPS 186-5; RFC 3279 section 2.2.3). Key: a point.
    EcdsaP384,
    /// The same, the signature as r and s of 48 bytes each, big endian.
    EcdsaP384Fixed,
    /// ECDSA on P-256 with SHA-256, the signature in DER. Key: a point.
    EcdsaP256,
    /// The same, the signature as r and s of 32 bytes each, big endian.
    EcdsaP256Fixed,
}

impl Scheme {
    fn algorithm(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::RsaPssSha384 => &RSA_PSS_2048_8192_SHA384,
            Self::RsaPkcs1Sha256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::EcdsaP384 => &ECDSA_P384_SHA384_ASN1,
            Self::EcdsaP384Fixed => &ECDSA_P384_SHA384_FIXED,
            Self::EcdsaP256 => &ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP256Fixed => &ECDSA_P256_SHA256_FIXED,
        }
    }
}

/// Checks a signature of `message`; `None` when it does not hold, whatever the cause.
///
/// `key` is the content of a SubjectPublicKeyInfo's bit string: an `RSAPublicKey` or an uncompressed point.
pub(crate) fn verify(scheme: Scheme, key: &[u8], message: &[u8], signature: &[u8]) -> Option<Genuine> {
    UnparsedPublicKey::new(scheme.algorithm(), key)
        .verify(message, signature)
        .ok()
        .map(Genuine)
}

/// Checks an Ed25519 signature of `message` by `key` (RFC 8032); `None` when it does not hold, whatever the cause.
pub(crate) fn ed25519(key: &Digest<32>, message: &[u8], signature: &[u8]) -> Option<Genuine> {
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(message, signature)
        .ok()
        .map(Genuine)
}

/// SHA-1, as OCSP names keys and issuers. Nothing is believed because of it.
pub(crate) fn sha1(content: &[u8]) -> Vec<u8> {
    digest(&SHA1_FOR_LEGACY_USE_ONLY, content).as_ref().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING,
        ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
    };

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

    #[test]
    fn a_signature_holds_for_its_scheme_only() {
        let all = [
            Scheme::RsaPssSha384,
            Scheme::RsaPkcs1Sha256,
            Scheme::EcdsaP384,
            Scheme::EcdsaP384Fixed,
            Scheme::EcdsaP256,
            Scheme::EcdsaP256Fixed,
        ];
        for (right, signing) in [
            (Scheme::EcdsaP384, &ECDSA_P384_SHA384_ASN1_SIGNING),
            (Scheme::EcdsaP384Fixed, &ECDSA_P384_SHA384_FIXED_SIGNING),
            (Scheme::EcdsaP256, &ECDSA_P256_SHA256_ASN1_SIGNING),
            (Scheme::EcdsaP256Fixed, &ECDSA_P256_SHA256_FIXED_SIGNING),
        ] {
            let pair = EcdsaKeyPair::generate(signing).unwrap();
            let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
            for scheme in all {
                let genuine = verify(scheme, pair.public_key().as_ref(), b"message", signature.as_ref());
                assert_eq!(genuine.is_some(), scheme == right, "{scheme:?} for {right:?}");
            }
            assert!(verify(right, pair.public_key().as_ref(), b"massage", signature.as_ref()).is_none());
            assert!(verify(right, &[], b"message", signature.as_ref()).is_none());
        }
    }
}
