//! Revocation lists (RFC 5280 section 5), proven under their issuer's key and current at a time.
//!
//! Why apart: whether something was withdrawn has its own signature, its own dates and its own number.
//!
//! # Invariants
//! Complete lists only: any critical extension is refused, as one may narrow what the list covers. Both dates and
//! the number must be there. A list that is not proven answers nothing.

use x509_cert::certificate::Rfc5280;
use x509_cert::crl::CertificateList;
use x509_cert::der::asn1::{ObjectIdentifier, Uint};
use x509_cert::der::{Decode as _, Encode as _, Error, Reader as _, SliceReader};

use crate::limits;
use crate::time::Timestamp;
use crate::x509::certificate::{Signed, critical_are_known, decode, serial, syntax, timestamp, unrepeated};
use crate::x509::fault::within;
use crate::x509::{Anchor, Certificate, Fault};

/// `cRLNumber` (RFC 5280 section 5.2.3).
const NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
/// `version v2`.
const VERSION_2: &[u8] = b"\x02\x01\x01";
/// Bytes of a list's number (RFC 5280 section 5.2.3).
const NUMBER_BYTES: usize = 20;

/// A revocation list as it was read. Nothing about it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crl {
    signed: Signed,
    issuer: Vec<u8>,
    this_update: Timestamp,
    next_update: Timestamp,
    number: Vec<u8>,
    revoked: Vec<Vec<u8>>,
}

/// Version, algorithm and issuer of a signed part, each with its tag and length.
fn fields(message: &[u8]) -> Result<[&[u8]; 3], Fault> {
    SliceReader::new(message)
        .and_then(|mut outer| {
            outer.sequence(|part| {
                let found = [part.tlv_bytes()?, part.tlv_bytes()?, part.tlv_bytes()?];
                while !part.is_finished() {
                    part.tlv_bytes()?;
                }
                Ok::<_, Error>(found)
            })
        })
        .map_err(syntax)
}

impl Crl {
    /// Reads one list in DER.
    ///
    /// # Errors
    /// The [`Fault`] that makes it none this version would ever accept.
    pub fn parse(der: &[u8]) -> Result<Self, Fault> {
        if der.len() > limits::CRL {
            return Err(Fault::TooLarge { limit: limits::CRL });
        }
        let read = CertificateList::<Rfc5280>::from_der(der).map_err(syntax)?;
        if read.to_der().ok().as_deref() != Some(der) {
            return Err(Fault::Syntax { offset: 0 });
        }
        let mut found = None;
        let signed = Signed::parse(der, |message| {
            let [version, algorithm, issuer] = fields(message)?;
            found = Some((version, issuer));
            Ok(algorithm)
        })?;
        let (version, issuer) = found.ok_or(Fault::Syntax { offset: 0 })?;
        if version != VERSION_2 {
            return Err(Fault::Version);
        }
        let tbs = read.tbs_cert_list;
        let mut revoked = Vec::new();
        for entry in tbs.revoked_certificates.iter().flatten() {
            let extensions = entry.crl_entry_extensions.as_deref().unwrap_or_default();
            critical_are_known(extensions, |_| false)?;
            revoked.push(serial(entry.serial_number.as_bytes())?);
        }
        let extensions = tbs.crl_extensions.as_deref().unwrap_or_default();
        unrepeated(extensions)?;
        critical_are_known(extensions, |_| false)?;
        let number: Uint = decode(extensions, NUMBER)?.ok_or(Fault::NoNumber)?;
        if number.as_bytes().len() > NUMBER_BYTES {
            return Err(Fault::Extension);
        }
        Ok(Self {
            signed,
            issuer: issuer.to_vec(),
            this_update: timestamp(tbs.this_update),
            next_update: timestamp(tbs.next_update.ok_or(Fault::NoNextUpdate)?),
            number: number.as_bytes().to_vec(),
            revoked,
        })
    }

    /// The issuer's name in DER.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// When it says it was made, until when it says it is current, and the number it says it has: nothing is proven.
    pub(crate) fn said(&self) -> (Timestamp, Timestamp, &[u8]) {
        (self.this_update, self.next_update, &self.number)
    }

    /// Proves that `anchor` issued this list and that it is current.
    ///
    /// # Errors
    /// The [`Fault`] because of which it says nothing about anything.
    pub fn verify(self, anchor: &Anchor, at: Timestamp) -> Result<VerifiedCrl, Fault> {
        let issuer = anchor.certificate();
        if self.issuer != issuer.subject() {
            return Err(Fault::Issuer);
        }
        if !issuer.signs_lists() {
            return Err(Fault::KeyUsage);
        }
        issuer.valid_at(at)?;
        within(self.this_update, self.next_update, at)?;
        self.signed.verify(issuer.key())?;
        Ok(VerifiedCrl(self))
    }
}

/// A list that was proven and current.
#[derive(Debug)]
pub struct VerifiedCrl(Crl);

impl VerifiedCrl {
    /// Refuses a certificate this list names. Only certificates of the list's own issuer can be on it.
    ///
    /// # Errors
    /// [`Fault::Revoked`], or [`Fault::Issuer`] when the list cannot say.
    pub fn check(&self, certificate: &Certificate) -> Result<(), Fault> {
        if certificate.issuer() != self.0.issuer {
            return Err(Fault::Issuer);
        }
        if self.0.revoked.iter().any(|serial| serial == certificate.serial()) {
            return Err(Fault::Revoked);
        }
        Ok(())
    }

    /// The list's number, big endian: a later list has a larger one (RFC 5280 section 5.2.3).
    #[must_use]
    pub fn number(&self) -> &[u8] {
        &self.0.number
    }

    /// When the list was made.
    #[must_use]
    pub const fn this_update(&self) -> Timestamp {
        self.0.this_update
    }

    /// Until when it is current.
    #[must_use]
    pub const fn next_update(&self) -> Timestamp {
        self.0.next_update
    }

    /// How many certificates it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.revoked.len()
    }

    /// It names none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.revoked.is_empty()
    }
}
