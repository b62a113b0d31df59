//! The platform that signs evidence for this enclave.
//!
//! Why apart: the one place where the enclave speaks to its platform. What it is asked to sign is a
//! `ReportData`, which only the binding rules of the attestation crate make.
//!
//! - [`tsm`]: reports and quotes by Linux's TSM interface
//! - [`sev_guest`], [`tdx_guest`], [`ioctl`]: the older interfaces, one for each kind of CPU
//! - [`tpm`], [`azure`]: a paravisor's report and its vTPM's quote
//! - [`nvml`]: NVIDIA's GPUs
//! - [`error`](mod@error): why there is no evidence
//!
//! # Invariants
//! A platform that this build was made without cannot be chosen. The simulated platform announces itself at
//! each start.

pub mod azure;
mod error;
pub mod ioctl;
pub mod nvml;
pub mod sev_guest;
pub mod tdx_guest;
pub mod tpm;
pub mod tsm;

use std::fmt;

use anchorhold_attestation::simulated::LaunchRecord;
#[cfg(feature = "insecure-simulated")]
use anchorhold_attestation::simulated::SimulatedPlatform;
use anchorhold_attestation::{DeviceEvidence, Evidence, Platform, ReportData};
use anchorhold_encoding::Digest;

pub use error::{AttesterError, Fault, Interface};

/// The names of the platforms in this build, for `--version`.
pub const COMPILED_PLATFORMS: &[&str] = &[
    #[cfg(feature = "insecure-simulated")]
    "insecure-simulated",
];

/// A CPU's report as its interface gave it.
#[derive(Debug, PartialEq, Eq)]
pub struct RawReport {
    /// The report or quote.
    pub report: Vec<u8>,
    /// The host's table of certificates beside an SEV-SNP report; `None` when there is none.
    pub auxiliary: Option<Vec<u8>>,
}

/// True when `data` stands somewhere in a report: where exactly, its verifiers know. This only keeps evidence from
/// being sent that no verifier can believe.
fn holds(report: &[u8], data: &[u8; 64]) -> bool {
    report.windows(data.len()).any(|window| window == data)
}

/// What signs report data: hardware, or what stands in for it.
pub trait Reporter: Send + Sync {
    /// Signs. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`AttesterError`].
    fn report(&self, report_data: &ReportData) -> Result<Vec<u8>, AttesterError>;
}

/// Devices beside the CPU that give evidence of their own: GPUs.
pub trait DeviceReporter: Send + Sync {
    /// Evidence of every device, all for the same nonce. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`AttesterError`], when one of them gives none.
    fn collect(&self, nonce: &Digest<32>) -> Result<Vec<DeviceEvidence>, AttesterError>;
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
    devices: Option<Box<dyn DeviceReporter>>,
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
        Ok(Self::of(platform, reporter(platform, launch)?, None))
    }

    /// An attester out of its parts. Whoever made them, verifiers believe only what hardware signed.
    #[must_use]
    pub fn of(
        platform: Platform,
        reporter: Box<dyn Reporter>,
        devices: Option<Box<dyn DeviceReporter>>,
    ) -> Self {
        Self {
            platform,
            reporter,
            devices,
        }
    }

    /// Which platform it is.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// Whether devices give evidence too.
    #[must_use]
    pub fn has_devices(&self) -> bool {
        self.devices.is_some()
    }

    /// Evidence of every device, to be had before the CPU signs; none without devices. May take long.
    ///
    /// # Errors
    /// [`AttesterError`].
    pub fn collect(&self, nonce: &Digest<32>) -> Result<Vec<DeviceEvidence>, AttesterError> {
        match &self.devices {
            None => Ok(Vec::new()),
            Some(devices) => devices.collect(nonce),
        }
    }

    /// Has the CPU sign `report_data`, which commits to `devices`. May take long: security processors are slow and
    /// shared.
    ///
    /// # Errors
    /// [`AttesterError`].
    pub fn attest(
        &self,
        report_data: &ReportData,
        devices: Vec<DeviceEvidence>,
    ) -> Result<Evidence, AttesterError> {
        let report = self.reporter.report(report_data)?;
        Evidence::new(self.platform, report, devices).map_err(|_| AttesterError::NoReport)
    }
}
