//! Providers that do not exist: TPMs, their keys and certificates, under roots of the test.
//!
//! Why apart: a bare clone has no machine of Google's or AWS's, and theirs will not show what is wrong.
//!
//! # Invariants
//! Built for tests only. Every default is what a genuine machine would send, but for the names and keys of its roots.

use anchorhold_encoding::{Digest, sha256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, RSA_PKCS1_SHA256,
};

use crate::binding::ReportData;
use crate::provider::{Anchors, GoogleQuote, ProviderError, ProviderMachine, verify_aws, verify_google};
use crate::time::Timestamp;
use crate::x509::forge::{Draft, Key, NOW, certificate_usage, constraints, extension};

/// The moment at which everything is valid.
pub(crate) const AT: Timestamp = Timestamp::from_unix(NOW);

/// `keyUsage` of digitalSignature.
fn signing_usage() -> Vec<u8> {
    extension("2.5.29.15", true, b"\x03\x02\x07\x80")
}

/// One authority below a root.
fn authority(subject: &str, issuer: &str) -> Draft {
    Draft {
        serial: vec![2],
        extensions: vec![constraints(Some(0)), certificate_usage()],
        ..Draft::authority(subject, issuer)
    }
}

fn leaf(subject: &str, issuer: &str) -> Draft {
    Draft {
        serial: vec![3],
        extensions: vec![signing_usage()],
        ..Draft::leaf(subject, issuer)
    }
}

/// A length in 4 bytes, and the bytes.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap().to_be_bytes();
    [length.as_slice(), bytes].concat()
}

/// What one machine of the fake Google sends.
pub(crate) struct Google {
    pub(crate) root: Vec<u8>,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) message: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    pub(crate) registers: Vec<u8>,
    key: Key,
}

impl Google {
    /// With a key of RSA, as Google's machines have by default.
    pub(crate) fn rsa(data: &ReportData, values: &[Digest<32>; 24]) -> Self {
        Self::new(Key::rsa(), data, values)
    }

    pub(crate) fn p256(data: &ReportData, values: &[Digest<32>; 24]) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::new(Key::P256(pair), data, values)
    }

    fn new(key: Key, data: &ReportData, values: &[Digest<32>; 24]) -> Self {
        let (root, middle) = (Key::p384(), Key::p384());
        let (top, below) = ("EK/AK CA Root", "EK/AK CA Intermediate");
        let mut google = Self {
            root: Draft::authority(top, top).sign(&root, &root),
            chain: vec![
                leaf("machine", below).sign(&key, &middle),
                authority(below, top).sign(&middle, &root),
            ],
            message: message(sha256(&[data.as_bytes()]).as_bytes(), values),
            signature: Vec::new(),
            registers: values.iter().flat_map(|value| *value.as_bytes()).collect(),
            key,
        };
        google.signature = google.sign(&google.message);
        google
    }

    /// TPMT_SIGNATURE.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.key {
            Key::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .unwrap();
                [&[0, 0x14, 0, 0x0b, 1, 0], signature.as_slice()].concat()
            }
            other => {
                let signature = other.sign(message);
                let (r, s) = signature.split_at(32);
                [&[0, 0x18, 0, 0x0b, 0, 32], r, &[0, 32], s].concat()
            }
        }
    }

    pub(crate) fn certificates(&self) -> Vec<u8> {
        self.chain.iter().flat_map(|der| framed(der)).collect()
    }

    pub(crate) fn anchors(&self) -> Anchors {
        Anchors::given(Some(&self.root), None).unwrap()
    }

    pub(crate) fn verify_at(
        &self,
        data: &ReportData,
        now: Timestamp,
    ) -> Result<ProviderMachine, ProviderError> {
        let quote = GoogleQuote {
            certificates: &self.certificates(),
            message: &self.message,
            signature: &self.signature,
            registers: &self.registers,
        };
        verify_google(&quote, data, self.anchors().google().unwrap(), now)
    }
}

