//! aws-lc-rs as the cryptography of dcap-qvl, and the signature checks that name a culprit.
//!
//! Why apart: the one place where Intel's algorithms meet the backend; a build for another place swaps it here.
//!
//! # Invariants
//! ECDSA on P-256 with SHA-256 and nothing else: Intel's whole hierarchy uses it, so no other algorithm is
//! reachable from evidence.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use dcap_qvl::config::{Config, CryptoProvider};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};

/// Bytes of an uncompressed P-256 point: 0x04, x, y (SEC 1 section 2.3.3).
const POINT: usize = 65;

/// dcap-qvl with its own certificate parser and our cryptography.
pub(super) struct Backend;

impl Config for Backend {
    type X509 = dcap_qvl::x509::X509CertBackend;
    type SigEncoder = dcap_qvl::signature::DerSigEncoder;
    type Crypto = AwsLc;
}

/// The hashes and the signature algorithm.
pub(super) struct AwsLc;

impl CryptoProvider for AwsLc {
    fn sig_algo() -> &'static dyn SignatureVerificationAlgorithm {
        &EcdsaP256
    }

    fn sha256(data: &[u8]) -> [u8; 32] {
        sha256(data)
    }

    fn sha384(data: &[u8]) -> [u8; 48] {
        sha384(data)
    }
}

#[derive(Debug)]
struct EcdsaP256;

impl SignatureVerificationAlgorithm for EcdsaP256 {
    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_SHA256
    }

    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        genuine_der(key, message, signature).ok_or(InvalidSignature)
    }
}

/// `Some` when `signature`, a DER `Ecdsa-Sig-Value`, is `key`'s over `message`. Compressed points, which no
/// Intel certificate has, are refused.
pub(super) fn genuine_der(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    if key.len() != POINT || key.first() != Some(&4) {
        return None;
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key)
        .verify(message, signature)
        .ok()
}

/// `Some` when `signature`, as r then s of 32 bytes each, is `key`'s over `message`.
pub(super) fn genuine_raw(key: &[u8], message: &[u8], signature: &[u8]) -> Option<()> {
    if key.len() != POINT || key.first() != Some(&4) {
        return None;
    }
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key)
        .verify(message, signature)
        .ok()
}

/// SHA-256 (FIPS 180-4).
pub(super) fn sha256(data: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, data).as_ref());
    out
}

/// SHA-384 (FIPS 180-4).
fn sha384(data: &[u8]) -> [u8; 48] {
    let mut out = [0; 48];
    out.copy_from_slice(digest::digest(&digest::SHA384, data).as_ref());
    out
}
