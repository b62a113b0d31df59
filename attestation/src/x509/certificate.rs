//! One certificate, read and not proven.
//!
//! Why apart: reading needs no key and no time, and what was read is worth nothing until a chain proves it.
//!
//! # Invariants
//! DER that encodes to the same bytes again, version 3, no unique identifiers, no extension twice. Slices point
//! into the bytes as they came.

use x509_cert::certificate::{CertificateInner, Profile};
use x509_cert::der::asn1::{BitStringRef, ObjectIdentifier};
use x509_cert::der::{Decode as _, Encode as _, Error, Reader as _, SliceReader};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};
use x509_cert::name::Name;
use x509_cert::time::Time;

use crate::limits;
use crate::signature::Scheme;
use crate::time::Timestamp;
use crate::x509::Fault;
use crate::x509::fault::within;
use crate::x509::key::{self, PublicKey};

/// `basicConstraints` (RFC 5280 section 4.2.1.9).
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
/// `keyUsage` (RFC 5280 section 4.2.1.3).
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
/// `version [0] EXPLICIT v3`.
const VERSION_3: &[u8] = b"\xa0\x03\x02\x01\x02";
/// Bytes of a serial number (RFC 5280 section 4.1.2.2), with a sign byte.
const SERIAL_NUMBER: usize = 21;

/// RFC 5280, but a date before 2050 may be a GeneralizedTime: NVIDIA's authorities for RIMs have such.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct DatesAsWritten;

impl Profile for DatesAsWritten {
    fn time_encoding(time: Time) -> x509_cert::der::Result<Time> {
        Ok(time)
    }
}

/// The signed part as it came, what it is said to be signed with, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    message: Vec<u8>,
    scheme: Scheme,
    signature: Vec<u8>,
}

impl Signed {
    /// Splits `SEQUENCE { toBeSigned, algorithm, signature }`; `inner` finds the algorithm in the signed part.
    pub(super) fn parse<'a>(
        der: &'a [u8],
        inner: impl FnOnce(&'a [u8]) -> Result<&'a [u8], Fault>,
    ) -> Result<Self, Fault> {
        let (message, algorithm, signature) = SliceReader::new(der)
            .and_then(|mut outer| {
                let parts = outer.sequence(|part| {
                    Ok::<_, Error>((part.tlv_bytes()?, part.tlv_bytes()?, BitStringRef::decode(part)?))
                })?;
                outer.finish()?;
                Ok(parts)
            })
            .map_err(syntax)?;
        if inner(message)? != algorithm {
            return Err(Fault::AlgorithmMismatch);
        }
        Self::new(message, algorithm, signature)
    }

    /// From its three parts, the first two with tag and length.
    pub(super) fn new(message: &[u8], algorithm: &[u8], signature: BitStringRef<'_>) -> Result<Self, Fault> {
        Ok(Self {
            message: message.to_vec(),
            scheme: key::scheme(algorithm).ok_or(Fault::Algorithm)?,
            signature: signature.as_bytes().ok_or(Fault::Syntax { offset: 0 })?.to_vec(),
        })
    }

    pub(super) const fn scheme(&self) -> Scheme {
        self.scheme
    }

    pub(super) fn verify(&self, key: &PublicKey) -> Result<(), Fault> {
        key.verify(self.scheme, &self.message, &self.signature)
            .map(drop)
            .ok_or(Fault::Signature)
    }
}

/// A certificate as it was read. Nothing about it is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    pub(super) signed: Signed,
    serial: Vec<u8>,
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    key_info: Vec<u8>,
    key: PublicKey,
    constraints: Option<BasicConstraints>,
    usage: Option<KeyUsage>,
    extensions: Vec<Extension>,
}