/// TPMS_ATTEST over all registers.
pub(crate) fn message(qualifying: &[u8], values: &[Digest<32>; 24]) -> Vec<u8> {
    let all: Vec<&[u8]> = values.iter().map(|value| value.as_bytes().as_slice()).collect();
    let size = u16::try_from(qualifying.len()).unwrap();
    [
        [0xff, 0x54, 0x43, 0x47, 0x80, 0x18, 0, 34, 0, 0x0b].as_slice(),
        &[9; 32],
        &size.to_be_bytes(),
        qualifying,
        &77_u64.to_be_bytes(),
        &3_u32.to_be_bytes(),
        &2_u32.to_be_bytes(),
        &[1],
        &5_u64.to_be_bytes(),
        &[0, 0, 0, 1, 0, 0x0b, 3, 0xff, 0xff, 0xff, 0, 32],
        sha256(&all).as_bytes(),
    ]
    .concat()
}

/// Initial byte and argument of CBOR.
pub(crate) fn head(major: u8, value: usize) -> Vec<u8> {
    let kind = major << 5;
    match value {
        0..24 => vec![kind | value as u8],
        24..256 => vec![kind | 24, value as u8],
        256..65_536 => vec![kind | 25, (value >> 8) as u8, value as u8],
        _ => [[kind | 27].as_slice(), &(value as u64).to_be_bytes()].concat(),
    }
}

pub(crate) fn string(major: u8, content: &[u8]) -> Vec<u8> {
    [head(major, content.len()), content.to_vec()].concat()
}

/// What one machine of the fake AWS sends.
pub(crate) struct Aws {
    pub(crate) root: Vec<u8>,
    /// Name and encoded value of each member of the payload.
    pub(crate) members: Vec<(&'static str, Vec<u8>)>,
    /// A map of indefinite length.
    pub(crate) open: bool,
    key: Key,
}

impl Aws {
    pub(crate) fn new(data: &ReportData, values: &[Digest<48>; 24]) -> Self {
        let (root, middle) = (Key::p384(), Key::p384());
        let key = Key::P384(EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
        let (top, below) = ("aws.nitro-enclaves", "instance");
        let root_der = Draft::authority(top, top).sign(&root, &root);
        let bundle = [
            head(4, 2),
            string(2, &root_der),
            string(2, &authority(below, top).sign(&middle, &root)),
        ];
        let mut registers = head(5, values.len());
        for (number, value) in values.iter().enumerate() {
            registers.extend(head(0, number));
            registers.extend(string(2, value.as_bytes()));
        }
        let members = vec![
            ("module_id", string(3, b"i-0123456789abcdef0-tpm0000000000000000")),
            ("digest", string(3, b"SHA384")),
            ("timestamp", head(0, 1_767_225_600_000)),
            ("nitrotpm_pcrs", registers),
            ("certificate", string(2, &leaf("tpm", below).sign(&key, &middle))),
            ("cabundle", bundle.concat()),
            ("public_key", vec![0xf6]),
            ("user_data", string(2, sha256(&[data.as_bytes()]).as_bytes())),
            ("nonce", vec![0xf6]),
        ];
        Self {
            root: root_der,
            members,
            open: false,
            key,
        }
    }

    pub(crate) fn set(&mut self, name: &str, value: Vec<u8>) {
        let member = self.members.iter_mut().find(|(other, _)| *other == name);
        member.unwrap().1 = value;
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut payload = if self.open {
            vec![0xbf]
        } else {
            head(5, self.members.len())
        };
        for (name, value) in &self.members {
            payload.extend(string(3, name.as_bytes()));
            payload.extend(value);
        }
        if self.open {
            payload.push(0xff);
        }
        payload
    }

    /// The document, signed.
    pub(crate) fn document(&self) -> Vec<u8> {
        self.document_of(&self.payload())
    }

    pub(crate) fn document_of(&self, payload: &[u8]) -> Vec<u8> {
        let protected = [0x44, 0xa1, 0x01, 0x38, 0x22];
        let payload = string(2, payload);
        let signed = [b"\x84\x6aSignature1".as_slice(), &protected, &[0x40], &payload].concat();
        let signature = string(2, &self.key.sign(&signed));
        [[0x84].as_slice(), &protected, &[0xa0], &payload, &signature].concat()
    }

    pub(crate) fn anchors(&self) -> Anchors {
        Anchors::given(None, Some(&self.root)).unwrap()
    }

    pub(crate) fn verify_at(
        &self,
        document: &[u8],
        data: &ReportData,
        now: Timestamp,
    ) -> Result<ProviderMachine, ProviderError> {
        verify_aws(document, data, self.anchors().aws().unwrap(), now)
    }
}
