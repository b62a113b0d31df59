//! The platform that signs evidence for this enclave.
//!
//! Why apart: the one place where the enclave speaks to its platform. What it is asked to sign is a
//! `ReportData`, which only the binding rules of the attestation crate make.
//!
//! - [`tsm`]: reports and quotes by Linux's TSM interface
//! - [`sev_guest`], [`tdx_guest`], [`ioctl`]: the older interfaces, one for each kind of CPU
//! - [`tpm`], [`azure`]: a paravisor's report and its vTPM's quote
//! - [`nvml`]: NVIDIA's GPUs
//! - [`machine`]: which of them a platform has
//! - [`error`](mod@error): why there is no evidence
//!
//! # Invariants
//! A platform that this build was made without cannot be chosen, and one whose devices are not there is an error, never
//! another platform. Devices answer first, the CPU signs last. The simulated platform announces itself at each start.

pub mod azure;
mod error;
#[cfg(feature = "insecure-simulated")]
mod fake_snp;
pub mod ioctl;
mod machine;
pub mod nvml;
pub mod sev_guest;
pub mod tdx_guest;
pub mod tpm;
pub mod tsm;

use std::fmt;
use std::sync::{Mutex, PoisonError};

use anchorhold_attestation::evidence::EvidencePart;
use anchorhold_attestation::simulated::LaunchRecord;
#[cfg(feature = "insecure-simulated")]
use anchorhold_attestation::simulated::SimulatedPlatform;
use anchorhold_attestation::snp::{CertTable, Entry};
use anchorhold_attestation::{
    ConfigBoundBy, DeviceEvidence, Evidence, FixedConfig, Platform, ReportData,
    endorsements::{Endorsement, EndorsementKind},
};
use anchorhold_encoding::{Digest, sha256};

pub use error::{AttesterError, Fault, Interface};
pub use machine::Places;

/// The names of the platforms in this build, for `--version`.
pub const COMPILED_PLATFORMS: &[&str] = &[
    #[cfg(feature = "insecure-simulated")]
    "insecure-simulated",
    "snp",
    "tdx",
    "azure-snp",
    "azure-tdx",
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

/// What a CPU signed, and what belongs to it.
#[derive(Debug)]
pub struct CpuReport {
    /// The report, as evidence has it.
    pub report: Vec<u8>,
    /// What comes beside it.
    pub parts: Vec<(EvidencePart, Vec<u8>)>,
    /// The host's table of certificates beside an SEV-SNP report: endorsements, and no part of the evidence.
    pub certificates: Option<Vec<u8>>,
}

impl From<Vec<u8>> for CpuReport {
    /// A report that says everything itself.
    fn from(report: Vec<u8>) -> Self {
        Self {
            report,
            parts: Vec::new(),
            certificates: None,
        }
    }
}

/// What signs report data: hardware, or what stands in for it.
pub trait Reporter: Send + Sync {
    /// Signs. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`AttesterError`].
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError>;

    /// What the platform fixes about the configuration with this SHA-256. Where the tenant can set no field at launch,
    /// this extends a register with it that was zero before.
    ///
    /// # Errors
    /// [`AttesterError`].
    fn fixed_config(&self, config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError>;
}

/// Devices beside the CPU that give evidence of their own: GPUs.
pub trait DeviceReporter: Send + Sync {
    /// Evidence of every device, all for the same nonce. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`AttesterError`], when one of them gives none.
    fn collect(&self, nonce: &Digest<32>) -> Result<Vec<DeviceEvidence>, AttesterError>;
}

/// A machine that exists only in its launch record.
#[cfg(feature = "insecure-simulated")]
struct Simulated {
    platform: SimulatedPlatform,
    host_data: Digest<32>,
}

#[cfg(feature = "insecure-simulated")]
impl Reporter for Simulated {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        Ok(self.platform.report(report_data).into())
    }

    fn fixed_config(&self, _config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        Ok(FixedConfig::HostData(self.host_data))
    }
}

fn reporter(
    platform: Platform,
    launch: &LaunchRecord,
    places: &Places,
) -> Result<Box<dyn Reporter>, AttesterError> {
    match platform {
        Platform::InsecureSimulated => simulated(launch),
        hardware => machine::reporter(hardware, places),
    }
}

#[cfg(feature = "insecure-simulated")]
#[allow(clippy::unnecessary_wraps, reason = "a build without it has nothing to give")]
fn simulated(launch: &LaunchRecord) -> Result<Box<dyn Reporter>, AttesterError> {
    Ok(Box::new(Simulated {
        platform: SimulatedPlatform::launched(launch),
        host_data: launch.host_data,
    }))
}

#[cfg(feature = "insecure-simulated")]
fn played(launch: &LaunchRecord, chip: &[u8]) -> Result<Box<dyn Reporter>, AttesterError> {
    Ok(Box::new(fake_snp::FakeSnp::new(launch, chip)?))
}

#[cfg(not(feature = "insecure-simulated"))]
fn played(_launch: &LaunchRecord, _chip: &[u8]) -> Result<Box<dyn Reporter>, AttesterError> {
    Err(AttesterError::NotCompiled)
}

#[cfg(not(feature = "insecure-simulated"))]
fn simulated(_launch: &LaunchRecord) -> Result<Box<dyn Reporter>, AttesterError> {
    Err(AttesterError::NotCompiled)
}

/// That the platform fixes this very configuration: what an identity document may say about it. Made only by
/// [`Attester::confirm`].
#[derive(Debug)]
#[must_use]
pub struct ConfirmedConfig {
    sha256: Digest<32>,
    by: ConfigBoundBy,
}

impl ConfirmedConfig {
    /// SHA-256 of the configuration's bytes.
    #[must_use]
    pub const fn sha256(&self) -> Digest<32> {
        self.sha256
    }

    /// The field that fixes it.
    #[must_use]
    pub const fn by(&self) -> ConfigBoundBy {
        self.by
    }

    /// For unit tests of any module.
    #[cfg(test)]
    pub(crate) const fn for_tests(sha256: Digest<32>) -> Self {
        Self {
            sha256,
            by: ConfigBoundBy::HostData,
        }
    }
}

/// Makes evidence.
pub struct Attester {
    platform: Platform,
    reporter: Box<dyn Reporter>,
    devices: Option<Box<dyn DeviceReporter>>,
    certificates: Mutex<Option<Vec<u8>>>,
}

impl fmt::Debug for Attester {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attester")
            .field("platform", &self.platform)
            .finish_non_exhaustive()
    }
}

