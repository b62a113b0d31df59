//! `HCLAkPub`: the key with which a vTPM signs quotes.
//!
//! Why apart: one key, from one place, checked in one way. The AK certificate of Azure is neither needed nor
//! believed: the hardware report names this key itself.
//!
//! # Invariants
//! RSA of 2048, 3072 or 4096 bits with exponent 65537, or ECC on NIST P-256; allowed to sign and nothing else.
//! Signatures are RSASSA-PKCS1-v1_5 or ECDSA, with SHA-256: the scheme follows from the key, never from the quote.

use anchorhold_encoding::{Digest, sha256};
use serde::Deserialize;

use super::signature::QuoteSignature;
use super::vm::present;
use crate::base64_text;
use crate::signature::{self, Genuine, Scheme};

const EXPONENT: [u8; 3] = [1, 0, 1];
const MODULUS_LENGTHS: [usize; 3] = [256, 384, 512];
const COORDINATE_LENGTH: usize = 32;

/// A key as a JWK (RFC 7517, RFC 7518 section 6), with every member known.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Jwk {
    kid: String,
    key_ops: Vec<KeyOperation>,
    kty: KeyType,
    #[serde(default, deserialize_with = "present")]
    e: Option<String>,
    #[serde(default, deserialize_with = "present")]
    n: Option<String>,
    #[serde(default, deserialize_with = "present")]
    crv: Option<String>,
    #[serde(default, deserialize_with = "present")]
    x: Option<String>,
    #[serde(default, deserialize_with = "present")]
    y: Option<String>,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
enum KeyOperation {
    Sign,
    Encrypt,
}

#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum KeyType {
    Rsa,
    Ec,
}

impl Jwk {
    pub(super) fn id(&self) -> &str {
        &self.kid
    }
}

/// The public key of a vTPM's attestation key.
#[derive(Debug)]
pub struct AttestationKey(Key);

#[derive(Debug)]
enum Key {
    Rsa { modulus: Vec<u8> },
    P256 { point: [u8; 64] },
}

