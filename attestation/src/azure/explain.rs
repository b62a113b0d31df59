//! The verification of a guest under Azure's paravisor, told check by check.
//!
//! Why apart: box, hardware report, TPM quote and binding each stop at their first check that fails; a person who was
//! refused wants to see all of them, in the order in which they are made.
//!
//! # Invariants
//! The verdict is that of [`HclReport::parse`], the hardware's own verifier, [`Quote::parse`] and [`bind`].

use anchorhold_encoding::Digest;

use super::bind::{Hardware, VerifiedGuest, bind, claims};
use super::claims::RuntimeClaims;
use super::error::{AzureError, Check};
use super::hcl::{HclHardware, HclReport};
use super::quote::Quote;
use crate::binding::ReportData;
use crate::limits;
use crate::time::Timestamp;
use crate::trace::text::{hex, number};
use crate::trace::{Plan, Refusal, Trace, TracedCheck};
use crate::{snp, tdx};

/// A vTPM's quote as [`Quote::parse`] takes it.
#[derive(Debug, Clone, Copy)]
pub struct TpmQuote<'a> {
    /// TPMS_ATTEST.
    pub message: &'a [u8],
    /// TPMT_SIGNATURE.
    pub signature: &'a [u8],
    /// The values of the selected registers, ascending.
    pub values: &'a [Digest<32>],
}

/// What there is beside the HCL report.
#[derive(Debug, Clone, Copy)]
pub struct Beside<'a> {
    /// Certificates for an SEV-SNP report inside, and whom they must come from.
    pub snp: (snp::Given<'a>, &'a snp::Anchors),
    /// Intel's quote of a TDREPORT inside, its collateral, and whom they must come from.
    pub tdx: (Option<&'a [u8]>, Option<&'a [u8]>, &'a tdx::Anchors),
    /// The vTPM's quote.
    pub quote: Option<TpmQuote<'a>>,
    /// The 64 bytes that the guest was to have signed. Without them the claims' own are taken, and whether they are
    /// the ones expected is not checked.
    pub expected: Option<&'a ReportData>,
}

/// Why a guest is refused, by whose part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestError {
    /// The paravisor's, the vTPM's, or that they belong together.
    Azure(AzureError),
    /// The SEV-SNP report inside.
    Snp(snp::SnpError),
    /// The quote of the TDREPORT inside.
    Tdx(tdx::TdxError),
}

impl GuestError {
    /// The identifier of the check that failed.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::Azure(error) => error.id(),
            Self::Snp(error) => error.id(),
            Self::Tdx(error) => error.id(),
        }
    }
}

impl Refusal for AzureError {
    fn id(&self) -> &'static str {
        self.id()
    }

    fn hint(&self) -> &'static str {
        self.hint()
    }

    fn place(&self) -> usize {
        match self {
            // Too long is noticed before anything is read.
            Self::Report { at, .. } if *at < limits::HCL_REPORT => *at,
            _ => 0,
        }
    }

    fn found(&self) -> String {
        match self {
            Self::Report { at, .. } => format!("HCL report, byte {at}"),
            Self::Claims { field, .. } => format!("runtime claims, {field}"),
            Self::Quote { at, .. } => format!("TPM quote, byte {at}"),
            Self::Binding { .. } => String::new(),
        }
    }
}

const NO_QUOTE: &str = "no TPM quote was given";
const NO_HARDWARE: &str = "the hardware report could not be verified with what was given";
const NOT_EXPECTED: &str = "no 64 bytes were given to compare with";

