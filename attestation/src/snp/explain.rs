//! The verification of a report, told check by check.
//!
//! Why apart: [`VerifiedVek`] and [`VerifiedReport`] stop at the first check that fails; a person who was refused
//! wants to see all of them.
//!
//! # Invariants
//! The verdict is theirs. What is shown is read by the same parsers, and compared by nobody here.

use crate::snp::report::{REPORT_LENGTH, Report};
use crate::snp::vek::Statements;
use crate::snp::{
    Anchors, BindingCheck, Endorsements, ReportCheck, Revocation, SignerKind, SigningKey, SnpError, Tcb,
    VekCheck, VerifiedReport, VerifiedVek, Whose,
};
use crate::time::Timestamp;
use crate::trace::text::{date, hex, long, number, of_certificate};
use crate::trace::{Plan, Refusal, Trace};
use crate::x509::{Certificate, Crl, Fault, plan};

/// What there is to verify a report with.
#[derive(Debug, Clone, Copy)]
pub enum Given<'a> {
    /// The certificates.
    Endorsements(Endorsements<'a>),
    /// No certificate of the key that signs reports, or none of its authority: the report's form is all that can be
    /// checked.
    Nothing,
}

/// Verifies `report` with what is `given`, under `anchors`, as of `at`, and tells every check. There is no verdict
/// where the report has its form and no certificate was given.
pub fn explain(
    report: &[u8],
    given: &Given<'_>,
    anchors: &Anchors,
    at: Timestamp,
) -> Trace<VerifiedReport, SnpError> {
    let verdict = match given {
        Given::Nothing => Report::parse(report).err().map(Err),
        Given::Endorsements(endorsements) => Some(
            VerifiedVek::verify(endorsements, anchors, at)
                .and_then(|vek| VerifiedReport::verify(report, &vek, at)),
        ),
    };
    let facts = Facts::read(report, given, verdict.as_ref().and_then(|one| one.as_ref().ok()));
    let refused = verdict.as_ref().and_then(|one| one.as_ref().err());
    let checks = order(report, given).trace(refused, |step| facts.of(step));
    Trace { checks, verdict }
}

impl Refusal for SnpError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    fn whose(&self) -> &'static str {
        match self {
            Self::Certificate { whose, .. } => match whose {
                Whose::Vek => "VCEK or VLEK",
                Whose::Authority => "ASK or ASVK",
                Whose::Root => "ARK",
            },
            Self::Crl(_) => "revocation list",
            _ => "",
        }
    }

    fn place(&self) -> usize {
        match self {
            Self::Report { offset, .. } | Self::Table { offset, .. } => *offset,
            _ => 0,
        }
    }

    fn found(&self) -> String {
        self.to_string()
    }
}

const NO_CERTIFICATE: &str = "no certificate of the signing key and its authority was given";
const NO_LIST: &str = "no revocation list was given";

/// The order of [`VerifiedVek::verify`] and [`VerifiedReport::verify`].
fn order(report: &[u8], given: &Given<'_>) -> Plan<SnpError> {
    let (root, list) = match given {
        Given::Endorsements(endorsements) => (endorsements.root.is_some(), endorsements.crl.is_some()),
        Given::Nothing => (false, false),
    };
    let of = |whose| move |fault| SnpError::Certificate { whose, fault };
    let mut plan = Plan::new();
    plan.all(plan::CERTIFICATE.map(of(Whose::Vek)));
    plan.all(plan::CERTIFICATE.map(of(Whose::Authority)));
    plan.all(
        [
            VekCheck::Key,
            VekCheck::Extensions,
            VekCheck::Product,
            VekCheck::StructureVersion,
            VekCheck::Extensions,
            VekCheck::ReservedLevel,
            VekCheck::Kind,
            VekCheck::Extensions,
            VekCheck::Product,
        ]
        .map(SnpError::Vek),
    );
    if root {
        plan.all(plan::CERTIFICATE.map(of(Whose::Root)));
    }
    plan.then(SnpError::Vek(VekCheck::Authority));
    plan.then(of(Whose::Root)(Fault::PathLength));
    plan.all(plan::LEAF.map(of(Whose::Vek)));
    let links = [(Whose::Vek, Whose::Authority), (Whose::Authority, Whose::Root)];
    // The ARK, when it came, is held against the pinned one, which is the same key.
    let last = root.then_some((Whose::Root, Whose::Root));
    for (child, issuer) in links.into_iter().chain(last) {
        for (of_issuer, fault) in plan::LINK {
            let whose = if of_issuer { issuer } else { child };
            plan.then(SnpError::Certificate { whose, fault });
        }
    }
    if list {
        plan.all(plan::LIST.map(SnpError::Crl));
    } else {
        plan.none(plan::LIST.map(SnpError::Crl), NO_LIST);
    }
    if matches!(given, Given::Nothing) {
        plan = plan.nothing(NO_CERTIFICATE);
    }
    form(report, &mut plan);
    let together = [
        SnpError::Binding(BindingCheck::Time),
        SnpError::Binding(BindingCheck::Product),
        SnpError::Binding(BindingCheck::SigningKey),
        SnpError::Binding(BindingCheck::ChipId),
        SnpError::Binding(BindingCheck::Tcb),
        SnpError::Report {
            check: ReportCheck::Signature,
            offset: 0,
        },
    ];
    match given {
        Given::Nothing => plan.none(together, NO_CERTIFICATE),
        Given::Endorsements(_) => plan.all(together),
    }
    plan
}