impl AttestationKey {
    pub(super) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        if jwk.key_ops != [KeyOperation::Sign] {
            return None;
        }
        match jwk {
            Jwk {
                kty: KeyType::Rsa,
                e: Some(e),
                n: Some(n),
                crv: None,
                x: None,
                y: None,
                ..
            } => Self::rsa(&base64_text::decode_url(e)?, base64_text::decode_url(n)?),
            Jwk {
                kty: KeyType::Ec,
                e: None,
                n: None,
                crv: Some(curve),
                x: Some(x),
                y: Some(y),
                ..
            } if curve == "P-256" => Self::p256(&base64_text::decode_url(x)?, &base64_text::decode_url(y)?),
            _ => None,
        }
    }

    fn rsa(exponent: &[u8], modulus: Vec<u8>) -> Option<Self> {
        let full = modulus.first().is_some_and(|byte| *byte >= 0x80);
        let odd = modulus.last().is_some_and(|byte| byte & 1 == 1);
        let sized = MODULUS_LENGTHS.contains(&modulus.len());
        (exponent == EXPONENT && full && odd && sized).then_some(Self(Key::Rsa { modulus }))
    }

    fn p256(x: &[u8], y: &[u8]) -> Option<Self> {
        if x.len() != COORDINATE_LENGTH || y.len() != COORDINATE_LENGTH {
            return None;
        }
        let point = [x, y].concat().try_into().ok()?;
        Some(Self(Key::P256 { point }))
    }

    /// Checks a signature of `message`; `None` when it does not hold, or is of another scheme than this key's.
    pub(super) fn verify(&self, message: &[u8], signature: &QuoteSignature<'_>) -> Option<Genuine> {
        match (&self.0, signature) {
            (Key::Rsa { modulus }, QuoteSignature::Rsassa(signature)) => signature::verify(
                Scheme::RsaPkcs1Sha256,
                &rsa_public_key(modulus),
                message,
                signature,
            ),
            (Key::P256 { point }, QuoteSignature::Ecdsa { r, s }) => {
                let point = [[4].as_slice(), point].concat();
                let signature = [r.as_slice(), s.as_slice()].concat();
                signature::verify(Scheme::EcdsaP256Fixed, &point, message, &signature)
            }
            _ => None,
        }
    }

    /// The qualified name of this key as the paravisor makes it: a primary key under the endorsement hierarchy
    /// (TPM 2.0 Library Part 1, Names: `H(handle of the hierarchy || name)`, name = `nameAlg || H(public area)`).
    ///
    /// Its public area (Part 2, section 12.2.4) is OpenHCL's `ak_pub_template`: restricted, for signing, fixed to
    /// its TPM and parent, made by the TPM. A quote that names its signer so was made by a key that signs nothing
    /// a stranger made to look like a quote.
    pub(super) fn qualified_name(&self) -> Digest<32> {
        let name = sha256(&[&self.public_area()]);
        sha256(&[&HIERARCHY_ENDORSEMENT, &ALG_SHA256, name.as_bytes()])
    }

    fn public_area(&self) -> Vec<u8> {
        let sized = |bytes: &[u8]| {
            let size = u16::try_from(bytes.len()).expect("a part of a key is at most 512 bytes");
            [&size.to_be_bytes(), bytes].concat()
        };
        let (kind, parameters, unique) = match &self.0 {
            Key::Rsa { modulus } => {
                let bits = u16::try_from(modulus.len().saturating_mul(8)).expect("at most 4096");
                let default_exponent = [0; 4];
                let parameters = [
                    ALG_NULL.as_slice(),
                    &ALG_RSASSA,
                    &ALG_SHA256,
                    &bits.to_be_bytes(),
                    &default_exponent,
                ];
                (ALG_RSA, parameters.concat(), sized(modulus))
            }
            Key::P256 { point } => {
                let (x, y) = point.split_at(COORDINATE_LENGTH);
                let parameters = [ALG_NULL, ALG_ECDSA, ALG_SHA256, CURVE_P256, ALG_NULL];
                (ALG_ECC, parameters.concat(), [sized(x), sized(y)].concat())
            }
        };
        let no_policy = [0; 2];
        [
            kind.as_slice(),
            &ALG_SHA256,
            &ATTRIBUTES,
            &no_policy,
            &parameters,
            &unique,
        ]
        .concat()
    }
}

/// `RSAPublicKey` (RFC 8017 A.1.1) of a modulus whose highest bit is set, and exponent 65537.
fn rsa_public_key(modulus: &[u8]) -> Vec<u8> {
    let length = |length: usize| {
        u16::try_from(length)
            .expect("a modulus has at most 512 bytes")
            .to_be_bytes()
    };
    let integer = modulus.len().saturating_add(1);
    let both = integer.saturating_add(9);
    [
        &[0x30, 0x82],
        length(both).as_slice(),
        &[0x02, 0x82],
        &length(integer),
        &[0x00],
        modulus,
        &[0x02, 0x03],
        &EXPONENT,
    ]
    .concat()
}

// TPM 2.0 Library Part 2 r1.59: sections 6.3 (algorithms), 6.4 (curves), 7.4 (hierarchies), 8.3 (attributes).
const ALG_RSA: [u8; 2] = [0x00, 0x01];
pub(super) const ALG_SHA256: [u8; 2] = [0x00, 0x0b];
const ALG_NULL: [u8; 2] = [0x00, 0x10];
const ALG_RSASSA: [u8; 2] = [0x00, 0x14];
const ALG_ECDSA: [u8; 2] = [0x00, 0x18];
const ALG_ECC: [u8; 2] = [0x00, 0x23];
const CURVE_P256: [u8; 2] = [0x00, 0x03];
const HIERARCHY_ENDORSEMENT: [u8; 4] = [0x40, 0x00, 0x00, 0x0b];

/// fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign.
const ATTRIBUTES: [u8; 4] =
    (1_u32 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 16 | 1 << 18).to_be_bytes();
