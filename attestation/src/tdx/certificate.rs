//! What certificates and revocation lists say, for checks that need no cryptography.
//!
//! Why apart: dcap-qvl judges chains as a whole; a person needs to know which certificate it was, and why.
//!
//! # Invariants
//! DER with nothing behind it. What is read here is not proven until the chain is.

use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::BitStringRef;
use x509_cert::der::{Decode as _, Reader as _, SliceReader};
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::time::Timestamp;

/// A certificate's statements.
#[derive(Debug, Clone)]
pub(super) struct Facts {
    pub(super) der: Vec<u8>,
    /// The subject's common name.
    pub(super) name: String,
    serial: Vec<u8>,
    pub(super) not_before: Timestamp,
    pub(super) not_after: Timestamp,
    /// Whether it may issue certificates.
    pub(super) authority: bool,
    /// The subject's key as a point.
    pub(super) key: Vec<u8>,
}

impl Facts {
    pub(super) fn parse(der: Vec<u8>) -> Option<Self> {
        let certificate = x509_cert::Certificate::from_der(&der).ok()?;
        let tbs = certificate.tbs_certificate();
        let key = tbs
            .subject_public_key_info()
            .subject_public_key
            .as_bytes()?
            .to_vec();
        let constraints = tbs.get_extension::<BasicConstraints>().ok()?;
        Some(Self {
            name: common_name(tbs.subject())?,
            serial: tbs.serial_number().as_bytes().to_vec(),
            not_before: timestamp(tbs.validity().not_before),
            not_after: timestamp(tbs.validity().not_after),
            authority: constraints.is_some_and(|(_, constraints)| constraints.ca),
            key,
            der,
        })
    }
}

/// A revocation list's statements.
#[derive(Debug, Clone)]
pub(super) struct CrlFacts {
    pub(super) der: Vec<u8>,
    /// The issuer's common name.
    pub(super) issuer: String,
    pub(super) this_update: Timestamp,
    /// `None` when the list never says; Intel's always do.
    pub(super) next_update: Option<Timestamp>,
    revoked: Vec<Vec<u8>>,
}

impl CrlFacts {
    pub(super) fn parse(der: Vec<u8>) -> Option<Self> {
        let list = CertificateList::<Rfc5280>::from_der(&der).ok()?;
        let tbs = list.tbs_cert_list;
        let revoked = tbs.revoked_certificates.iter().flatten();
        Some(Self {
            issuer: common_name(&tbs.issuer)?,
            this_update: timestamp(tbs.this_update),
            next_update: tbs.next_update.map(timestamp),
            revoked: revoked
                .map(|entry| entry.serial_number.as_bytes().to_vec())
                .collect(),
            der,
        })
    }

    pub(super) fn lists(&self, certificate: &Facts) -> bool {
        self.revoked.contains(&certificate.serial)
    }
}

fn common_name(name: &Name) -> Option<String> {
    let found = name.common_name().ok()??;
    Some(found.value().into_owned())
}

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_unix(time.to_unix_duration().as_secs())
}

/// `AlgorithmIdentifier` of ecdsa-with-SHA256 (RFC 5758 section 3.2): no parameters.
const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

/// The signed part of a certificate or CRL as it stands, and the signature over it: X.509's
/// `SEQUENCE { toBeSigned, algorithm, BIT STRING }`, where the algorithm is ecdsa-with-SHA256.
pub(super) fn signed_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut outer = SliceReader::new(der).ok()?;
    let (signed, algorithm, signature) = outer
        .sequence(|inner| {
            let (signed, algorithm) = (inner.tlv_bytes()?, inner.tlv_bytes()?);
            let signature = BitStringRef::decode(inner)?;
            Ok::<_, x509_cert::der::Error>((signed, algorithm, signature))
        })
        .ok()?;
    (algorithm == ECDSA_SHA256).then_some((signed, signature.as_bytes()?))
}
