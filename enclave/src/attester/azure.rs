//! Evidence of Azure's confidential VMs: a paravisor's report and its vTPM's quote.
//!
//! Why apart: three sources must speak of the same 64 bytes, and the first of them answers late.
//!
//! - [`imds`]: the host's service that makes a quote of a TDREPORT
//!
//! The 64 bytes go to NV index 0x01400002. The paravisor makes a new report when 0x01400001 is read, but not within two
//! seconds of the one before: then the old one is read, over older bytes. So a report is read until it is over
//! ours; a report that changed while it was read in pieces is one that is not.
//!
//! # Invariants
//! Nothing is handed on unless the claims repeat the 64 bytes and the hardware report names the claims. One request at
//! a time: the index holds one value.
//!
//! Sources: *Azure Confidential VM guest attestation design detail* (Microsoft Learn, 2025-02-06); OpenHCL
//! (github.com/microsoft/openvmm), `tpm_device`: `REPORT_TIMER_PERIOD`, and `tpm_guest_tests` for the order of
//! commands; the persistent handle 0x81000003 of the attestation key as in Microsoft's azure-cvm-tooling.

pub mod imds;

use std::time::Duration;

use anchorhold_attestation::azure::{HclHardware, HclReport, RuntimeClaims, TDREPORT_LENGTH};
use anchorhold_encoding::{Digest, sha256};

use super::error::{AttesterError, Fault, Interface};
use super::tpm::{self, Quoted, Tpm};
use crate::limits;
pub use imds::QuoteService;

/// NV index of the HCL report.
const REPORT_INDEX: u32 = 0x0140_0001;
/// NV index of the 64 bytes that the next report is to repeat.
const INPUT_INDEX: u32 = 0x0140_0002;
const INPUT_LENGTH: u16 = 64;
/// Persistent handle of the vTPM's attestation key.
const ATTESTATION_KEY: u32 = 0x8100_0003;
/// Where the hardware report begins in an HCL report.
const HARDWARE_OFFSET: usize = 32;
/// Where the report data is in an SEV-SNP report (AMD 56860, table ATTESTATION_REPORT) and in a TDREPORT (Intel 733579).
const SNP_REPORT_DATA: usize = 0x50;
const TD_REPORT_DATA: usize = 128;

/// Which hardware is under the paravisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware {
    /// AMD SEV-SNP.
    Snp,
    /// Intel TDX.
    Tdx,
}

/// Everything a guest of a paravisor shows.
#[derive(Debug)]
pub struct GuestEvidence {
    /// The HCL report, as long as its NV index.
    pub hcl_report: Vec<u8>,
    /// The vTPM's quote over the registers, with the SHA-256 of the 64 bytes as qualifying data.
    pub quoted: Quoted,
    /// Intel's quote of the TDREPORT inside, on TDX.
    pub td_quote: Option<Vec<u8>>,
}

/// Has everything of the guest signed over `data`. May take seconds. `pause` waits between two looks at the report.
///
/// # Errors
/// [`AttesterError::Interface`] with [`Interface::Vtpm`] or [`Interface::QuoteService`].
pub fn evidence(
    tpm: &dyn Tpm,
    quotes: Option<&dyn QuoteService>,
    data: &[u8; 64],
    pause: &dyn Fn(Duration),
) -> Result<GuestEvidence, AttesterError> {
    let vtpm = |fault| Interface::Vtpm.fails(fault);
    let hardware = if quotes.is_some() {
        Hardware::Tdx
    } else {
        Hardware::Snp
    };
    write_input(tpm, data).map_err(vtpm)?;
    let hcl_report = read_report(tpm, hardware, data, pause).map_err(vtpm)?;
    let quoted = tpm::quote(tpm, ATTESTATION_KEY, &sha256(&[data])).map_err(vtpm)?;
    let td_quote = match quotes {
        None => None,
        Some(service) => Some(td_quote(service, &hcl_report)?),
    };
    Ok(GuestEvidence {
        hcl_report,
        quoted,
        td_quote,
    })
}

fn write_input(tpm: &dyn Tpm, data: &[u8; 64]) -> Result<(), Fault> {
    match tpm::nv_size(tpm, INPUT_INDEX)? {
        Some(INPUT_LENGTH) => {}
        // Somebody's, and not for this.
        Some(_) => return Err(Fault::OtherKind),
        None => tpm::nv_define(tpm, INPUT_INDEX, INPUT_LENGTH)?,
    }
    tpm::nv_write(tpm, INPUT_INDEX, data)
}

fn read_report(
    tpm: &dyn Tpm,
    hardware: Hardware,
    data: &[u8; 64],
    pause: &dyn Fn(Duration),
) -> Result<Vec<u8>, Fault> {
    let mut last = Fault::Stale;
    for attempt in 0..limits::HCL_LOOKS {
        if attempt > 0 {
            pause(limits::HCL_PAUSE);
        }
        let report = tpm::nv_read(tpm, REPORT_INDEX, anchorhold_attestation::limits::HCL_REPORT)?;
        match check(&report, hardware, data) {
            Ok(()) => return Ok(report),
            // Of another machine now, of another machine later.
            Err(Fault::OtherKind) => return Err(Fault::OtherKind),
            Err(fault) => last = fault,
        }
    }
    Err(last)
}

/// That a report is whole and over `data`.
fn check(report: &[u8], hardware: Hardware, data: &[u8; 64]) -> Result<(), Fault> {
    let hcl = HclReport::parse(report).map_err(|_| Fault::Malformed)?;
    let offset = match (hcl.hardware(), hardware) {
        (HclHardware::Snp(_), Hardware::Snp) => SNP_REPORT_DATA,
        (HclHardware::Tdx(_), Hardware::Tdx) => TD_REPORT_DATA,
        _ => return Err(Fault::OtherKind),
    };
    let named: Option<Digest<32>> = report
        .get(HARDWARE_OFFSET + offset..)
        .and_then(|rest| rest.first_chunk::<32>())
        .map(|bytes| Digest::new(*bytes));
    if named != Some(sha256(&[hcl.claims_bytes()])) {
        return Err(Fault::Disturbed);
    }
    let claims = RuntimeClaims::parse(hcl.claims_bytes()).map_err(|_| Fault::Malformed)?;
    match claims.user_data() {
        // Paravisors before user data cannot bind anything.
        None => Err(Fault::Unsupported),
        Some(user_data) if user_data.as_bytes() == data => Ok(()),
        Some(_) => Err(Fault::Stale),
    }
}

fn td_quote(service: &dyn QuoteService, hcl_report: &[u8]) -> Result<Vec<u8>, AttesterError> {
    let fails = |fault| Interface::QuoteService.fails(fault);
    let report: &[u8; TDREPORT_LENGTH] = hcl_report
        .get(HARDWARE_OFFSET..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(fails(Fault::Malformed))?;
    let quote = service.quote(report).map_err(fails)?;
    let report_data: &[u8; 64] = report
        .get(TD_REPORT_DATA..)
        .and_then(|rest| rest.first_chunk())
        .ok_or(fails(Fault::Malformed))?;
    if !super::holds(&quote, report_data) {
        return Err(fails(Fault::Stale));
    }
    Ok(quote)
}

#[cfg(test)]
pub(super) mod tests;