/// Fields of a signed part, each with its tag and length.
struct Fields<'a> {
    version: &'a [u8],
    algorithm: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    key_info: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(message: &'a [u8]) -> Result<Self, Fault> {
        SliceReader::new(message)
            .and_then(|mut outer| {
                outer.sequence(|part| {
                    let version = part.tlv_bytes()?;
                    part.tlv_bytes()?;
                    let algorithm = part.tlv_bytes()?;
                    let issuer = part.tlv_bytes()?;
                    part.tlv_bytes()?;
                    let subject = part.tlv_bytes()?;
                    let key_info = part.tlv_bytes()?;
                    while !part.is_finished() {
                        part.tlv_bytes()?;
                    }
                    Ok::<_, Error>(Self {
                        version,
                        algorithm,
                        issuer,
                        subject,
                        key_info,
                    })
                })
            })
            .map_err(syntax)
    }
}

impl Certificate {
    /// Reads one certificate in DER.
    ///
    /// # Errors
    /// The [`Fault`] that makes it none this version would ever accept.
    pub fn parse(der: &[u8]) -> Result<Self, Fault> {
        if der.len() > limits::CERTIFICATE {
            return Err(Fault::TooLarge {
                limit: limits::CERTIFICATE,
            });
        }
        let read = CertificateInner::<DatesAsWritten>::from_der(der).map_err(syntax)?;
        if read.to_der().ok().as_deref() != Some(der) {
            return Err(Fault::Syntax { offset: 0 });
        }
        let mut fields = None;
        let signed = Signed::parse(der, |message| {
            let found = Fields::read(message)?;
            let algorithm = found.algorithm;
            fields = Some(found);
            Ok(algorithm)
        })?;
        let fields = fields.ok_or(Fault::Syntax { offset: 0 })?;
        let tbs = read.tbs_certificate();
        if fields.version != VERSION_3
            || tbs.issuer_unique_id().is_some()
            || tbs.subject_unique_id().is_some()
        {
            return Err(Fault::Version);
        }
        let extensions = tbs.extensions().cloned().unwrap_or_default();
        unrepeated(&extensions)?;
        Ok(Self {
            signed,
            serial: serial(tbs.serial_number().as_bytes())?,
            issuer: fields.issuer.to_vec(),
            subject: fields.subject.to_vec(),
            not_before: timestamp(tbs.validity().not_before),
            not_after: timestamp(tbs.validity().not_after),
            key_info: fields.key_info.to_vec(),
            key: PublicKey::parse(fields.key_info)?,
            constraints: decode(&extensions, BASIC_CONSTRAINTS)?,
            usage: decode(&extensions, KEY_USAGE)?,
            extensions,
            der: der.to_vec(),
        })
    }

    /// The certificate as it came.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The serial number, big endian; AMD's leaves have 0.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The issuer's name in DER.
    #[must_use]
    pub fn issuer(&self) -> &[u8] {
        &self.issuer
    }

    /// The subject's name in DER.
    #[must_use]
    pub fn subject(&self) -> &[u8] {
        &self.subject
    }

