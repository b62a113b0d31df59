//! What can be wrong with a certificate or a revocation list.
//!
//! Why apart: every platform's errors carry one of these, and documents list their ids.
//!
//! # Invariants
//! Holds offsets, limits and times, nothing a stranger wrote.

use std::fmt;

use crate::limits;
use crate::time::Timestamp;

/// What is wrong with one certificate or revocation list. Who is to blame is said by what carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Larger than [`limits::CERTIFICATE`] or [`limits::CRL`].
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// Not DER, or not of the shape.
    Syntax {
        /// Of the byte at which reading stopped, as far as is known.
        offset: usize,
    },
    /// Not version 3 of a certificate, or 2 of a list.
    Version,
    /// The serial number is negative or longer than 20 bytes.
    SerialNumber,
    /// Signed in a way this version does not check.
    Algorithm,
    /// The signed part and the outer part name different algorithms.
    AlgorithmMismatch,
    /// A public key of an unknown kind.
    Key,
    /// An extension occurs twice.
    RepeatedExtension,
    /// `basicConstraints`, `keyUsage` or a list's number cannot be read.
    Extension,
    /// A critical extension that this version does not understand.
    CriticalExtension,
    /// No certificate at all, or more than [`limits::PATH`].
    PathLength,
    /// The issuer named is not the next one's subject.
    Issuer,
    /// The signature does not hold under the issuer's key.
    Signature,
    /// Not valid yet.
    NotYetValid {
        /// When it begins to be.
        from: Timestamp,
    },
    /// Not valid any more.
    Expired {
        /// When it ended.
        until: Timestamp,
    },
    /// Issues a certificate without being an authority (`basicConstraints`).
    NotAnAuthority,
    /// More authorities below it than its path length allows.
    PathConstraint,
    /// Its key may not be used for this (`keyUsage`).
    KeyUsage,
    /// An authority where an end entity must be.
    LeafIsAuthority,
    /// The list does not say until when it is current.
    NoNextUpdate,
    /// The list has no number, so that an older one cannot be told.
    NoNumber,
    /// The list names this certificate.
    Revoked,
}

impl Fault {
    /// A stable name for documents and machines.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "x509-size",
            Self::Syntax { .. } => "x509-syntax",
            Self::Version => "x509-version",
            Self::SerialNumber => "x509-serial-number",
            Self::Algorithm => "x509-algorithm",
            Self::AlgorithmMismatch => "x509-algorithm-mismatch",
            Self::Key => "x509-key",
            Self::RepeatedExtension => "x509-repeated-extension",
            Self::Extension => "x509-extension",
            Self::CriticalExtension => "x509-critical-extension",
            Self::PathLength => "x509-path-length",
            Self::Issuer => "x509-issuer",
            Self::Signature => "x509-signature",
            Self::NotYetValid { .. } => "x509-not-yet-valid",
            Self::Expired { .. } => "x509-expired",
            Self::NotAnAuthority => "x509-not-an-authority",
            Self::PathConstraint => "x509-path-constraint",
            Self::KeyUsage => "x509-key-usage",
            Self::LeafIsAuthority => "x509-leaf-is-authority",
            Self::NoNextUpdate => "x509-no-next-update",
            Self::NoNumber => "x509-no-number",
            Self::Revoked => "x509-revoked",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } | Self::Syntax { .. } => {
                "this is not DER; a PEM file must be decoded, and a bundle split, before"
            }
            Self::Version | Self::SerialNumber | Self::RepeatedExtension | Self::Extension => {
                "no vendor issues such a certificate; get it again from the vendor"
            }
            Self::Algorithm | Self::Key | Self::CriticalExtension => {
                "the vendor may use something newer than this version knows; look for an update"
            }
            Self::AlgorithmMismatch | Self::Signature => {
                "the bytes were altered, or belong to another hierarchy: compare product and signer kind"
            }
            Self::PathLength | Self::Issuer => {
                "certificates must come leaf first, each issued by the next, up to the pinned root"
            }
            Self::NotYetValid { .. } => "is the clock right? otherwise wait until the date",
            Self::Expired { .. } => "get a current one from the vendor; is the clock right?",
            Self::NotAnAuthority | Self::PathConstraint | Self::KeyUsage | Self::LeafIsAuthority => {
                "a key was used for what its certificate does not allow; treat it as an attack"
            }
            Self::NoNextUpdate | Self::NoNumber => "get the list again from the vendor",
            Self::Revoked => "the vendor has withdrawn this certificate; it is not to be trusted",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { limit } => write!(f, "larger than {limit} bytes"),
            Self::Syntax { offset } => write!(f, "not DER of the expected shape near byte {offset}"),
            Self::Version => f.write_str("an unexpected version"),
            Self::SerialNumber => f.write_str("a serial number that is negative or too long"),
            Self::Algorithm => f.write_str("signed with an algorithm that is not accepted"),
            Self::AlgorithmMismatch => f.write_str("two different algorithms named for one signature"),
            Self::Key => f.write_str("a public key of a kind that is not accepted"),
            Self::RepeatedExtension => f.write_str("an extension occurs twice"),
            Self::Extension => f.write_str("an extension cannot be read"),
            Self::CriticalExtension => f.write_str("a critical extension that is not understood"),
            Self::PathLength => write!(f, "a path of no certificate or more than {}", limits::PATH),
            Self::Issuer => f.write_str("issued by another than the next in the path"),
            Self::Signature => f.write_str("the signature does not verify"),
            Self::NotYetValid { from } => write!(f, "not valid before {from}"),
            Self::Expired { until } => write!(f, "not valid after {until}"),
            Self::NotAnAuthority => f.write_str("not an authority, yet it issues"),
            Self::PathConstraint => f.write_str("more authorities below than the path length allows"),
            Self::KeyUsage => f.write_str("the key may not be used for this"),
            Self::LeafIsAuthority => f.write_str("an authority where an end entity must be"),
            Self::NoNextUpdate => f.write_str("the list does not say until when it is current"),
            Self::NoNumber => f.write_str("the list has no number"),
            Self::Revoked => f.write_str("revoked"),
        }
    }
}

impl std::error::Error for Fault {}

/// Refuses `at` outside `from..=until`.
pub(super) fn within(from: Timestamp, until: Timestamp, at: Timestamp) -> Result<(), Fault> {
    if at < from {
        return Err(Fault::NotYetValid { from });
    }
    if at > until {
        return Err(Fault::Expired { until });
    }
    Ok(())
}
