//! The verification of devices, RIMs and a whole machine, told check by check.
//!
//! Why apart: the verifiers stop at the first check that fails; a person who was refused wants to see all of them.
//!
//! # Invariants
//! The verdicts are those of [`verify_device`], [`verify_rim`], [`match_gpu`], [`match_switch`] and
//! [`verify_topology`]. What is shown is read by the same parsers, and compared by nobody here.

use anchorhold_encoding::Digest;

use crate::nvidia::error::{DeviceError, ReportField, RimError, RimField, XmlFault};
use crate::nvidia::{
    ANSWERED_FOR, Anchors, Architecture, ComparisonError, DeviceKind, Edition, FirmwareBinding,
    FirmwareVersion, MatchedDevice, OpaqueData, Report, Revocation, RimRole, TopologyError, VerifiedDevice,
    VerifiedRim, VerifiedTopology, blackwell_driver_rim_id, hopper_driver_rim_id, match_gpu, match_switch,
    switch_rim_id, vbios_rim_id, verify_device, verify_rim, verify_topology,
};
use crate::time::Timestamp;
use crate::trace::text::{date, hex};
use crate::trace::{Plan, Refusal, Trace};
use crate::x509::{ChainError, Fault, OcspFault, RevocationReason};

impl Refusal for DeviceError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        match self {
            Self::Certificate(ChainError { fault, .. }) if *fault != ANY.fault => fault.hint(),
            _ => self.hint(),
        }
    }

    fn found(&self) -> String {
        match self {
            Self::Certificate(error) => format!("{error} ({})", error.fault.id()),
            Self::Ocsp { fault, .. } => format!("{self} ({})", fault.id()),
            _ => self.to_string(),
        }
    }
}

impl Refusal for RimError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    fn found(&self) -> String {
        match self {
            Self::Certificate(error) => format!("{error} ({})", error.fault.id()),
            Self::Ocsp { fault, .. } => format!("{self} ({})", fault.id()),
            _ => self.to_string(),
        }
    }
}

impl Refusal for ComparisonError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    fn found(&self) -> String {
        self.to_string()
    }
}

impl Refusal for TopologyError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    fn found(&self) -> String {
        self.to_string()
    }
}

/// What stands for any fault of a chain in a plan.
const ANY: ChainError = ChainError {
    link: 0,
    fault: Fault::PathLength,
};

/// Why nothing is said of revocation.
const NO_RESPONSE: &str = "no OCSP response was given";

/// The nonce that a report of the right length says it answers.
#[must_use]
pub fn nonce_of(report: &[u8]) -> Option<Digest<32>> {
    report.get(4..36).and_then(Digest::from_slice)
}

/// Verifies a device's report and tells every check. Without a `nonce` the report's own is taken, and whether it is
/// the one that was asked with is not checked. `responses` are as [`verify_device`] takes them.
pub fn explain_device(
    report: &[u8],
    certificates: &[Vec<u8>],
    nonce: Option<&Digest<32>>,
    responses: &[&[u8]],
    anchors: &Anchors,
    at: Timestamp,
) -> Trace<VerifiedDevice, DeviceError> {
    let own = nonce_of(report);
    let asked = nonce.copied().or(own).unwrap_or(Digest::new([0; 32]));
    let verdict = verify_device(report, certificates, &asked, responses, anchors, at);
    let device = verdict.as_ref().ok();
    let absent = device.is_some_and(|device| device.firmware_binding() == FirmwareBinding::Absent);
    let mut plan = Plan::new();
    plan.all([
        DeviceError::ChainLength,
        DeviceError::Root,
        DeviceError::Certificate(ANY),
        DeviceError::Chip,
        DeviceError::LeafFirmwareId,
    ]);
    let blackwell = device.is_some_and(|device| device.identity().flags().is_some());
    if blackwell {
        plan.none([DeviceError::LeafDeviceId], "Blackwell's certificates have none");
    } else {
        plan.then(DeviceError::LeafDeviceId);
        plan.then(DeviceError::LeafFirmwareId);
    }
    let revocation = [
        DeviceError::Ocsp {
            response: 0,
            fault: OcspFault::Syntax { offset: 0 },
        },
        DeviceError::Revoked {
            link: 0,
            since: Timestamp::MAX,
            reason: RevocationReason::Unspecified,
        },
    ];
    if responses.is_empty() {
        plan.none(revocation, NO_RESPONSE);
    } else {
        plan.all(revocation);
    }
    plan.then(DeviceError::Form {
        field: ReportField::Length,
        offset: 0,
    });
    if nonce.is_some() || own.is_none() {
        plan.then(DeviceError::Nonce);
    } else {
        plan.none([DeviceError::Nonce], "no nonce was given to compare with");
    }
    plan.then(DeviceError::Signature);
    if absent {
        plan.none([DeviceError::FirmwareId], "the report names no firmware");
    } else {
        plan.then(DeviceError::FirmwareId);
    }
    let read = [DeviceKind::Gpu, DeviceKind::Switch]
        .into_iter()
        .find_map(|kind| Report::parse(report, kind).ok());
    let checks = plan.trace(verdict.as_ref().err(), |step| {
        let found = match step {
            DeviceError::ChainLength => Some(format!("{} certificates", certificates.len())),
            DeviceError::Certificate(_) => device.map(|device| format!("until {}", date(device.expires()))),
            DeviceError::Chip => device.map(|device| {
                let identity = device.identity();
                format!("{}, serial number {}", identity.chip(), identity.serial_number())
            }),
            DeviceError::LeafFirmwareId => {
                device.map(|device| start(device.identity().firmware_id().as_bytes()))
            }
            DeviceError::Ocsp { .. } => Some(format!("{} responses", responses.len())),
            DeviceError::Revoked { .. } => device.map(|device| answered(device.revocation())),
            DeviceError::Form { .. } => Some(match read.as_ref().map(Report::opaque) {
                Some(OpaqueData::Gpu(data)) => format!(
                    "a GPU's: driver {}, VBIOS {}",
                    data.driver_version().as_str(),
                    data.vbios_version()
                ),
                Some(OpaqueData::Switch(data)) => format!("a switch's: BIOS {}", data.bios_version()),
                None => format!("{} bytes", report.len()),
            }),
            DeviceError::Nonce => own.map(|nonce| nonce.to_string()),
            DeviceError::FirmwareId => read
                .as_ref()
                .and_then(|report| report.opaque().firmware_id())
                .map(|id| start(id.as_bytes())),
            _ => None,
        };
        found.unwrap_or_default()
    });
    Trace {
        checks,
        verdict: Some(verdict),
    }
}