/// The order of [`Report::parse`], by offset.
fn form(report: &[u8], plan: &mut Plan<SnpError>) {
    let newer = number(report, 0).is_some_and(|version| version >= 3);
    let processor = if newer {
        ReportCheck::Cpuid
    } else {
        ReportCheck::Reserved
    };
    plan.all(
        [
            (ReportCheck::Length, 0),
            (ReportCheck::Version, 0),
            (ReportCheck::PolicyReserved, 8),
            (ReportCheck::Vmpl, 0x30),
            (ReportCheck::SignatureAlgorithm, 0x34),
            (ReportCheck::Reserved, 0x48),
            (ReportCheck::Unsigned, 0x48),
            (ReportCheck::SigningKey, 0x48),
            (ReportCheck::Reserved, 0x4c),
            (processor, 0x188),
            (ReportCheck::Reserved, 0x18b),
            (ReportCheck::ChipIdPadding, 0x1a8),
            (ReportCheck::Reserved, 0x1eb),
            (ReportCheck::TcbReserved, 0x38),
            (ReportCheck::SignaturePadding, 0x2d0),
        ]
        .map(|(check, offset)| SnpError::Report { check, offset }),
    );
}

/// What is there to be shown.
struct Facts<'a> {
    bytes: &'a [u8],
    report: Option<Report>,
    vek: Option<Certificate>,
    authority: Option<Certificate>,
    root: Option<Certificate>,
    said: Option<Statements>,
    list: Option<(Crl, usize)>,
    revocation: Option<Revocation>,
}

impl<'a> Facts<'a> {
    fn read(bytes: &'a [u8], given: &Given<'_>, verified: Option<&VerifiedReport>) -> Self {
        let certificate = |der: &[u8]| Certificate::parse(der).ok();
        let (vek, authority, root, list) = match given {
            Given::Nothing => (None, None, None, None),
            Given::Endorsements(given) => (
                certificate(given.vek),
                certificate(given.authority),
                given.root.and_then(certificate),
                given.crl.and_then(|der| Some((Crl::parse(der).ok()?, der.len()))),
            ),
        };
        Self {
            bytes,
            report: Report::parse(bytes).ok(),
            said: vek.as_ref().and_then(|vek| Statements::read(vek).ok()),
            vek,
            authority,
            root,
            list,
            revocation: verified.map(|report| report.revocation().clone()),
        }
    }

    fn of(&self, step: &SnpError) -> String {
        let found = match step {
            SnpError::Report { check, .. } => self.of_report(*check),
            SnpError::Certificate { whose, fault } => {
                let certificate = match whose {
                    Whose::Vek => &self.vek,
                    Whose::Authority => &self.authority,
                    Whose::Root => &self.root,
                };
                certificate
                    .as_ref()
                    .map(|certificate| of_certificate(certificate, fault))
            }
            SnpError::Crl(fault) => self.of_list(fault),
            SnpError::Vek(check) => self.of_vek(*check),
            SnpError::Binding(check) => self.of_binding(*check),
            SnpError::Tcb { .. } | SnpError::Table { .. } => None,
        };
        found.unwrap_or_default()
    }

