//! Public keys and algorithm identifiers, each in the few encodings vendors use.
//!
//! Why apart: comparing whole encodings leaves no room for parameters that nobody looked at.
//!
//! # Invariants
//! A key and a scheme of another kind never meet.

use x509_cert::der::asn1::BitStringRef;
use x509_cert::der::{Decode as _, Error, Reader as _, SliceReader};

use crate::signature::{self, Genuine, Scheme};
use crate::x509::Fault;

/// `rsaEncryption` with NULL (RFC 3279 section 2.3.1).
const RSA: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00";
/// `id-ecPublicKey` with `secp384r1` (RFC 5480 section 2.1.1).
const P384: &[u8] = b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22";
/// `id-ecPublicKey` with `prime256v1`.
const P256: &[u8] = b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";

/// `id-RSASSA-PSS` with SHA-384, MGF1 of SHA-384 and salt 48 (RFC 4055 section 3.1), the trailer left to its default.
const PSS_SHA384: &[u8] = b"\x30\x41\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x34\
    \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
    \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
    \xa2\x03\x02\x01\x30";
/// The same with the trailer written out, as AMD's older certificates have it. DER forbids a default value to be
/// written; the meaning is the same.
const PSS_SHA384_TRAILER: &[u8] = b"\x30\x46\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a\x30\x39\
    \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
    \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
    \xa2\x03\x02\x01\x30\xa3\x03\x02\x01\x01";
/// `sha256WithRSAEncryption` with NULL (RFC 4055 section 5).
const PKCS1_SHA256: &[u8] = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00";
/// `ecdsa-with-SHA384` (RFC 5758 section 3.2).
const ECDSA_SHA384: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03";
/// `ecdsa-with-SHA256`.
const ECDSA_SHA256: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";

/// The scheme an AlgorithmIdentifier in DER names, if it is one that is accepted.
pub(super) fn scheme(identifier: &[u8]) -> Option<Scheme> {
    match identifier {
        PSS_SHA384 | PSS_SHA384_TRAILER => Some(Scheme::RsaPssSha384),
        PKCS1_SHA256 => Some(Scheme::RsaPkcs1Sha256),
        ECDSA_SHA384 => Some(Scheme::EcdsaP384),
        ECDSA_SHA256 => Some(Scheme::EcdsaP256),
        _ => None,
    }
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, 2048 to 8192 bits.
    Rsa,
    /// A point on P-256.
    P256,
    /// A point on P-384.
    P384,
}

/// A public key out of a SubjectPublicKeyInfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    bytes: Vec<u8>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo in DER.
    pub(super) fn parse(spki: &[u8]) -> Result<Self, Fault> {
        let (algorithm, bits) = SliceReader::new(spki)
            .and_then(|mut outer| {
                let parts = outer
                    .sequence(|inner| Ok::<_, Error>((inner.tlv_bytes()?, BitStringRef::decode(inner)?)))?;
                outer.finish()?;
                Ok(parts)
            })
            .map_err(|_| Fault::Key)?;
        let kind = match algorithm {
            RSA => KeyKind::Rsa,
            P384 => KeyKind::P384,
            P256 => KeyKind::P256,
            _ => return Err(Fault::Key),
        };
        let bytes = bits.as_bytes().ok_or(Fault::Key)?.to_vec();
        Ok(Self { kind, bytes })
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The content of the bit string: an `RSAPublicKey` in DER or an uncompressed point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Checks a signature; `None` when it does not hold or `scheme` is for another kind of key.
    pub(crate) fn verify(&self, scheme: Scheme, message: &[u8], signature: &[u8]) -> Option<Genuine> {
        let kind = match scheme {
            Scheme::RsaPssSha384 | Scheme::RsaPkcs1Sha256 => KeyKind::Rsa,
            Scheme::EcdsaP384 | Scheme::EcdsaP384Fixed => KeyKind::P384,
            Scheme::EcdsaP256 | Scheme::EcdsaP256Fixed => KeyKind::P256,
        };
        if kind != self.kind {
            return None;
        }
        signature::verify(scheme, &self.bytes, message, signature)
    }
}
