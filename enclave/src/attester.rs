//! The platform that signs evidence for this enclave.
//!
//! Why apart: the one place where the enclave speaks to its platform. What it is asked to sign is a
//! `ReportData`, which only the binding rules of the attestation crate make.
//!
//! # Invariants
//! A platform that this build was made without cannot be chosen. The simulated platform announces itself at
//! each start.

use std::fmt;

use anchorhold_attestation::simulated::LaunchRecord;
#[cfg(feature = "insecure-simulated")]
use anchorhold_attestation::simulated::SimulatedPlatform;
use anchorhold_attestation::{Evidence, Platform, ReportData};

/// The names of the platforms in this build, for `--version`.
pub const COMPILED_PLATFORMS: &[&str] = &[
    #[cfg(feature = "insecure-simulated")]
    "insecure-simulated",
];

/// Why there is no evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttesterError {
    /// This build has no such platform.
    NotCompiled,
    /// The platform gave no report, or one that cannot be evidence.
    NoReport,
}

impl fmt::Display for AttesterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotCompiled => "this build does not have that platform",
            Self::NoReport => "the platform gave no evidence",
        })
    }
}

impl std::error::Error for AttesterError {}

impl AttesterError {
    /// For scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotCompiled => "platform_not_compiled",
            Self::NoReport => "no_report",
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotCompiled => "`--version` lists the platforms of this build; use a build for your platform",
            Self::NoReport => "check that the machine runs as a confidential VM",
        }
    }
}

enum Signer {
    #[cfg(feature = "insecure-simulated")]
    Simulated(SimulatedPlatform),
}

/// Makes evidence.
pub struct Attester {
    platform: Platform,
    signer: Signer,
}

impl fmt::Debug for Attester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attester").field("platform", &self.platform).finish_non_exhaustive()
    }
}

impl Attester {
    /// The attester of the platform that `launch` came from.
    ///
    /// # Errors
    /// [`AttesterError::NotCompiled`].
    pub fn new(platform: Platform, launch: &LaunchRecord) -> Result<Self, AttesterError> {
        let signer = match platform {
            #[cfg(feature = "insecure-simulated")]
            Platform::InsecureSimulated => Signer::Simulated(SimulatedPlatform::launched(launch)),
            _ => {
                let _ = launch;
                return Err(AttesterError::NotCompiled);
            }
        };
        Ok(Self { platform, signer })
    }

    /// Which platform it is.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// Has the platform sign `report_data`. May take long: security processors are slow and shared.
    ///
    /// # Errors
    /// [`AttesterError::NoReport`].
    pub fn attest(&self, report_data: &ReportData) -> Result<Evidence, AttesterError> {
        let report = match &self.signer {
            #[cfg(feature = "insecure-simulated")]
            Signer::Simulated(platform) => platform.report(report_data),
        };
        Evidence::new(self.platform, report, Vec::new()).map_err(|_| AttesterError::NoReport)
    }
}