/// What answers say of a chain's certificates.
fn answered(revocation: &Revocation) -> String {
    match revocation {
        Revocation::NotRevoked(answers) => {
            format!("all certificates are good until {}", date(answers.expires()))
        }
        Revocation::NotChecked { answered } => {
            format!("{answered} of {} certificates are good", ANSWERED_FOR.len())
        }
    }
}

/// Enough of a digest to tell two apart.
fn start(digest: &[u8; 48]) -> String {
    let (start, _) = digest.split_at(8);
    format!("{}...", hex(start))
}

/// Verifies a RIM file and tells every check. `responses` are as [`verify_rim`] takes them.
pub fn explain_rim(
    file: &[u8],
    responses: &[&[u8]],
    anchors: &Anchors,
    at: Timestamp,
) -> Trace<VerifiedRim, RimError> {
    let verdict = verify_rim(file, responses, anchors, at);
    let mut plan = Plan::new();
    plan.all([
        RimError::Xml {
            fault: XmlFault::Limit,
            offset: 0,
        },
        RimError::SignatureForm,
        RimError::Digest,
        RimError::ChainLength,
        RimError::Root,
        RimError::Certificate(ANY),
        RimError::Signature,
    ]);
    let revocation = [
        RimError::Ocsp {
            response: 0,
            fault: OcspFault::Syntax { offset: 0 },
        },
        RimError::Revoked {
            link: 0,
            since: Timestamp::MAX,
            reason: RevocationReason::Unspecified,
        },
    ];
    if responses.is_empty() {
        plan.none(revocation, NO_RESPONSE);
    } else {
        plan.all(revocation);
    }
    plan.then(RimError::Schema(RimField::SoftwareIdentity));
    let checks = plan.trace(verdict.as_ref().err(), |step| {
        let rim = verdict.as_ref().ok();
        match (step, rim) {
            (RimError::Xml { .. }, _) => format!("{} bytes", file.len()),
            (RimError::Certificate(_), Some(rim)) => {
                format!("from {} until {}", date(rim.not_before()), date(rim.expires()))
            }
            (RimError::Ocsp { .. }, _) => format!("{} responses", responses.len()),
            (RimError::Revoked { .. }, Some(rim)) => answered(rim.revocation()),
            (RimError::Schema(_), Some(rim)) => {
                let active = rim.rim().measurements().iter().filter(|one| one.is_active());
                format!("{} active measurements", active.count())
            }
            _ => String::new(),
        }
    });
    Trace {
        checks,
        verdict: Some(verdict),
    }
}

/// Of several RIMs those that are for a device, as [`explain_match`] takes them: of its version where there is one, else
/// of its kind.
#[must_use]
pub fn fitting<'a>(device: &VerifiedDevice, rims: &'a [VerifiedRim]) -> Vec<&'a VerifiedRim> {
    let edition = |edition| rims.iter().filter(move |rim| rim.rim().edition() == edition);
    let of_bios = |rim: &&VerifiedRim| FirmwareVersion::parse(rim.rim().version());
    match device.report().opaque() {
        OpaqueData::Gpu(data) => {
            let driver = data.driver_version().as_str();
            let drivers = || edition(Edition::Gpu).filter(|rim| of_bios(rim).is_none());
            let bioses = || edition(Edition::Gpu).filter(|rim| of_bios(rim).is_some());
            let exact = drivers().find(|rim| rim.rim().version() == driver);
            let driver = exact.or_else(|| drivers().next());
            let exact = bioses().find(|rim| of_bios(rim) == Some(data.vbios_version()));
            driver
                .into_iter()
                .chain(exact.or_else(|| bioses().next()))
                .collect()
        }
        OpaqueData::Switch(data) => {
            let exact = edition(Edition::Switch).find(|rim| of_bios(rim) == Some(data.bios_version()));
            exact
                .or_else(|| edition(Edition::Switch).next())
                .into_iter()
                .collect()
        }
    }
}

