//! An authority made for one test: keys, certificates, revocation lists and OCSP responses (`ocsp`), right or wrong.
//!
//! Why apart: real files cannot show what vendors never issue, and a bare clone has none.
//!
//! # Invariants
//! Built for tests and for `insecure-simulated` only. What it writes is DER unless a draft says otherwise.

#[cfg(test)]
pub(crate) mod ocsp;

use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
    RSA_PSS_SHA384, RsaKeyPair,
};
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};

/// A moment at which everything is valid unless a draft says otherwise: 2026-01-01.
pub(crate) const NOW: u64 = 1_767_225_600;
const YEAR: u64 = 365 * 24 * 60 * 60;
const FIRST_GENERALIZED: u64 = 2_524_608_000;

/// Tag, length, content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut out = vec![tag];
    match length {
        0..128 => out.push(length as u8),
        128..256 => out.extend([0x81, length as u8]),
        _ => out.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    out.extend(content);
    out
}

/// A SEQUENCE of what is encoded already.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

fn bits(content: &[u8]) -> Vec<u8> {
    tlv(0x03, &[&[0], content].concat())
}

fn time(unix: u64) -> Vec<u8> {
    let duration = std::time::Duration::from_secs(unix);
    if unix < FIRST_GENERALIZED {
        UtcTime::from_unix_duration(duration).unwrap().to_der().unwrap()
    } else {
        GeneralizedTime::from_unix_duration(duration)
            .unwrap()
            .to_der()
            .unwrap()
    }
}

/// A name of one common name.
pub(crate) fn name(common: &str) -> Vec<u8> {
    let attribute = sequence(&[b"\x06\x03\x55\x04\x03", &tlv(0x0c, common.as_bytes())]);
    sequence(&[&tlv(0x31, &attribute)])
}

/// One extension.
pub(crate) fn extension(oid: &str, critical: bool, content: &[u8]) -> Vec<u8> {
    let oid = ObjectIdentifier::new(oid).unwrap().to_der().unwrap();
    let critical: &[u8] = if critical { b"\x01\x01\xff" } else { b"" };
    sequence(&[&oid, critical, &tlv(0x04, content)])
}

/// A key pair of one of the kinds vendors use.
pub(crate) enum Key {
    P256(EcdsaKeyPair),
    P384(EcdsaKeyPair),
    Rsa(Arc<RsaKeyPair>),
}

impl Key {
    pub(crate) fn p256() -> Self {
        Self::P256(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
    }

    pub(crate) fn p384() -> Self {
        Self::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap())
    }

