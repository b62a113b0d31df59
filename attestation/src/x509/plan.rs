//! The order in which certificates, paths and lists are checked, for traces.
//!
//! Why apart: several platforms have such parts, and each tells whose they are.
//!
//! # Invariants
//! The order of [`super::certificate`], [`super::chain`] and [`super::crl`]; what a step is made of (dates, offsets)
//! means nothing.

use crate::limits;
use crate::time::Timestamp;
use crate::x509::Fault;

const NEVER: Timestamp = Timestamp::MAX;

/// Valid already, and still.
pub(crate) const DATES: [Fault; 2] = [
    Fault::NotYetValid { from: NEVER },
    Fault::Expired { until: NEVER },
];

/// Reading a certificate.
pub(crate) const CERTIFICATE: [Fault; 9] = [
    Fault::TooLarge {
        limit: limits::CERTIFICATE,
    },
    Fault::Syntax { offset: 0 },
    Fault::AlgorithmMismatch,
    Fault::Algorithm,
    Fault::Version,
    Fault::RepeatedExtension,
    Fault::SerialNumber,
    Fault::Key,
    Fault::Extension,
];

/// A leaf by itself.
pub(crate) const LEAF: [Fault; 5] = {
    let [not_yet, expired] = DATES;
    [
        not_yet,
        expired,
        Fault::LeafIsAuthority,
        Fault::KeyUsage,
        Fault::CriticalExtension,
    ]
};

/// One link, from a certificate to its issuer: true where it is the issuer that is looked at.
pub(crate) const LINK: [(bool, Fault); 8] = {
    let [not_yet, expired] = DATES;
    [
        (false, Fault::Issuer),
        (true, not_yet),
        (true, expired),
        (true, Fault::CriticalExtension),
        (true, Fault::NotAnAuthority),
        (true, Fault::KeyUsage),
        (true, Fault::PathConstraint),
        (false, Fault::Signature),
    ]
};

/// Reading a list, proving it, and looking for a certificate in it.
pub(crate) const LIST: [Fault; 18] = {
    let [not_yet, expired] = DATES;
    [
        Fault::TooLarge { limit: limits::CRL },
        Fault::Syntax { offset: 0 },
        Fault::AlgorithmMismatch,
        Fault::Algorithm,
        Fault::Version,
        Fault::CriticalExtension,
        Fault::SerialNumber,
        Fault::RepeatedExtension,
        Fault::CriticalExtension,
        Fault::Extension,
        Fault::NoNumber,
        Fault::NoNextUpdate,
        Fault::Issuer,
        Fault::KeyUsage,
        not_yet,
        expired,
        Fault::Signature,
        Fault::Revoked,
    ]
};
