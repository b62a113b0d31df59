//! Why there is no endorsement.
//!
//! Why apart: whether to ask again, to go on with what is kept, or to call a person follows from here alone.
//!
//! # Invariants
//! Constants and numbers of ours: nothing a vendor's server wrote.

use std::fmt;
use std::io;
use std::time::Duration;

use anchorhold_attestation::Timestamp;

use crate::error::Explain;

/// A vendor was asked and there is no endorsement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// No connection.
    Unreachable(io::ErrorKind),
    /// No TLS with the service's own name.
    Tls,
    /// No answer in time.
    TimedOut,
    /// The connection ended inside the answer.
    Truncated,
    /// 429: asked too often; what the service said about when to come back.
    TooMany {
        /// Retry-After, when it was there in seconds.
        retry_after: Option<Duration>,
    },
    /// The service failed: 5xx.
    Failing {
        /// HTTP status.
        status: u16,
        /// Retry-After, when it was there in seconds.
        retry_after: Option<Duration>,
    },
    /// 404: the service has no such item.
    NotFound,
    /// Another status: a redirection, or a refusal.
    Refused(u16),
    /// Larger than any such item.
    TooLarge {
        /// Bytes.
        limit: usize,
    },
    /// Not of the service's form.
    Malformed,
    /// An endorsement, but not the one that was asked for.
    NotAsked,
    /// The service's own item is not valid now.
    NotValid {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// Its vendor is not known to have signed it.
    Unproven {
        /// The check that failed.
        check: &'static str,
    },
    /// Older than the one that is kept and still valid.
    Older,
    /// No service hands this out.
    NotServed,
}

impl FetchError {
    /// Worth asking again soon.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::TimedOut
                | Self::Truncated
                | Self::TooMany { .. }
                | Self::Failing { .. }
        )
    }

    /// When the service wants to be asked again.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::TooMany { retry_after } | Self::Failing { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A stable identifier.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "endorsement-unreachable",
            Self::Tls => "endorsement-tls",
            Self::TimedOut => "endorsement-timed-out",
            Self::Truncated => "endorsement-truncated",
            Self::TooMany { .. } => "endorsement-too-many-requests",
            Self::Failing { .. } => "endorsement-service-failing",
            Self::NotFound => "endorsement-not-found",
            Self::Refused(_) => "endorsement-refused",
            Self::TooLarge { .. } => "endorsement-too-large",
            Self::Malformed => "endorsement-malformed",
            Self::NotAsked => "endorsement-not-asked",
            Self::NotValid { .. } => "endorsement-not-valid",
            Self::Unproven { .. } => "endorsement-not-proven",
            Self::Older => "endorsement-older",
            Self::NotServed => "endorsement-not-served",
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(kind) => write!(f, "the service cannot be reached: {kind}"),
            Self::Tls => f.write_str("the service does not prove its name with a certificate"),
            Self::TimedOut => f.write_str("the service does not answer in time"),
            Self::Truncated => f.write_str("the connection ended inside the answer"),
            Self::TooMany { retry_after: None } => f.write_str("the service was asked too often"),
            Self::TooMany {
                retry_after: Some(pause),
            } => write!(
                f,
                "the service was asked too often and wants a pause of {} s",
                pause.as_secs()
            ),
            Self::Failing { status, .. } => write!(f, "the service fails with status {status}"),
            Self::NotFound => f.write_str("the service has no such item (404)"),
            Self::Refused(status) => write!(f, "the service refuses with status {status}"),
            Self::TooLarge { limit } => write!(f, "the answer is larger than {limit} bytes"),
            Self::Malformed => f.write_str("the answer is not of the service's form"),
            Self::NotAsked => f.write_str("the answer is another item than was asked for"),
            Self::NotValid { from, until } => {
                write!(f, "the service's own item is valid from {from} to {until} only")
            }
            Self::Unproven { check } => {
                write!(
                    f,
                    "the vendor is not known to have signed the service's item ({check})"
                )
            }
            Self::Older => f.write_str("the service's item is older than the one that is kept"),
            Self::NotServed => f.write_str("no service hands this item out"),
        }
    }
}

impl std::error::Error for FetchError {}

impl Explain for FetchError {
    fn code(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> String {
        match self {
            Self::Unreachable(_) | Self::TimedOut | Self::Truncated => {
                "check the network and the service's address; a mirror can be named by --kds-url, --pcs-url, --rim-url \
                 and --ocsp-url"
            }
            Self::Tls => {
                "check the address; a mirror with a certificate of its own needs --ca, and this machine needs a right clock"
            }
            Self::TooMany { .. } | Self::Failing { .. } => {
                "wait and try again: what is kept stays in use while it is valid"
            }
            Self::NotFound => {
                "check chip, TCB or version: the vendor publishes nothing of that name (a chip's hardware id may be masked)"
            }
            Self::Refused(_) => "check the service's address; redirections are not followed",
            Self::TooLarge { .. } | Self::Malformed | Self::NotAsked | Self::Unproven { .. } => {
                "the address is not the vendor's service, or a mirror is broken; ask the vendor itself"
            }
            Self::NotValid { .. } => "check this machine's clock; if it is right, the mirror is out of date",
            Self::Older => "the mirror is out of date; what is kept stays in use",
            Self::NotServed => {
                "a VLEK is in the certificate table that comes with the report: take it from there"
            }
        }
        .to_owned()
    }
}