    /// 2048 bits: the verifier's lower bound, quick to make.
    pub(crate) fn rsa() -> Self {
        Self::Rsa(Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()))
    }

    /// One of two that all tests share, as making one takes a while.
    pub(crate) fn shared_rsa(which: bool) -> Self {
        static PAIRS: [OnceLock<Arc<RsaKeyPair>>; 2] = [OnceLock::new(), OnceLock::new()];
        let pair = PAIRS[usize::from(which)]
            .get_or_init(|| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()));
        Self::Rsa(Arc::clone(pair))
    }

    pub(crate) fn key_info(&self) -> Vec<u8> {
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        }
    }

    /// The AlgorithmIdentifier of what [`Self::sign`] makes; `trailer` writes RSA-PSS's default out.
    fn algorithm(&self, trailer: bool) -> Vec<u8> {
        let sha384: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00";
        match self {
            Self::P256(_) => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02".to_vec(),
            Self::P384(_) => b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03".to_vec(),
            Self::Rsa(_) => {
                let mgf = sequence(&[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08", sha384]);
                let written: &[u8] = if trailer { b"\xa3\x03\x02\x01\x01" } else { b"" };
                let parameters = sequence(&[
                    &tlv(0xa0, sha384),
                    &tlv(0xa1, &mgf),
                    b"\xa2\x03\x02\x01\x30",
                    written,
                ]);
                sequence(&[b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a", &parameters])
            }
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match self {
            Self::P256(pair) | Self::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PSS_SHA384, &random, message, &mut signature)
                    .unwrap();
                signature
            }
        }
    }
}

/// What a certificate will say.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) subject: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) from: u64,
    pub(crate) until: u64,
    pub(crate) extensions: Vec<Vec<u8>>,
    pub(crate) trailer: bool,
    /// The outer algorithm names the other form of RSA-PSS's parameters.
    pub(crate) mismatch: bool,
}

/// `basicConstraints` of an authority, with a path length if given.
pub(crate) fn constraints(path: Option<u8>) -> Vec<u8> {
    let length = path.map_or_else(Vec::new, |path| vec![0x02, 0x01, path]);
    extension("2.5.29.19", true, &sequence(&[b"\x01\x01\xff", &length]))
}

/// `keyCertSign` and `cRLSign`.
pub(crate) fn certificate_usage() -> Vec<u8> {
    extension("2.5.29.15", true, b"\x03\x02\x01\x06")
}

impl Draft {
    /// A leaf without extensions, serial number 0, as AMD's.
    pub(crate) fn leaf(subject: &str, issuer: &str) -> Self {
        Self {
            subject: name(subject),
            issuer: name(issuer),
            serial: vec![0],
            from: NOW - YEAR,
            until: NOW + YEAR,
            extensions: Vec::new(),
            trailer: false,
            mismatch: false,
        }
    }

    /// An authority that may sign certificates and lists.
    pub(crate) fn authority(subject: &str, issuer: &str) -> Self {
        Self {
            serial: vec![1],
            extensions: vec![constraints(None), certificate_usage()],
            ..Self::leaf(subject, issuer)
        }
    }

    /// The certificate for `key`, signed by `issuer`.
    pub(crate) fn sign(&self, key: &Key, issuer: &Key) -> Vec<u8> {
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa3, &tlv(0x30, &self.extensions.concat()))
        };
        let message = sequence(&[
            b"\xa0\x03\x02\x01\x02",
            &tlv(0x02, &self.serial),
            &issuer.algorithm(self.trailer),
            &self.issuer,
            &sequence(&[&time(self.from), &time(self.until)]),
            &self.subject,
            &key.key_info(),
            &extensions,
        ]);
        seal(&message, issuer, self.trailer != self.mismatch)
    }
}

/// A message with its algorithm and signature: the outer form of certificates and lists.
fn seal(message: &[u8], issuer: &Key, trailer: bool) -> Vec<u8> {
    sequence(&[message, &issuer.algorithm(trailer), &bits(&issuer.sign(message))])
}

/// What a revocation list will say.
#[derive(Clone)]
pub(crate) struct CrlDraft {
    pub(crate) issuer: Vec<u8>,
    pub(crate) this_update: u64,
    pub(crate) next_update: Option<u64>,
    pub(crate) revoked: Vec<Vec<u8>>,
    pub(crate) extensions: Vec<Vec<u8>>,
}

impl CrlDraft {
    /// An empty list with number 1.
    pub(crate) fn empty(issuer: &str) -> Self {
        Self {
            issuer: name(issuer),
            this_update: NOW - YEAR,
            next_update: Some(NOW + YEAR),
            revoked: Vec::new(),
            extensions: vec![extension("2.5.29.20", false, b"\x02\x01\x01")],
        }
    }

    pub(crate) fn sign(&self, issuer: &Key) -> Vec<u8> {
        let entries: Vec<u8> = self
            .revoked
            .iter()
            .flat_map(|serial| sequence(&[&tlv(0x02, serial), &time(self.this_update)]))
            .collect();
        let revoked = if entries.is_empty() {
            entries
        } else {
            tlv(0x30, &entries)
        };
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            tlv(0xa0, &tlv(0x30, &self.extensions.concat()))
        };
        let message = sequence(&[
            b"\x02\x01\x01",
            &issuer.algorithm(false),
            &self.issuer,
            &time(self.this_update),
            &self.next_update.map_or_else(Vec::new, time),
            &revoked,
            &extensions,
        ]);
        seal(&message, issuer, false)
    }
}
