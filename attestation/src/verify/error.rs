//! Why evidence proves nothing.
//!
//! Why apart: one error for all platforms, which says whose part is wrong and passes on each platform's own words.
//!
//! # Invariants
//! Nothing of the input and nothing of a dependency.

use std::fmt;

use crate::azure::AzureError;
use crate::ccel::CcelError;
use crate::endorsements::EndorsementKind;
use crate::evidence::EvidencePart;
use crate::nvidia::DeviceError;
use crate::provider::ProviderError;
use crate::simulated::ReportError;
use crate::snp::SnpError;
use crate::tdx::TdxError;
use crate::x509::Fault;

/// Evidence proves nothing. The Attester, or someone on the way, is to blame, except for what is missing: that is
/// whoever gathers endorsements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum VerifyError {
    /// The report is not one of its platform.
    Report(ReportError),
    /// The report's signature does not hold.
    Signature,
    /// A device of a kind nobody here can verify.
    DeviceKind,
    /// No root is given for this vendor.
    NoAnchor,
    /// The platform's evidence comes with another part as well.
    MissingPart(EvidencePart),
    /// A part that this platform's evidence does not have.
    UnusedPart(EvidencePart),
    /// No endorsement of a kind that is needed.
    NoEndorsement(EndorsementKind),
    /// SEV-SNP: report, certificates or revocation list.
    Snp(SnpError),
    /// TDX: quote or collateral.
    Tdx(TdxError),
    /// TDX: the event log.
    EventLog(CcelError),
    /// Azure: the paravisor's report, its claims, or the vTPM's quote.
    Azure(AzureError),
    /// Google or AWS: the provider's TPM.
    Provider(ProviderError),
    /// A device, by its place in the evidence.
    Device {
        /// From 0.
        index: usize,
        /// What is wrong with it.
        error: DeviceError,
    },
}

impl VerifyError {
    /// The check that failed: a stable name, of the platform's page where it is the platform's.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Report(_) => "simulated-report",
            Self::Signature => "simulated-signature",
            Self::DeviceKind => "device-kind",
            Self::NoAnchor => "no-anchor",
            Self::MissingPart(_) => "missing-part",
            Self::UnusedPart(_) => "unused-part",
            Self::NoEndorsement(_) => "no-endorsement",
            Self::Snp(error) => error.id(),
            Self::Tdx(error) => error.id(),
            Self::EventLog(error) => error.id(),
            Self::Azure(error) => error.id(),
            Self::Provider(error) => error.id(),
            Self::Device { error, .. } => error.id(),
        }
    }

    /// True when nothing is wrong but that something has ended: only that can a policy's grace bridge.
    #[must_use]
    pub const fn is_expiry(&self) -> bool {
        match self {
            Self::Snp(
                SnpError::Crl(Fault::Expired { .. })
                | SnpError::Certificate {
                    fault: Fault::Expired { .. },
                    ..
                },
            ) => true,
            Self::Tdx(error) => error.is_expiry(),
            _ => false,
        }
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::Report(_) => "the evidence is not what its platform makes; was it altered on the way?",
            Self::Signature => "the evidence was altered or forged; do not trust this enclave",
            Self::DeviceKind => "this version verifies NVIDIA's GPUs and switches only; use a newer one",
            Self::NoAnchor => {
                "the anchors given have no root for this vendor; add it, or use the compiled ones"
            }
            Self::MissingPart(_) => {
                "the enclave's evidence is not whole; was it made by an Anchorhold enclave?"
            }
            Self::UnusedPart(_) => "the evidence is not what its platform makes; was it altered on the way?",
            Self::NoEndorsement(_) => {
                "nobody gave the vendor's endorsements: `anchorhold client endorsements fetch` gets them, and the \
                 enclave's operator can staple them"
            }
            Self::Snp(error) => error.hint(),
            Self::Tdx(error) => error.hint(),
            Self::EventLog(error) => error.hint(),
            Self::Azure(error) => error.hint(),
            Self::Provider(error) => error.hint(),
            Self::Device { error, .. } => error.hint(),
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Report(error) => error.fmt(f),
            Self::Signature => f.write_str("the report's signature does not hold"),
            Self::DeviceKind => f.write_str("no verifier for that kind of device"),
            Self::NoAnchor => f.write_str("no root to believe for this vendor"),
            Self::MissingPart(part) => write!(f, "the evidence lacks its part {}", part.name()),
            Self::UnusedPart(part) => {
                write!(
                    f,
                    "the evidence has a part {} that its platform does not have",
                    part.name()
                )
            }
            Self::NoEndorsement(kind) => write!(f, "no endorsement of the kind {}", kind.name()),
            Self::Snp(error) => error.fmt(f),
            Self::Tdx(error) => error.fmt(f),
            Self::EventLog(error) => error.fmt(f),
            Self::Azure(error) => error.fmt(f),
            Self::Provider(error) => error.fmt(f),
            Self::Device { index, error } => write!(f, "device {index}: {error}"),
        }
    }
}

impl std::error::Error for VerifyError {}
