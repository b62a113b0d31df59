//! A TDREPORT, which the paravisor keeps where a quote would be: checked for itself, compared with a quote.
//!
//! Why apart: only the CPU that made a TDREPORT can check its MAC. Here it is no proof of anything; it is held
//! against the verified quote so that no byte of the HCL report is taken for what it is not.
//!
//! # Invariants
//! Both hashes are those of their parts; reserved bytes are zero. There is no accessor: what a policy asks is
//! answered by the quote.
//!
//! Layout (Intel TDX Module ABI Specification, document 733579, section 4.7, 1024 bytes): REPORTMACSTRUCT 256 = type 4, reserved 12,
//! CPUSVN 16, hash of TEE_TCB_INFO 48, hash of TDINFO 48, report data 64, reserved 32, MAC 32; TEE_TCB_INFO 239 =
//! valid 8, TEE_TCB_SVN 16, MRSEAM 48, MRSIGNERSEAM 48, attributes 8, TEE_TCB_SVN2 16, reserved 95; reserved 17;
//! TDINFO 512 = attributes 8, XFAM 8, MRTD, MRCONFIGID, MROWNER, MROWNERCONFIG, RTMR0..3 48 each, SERVTD_HASH 48,
//! reserved 64.

use anchorhold_encoding::sha384;

use super::error::{AzureError, Check};
use super::read::{Reader, all_zero};
use crate::tdx::TdBody;

/// Bytes of a TDREPORT.
pub const TDREPORT_LENGTH: usize = 1024;

const TYPE_TDX: u8 = 0x81;
const TCB_INFO_LENGTH: usize = 239;
const TD_INFO_LENGTH: usize = 512;

/// A TDREPORT of the right form.
pub struct TdReport<'a> {
    report_data: &'a [u8; 64],
    /// TEE_TCB_SVN, MRSEAM, MRSIGNERSEAM, attributes of the SEAM module: a quote's first 120 bytes.
    seam: &'a [u8; 120],
    /// Attributes of the TD to RTMR3: a quote's next 400 bytes.
    td: &'a [u8; 400],
    /// What a body of TDX 1.5 has after the report data.
    tcb_svn_2: &'a [u8; 16],
    service_td: &'a [u8; 48],
}

impl<'a> TdReport<'a> {
    pub(super) fn parse(bytes: &'a [u8; TDREPORT_LENGTH]) -> Result<Self, AzureError> {
        let mut reader = Reader::new(bytes);
        Self::read(&mut reader)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, AzureError> {
        let [kind, subtype, version, last] = *take(reader)?;
        if kind != TYPE_TDX || subtype != 0 || version > 1 || last != 0 {
            return Err(wrong(Check::TdReportType, 0));
        }
        zero::<12>(reader)?;
        let _cpu_svn: &[u8; 16] = take(reader)?;
        let hashes_at = reader.at();
        let tcb_info_hash: &[u8; 48] = take(reader)?;
        let td_info_hash: &[u8; 48] = take(reader)?;
        let report_data = take(reader)?;
        zero::<32>(reader)?;
        let _mac: &[u8; 32] = take(reader)?;
        let tcb_info: &[u8; TCB_INFO_LENGTH] = take(reader)?;
        zero::<17>(reader)?;
        let td_info_at = reader.at();
        let td_info: &[u8; TD_INFO_LENGTH] = take(reader)?;
        if sha384(&[tcb_info]).as_bytes() != tcb_info_hash || sha384(&[td_info]).as_bytes() != td_info_hash {
            return Err(wrong(Check::TdReportHashes, hashes_at));
        }
        let mut parts = Reader::new(tcb_info);
        let _valid: &[u8; 8] = take(&mut parts)?;
        let seam = take(&mut parts)?;
        let tcb_svn_2 = take(&mut parts)?;
        zero::<95>(&mut parts)?;
        let mut parts = Reader::new(td_info);
        let td = take(&mut parts)?;
        // Version 1 says that a service TD is bound, and only then is there a hash of one.
        let service_td: &[u8; 48] = take(&mut parts)?;
        if all_zero(service_td) != (version == 0) {
            return Err(wrong(Check::TdReportType, td_info_at));
        }
        zero::<64>(&mut parts)?;
        Ok(Self {
            report_data,
            seam,
            td,
            tcb_svn_2,
            service_td,
        })
    }

    /// True when a quote with this body was made of this report: every field that both have is the same.
    pub(super) fn is_of(&self, body: &QuotedBody) -> bool {
        let newer = body.newer.is_none_or(|(tcb_svn_2, service_td)| {
            tcb_svn_2 == *self.tcb_svn_2 && service_td == *self.service_td
        });
        body.seam == *self.seam && body.td == *self.td && body.report_data == *self.report_data && newer
    }
}

/// The fields of a quote's body in the order of a TDREPORT.
pub(super) struct QuotedBody {
    pub(super) seam: [u8; 120],
    pub(super) td: [u8; 400],
    pub(super) report_data: [u8; 64],
    /// TEE_TCB_SVN2 and MR_SERVICETD, which bodies of TDX 1.0 do not have.
    pub(super) newer: Option<([u8; 16], [u8; 48])>,
}

impl QuotedBody {
    pub(super) fn new(body: &TdBody) -> Option<Self> {
        let [rtmr0, rtmr1, rtmr2, rtmr3] = &body.rtmr;
        let seam: [&[u8]; 4] = [
            &body.tee_tcb_svn,
            body.mr_seam.as_bytes(),
            body.mr_signer_seam.as_bytes(),
            &body.seam_attributes,
        ];
        let td: [&[u8]; 10] = [
            &body.attributes.bits().to_le_bytes(),
            &body.xfam.bits().to_le_bytes(),
            body.mr_td.as_bytes(),
            body.mr_config_id.as_bytes(),
            body.mr_owner.as_bytes(),
            body.mr_owner_config.as_bytes(),
            rtmr0.as_bytes(),
            rtmr1.as_bytes(),
            rtmr2.as_bytes(),
            rtmr3.as_bytes(),
        ];
        Some(Self {
            seam: seam.concat().try_into().ok()?,
            td: td.concat().try_into().ok()?,
            report_data: body.report_data,
            newer: body
                .td15
                .map(|newer| (newer.tee_tcb_svn2, *newer.mr_service_td.as_bytes())),
        })
    }
}

fn take<'a, const N: usize>(reader: &mut Reader<'a>) -> Result<&'a [u8; N], AzureError> {
    let at = reader.at();
    reader.array().ok_or(wrong(Check::HclLength, at))
}

fn zero<const N: usize>(reader: &mut Reader<'_>) -> Result<(), AzureError> {
    let at = reader.at();
    if all_zero(take::<N>(reader)?) {
        Ok(())
    } else {
        Err(wrong(Check::TdReportReserved, at))
    }
}

const fn wrong(check: Check, at: usize) -> AzureError {
    AzureError::Report { check, at }
}

#[cfg(test)]
mod tests;
