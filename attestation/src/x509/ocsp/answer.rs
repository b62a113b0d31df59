//! What a response says of one certificate, and how it names it.
//!
//! Why apart: a name by digests must be bound to the actual issuer and number of the certificate at hand.
//!
//! # Invariants
//! A certificate is meant only where the digest of its issuer's name, the digest of its issuer's key and its serial
//! number are all the same. SHA-1 is a name here and nothing else: the answer counts only under a signature by that very
//! issuer or by a responder that the issuer's key certified, so who found another issuer of the same two digests would
//! still need the key. It would take a second preimage for names and keys that NVIDIA chose, which is not known for
//! SHA-1 (what is known are collisions, in which both sides are the attacker's). RFC 9919 (which replaces RFC 5019)
//! recommends SHA-256 and allows SHA-1; NVIDIA's responder answers in the algorithm of the question.

use anchorhold_encoding::{sha256, sha384};

use crate::signature::sha1;
use crate::time::Timestamp;
use crate::x509::Certificate;
use crate::x509::certificate::serial;
use crate::x509::ocsp::read::{
    ENUMERATED, Element, Elements, GENERALIZED_TIME, INTEGER, OCTET_STRING, SEQUENCE, context,
};
use crate::x509::ocsp::{OcspFault, RevocationReason, extensions};

/// `AlgorithmIdentifier` of SHA-1 (RFC 3279 section 2.1), with NULL and without parameters.
const SHA1: [&[u8]; 2] = [
    b"\x30\x09\x06\x05\x2b\x0e\x03\x02\x1a\x05\x00",
    b"\x30\x07\x06\x05\x2b\x0e\x03\x02\x1a",
];
/// Of SHA-256 (RFC 5754 section 2), both ways.
const SHA256: [&[u8]; 2] = [
    b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00",
    b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01",
];
/// Of SHA-384, both ways.
const SHA384: [&[u8]; 2] = [
    b"\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00",
    b"\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02",
];

/// The digest in which a response names an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NameDigest {
    Sha1,
    Sha256,
    Sha384,
    /// One that this version does not compute: then no certificate is meant that is known here.
    Other,
}

impl NameDigest {
    fn read(identifier: &[u8]) -> Self {
        if SHA1.contains(&identifier) {
            Self::Sha1
        } else if SHA256.contains(&identifier) {
            Self::Sha256
        } else if SHA384.contains(&identifier) {
            Self::Sha384
        } else {
            Self::Other
        }
    }

    fn is_of(self, digest: &[u8], content: &[u8]) -> bool {
        match self {
            Self::Sha1 => digest == sha1(content),
            Self::Sha256 => digest == sha256(&[content]).as_bytes(),
            Self::Sha384 => digest == sha384(&[content]).as_bytes(),
            Self::Other => false,
        }
    }
}

/// How a certificate stands (`CertStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Good,
    Revoked {
        since: Timestamp,
        reason: RevocationReason,
    },
    Unknown,
}

/// One `SingleResponse` (RFC 6960 section 4.2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    digest: NameDigest,
    issuer_name: Vec<u8>,
    issuer_key: Vec<u8>,
    pub(super) serial: Vec<u8>,
    pub(super) status: Status,
    pub(super) this_update: Timestamp,
    pub(super) next_update: Timestamp,
}

impl Answer {
    pub(super) fn read(element: &Element<'_>) -> Result<Self, OcspFault> {
        let mut fields = element.open()?;
        let mut id = fields.expect(SEQUENCE)?.open()?;
        let digest = NameDigest::read(id.expect(SEQUENCE)?.whole);
        let issuer_name = id.expect(OCTET_STRING)?.content.to_vec();
        let issuer_key = id.expect(OCTET_STRING)?.content.to_vec();
        let number = id.expect(INTEGER)?;
        id.finish()?;
        let status = status(&mut fields)?;
        let this_update = fields.expect(GENERALIZED_TIME)?.time()?;
        let next_update = fields
            .optional(context(0))?
            .ok_or(OcspFault::NoNextUpdate)?
            .only(GENERALIZED_TIME)?
            .time()?;
        if let Some(found) = fields.optional(context(1))? {
            extensions(&found, &[])?;
        }
        fields.finish()?;
        Ok(Self {
            digest,
            issuer_name,
            issuer_key,
            serial: serial(number.content).map_err(|_| number.wrong())?,
            status,
            this_update,
            next_update,
        })
    }

    /// Speaks of `certificate`, which `issuer` issued.
    pub(super) fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        self.serial == certificate.serial()
            && self.digest.is_of(&self.issuer_name, issuer.subject())
            && self.digest.is_of(&self.issuer_key, issuer.key().as_bytes())
    }
}

/// `good [0] NULL`, `revoked [1] { time, [0] reason }` or `unknown [2] NULL`, all implicit.
fn status(fields: &mut Elements<'_>) -> Result<Status, OcspFault> {
    let found = fields.any()?;
    match (found.tag, found.content) {
        (0x80, []) => Ok(Status::Good),
        (0x82, []) => Ok(Status::Unknown),
        (0xa1, _) => {
            let mut info = found.open()?;
            let since = info.expect(GENERALIZED_TIME)?.time()?;
            let reason = match info.optional(context(0))? {
                None => RevocationReason::Unspecified,
                Some(given) => {
                    let code = given.only(ENUMERATED)?;
                    let [code] = *code.content else {
                        return Err(given.wrong());
                    };
                    RevocationReason::from_code(code).ok_or_else(|| given.wrong())?
                }
            };
            info.finish()?;
            Ok(Status::Revoked { since, reason })
        }
        _ => Err(found.wrong()),
    }
}
