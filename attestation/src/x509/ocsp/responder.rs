//! Who may answer for an issuer: itself, or the one it has certified for that (RFC 6960 section 4.2.2.2).
//!
//! Why apart: a response proves nothing but under a key that came from here.
//!
//! # Invariants
//! No third way: a responder that is trusted by configuration does not exist. A delegate is certified by the issuer's own
//! key, now, for signing responses, and cannot be revoked without our knowing.

use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::ext::pkix::ExtendedKeyUsage;

use crate::signature::sha1;
use crate::time::Timestamp;
use crate::x509::ocsp::OcspFault;
use crate::x509::{Certificate, Fault};

/// `extKeyUsage` (RFC 5280 section 4.2.1.12).
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// `id-kp-OCSPSigning`.
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");
/// `id-pkix-ocsp-nocheck`: trusted for as long as its certificate lasts (RFC 6960 section 4.2.2.2.1). Its value is NULL.
const NO_CHECK: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.5");
const NULL: &[u8] = &[0x05, 0x00];

/// How a response names who signed it (`ResponderID`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ResponderId {
    /// A subject's name in DER.
    Name(Vec<u8>),
    /// SHA-1 of a key as it lies in the bit string. A name: the signature is what binds the key.
    Key(Vec<u8>),
}

impl ResponderId {
    fn is(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Name(name) => name == certificate.subject(),
            Self::Key(digest) => *digest == sha1(certificate.key().as_bytes()),
        }
    }
}

/// The certificate under whose key a response of `issuer` must be signed: the one that came with it, or the issuer's.
/// The issuer has been proven by a chain.
pub(super) fn authorised(
    id: &ResponderId,
    came: Option<&[u8]>,
    issuer: &Certificate,
    at: Timestamp,
) -> Result<Certificate, OcspFault> {
    issuer.valid_at(at).map_err(OcspFault::Responder)?;
    let responder = match came {
        Some(der) if der != issuer.der() => delegate(der, issuer, at)?,
        _ if issuer.signs_data() => issuer.clone(),
        _ => return Err(OcspFault::Responder(Fault::KeyUsage)),
    };
    if id.is(&responder) {
        return Ok(responder);
    }
    Err(OcspFault::ResponderId)
}

/// Proves a delegate's certificate under its issuer.
fn delegate(der: &[u8], issuer: &Certificate, at: Timestamp) -> Result<Certificate, OcspFault> {
    let own = Certificate::parse(der).map_err(OcspFault::Responder)?;
    holds(&own, issuer, at).map_err(OcspFault::Responder)?;
    let uses = own
        .extension(&EXTENDED_KEY_USAGE)
        .and_then(|value| ExtendedKeyUsage::from_der(value).ok());
    if !uses.is_some_and(|uses| uses.0.contains(&OCSP_SIGNING)) {
        return Err(OcspFault::NotAResponder);
    }
    if own.extension(&NO_CHECK) != Some(NULL) {
        return Err(OcspFault::Revocable);
    }
    Ok(own)
}

fn holds(own: &Certificate, issuer: &Certificate, at: Timestamp) -> Result<(), Fault> {
    if own.issuer() != issuer.subject() {
        return Err(Fault::Issuer);
    }
    own.valid_at(at)?;
    own.end_entity()?;
    own.critical_are_known(&[EXTENDED_KEY_USAGE, NO_CHECK])?;
    own.signed.verify(issuer.key())
}
