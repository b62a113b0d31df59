//! Which interfaces a platform has, and what of them becomes evidence.
//!
//! Why apart: the only file that knows where Linux keeps them. Everything behind it takes what it is given.
//!
//! # Invariants
//! The platform is the configuration's; a machine that lacks its devices is an error, never another platform. Places
//! are fixed in the VM. The vTPM serves one request at a time: its input index holds one value. A register is extended
//! with the configuration only when it was zero.
//!
//! Sources: those of the interfaces; the event log of TDX: *Guest-Host-Communication Interface for Intel TDX* (344426), CCEL
//! ACPI table, which Linux shows under `/sys/firmware/acpi/tables`.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anchorhold_attestation::azure::CONFIGURATION_REGISTER;
use anchorhold_attestation::evidence::EvidencePart;
use anchorhold_attestation::{FixedConfig, Platform, ReportData, limits as evidence, snp};
use anchorhold_encoding::{Digest, Preimage};

use super::azure::imds::Imds;
use super::azure::{self, GuestEvidence, QuoteService};
use super::error::{AttesterError, Fault, Interface};
use super::ioctl::Device;
use super::sev_guest::{self, SevGuest};
use super::tdx_guest::{self, TdxGuest};
use super::tpm::{self, Tpm};
use super::tsm::{self, Folder, Provider, Tree};
use super::{CpuReport, RawReport, Reporter};

/// Where the interfaces of a machine are. The default is where Linux has them.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder of TSM reports.
    pub tsm: PathBuf,
    /// The older device of SEV-SNP.
    pub sev_guest: PathBuf,
    /// The device of TDX.
    pub tdx_guest: PathBuf,
    /// TDX's event log.
    pub event_log: PathBuf,
    /// The vTPM.
    pub tpm: PathBuf,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            tsm: tsm::ROOT.into(),
            sev_guest: sev_guest::PATH.into(),
            tdx_guest: tdx_guest::PATH.into(),
            event_log: "/sys/firmware/acpi/tables/data/CCEL".into(),
            tpm: tpm::PATH.into(),
        }
    }
}

/// What signs on a platform of hardware.
pub(super) fn reporter(platform: Platform, places: &Places) -> Result<Box<dyn Reporter>, AttesterError> {
    match platform {
        Platform::Snp => sev_snp(places),
        Platform::Tdx => tdx(places),
        Platform::AzureSnp => Ok(Box::new(Paravisor::new(tpm(places)?, None))),
        Platform::AzureTdx => Ok(Box::new(Paravisor::new(
            tpm(places)?,
            Some(Box::new(Imds::default())),
        ))),
        _ => Err(AttesterError::NotCompiled),
    }
}

fn sev_snp(places: &Places) -> Result<Box<dyn Reporter>, AttesterError> {
    if let Some(tree) = Folder::open(&places.tsm) {
        return Ok(Box::new(Tsm {
            tree: Box::new(tree),
            provider: Provider::SevGuest,
            own: Own::HostData,
        }));
    }
    let device = open(Interface::SevGuest, Device::open(&places.sev_guest))?;
    Ok(Box::new(OlderSnp(Box::new(device))))
}

fn tdx(places: &Places) -> Result<Box<dyn Reporter>, AttesterError> {
    match Folder::open(&places.tsm) {
        Some(tree) => Ok(Box::new(Tsm {
            tree: Box::new(tree),
            provider: Provider::TdxGuest,
            own: Own::MrConfigId {
                device: Box::new(open(Interface::TdxGuest, Device::open(&places.tdx_guest))?),
                event_log: event_log(&places.event_log)?,
            },
        })),
        // A TD, on a kernel without quotes: its TDREPORTs convince nobody else.
        None if places.tdx_guest.exists() => Err(Interface::TdxGuest.fails(Fault::Unsupported)),
        None => Err(Interface::Tsm.fails(Fault::Missing)),
    }
}

fn tpm(places: &Places) -> Result<Box<dyn Tpm>, AttesterError> {
    Ok(Box::new(open(Interface::Vtpm, tpm::Device::open(&places.tpm))?))
}

fn open<T>(interface: Interface, device: io::Result<T>) -> Result<T, AttesterError> {
    device.map_err(|error| {
        interface.fails(match error.kind() {
            ErrorKind::NotFound => Fault::Missing,
            ErrorKind::PermissionDenied => Fault::Forbidden,
            ErrorKind::ResourceBusy => Fault::Busy,
            _ => Fault::Refused,
        })
    })
}

/// The log as firmware left it. It grows no more once the kernel runs, so it is read once. Without one, registers are
/// judged by their values alone.
fn event_log(path: &Path) -> Result<Option<Vec<u8>>, AttesterError> {
    let Ok(file) = File::open(path) else {
        return Ok(None);
    };
    let mut log = Vec::new();
    file.take(evidence::EVENT_LOG as u64 + 1)
        .read_to_end(&mut log)
        .map_err(|_| Interface::TdxGuest.fails(Fault::Refused))?;
    if log.len() > evidence::EVENT_LOG {
        return Err(Interface::TdxGuest.fails(Fault::TooLarge));
    }
    Ok(Some(log))
}