    /// The subject's common name, if it has one that can be read. Written by whoever signed the certificate.
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let name = Name::from_der(&self.subject).ok()?;
        let found = name.common_name().ok()??;
        Some(found.value().into_owned())
    }

    /// The first second in which it is valid.
    #[must_use]
    pub const fn not_before(&self) -> Timestamp {
        self.not_before
    }

    /// The last second in which it is valid.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The subject's key.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn key_info(&self) -> &[u8] {
        &self.key_info
    }

    /// What the extension of this object identifier holds, critical or not.
    #[must_use]
    pub fn extension(&self, oid: &ObjectIdentifier) -> Option<&[u8]> {
        self.extensions
            .iter()
            .find(|extension| extension.extn_id == *oid)
            .map(|extension| extension.extn_value.as_bytes())
    }

    /// The object identifiers of all extensions, in order.
    pub fn extension_ids(&self) -> impl Iterator<Item = &ObjectIdentifier> {
        self.extensions.iter().map(|extension| &extension.extn_id)
    }

    /// An authority that may sign certificates; how many authorities may be below it.
    pub(super) fn authority(&self) -> Result<Option<u8>, Fault> {
        let constraints = self.constraints.as_ref().ok_or(Fault::NotAnAuthority)?;
        if !constraints.ca {
            return Err(Fault::NotAnAuthority);
        }
        let usage = self.usage.as_ref().ok_or(Fault::KeyUsage)?;
        if !usage.key_cert_sign() {
            return Err(Fault::KeyUsage);
        }
        Ok(constraints.path_len_constraint)
    }

    /// May sign revocation lists.
    pub(super) fn signs_lists(&self) -> bool {
        self.usage.as_ref().is_some_and(KeyUsage::crl_sign)
    }

    /// May sign what is neither a certificate nor a list, and says so.
    pub(super) fn signs_data(&self) -> bool {
        self.usage.as_ref().is_some_and(KeyUsage::digital_signature)
    }

    /// An end entity whose key may sign what is no certificate. Vendors' leaves need not have the extensions.
    pub(super) fn end_entity(&self) -> Result<(), Fault> {
        if self
            .constraints
            .as_ref()
            .is_some_and(|constraints| constraints.ca)
        {
            return Err(Fault::LeafIsAuthority);
        }
        match &self.usage {
            Some(usage) if !usage.digital_signature() || usage.key_cert_sign() || usage.crl_sign() => {
                Err(Fault::KeyUsage)
            }
            _ => Ok(()),
        }
    }

    /// Refuses critical extensions other than the two this module reads and those the caller does.
    pub(super) fn critical_are_known(&self, understood: &[ObjectIdentifier]) -> Result<(), Fault> {
        critical_are_known(&self.extensions, |oid| {
            *oid == BASIC_CONSTRAINTS || *oid == KEY_USAGE || understood.contains(oid)
        })
    }

    pub(super) fn valid_at(&self, at: Timestamp) -> Result<(), Fault> {
        within(self.not_before, self.not_after, at)
    }

    pub(super) fn self_issued(&self) -> bool {
        self.issuer == self.subject
    }
}

pub(super) fn critical_are_known(
    extensions: &[Extension],
    known: impl Fn(&ObjectIdentifier) -> bool,
) -> Result<(), Fault> {
    if extensions
        .iter()
        .any(|extension| extension.critical && !known(&extension.extn_id))
    {
        return Err(Fault::CriticalExtension);
    }
    Ok(())
}

pub(super) fn unrepeated(extensions: &[Extension]) -> Result<(), Fault> {
    let mut rest = extensions;
    while let Some((first, others)) = rest.split_first() {
        if others.iter().any(|other| other.extn_id == first.extn_id) {
            return Err(Fault::RepeatedExtension);
        }
        rest = others;
    }
    Ok(())
}

/// An extension's content as its type. It need not encode to the same bytes: AMD's `keyUsage` ends in a zero bit, which
/// DER would leave out.
pub(super) fn decode<'a, T>(extensions: &'a [Extension], oid: ObjectIdentifier) -> Result<Option<T>, Fault>
where
    T: x509_cert::der::Decode<'a>,
{
    extensions
        .iter()
        .find(|extension| extension.extn_id == oid)
        .map(|found| T::from_der(found.extn_value.as_bytes()).map_err(|_| Fault::Extension))
        .transpose()
}

/// A serial number that is not negative.
pub(super) fn serial(bytes: &[u8]) -> Result<Vec<u8>, Fault> {
    let negative = bytes.first().is_none_or(|first| *first >= 0x80);
    if negative || bytes.len() > SERIAL_NUMBER {
        return Err(Fault::SerialNumber);
    }
    Ok(bytes.to_vec())
}

pub(super) fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_unix(time.to_unix_duration().as_secs())
}

pub(super) fn syntax(error: Error) -> Fault {
    let offset = error.position().map_or(0, u32::from);
    Fault::Syntax {
        offset: usize::try_from(offset).unwrap_or(usize::MAX),
    }
}