/// Verifies the HCL report `hcl` with what is `beside` it, as of `at`, and tells every check. There is no verdict
/// where something that is needed was not given and all that there is holds.
pub fn explain(hcl: &[u8], beside: &Beside<'_>, at: Timestamp) -> Trace<VerifiedGuest, GuestError> {
    let parsed = HclReport::parse(hcl);
    let mut checks = form(hcl).trace(parsed.as_ref().err(), |step| of_form(hcl, step));
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(error) => {
            checks.extend(unreached());
            return refused(checks, GuestError::Azure(error));
        }
    };
    let (rows, hardware) = hardware(&parsed, beside, at);
    checks.extend(rows);
    let hardware = match hardware {
        Some(Ok(hardware)) => Some(hardware),
        Some(Err(error)) => {
            checks.extend(unreached());
            return refused(checks, error);
        }
        None => None,
    };
    let quote = beside
        .quote
        .map(|quote| Quote::parse(quote.message, quote.signature, quote.values));
    let error = quote.as_ref().and_then(|quote| quote.as_ref().err()).copied();
    let plan = quote_form();
    let plan = match &quote {
        None => plan.nothing(NO_QUOTE),
        Some(_) => plan,
    };
    checks.extend(plan.trace(error.as_ref(), |_| String::new()));
    if let Some(error) = error {
        checks.extend(binding(true, None).unreached());
        return refused(checks, GuestError::Azure(error));
    }
    together(
        checks,
        &parsed,
        hardware,
        quote.and_then(Result::ok),
        beside.expected,
    )
}

fn refused(checks: Vec<TracedCheck>, error: GuestError) -> Trace<VerifiedGuest, GuestError> {
    Trace {
        checks,
        verdict: Some(Err(error)),
    }
}

/// What comes behind box and hardware, when either is refused.
fn unreached() -> Vec<TracedCheck> {
    let mut rows = quote_form().unreached();
    rows.extend(binding(true, None).unreached());
    rows
}

type HardwareVerdict = Option<Result<Hardware, GuestError>>;

fn hardware(hcl: &HclReport<'_>, beside: &Beside<'_>, at: Timestamp) -> (Vec<TracedCheck>, HardwareVerdict) {
    match hcl.hardware() {
        HclHardware::Snp(report) => {
            let (given, anchors) = beside.snp;
            let told = snp::explain(report.as_slice(), &given, anchors, at);
            let verdict = told.verdict.map(|verdict| {
                verdict
                    .map(|report| Hardware::Snp(Box::new(report)))
                    .map_err(GuestError::Snp)
            });
            (told.checks, verdict)
        }
        HclHardware::Tdx(_) => {
            let (quote, collateral, anchors) = beside.tdx;
            let Some(quote) = quote else {
                return (Vec::new(), None);
            };
            let told = tdx::explain(quote, collateral, anchors, at);
            let verdict = told.verdict.map(|verdict| {
                verdict
                    .map(|quote| Hardware::Tdx(Box::new(quote)))
                    .map_err(GuestError::Tdx)
            });
            (told.checks, verdict)
        }
    }
}

/// The last part: that all of it belongs together.
fn together(
    mut checks: Vec<TracedCheck>,
    hcl: &HclReport<'_>,
    hardware: Option<Hardware>,
    quote: Option<Quote<'_>>,
    expected: Option<&ReportData>,
) -> Trace<VerifiedGuest, GuestError> {
    let Some(hardware) = hardware else {
        checks.extend(
            binding(true, None)
                .nothing(NO_HARDWARE)
                .trace(None, |_| String::new()),
        );
        return Trace {
            checks,
            verdict: None,
        };
    };
    // As far as it can be told without the quote, and what the 64 bytes are.
    let named = hardware
        .signed()
        .ok_or(AzureError::Binding {
            check: Check::HardwareReport,
        })
        .and_then(|signed| claims(hcl, &signed));
    let own = named.as_ref().ok().and_then(RuntimeClaims::user_data).cloned();
    let shown = own.as_ref().map(|own| hex(own.as_bytes()));
    let has_quote = quote.is_some();
    let verdict = match (named, quote, expected.or(own.as_ref())) {
        (Err(error), ..) => Some(Err(error)),
        (Ok(_), _, None) => Some(Err(AzureError::Binding {
            check: Check::UserData,
        })),
        (Ok(claims), None, Some(expected)) if claims.user_data() != Some(expected) => {
            Some(Err(AzureError::Binding {
                check: Check::UserData,
            }))
        }
        (Ok(_), None, Some(_)) => None,
        (Ok(_), Some(quote), Some(expected)) => Some(bind(hcl, hardware, quote, expected)),
    };
    let compared = expected.is_some() || own.is_none();
    let error = verdict.as_ref().and_then(|one| one.as_ref().err());
    let plan = binding(has_quote, (!compared).then_some(NOT_EXPECTED));
    checks.extend(plan.trace(error, |step| match step.check() {
        Check::UserData => shown.clone().unwrap_or_default(),
        _ => String::new(),
    }));
    Trace {
        checks,
        verdict: verdict.map(|one| one.map_err(GuestError::Azure)),
    }
}

