//! The verification of a machine with a provider's TPM, told check by check.
//!
//! Why apart: the SEV-SNP report and the provider's TPM each stop at their first check that fails; a person who was refused
//! wants to see all of them, in the order in which they are made.
//!
//! # Invariants
//! The verdict is that of the report's own verifier, then of [`verify_google`] or [`verify_aws`] over the report data of the
//! report that was proven. Without a proven report nothing of a TPM is compared.

use anchorhold_encoding::sha256;

use super::anchors::Anchors;
use super::error::{Check, ProviderError};
use super::google::GoogleQuote;
use super::machine::{MachineRegisters, ProviderMachine};
use super::{verify_aws, verify_google};
use crate::binding::ReportData;
use crate::snp::{self, SnpError, VerifiedReport};
use crate::time::Timestamp;
use crate::trace::text::{date, hex};
use crate::trace::{Plan, Refusal, Trace, TracedCheck};
use crate::x509::{ChainError, plan};

/// What a provider's TPM says, where it was given.
#[derive(Debug, Clone, Copy)]
pub enum Tpm<'a> {
    /// Google's: a quote, and the certificates of its key.
    Google(Option<GoogleQuote<'a>>),
    /// AWS's: a NitroTPM attestation document.
    Aws(Option<&'a [u8]>),
}

/// What there is beside the SEV-SNP report.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Certificates for the report, and whom they must come from.
    pub snp: (snp::Given<'a>, &'a snp::Anchors),
    /// The TPM's part.
    pub tpm: Tpm<'a>,
    /// Whom the TPM's certificates must come from.
    pub anchors: &'a Anchors,
}

/// Why a machine is refused, by whose part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MachineError {
    /// The SEV-SNP report.
    Snp(SnpError),
    /// The provider's TPM, or that it belongs to the report.
    Provider(ProviderError),
}

impl MachineError {
    /// The identifier of the check that failed.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Snp(error) => error.id(),
            Self::Provider(error) => error.id(),
        }
    }
}

impl Refusal for ProviderError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    /// Certificates are read one by one, each after its frame; the path they are is proven once all are read.
    fn place(&self) -> usize {
        match self {
            Self::Form {
                check: Check::GoogleCertificates,
                at,
            } => (*at).min(1),
            Self::Chain { error, .. } if !reads(error) => 2,
            _ => 0,
        }
    }

    fn found(&self) -> String {
        match self {
            Self::Form { at, .. } => format!("wrong at {at}"),
            Self::Chain { error, .. } => format!("{error} ({})", error.fault.id()),
            Self::Binding { .. } => String::new(),
        }
    }
}

/// A fault of one certificate as it is read, before any path.
fn reads(error: &ChainError) -> bool {
    plan::CERTIFICATE
        .iter()
        .any(|fault| fault.id() == error.fault.id())
}

const NO_QUOTE: &str = "the TPM's quote, or the certificates of its key, were not given";
const NO_DOCUMENT: &str = "no NitroTPM document was given";
const NO_ROOT: &str = "no root of this provider is believed";
const NO_REPORT: &str = "the SEV-SNP report could not be verified with what was given";

/// What a machine proves: the report, and what the TPM says that is bound to it.
pub type Proven = (VerifiedReport, ProviderMachine);

/// Verifies the SEV-SNP report `report` and the TPM's part with what is `beside` them, as of `at`, and tells every check.
/// There is no verdict where something that is needed was not given and all that there is holds.
pub fn explain(report: &[u8], beside: &Beside<'_>, at: Timestamp) -> Trace<Proven, MachineError> {
    let (given, roots) = beside.snp;
    let told = snp::explain(report, &given, roots, at);
    let mut checks = told.checks;
    let report = match told.verdict {
        Some(Ok(report)) => report,
        Some(Err(error)) => {
            checks.extend(order(&beside.tpm).unreached());
            return Trace {
                checks,
                verdict: Some(Err(MachineError::Snp(error))),
            };
        }
        None => {
            let plan = order(&beside.tpm).nothing(NO_REPORT);
            checks.extend(plan.trace(None, |_| String::new()));
            return Trace {
                checks,
                verdict: None,
            };
        }
    };
    let data = ReportData::new(*report.report().report_data.as_bytes());
    let (rows, verdict) = machine(beside, &data, at);
    checks.extend(rows);
    Trace {
        checks,
        verdict: verdict.map(|verdict| {
            verdict
                .map(|machine| (report, machine))
                .map_err(MachineError::Provider)
        }),
    }
}

