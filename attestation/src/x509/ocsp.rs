//! OCSP responses (RFC 6960): an issuer's word, for some time, on certificates that it issued.
//!
//! Why apart: where a vendor publishes no list of what it withdrew, this is the only word on it, and here it comes stapled to the
//! evidence instead of over a connection.
//!
//! - [`read`]: elements, with the byte where each lies
//! - [`answer`]: what is said of one certificate
//! - [`responder`]: who may say it
//! - [`fault`]: what can be wrong
//!
//! # Invariants
//! Signed with ECDSA P-384 and SHA-384 over the bytes as they came, by the issuer or its delegate. Both dates must be there
//! and are judged at the time given; none is stretched. Nobody here asked, so no nonce is demanded: what bounds the age of an
//! answer is its `nextUpdate`. Only this file makes a [`VerifiedOcsp`], and only of a certificate that is good.

mod answer;
mod fault;
mod read;
mod responder;

use x509_cert::der::asn1::{BitStringRef, ObjectIdentifier, OctetStringRef};
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::Extension;

use crate::limits;
use crate::signature::Scheme;
use crate::time::Timestamp;
use crate::x509::VerifiedChain;
use crate::x509::certificate::{Signed, critical_are_known, unrepeated};

use answer::{Answer, Status};
pub use fault::{OcspFault, RevocationReason};
use read::{
    BIT_STRING, ENUMERATED, Element, Elements, GENERALIZED_TIME, OCTET_STRING, OID, SEQUENCE, context,
};
use responder::ResponderId;

/// `id-pkix-ocsp-basic` (RFC 6960 section 4.2.1).
const BASIC: &[u8] = b"\x06\x09\x2b\x06\x01\x05\x05\x07\x30\x01\x01";
/// `id-pkix-ocsp-nonce` (RFC 9654 section 2.1).
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
/// Bytes of a nonce (RFC 9654 section 2.1).
const NONCE_BYTES: usize = 128;

/// A response as it was read. Nothing about it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspResponse {
    signed: Signed,
    responder: ResponderId,
    produced_at: Timestamp,
    answers: Vec<Answer>,
    nonce: Option<Vec<u8>>,
    /// The first certificate that came with it. Others that came are not looked at.
    certificate: Option<Vec<u8>>,
}

impl OcspResponse {
    /// Reads one response in DER.
    ///
    /// # Errors
    /// The [`OcspFault`] that makes it none this version would ever accept.
    pub fn parse(der: &[u8]) -> Result<Self, OcspFault> {
        if der.len() > limits::OCSP {
            return Err(OcspFault::TooLarge);
        }
        let basic = basic(der)?;
        let mut parts = basic.open()?;
        let data = parts.expect(SEQUENCE)?;
        let algorithm = parts.expect(SEQUENCE)?;
        let signature = parts.expect(BIT_STRING)?;
        let certificate = parts.optional(context(0))?.map(|found| first_certificate(&found));
        parts.finish()?;
        let bits = BitStringRef::from_der(signature.whole).map_err(|_| signature.wrong())?;
        let signed = Signed::new(data.whole, algorithm.whole, bits).map_err(|_| OcspFault::Algorithm)?;
        if signed.scheme() != Scheme::EcdsaP384 {
            return Err(OcspFault::Algorithm);
        }
        let mut fields = data.open()?;
        let responder = responder_id(&mut fields)?;
        let produced_at = fields.expect(GENERALIZED_TIME)?.time()?;
        let mut list = fields.expect(SEQUENCE)?.open()?;
        let mut answers = Vec::new();
        while !list.is_finished() {
            answers.push(Answer::read(&list.expect(SEQUENCE)?)?);
        }
        let found = fields.optional(context(1))?;
        let nonce = found.map(|found| nonce(&found)).transpose()?.flatten();
        fields.finish()?;
        Ok(Self {
            signed,
            responder,
            produced_at,
            answers,
            nonce,
            certificate: certificate.transpose()?,
        })
    }

    /// From when until when all of its answers say they are current, and the serial numbers they are about: nothing is
    /// proven. `None` when there are none.
    pub(crate) fn said(&self) -> Option<(Timestamp, Timestamp, Vec<Vec<u8>>)> {
        let from = self.answers.iter().map(|answer| answer.this_update).max()?;
        let until = self.answers.iter().map(|answer| answer.next_update).min()?;
        let serials = self.answers.iter().map(|answer| answer.serial.clone());
        Some((from.max(self.produced_at), until, serials.collect()))
    }

