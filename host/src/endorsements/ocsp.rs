//! A question of OCSP: does this certificate stand?
//!
//! Why apart: the only thing that is written in DER here.
//!
//! # Invariants
//! RFC 6960 section 4.1.1, one certificate a request, named by SHA-384 as NVIDIA's own verifier names it. No nonce:
//! the answer is kept and stapled for others, and its age is bounded by its `nextUpdate`. A question knows the whole chain that
//! the certificate is in: without it nobody could tell whether an answer is genuine.

use std::sync::Arc;

use anchorhold_encoding::{Digest, sha256, sha384};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

/// `AlgorithmIdentifier` of SHA-384 without parameters (RFC 5754 section 2).
const SHA384: &[u8] = b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02";
const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;

/// A question about one certificate.
#[derive(Debug, Clone)]
pub struct Question {
    der: Vec<u8>,
    serial: Vec<u8>,
    chain: Arc<Vec<Vec<u8>>>,
    link: usize,
}

/// Chains that share an authority ask the same about it.
impl PartialEq for Question {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Question {}

impl Question {
    /// Asks about the certificate at `link` of `chain`, in DER, which the next one issued. `None` when either is no
    /// certificate, or the issuer has another name.
    #[must_use]
    pub fn about(chain: &Arc<Vec<Vec<u8>>>, link: usize) -> Option<Self> {
        let certificate = Certificate::from_der(chain.get(link)?).ok()?;
        let issuer = Certificate::from_der(chain.get(link + 1)?).ok()?;
        let (asked, by) = (certificate.tbs_certificate(), issuer.tbs_certificate());
        if asked.issuer() != by.subject() {
            return None;
        }
        let key = by.subject_public_key_info().subject_public_key.as_bytes()?;
        let serial = asked.serial_number().as_bytes();
        let id = tlv(
            SEQUENCE,
            &[
                SHA384,
                &tlv(
                    OCTET_STRING,
                    &[sha384(&[&by.subject().to_der().ok()?]).as_bytes()],
                ),
                &tlv(OCTET_STRING, &[sha384(&[key]).as_bytes()]),
                &tlv(INTEGER, &[serial]),
            ],
        );
        // OCSPRequest { tbsRequest { requestList { Request { reqCert }}}}
        let der = (0..4).fold(id, |inner, _| tlv(SEQUENCE, &[&inner]));
        let first = serial.iter().position(|byte| *byte != 0).unwrap_or(serial.len());
        Some(Self {
            der,
            serial: serial.get(first..).unwrap_or_default().to_vec(),
            chain: Arc::clone(chain),
            link,
        })
    }

    /// The request in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The certificate's serial number, big endian without leading zeros.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The chain that the certificate is in, and its place there.
    #[must_use]
    pub fn chain(&self) -> (&[Vec<u8>], usize) {
        (&self.chain, self.link)
    }

    /// SHA-256 of the request: issuer and serial number, and so the certificate.
    #[must_use]
    pub fn id_digest(&self) -> Digest<32> {
        sha256(&[&self.der])
    }
}

/// Tag, length and content. Everything here is far below 64 KiB.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let mut encoded = vec![tag];
    match (u8::try_from(content.len()), u16::try_from(content.len())) {
        (Ok(length), _) if length < 0x80 => encoded.push(length),
        (Ok(length), _) => encoded.extend([0x81, length]),
        (_, length) => {
            encoded.push(0x82);
            encoded.extend(length.unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    encoded.extend(content);
    encoded
}
