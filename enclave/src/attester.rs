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
            Self::NotCompiled => {
                "`--version` lists the platforms of this build; use a build for your platform"
            }
            Self::NoReport => "check that the machine runs as a confidential VM",
        }
    }
}

/// What signs report data: hardware, or what stands in for it.
trait Reporter: Send + Sync {
    fn report(&self, report_data: &ReportData) -> Result<Vec<u8>, AttesterError>;
}

#[cfg(feature = "insecure-simulated")]
impl Reporter for SimulatedPlatform {
    fn report(&self, report_data: &ReportData) -> Result<Vec<u8>, AttesterError> {
        // The inherent method: a simulated machine never fails.
        Ok(SimulatedPlatform::report(self, report_data))
    }
}

#[cfg(feature = "insecure-simulated")]
fn reporter(platform: Platform, launch: &LaunchRecord) -> Result<Box<dyn Reporter>, AttesterError> {
    match platform {
        Platform::InsecureSimulated => Ok(Box::new(SimulatedPlatform::launched(launch))),
        _ => Err(AttesterError::NotCompiled),
    }
}

/// A build without any platform: it can say its version and refuse to start.
#[cfg(not(feature = "insecure-simulated"))]
fn reporter(_platform: Platform, _launch: &LaunchRecord) -> Result<Box<dyn Reporter>, AttesterError> {
    Err(AttesterError::NotCompiled)
}

/// Makes evidence.
pub struct Attester {
    platform: Platform,
    reporter: Box<dyn Reporter>,
}

impl fmt::Debug for Attester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attester")
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

impl Attester {
    /// The attester of the platform that `launch` came from.
    ///
    /// # Errors
    /// [`AttesterError::NotCompiled`].
    pub fn new(platform: Platform, launch: &LaunchRecord) -> Result<Self, AttesterError> {
        Ok(Self {
            platform,
            reporter: reporter(platform, launch)?,
        })
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
        let report = self.reporter.report(report_data)?;
        Evidence::new(self.platform, report, Vec::new()).map_err(|_| AttesterError::NoReport)
    }
}