    fn of_report(&self, check: ReportCheck) -> Option<String> {
        let at = |offset| number(self.bytes, offset);
        Some(match check {
            ReportCheck::Length => format!("{} bytes of {REPORT_LENGTH}", self.bytes.len()),
            ReportCheck::Version => format!("version {}", at(0)?),
            ReportCheck::PolicyReserved => format!("guest policy {:#x}", long(self.bytes, 8)?),
            ReportCheck::Vmpl => format!("VMPL {}", at(0x30)?),
            ReportCheck::SignatureAlgorithm => format!("algorithm {}", at(0x34)?),
            ReportCheck::SigningKey | ReportCheck::Unsigned => format!("key information {:#x}", at(0x48)?),
            ReportCheck::Cpuid => {
                let cpuid = self.report.as_ref()?.cpuid?;
                let product = self.report.as_ref()?.product()?;
                format!("{product}: family {:#x}, model {:#x}", cpuid.family, cpuid.model)
            }
            ReportCheck::TcbReserved => {
                let report = self.report.as_ref()?;
                format!(
                    "reported {}; current {}; committed {}; launch {}",
                    report.reported_tcb, report.current_tcb, report.committed_tcb, report.launch_tcb
                )
            }
            ReportCheck::ChipIdPadding => chip(&self.report.as_ref()?.chip_id),
            ReportCheck::Reserved | ReportCheck::SignaturePadding | ReportCheck::Signature => return None,
        })
    }

    fn of_list(&self, fault: &Fault) -> Option<String> {
        match fault {
            Fault::TooLarge { .. } => {
                let (_, length) = self.list.as_ref()?;
                return Some(format!("{length} bytes"));
            }
            Fault::NotYetValid { .. } | Fault::Expired { .. } | Fault::NoNumber => {}
            _ => return None,
        }
        let Some(Revocation::NotRevoked {
            number,
            this_update,
            next_update,
        }) = &self.revocation
        else {
            return None;
        };
        Some(match fault {
            Fault::NotYetValid { .. } => format!("from {}", date(*this_update)),
            Fault::Expired { .. } => format!("until {}", date(*next_update)),
            _ => format!("number {}", hex(number)),
        })
    }

    fn of_vek(&self, check: VekCheck) -> Option<String> {
        let said = self.said.as_ref()?;
        match check {
            VekCheck::Product => Some(said.product.to_string()),
            VekCheck::Extensions => Some(format!("TCB {}", said.tcb)),
            VekCheck::Kind => Some(match &said.kind {
                SignerKind::Vcek { hardware_id } => format!("VCEK of chip {}", chip(hardware_id)),
                SignerKind::Vlek { .. } => "VLEK of a provider".to_owned(),
            }),
            _ => None,
        }
    }

    fn of_binding(&self, check: BindingCheck) -> Option<String> {
        let (report, said) = (self.report.as_ref()?, self.said.as_ref()?);
        Some(match check {
            BindingCheck::Time => return None,
            BindingCheck::Product => {
                let product = report.product().map_or_else(
                    || "not said (version 2)".to_owned(),
                    |product| product.to_string(),
                );
                format!("report {product}, certificate {}", said.product)
            }
            BindingCheck::SigningKey => {
                let named = match report.signing_key {
                    SigningKey::Vcek => "VCEK",
                    SigningKey::Vlek => "VLEK",
                };
                let is = match said.kind {
                    SignerKind::Vcek { .. } => "VCEK",
                    SignerKind::Vlek { .. } => "VLEK",
                };
                format!("report {named}, certificate {is}")
            }
            BindingCheck::ChipId => match &said.kind {
                SignerKind::Vcek { hardware_id } => {
                    format!(
                        "report {}, certificate {}",
                        chip(&report.chip_id),
                        chip(hardware_id)
                    )
                }
                SignerKind::Vlek { .. } => "a VLEK is of no chip".to_owned(),
            },
            BindingCheck::Tcb => tcbs(&report.reported_tcb, &said.tcb),
        })
    }
}

fn tcbs(reported: &Tcb, certified: &Tcb) -> String {
    format!("report {reported}; certificate {certified}")
}

/// The start of a chip's identity, enough to tell two apart.
fn chip(id: &[u8; 64]) -> String {
    let (start, _) = id.split_at(8);
    match id.iter().all(|byte| *byte == 0) {
        true => "masked".to_owned(),
        false => format!("{}...", hex(start)),
    }
}

#[cfg(test)]
mod tests;