/// The order of [`HclReport::parse`].
fn form(hcl: &[u8]) -> Plan<AzureError> {
    let wrong = |(check, at)| AzureError::Report { check, at };
    let mut plan = Plan::new();
    plan.all(
        [
            (Check::HclLength, 0),
            (Check::HclSignature, 0),
            (Check::HclVersion, 4),
            (Check::HclLength, 8),
            (Check::HclRequestType, 12),
            (Check::HclReserved, 16),
            (Check::HclDataVersion, 1220),
            (Check::HclReportType, 1224),
            (Check::HclHashType, 1228),
            (Check::HclLength, usize::MAX),
            (Check::HclDataSize, 1216),
            (Check::HclClaimsSize, 1232),
            (Check::HclPadding, 1236),
        ]
        .map(wrong),
    );
    let inside = [
        (Check::HclPadding, 1056),
        (Check::TdReportType, 32),
        (Check::TdReportReserved, 36),
        (Check::TdReportHashes, 96),
        (Check::TdReportReserved, usize::MAX),
        (Check::TdReportType, usize::MAX),
    ]
    .map(wrong);
    if number(hcl, 1224) == Some(2) {
        let [_, rest @ ..] = inside;
        plan.none(rest, "the report inside is one of SEV-SNP");
    } else {
        plan.all(inside);
    }
    plan
}

fn of_form(hcl: &[u8], step: &AzureError) -> String {
    let at = |offset| number(hcl, offset).map(|value| value.to_string());
    let found = match step.check() {
        Check::HclLength => Some(format!("{} bytes", hcl.len())),
        Check::HclVersion => at(4),
        Check::HclRequestType => at(12),
        Check::HclDataSize => at(1216),
        Check::HclDataVersion => at(1220),
        Check::HclReportType => at(1224),
        Check::HclHashType => at(1228),
        Check::HclClaimsSize => at(1232),
        _ => None,
    };
    found.unwrap_or_default()
}

/// The order of [`Quote::parse`].
fn quote_form() -> Plan<AzureError> {
    let mut plan = Plan::new();
    plan.all(
        [
            Check::QuoteMagic,
            Check::QuoteType,
            Check::QuoteShape,
            Check::QuoteSelection,
            Check::QuoteValues,
            Check::QuoteShape,
            Check::QuoteSignatureShape,
        ]
        .map(|check| AzureError::Quote { check, at: 0 }),
    );
    plan
}

/// The order of [`bind`]; why the 64 bytes are not compared, if they are not.
fn binding(quote: bool, unexpected: Option<&'static str>) -> Plan<AzureError> {
    let wrong = |check| AzureError::Binding { check };
    let mut plan = Plan::new();
    plan.all(
        [
            Check::HardwareKind,
            Check::HardwareReport,
            Check::ReportDataClaims,
            Check::ReportDataZero,
            Check::ClaimsShape,
            Check::ClaimsKeys,
            Check::ClaimsAttestationKey,
            Check::ClaimsUserData,
        ]
        .map(wrong),
    );
    match unexpected {
        None => plan.then(wrong(Check::UserData)),
        Some(why) => plan.none([wrong(Check::UserData)], why),
    }
    let rest = [
        Check::QuoteSignature,
        Check::QuoteSigner,
        Check::QuoteQualifyingData,
        Check::QuotePcrDigest,
    ]
    .map(wrong);
    if quote {
        plan.all(rest);
    } else {
        plan.none(rest, NO_QUOTE);
    }
    plan
}

#[cfg(test)]
mod tests;
