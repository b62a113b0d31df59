//! OCSP responses of a fake authority, right or wrong.
//!
//! Why apart: they nest deeper than certificates, and every part can be wrong.
//!
//! # Invariants
//! Built for tests only. What it writes is DER unless a draft says otherwise.

use anchorhold_encoding::{sha256, sha384};
use x509_cert::der::Encode as _;
use x509_cert::der::asn1::GeneralizedTime;

use super::{Draft, Key, NOW, bits, extension, sequence, tlv};
use crate::signature::sha1;
use crate::x509::PublicKey;

const DAY: u64 = 24 * 60 * 60;
const SHA384: &[u8] = b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00";
const SHA256: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01";
const SHA1: &[u8] = b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00";

/// `good [0] NULL`.
pub(crate) const GOOD: &[u8] = b"\x80\x00";
/// `unknown [2] NULL`.
pub(crate) const UNKNOWN: &[u8] = b"\x82\x00";

pub(crate) fn time(unix: u64) -> Vec<u8> {
    let duration = std::time::Duration::from_secs(unix);
    GeneralizedTime::from_unix_duration(duration)
        .unwrap()
        .to_der()
        .unwrap()
}

/// `revoked [1]`, with a reason if given.
pub(crate) fn revoked(since: u64, reason: Option<u8>) -> Vec<u8> {
    let reason = reason.map_or_else(Vec::new, |code| tlv(0xa0, &[0x0a, 1, code]));
    tlv(0xa1, &[time(since), reason].concat())
}

/// A key as it lies in a bit string.
pub(crate) fn key_bits(key: &Key) -> Vec<u8> {
    PublicKey::parse(&key.key_info()).unwrap().as_bytes().to_vec()
}

/// In which digests an answer names its issuer.
#[derive(Clone, Copy)]
pub(crate) enum NameDigest {
    Sha1,
    Sha256,
    Sha384,
    /// Named as SHA-512.
    Unknown,
}

impl NameDigest {
    fn identifier(self) -> &'static [u8] {
        match self {
            Self::Sha1 => SHA1,
            Self::Sha256 => SHA256,
            Self::Sha384 => SHA384,
            Self::Unknown => b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03",
        }
    }

    fn of(self, content: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => sha1(content),
            Self::Sha256 => sha256(&[content]).as_bytes().to_vec(),
            Self::Sha384 | Self::Unknown => sha384(&[content]).as_bytes().to_vec(),
        }
    }
}

/// What is said of one certificate.
#[derive(Clone)]
pub(crate) struct AnswerDraft {
    pub(crate) digest: NameDigest,
    /// The issuer's name in DER, and its key as it lies in the bit string.
    pub(crate) issuer: (Vec<u8>, Vec<u8>),
    pub(crate) serial: Vec<u8>,
    pub(crate) status: Vec<u8>,
    pub(crate) this_update: u64,
    pub(crate) next_update: Option<u64>,
    pub(crate) extensions: Vec<Vec<u8>>,
}

impl AnswerDraft {
    /// Good for a day around [`NOW`], for what `issuer`'s key issued as `certificate`.
    pub(crate) fn good(certificate: &Draft, issuer: &Key) -> Self {
        Self {
            digest: NameDigest::Sha384,
            issuer: (certificate.issuer.clone(), key_bits(issuer)),
            serial: certificate.serial.clone(),
            status: GOOD.to_vec(),
            this_update: NOW - DAY / 2,
            next_update: Some(NOW + DAY / 2),
            extensions: Vec::new(),
        }
    }

    fn encode(&self) -> Vec<u8> {
        let (name, key) = &self.issuer;
        let id = sequence(&[
            self.digest.identifier(),
            &tlv(0x04, &self.digest.of(name)),
            &tlv(0x04, &self.digest.of(key)),
            &tlv(0x02, &self.serial),
        ]);
        sequence(&[
            &id,
            &self.status,
            &time(self.this_update),
            &self.next_update.map_or_else(Vec::new, |at| tlv(0xa0, &time(at))),
            &extensions(&self.extensions),
        ])
    }
}

fn extensions(all: &[Vec<u8>]) -> Vec<u8> {
    if all.is_empty() {
        return Vec::new();
    }
    tlv(0xa1, &tlv(0x30, &all.concat()))
}

/// What a response will say.
#[derive(Clone)]
pub(crate) struct OcspDraft {
    /// Before the responder's name; nothing in what is right.
    pub(crate) version: Vec<u8>,
    /// With its tag.
    pub(crate) responder: Vec<u8>,
    pub(crate) produced_at: u64,
    pub(crate) answers: Vec<AnswerDraft>,
    pub(crate) extensions: Vec<Vec<u8>>,
    pub(crate) certificates: Vec<Vec<u8>>,
}

impl OcspDraft {
    /// By a delegate: its certificate comes with it, and its key names it.
    pub(crate) fn delegated(answers: Vec<AnswerDraft>, key: &Key, certificate: Vec<u8>) -> Self {
        Self {
            version: Vec::new(),
            responder: tlv(0xa2, &tlv(0x04, &sha1(&key_bits(key)))),
            produced_at: NOW - DAY / 2,
            answers,
            extensions: Vec::new(),
            certificates: vec![certificate],
        }
    }

    pub(crate) fn sign(&self, key: &Key) -> Vec<u8> {
        self.seal(key, 0, b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01")
    }

    /// With a status and a type of response of the test's choice.
    pub(crate) fn seal(&self, key: &Key, status: u8, kind: &[u8]) -> Vec<u8> {
        let answers: Vec<u8> = self.answers.iter().flat_map(AnswerDraft::encode).collect();
        let data = sequence(&[
            &self.version,
            &self.responder,
            &time(self.produced_at),
            &tlv(0x30, &answers),
            &extensions(&self.extensions),
        ]);
        let certificates = if self.certificates.is_empty() {
            Vec::new()
        } else {
            tlv(0xa0, &tlv(0x30, &self.certificates.concat()))
        };
        let basic = sequence(&[
            &data,
            &key.algorithm(false),
            &bits(&key.sign(&data)),
            &certificates,
        ]);
        let bytes = sequence(&[kind, &tlv(0x04, &basic)]);
        sequence(&[&[0x0a, 1, status], &tlv(0xa0, &bytes)])
    }
}

/// A nonce as a response carries it.
pub(crate) fn nonce(value: &[u8]) -> Vec<u8> {
    extension("1.3.6.1.5.5.7.48.1.2", false, &tlv(0x04, value))
}

/// The certificate of a delegate, all of it right.
pub(crate) fn responder(issuer: &str) -> Draft {
    let mut draft = Draft::leaf("responder", issuer);
    draft.serial = vec![9];
    draft.extensions = vec![
        extension("2.5.29.15", true, b"\x03\x02\x07\x80"),
        extension(
            "2.5.29.37",
            true,
            &sequence(&[b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x09"]),
        ),
        extension("1.3.6.1.5.5.7.48.1.5", false, b"\x05\x00"),
    ];
    draft
}