type Verdict = Option<Result<ProviderMachine, ProviderError>>;

/// The TPM's part, over the report data of a proven report.
fn machine(beside: &Beside<'_>, data: &ReportData, at: Timestamp) -> (Vec<TracedCheck>, Verdict) {
    let (verdict, lacks) = match (&beside.tpm, beside.anchors.google(), beside.anchors.aws()) {
        (Tpm::Google(Some(quote)), Some(root), _) => (Some(verify_google(quote, data, root, at)), ""),
        (Tpm::Aws(Some(document)), _, Some(root)) => (Some(verify_aws(document, data, root, at)), ""),
        (Tpm::Google(None), ..) => (None, NO_QUOTE),
        (Tpm::Aws(None), ..) => (None, NO_DOCUMENT),
        _ => (None, NO_ROOT),
    };
    let plan = match &verdict {
        Some(_) => order(&beside.tpm),
        None => order(&beside.tpm).nothing(lacks),
    };
    let proven = verdict.as_ref().and_then(|verdict| verdict.as_ref().ok());
    let refused = verdict.as_ref().and_then(|verdict| verdict.as_ref().err());
    let rows = plan.trace(refused, |step| match step.check() {
        Check::GoogleChain | Check::NitroChain => proven.map_or_else(String::new, |machine| {
            format!("until {}", date(machine.not_after()))
        }),
        Check::GoogleQuoteForm | Check::NitroPayload => proven.map_or_else(String::new, registers),
        Check::GoogleQualifyingData | Check::NitroUserData => {
            format!("must be {}", hex(sha256(&[data.as_bytes()]).as_bytes()))
        }
        _ => String::new(),
    });
    (rows, verdict)
}

fn registers(machine: &ProviderMachine) -> String {
    match machine.registers() {
        MachineRegisters::Sha256(registers) => format!("{} registers, SHA-256", registers.iter().count()),
        MachineRegisters::Sha384(registers) => format!("{} registers, SHA-384", registers.len()),
    }
}

/// The order of [`verify_google`] and of [`verify_aws`].
fn order(tpm: &Tpm<'_>) -> Plan<ProviderError> {
    let form = |check, at| ProviderError::Form { check, at };
    let chain = |check, fault| ProviderError::Chain {
        check,
        error: ChainError { link: 0, fault },
    };
    let binding = |check| ProviderError::Binding { check };
    let [read, ..] = plan::CERTIFICATE;
    let (_, path) = plan::LINK[0];
    let mut plan = Plan::new();
    match tpm {
        Tpm::Google(_) => plan.all([
            form(Check::GoogleCertificates, 0),
            chain(Check::GoogleChain, read),
            form(Check::GoogleCertificates, 1),
            chain(Check::GoogleChain, path),
            form(Check::GoogleQuoteForm, 0),
            binding(Check::GoogleQuoteSignature),
            binding(Check::GoogleQualifyingData),
            binding(Check::GooglePcrDigest),
        ]),
        Tpm::Aws(_) => plan.all([
            form(Check::NitroForm, 0),
            form(Check::NitroPayload, 0),
            chain(Check::NitroChain, path),
            binding(Check::NitroSignature),
            binding(Check::NitroUserData),
        ]),
    }
    plan
}

#[cfg(test)]
mod tests;
