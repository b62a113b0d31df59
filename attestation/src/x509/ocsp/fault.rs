//! What can be wrong with an OCSP response, and what it can say against a certificate.
//!
//! Why apart: a response fails in more ways than a certificate, and its identifiers never change.
//!
//! # Invariants
//! Holds offsets, limits, times and numbers the protocol defines, nothing a stranger wrote.

use std::fmt;

use crate::limits;
use crate::time::Timestamp;
use crate::x509::Fault;

/// Why a certificate was withdrawn: `CRLReason` (RFC 5280 section 5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevocationReason {
    /// 0, or nothing given.
    Unspecified,
    /// 1: somebody else may have the key.
    KeyCompromise,
    /// 2: somebody else may have the authority's key.
    CaCompromise,
    /// 3: its names are not right any more.
    AffiliationChanged,
    /// 4: there is another in its place.
    Superseded,
    /// 5: it is not needed any more.
    CessationOfOperation,
    /// 6: on hold; the authority may yet take it back.
    CertificateHold,
    /// 8: taken off a list; has no place in a response, and is revoked all the same.
    RemoveFromCrl,
    /// 9: it may not do any more what it was issued for.
    PrivilegeWithdrawn,
    /// 10: somebody else may have the key of an attribute authority.
    AaCompromise,
}

impl RevocationReason {
    pub(super) const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Unspecified,
            1 => Self::KeyCompromise,
            2 => Self::CaCompromise,
            3 => Self::AffiliationChanged,
            4 => Self::Superseded,
            5 => Self::CessationOfOperation,
            6 => Self::CertificateHold,
            8 => Self::RemoveFromCrl,
            9 => Self::PrivilegeWithdrawn,
            10 => Self::AaCompromise,
            _ => return None,
        })
    }

    /// Its name in RFC 5280.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::CertificateHold => "certificateHold",
            Self::RemoveFromCrl => "removeFromCRL",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is wrong with one OCSP response, or what it says against a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OcspFault {
    /// Larger than [`limits::OCSP`].
    TooLarge,
    /// More responses than [`limits::OCSP_RESPONSES`].
    TooMany,
    /// Not DER, or not of the shape.
    Syntax {
        /// Of the element that is wrong, in bytes.
        offset: usize,
    },
    /// The responder gave no answer (`OCSPResponseStatus`).
    NoAnswer {
        /// 1 malformed request, 2 internal error, 3 try later, 5 signature required, 6 unauthorized.
        status: u8,
    },
    /// Not a basic response, the one type that is defined.
    Type,
    /// Signed otherwise than with ECDSA P-384 and SHA-384.
    Algorithm,
    /// An extension that occurs twice, is critical and unknown, or cannot be read.
    Extension,
    /// It does not say until when it is current.
    NoNextUpdate,
    /// It speaks more than once of one certificate.
    Repeated,
    /// The certificate that came with it does not hold under the certificate's issuer, or that issuer may not sign
    /// responses itself.
    Responder(Fault),
    /// The responder's certificate is not for signing responses (`id-kp-OCSPSigning`).
    NotAResponder,
    /// The responder's certificate could be revoked, and nothing says whether it is (no `id-pkix-ocsp-nocheck`).
    Revocable,
    /// It names another responder than the one whose certificate came with it.
    ResponderId,
    /// The signature does not hold under the responder's key.
    Signature,
    /// Not valid yet.
    NotYetValid {
        /// When it begins to be.
        from: Timestamp,
    },
    /// Not current any more.
    Expired {
        /// When it ended.
        until: Timestamp,
    },
    /// The issuer's responder does not know the certificate.
    Unknown,
    /// The certificate is revoked, or on hold.
    Revoked {
        /// Since when.
        since: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
}

impl OcspFault {
    /// A stable name for documents and machines.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::TooLarge => "ocsp-size",
            Self::TooMany => "ocsp-count",
            Self::Syntax { .. } => "ocsp-syntax",
            Self::NoAnswer { .. } => "ocsp-no-answer",
            Self::Type => "ocsp-type",
            Self::Algorithm => "ocsp-algorithm",
            Self::Extension => "ocsp-extension",
            Self::NoNextUpdate => "ocsp-no-next-update",
            Self::Repeated => "ocsp-repeated",
            Self::Responder(_) => "ocsp-responder",
            Self::NotAResponder => "ocsp-not-a-responder",
            Self::Revocable => "ocsp-revocable",
            Self::ResponderId => "ocsp-responder-id",
            Self::Signature => "ocsp-signature",
            Self::NotYetValid { .. } => "ocsp-not-yet-valid",
            Self::Expired { .. } => "ocsp-expired",
            Self::Unknown => "ocsp-unknown",
            Self::Revoked { .. } => "ocsp-revoked",
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::TooLarge | Self::Syntax { .. } => {
                "hand over the responder's answer as it came: DER, no HTTP header, no PEM"
            }
            Self::TooMany => "hand over one answer for each certificate",
            Self::NoAnswer { .. } => {
                "hand over successful answers only; NVIDIA gives none for a device's first certificate"
            }
            Self::Type | Self::Algorithm | Self::Extension => {
                "the vendor may use something newer than this version knows; look for an update"
            }
            Self::NoNextUpdate | Self::Repeated => "ask the vendor's responder again",
            Self::Responder(_) | Self::NotAResponder | Self::Revocable => {
                "somebody answered whom the issuer has not made its responder; ask the vendor's responder again"
            }
            Self::ResponderId | Self::Signature => {
                "the answer was altered, or came from another responder; ask the vendor's responder again"
            }
            Self::NotYetValid { .. } => "is the clock right? otherwise wait until the date",
            Self::Expired { .. } => "ask the vendor's responder again; its answers last about a day",
            Self::Unknown => "the vendor has no record of this certificate; it is not to be trusted",
            Self::Revoked { .. } => "the vendor has withdrawn this certificate; it is not to be trusted",
        }
    }
}

impl fmt::Display for OcspFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "larger than {} bytes", limits::OCSP),
            Self::TooMany => write!(f, "more than {} responses", limits::OCSP_RESPONSES),
            Self::Syntax { offset } => write!(f, "not DER of the expected shape at byte {offset}"),
            Self::NoAnswer { status } => write!(f, "the responder gave no answer, status {status}"),
            Self::Type => f.write_str("not a basic response"),
            Self::Algorithm => f.write_str("signed with an algorithm that is not accepted"),
            Self::Extension => f.write_str("an extension that cannot be accepted"),
            Self::NoNextUpdate => f.write_str("it does not say until when it is current"),
            Self::Repeated => f.write_str("it speaks more than once of one certificate"),
            Self::Responder(fault) => write!(f, "the responder: {fault}"),
            Self::NotAResponder => f.write_str("the certificate with it is not a responder's"),
            Self::Revocable => f.write_str("the responder's certificate may be revoked without our knowing"),
            Self::ResponderId => f.write_str("it names another responder"),
            Self::Signature => f.write_str("the signature does not verify"),
            Self::NotYetValid { from } => write!(f, "not valid before {from}"),
            Self::Expired { until } => write!(f, "not current after {until}"),
            Self::Unknown => f.write_str("the responder does not know the certificate"),
            Self::Revoked { since, reason } => write!(f, "revoked since {since}: {reason}"),
        }
    }
}

impl std::error::Error for OcspFault {}