    /// Proves that the one certificate at `link` of `chain` (0 is the leaf) is not revoked as of `at`; `None` when this
    /// response does not speak of it.
    ///
    /// # Errors
    /// The [`OcspFault`] because of which it says nothing, or what it says against the certificate.
    pub fn verify(
        &self,
        chain: &VerifiedChain,
        link: usize,
        at: Timestamp,
    ) -> Result<Option<VerifiedOcsp>, OcspFault> {
        let Some((certificate, issuer)) = chain.link(link) else {
            return Ok(None);
        };
        let mut about = self
            .answers
            .iter()
            .filter(|answer| answer.is_about(certificate, issuer));
        let Some(answer) = about.next() else {
            return Ok(None);
        };
        if about.next().is_some() {
            return Err(OcspFault::Repeated);
        }
        let responder = responder::authorised(&self.responder, self.certificate.as_deref(), issuer, at)?;
        self.signed
            .verify(responder.key())
            .map_err(|_| OcspFault::Signature)?;
        let from = answer.this_update.max(self.produced_at);
        if at < from {
            return Err(OcspFault::NotYetValid { from });
        }
        if at > answer.next_update {
            return Err(OcspFault::Expired {
                until: answer.next_update,
            });
        }
        match answer.status {
            Status::Good => Ok(Some(VerifiedOcsp {
                link,
                this_update: answer.this_update,
                next_update: answer.next_update,
                expires: answer.next_update.min(responder.not_after()),
                nonce: self.nonce.clone(),
            })),
            Status::Unknown => Err(OcspFault::Unknown),
            Status::Revoked { since, reason } => Err(OcspFault::Revoked { since, reason }),
        }
    }
}

/// One certificate of a chain is not revoked: its issuer says so, for some time.
///
/// ```compile_fail
/// use anchorhold_attestation::x509::VerifiedOcsp;
/// fn copy(proof: &VerifiedOcsp) -> VerifiedOcsp { proof.clone() }
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifiedOcsp {
    link: usize,
    this_update: Timestamp,
    next_update: Timestamp,
    expires: Timestamp,
    nonce: Option<Vec<u8>>,
}

impl VerifiedOcsp {
    /// Which certificate of its chain; 0 is the leaf.
    #[must_use]
    pub const fn link(&self) -> usize {
        self.link
    }

    /// When this was known to be so.
    #[must_use]
    pub const fn this_update(&self) -> Timestamp {
        self.this_update
    }

    /// Until when the issuer stands by it.
    #[must_use]
    pub const fn next_update(&self) -> Timestamp {
        self.next_update
    }

    /// Until when this proof is good: the end of the answer or of the responder's certificate.
    #[must_use]
    pub const fn expires(&self) -> Timestamp {
        self.expires
    }

    /// The nonce of whoever asked the responder, if there was one. It proves freshness to them alone.
    #[must_use]
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }
}

/// The `BasicOCSPResponse` in a successful `OCSPResponse`.
fn basic(der: &[u8]) -> Result<Element<'_>, OcspFault> {
    let mut outer = Elements::new(der, 0)?;
    let response = outer.expect(SEQUENCE)?;
    outer.finish()?;
    let mut parts = response.open()?;
    let status = parts.expect(ENUMERATED)?;
    match *status.content {
        [0] => {}
        [status] => return Err(OcspFault::NoAnswer { status }),
        _ => return Err(status.wrong()),
    }
    let mut bytes = parts.expect(context(0))?.only(SEQUENCE)?.open()?;
    parts.finish()?;
    if bytes.expect(OID)?.whole != BASIC {
        return Err(OcspFault::Type);
    }
    let basic = bytes.expect(OCTET_STRING)?.only(SEQUENCE)?;
    bytes.finish()?;
    Ok(basic)
}

/// `byName [1]` or `byKey [2]`, both explicit. A version before it would be the default, which DER leaves out.
fn responder_id(fields: &mut Elements<'_>) -> Result<ResponderId, OcspFault> {
    if let Some(name) = fields.optional(context(1))? {
        return Ok(ResponderId::Name(name.only(SEQUENCE)?.whole.to_vec()));
    }
    let key = fields.expect(context(2))?.only(OCTET_STRING)?;
    Ok(ResponderId::Key(key.content.to_vec()))
}

fn first_certificate(found: &Element<'_>) -> Result<Vec<u8>, OcspFault> {
    let mut list = found.only(SEQUENCE)?.open()?;
    list.expect(SEQUENCE).map(|first| first.whole.to_vec())
}

/// The nonce among a response's extensions.
fn nonce(found: &Element<'_>) -> Result<Option<Vec<u8>>, OcspFault> {
    let all = extensions(found, &[NONCE])?;
    let Some(extension) = all.iter().find(|extension| extension.extn_id == NONCE) else {
        return Ok(None);
    };
    let value = <&OctetStringRef>::from_der(extension.extn_value.as_bytes())
        .map_err(|_| OcspFault::Extension)?
        .as_bytes();
    if value.is_empty() || value.len() > NONCE_BYTES {
        return Err(OcspFault::Extension);
    }
    Ok(Some(value.to_vec()))
}

/// Reads `[1] Extensions`, none twice, none critical but `understood`.
fn extensions(found: &Element<'_>, understood: &[ObjectIdentifier]) -> Result<Vec<Extension>, OcspFault> {
    let list = found.only(SEQUENCE)?;
    let all = Vec::<Extension>::from_der(list.whole).map_err(|_| list.wrong())?;
    if all.is_empty() || all.to_der().ok().as_deref() != Some(list.whole) {
        return Err(list.wrong());
    }
    unrepeated(&all)
        .and_then(|()| critical_are_known(&all, |oid| understood.contains(oid)))
        .map_err(|_| OcspFault::Extension)?;
    Ok(all)
}

#[cfg(test)]
mod tests;