/// The names under which NVIDIA's RIM service has what [`explain_match`] needs.
#[must_use]
pub fn wanted(device: &VerifiedDevice) -> Vec<String> {
    match device.report().opaque() {
        OpaqueData::Gpu(data) => {
            let version = data.driver_version();
            let driver = match device.identity().architecture() {
                Architecture::Blackwell => blackwell_driver_rim_id(data.chip_info(), version),
                _ => hopper_driver_rim_id(version),
            };
            let (project, project_sku, chip_sku) = (data.project(), data.project_sku(), data.chip_sku());
            let bios = vbios_rim_id(project, project_sku, chip_sku, data.vbios_version());
            vec![driver, bios]
        }
        OpaqueData::Switch(data) => vec![switch_rim_id(data.bios_version())],
    }
}

/// Compares a device with its RIMs, by the number of them that its kind needs, and tells every check: of a GPU the
/// driver's comes first.
pub fn explain_match<'a>(
    device: &'a VerifiedDevice,
    rims: &[&VerifiedRim],
) -> Trace<MatchedDevice<'a>, ComparisonError> {
    let verdict = match (device.report().opaque(), rims) {
        (OpaqueData::Gpu(_), [driver, vbios]) => Some(match_gpu(device, driver, vbios)),
        (OpaqueData::Switch(_), [bios]) => Some(match_switch(device, bios)),
        _ => None,
    };
    let roles: &[RimRole] = match device.report().opaque() {
        OpaqueData::Gpu(_) => &[RimRole::Driver, RimRole::Bios],
        OpaqueData::Switch(_) => &[RimRole::Bios],
    };
    let mut plan = Plan::new();
    plan.then(ComparisonError::Kind);
    plan.all(roles.iter().map(|role| ComparisonError::Product(*role)));
    plan.all(roles.iter().map(|role| ComparisonError::Version(*role)));
    let conflict = ComparisonError::Conflict { index: 0 };
    if roles.len() > 1 {
        plan.then(conflict);
    } else {
        plan.none([conflict], "a switch has one RIM");
    }
    plan.then(ComparisonError::Beyond { index: 0 });
    plan.then(ComparisonError::Differs {
        driver: Vec::new(),
        bios: Vec::new(),
    });
    if verdict.is_none() {
        plan = plan.nothing("the RIMs of this device's driver and BIOS were not given, or do not verify");
    }
    let refused = verdict.as_ref().and_then(|one| one.as_ref().err());
    let checks = plan.trace(refused, |step| match (step, &verdict) {
        (ComparisonError::Differs { .. }, Some(Ok(matched))) => format!(
            "equal: driver {:?}, BIOS {:?}; exempt {:?}",
            matched.driver(),
            matched.bios(),
            matched.exempt()
        ),
        (ComparisonError::Version(_), _) => versions(device),
        _ => String::new(),
    });
    Trace { checks, verdict }
}

fn versions(device: &VerifiedDevice) -> String {
    match device.report().opaque() {
        OpaqueData::Gpu(data) => {
            format!(
                "device: driver {}, VBIOS {}",
                data.driver_version().as_str(),
                data.vbios_version()
            )
        }
        OpaqueData::Switch(data) => format!("device: BIOS {}", data.bios_version()),
    }
}

/// Whether these devices are one whole machine, and every check of that.
pub fn explain_topology(
    gpus: &[&VerifiedDevice],
    switches: &[&VerifiedDevice],
) -> Trace<VerifiedTopology, TopologyError> {
    let verdict = verify_topology(gpus, switches, gpus.len(), switches.len());
    let position = 0;
    let mut plan = Plan::new();
    plan.all([
        TopologyError::Count,
        TopologyError::Nonce { position },
        TopologyError::Repeated { position },
        TopologyError::Kind { position },
    ]);
    let seen = [
        TopologyError::Silent { position },
        TopologyError::Switches { position },
        TopologyError::Kind { position },
        TopologyError::Stranger { position },
        TopologyError::Silent { position },
        TopologyError::Gpus { position },
    ];
    if switches.is_empty() {
        let seen = seen
            .into_iter()
            .filter(|one| !matches!(one, TopologyError::Kind { .. }));
        plan.none(seen, "no switch was given");
    } else {
        plan.all(seen);
    }
    let checks = plan.trace(verdict.as_ref().err(), |step| match step {
        TopologyError::Count => format!("{} GPUs, {} switches", gpus.len(), switches.len()),
        _ => String::new(),
    });
    Trace {
        checks,
        verdict: Some(verdict),
    }
}

#[cfg(test)]
mod tests;