impl Attester {
    /// The attester of this machine, which is to be of `platform`. `launch` is what the simulated platform knows of its
    /// launch; hardware knows itself.
    ///
    /// # Errors
    /// [`AttesterError::NotCompiled`], or what is not there.
    pub fn new(platform: Platform, launch: &LaunchRecord) -> Result<Self, AttesterError> {
        let reporter = reporter(platform, launch, &Places::default())?;
        Ok(Self::of(platform, reporter, None))
    }

    /// SEV-SNP played by a `chip` of a fake authority.
    ///
    /// # Errors
    /// [`AttesterError::NotCompiled`], or that this is no such chip.
    pub fn fake_snp(launch: &LaunchRecord, chip: &[u8]) -> Result<Self, AttesterError> {
        Ok(Self::of(Platform::Snp, played(launch, chip)?, None))
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
            certificates: Mutex::new(None),
        }
    }

    /// Which platform it is.
    #[must_use]
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// Compares the configuration with the platform's own field. May take as long as a report.
    ///
    /// # Errors
    /// [`AttesterError::Unbound`], [`AttesterError::OtherConfiguration`], or why the platform does not say.
    pub fn confirm(&self, config: &[u8]) -> Result<ConfirmedConfig, AttesterError> {
        let digest = sha256(&[config]);
        let fixed = self.reporter.fixed_config(&digest)?;
        if !fixed.is_set() {
            return Err(AttesterError::Unbound);
        }
        if !fixed.fixes(config) {
            return Err(AttesterError::OtherConfiguration);
        }
        Ok(ConfirmedConfig {
            sha256: digest,
            by: fixed.by(),
        })
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
        let CpuReport {
            report,
            parts,
            certificates,
        } = self.reporter.report(report_data)?;
        if let Some(table) = certificates {
            *self.certificates.lock().unwrap_or_else(PoisonError::into_inner) = Some(table);
        }
        Evidence::with_parts(self.platform, report, parts, devices).map_err(|_| AttesterError::NoReport)
    }

    /// The certificates that the host handed over beside the newest report (GHCB specification 56421, SNP Extended
    /// Guest Request), as endorsements to staple: with them a verifier needs no operator to fetch any. Believed by
    /// nobody yet; none when the host has none, or a table that cannot be read.
    #[must_use]
    pub fn host_endorsements(&self) -> Vec<Endorsement> {
        let table = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(table) = table.as_deref().and_then(|table| CertTable::parse(table).ok()) else {
            return Vec::new();
        };
        // The root is the verifier's own.
        let kinds = [
            (Entry::Vcek, EndorsementKind::AmdVek),
            (Entry::Vlek, EndorsementKind::AmdVek),
            (Entry::Ask, EndorsementKind::AmdAuthority),
            (Entry::Crl, EndorsementKind::AmdCrl),
        ];
        let found = kinds
            .into_iter()
            .filter_map(|(entry, kind)| Endorsement::new(kind, table.get(entry)?.to_vec()).ok());
        found.collect()
    }
}

#[cfg(test)]
mod tests;