/// Reports and quotes by TSM.
struct Tsm {
    tree: Box<dyn Tree>,
    provider: Provider,
    own: Own,
}

/// Where a machine finds what was fixed at its launch, and what more it shows.
enum Own {
    /// In its reports.
    HostData,
    /// In its TDREPORTs.
    MrConfigId {
        device: Box<dyn TdxGuest>,
        event_log: Option<Vec<u8>>,
    },
}

impl Reporter for Tsm {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        let signed = tsm::report(&*self.tree, self.provider, report_data.as_bytes())?;
        let log = match &self.own {
            Own::HostData => None,
            Own::MrConfigId { event_log, .. } => event_log.clone(),
        };
        Ok(CpuReport {
            report: signed.report,
            parts: log.map(|log| (EvidencePart::EventLog, log)).into_iter().collect(),
            certificates: signed.auxiliary,
        })
    }

    fn fixed_config(&self, _config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        match &self.own {
            Own::HostData => host_data(
                Interface::Tsm,
                &tsm::report(&*self.tree, self.provider, &own_question())?,
            ),
            Own::MrConfigId { device, .. } => {
                let report = tdx_guest::td_report(&**device, &own_question())?;
                Ok(FixedConfig::MrConfigId(tdx_guest::mr_config_id(&report)))
            }
        }
    }
}

/// What a machine has signed to read its own fields. It is no report data of any protocol.
fn own_question() -> [u8; 64] {
    *Preimage::new("anchorhold own fields v1").sha512().as_bytes()
}

fn host_data(interface: Interface, signed: &RawReport) -> Result<FixedConfig, AttesterError> {
    let report = snp::Report::parse(&signed.report).map_err(|_| interface.fails(Fault::Malformed))?;
    Ok(FixedConfig::HostData(report.host_data))
}

/// SEV-SNP reports by the older device.
struct OlderSnp(Box<dyn SevGuest>);

impl Reporter for OlderSnp {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        let signed = sev_guest::report(&*self.0, report_data.as_bytes())?;
        Ok(CpuReport {
            report: signed.report,
            parts: Vec::new(),
            certificates: signed.auxiliary,
        })
    }

    fn fixed_config(&self, _config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        host_data(
            Interface::SevGuest,
            &sev_guest::report(&*self.0, &own_question())?,
        )
    }
}

/// A guest of Azure's paravisor.
pub(super) struct Paravisor {
    tpm: Mutex<Box<dyn Tpm>>,
    quotes: Option<Box<dyn QuoteService>>,
}

impl Paravisor {
    /// With `quotes` on TDX, without on SEV-SNP.
    pub(super) fn new(tpm: Box<dyn Tpm>, quotes: Option<Box<dyn QuoteService>>) -> Self {
        Self {
            tpm: Mutex::new(tpm),
            quotes,
        }
    }
}

impl Reporter for Paravisor {
    fn report(&self, report_data: &ReportData) -> Result<CpuReport, AttesterError> {
        // From the input to the quote: another request between them would be answered instead of this one.
        let tpm = self.tpm.lock().unwrap_or_else(PoisonError::into_inner);
        let GuestEvidence {
            hcl_report,
            quoted,
            td_quote,
        } = azure::evidence(
            &**tpm,
            self.quotes.as_deref(),
            report_data.as_bytes(),
            &std::thread::sleep,
        )?;
        let registers = quoted.registers.iter().flat_map(|value| *value.as_bytes());
        let mut parts = vec![
            (EvidencePart::TpmQuote, quoted.message),
            (EvidencePart::TpmRegisters, registers.collect()),
            (EvidencePart::TpmSignature, quoted.signature),
        ];
        parts.extend(td_quote.map(|quote| (EvidencePart::TdxQuote, quote)));
        Ok(CpuReport {
            report: hcl_report,
            parts,
            certificates: None,
        })
    }

    fn fixed_config(&self, config_sha256: &Digest<32>) -> Result<FixedConfig, AttesterError> {
        let tpm = self.tpm.lock().unwrap_or_else(PoisonError::into_inner);
        let vtpm = |fault| Interface::Vtpm.fails(fault);
        let register = || {
            let registers = tpm::registers(&**tpm).map_err(vtpm)?;
            let value = registers.get(usize::from(CONFIGURATION_REGISTER)).copied();
            value.ok_or(vtpm(Fault::Unsupported))
        };
        if register()?.is_zero() {
            tpm::extend(&**tpm, CONFIGURATION_REGISTER, config_sha256).map_err(vtpm)?;
        }
        // Somebody may have been first: what counts is what is there now.
        Ok(FixedConfig::Register(Some(register()?)))
    }
}
