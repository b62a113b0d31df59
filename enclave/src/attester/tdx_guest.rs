//! TDREPORTs by `/dev/tdx_guest`.
//!
//! Why apart: a TDREPORT is *not* evidence. It has a MAC that only the CPU it was made on can check, so no verifier
//! elsewhere can believe it; a quoting enclave makes a quote of it, and the kernel's way there is
//! [`super::tsm`], never this device. It serves a TD that wants to know its own fields: the register or MRCONFIGID
//! that its configuration was to be bound by, before there is any quote.
//!
//! # Invariants
//! A TDREPORT is of TDX's type and over the bytes that were asked for.
//!
//! Sources: Linux Documentation/virt/coco/tdx-guest.rst and include/uapi/linux/tdx-guest.h; *Intel TDX Module ABI
//! Specification* (733579), section 4.7: type at 0 (0x81 for a TD), REPORTDATA at 128; TDINFO at 512 has ATTRIBUTES 8,
//! XFAM 8, MRTD 48, MRCONFIGID 48.

use std::io::{self, ErrorKind};

use anchorhold_encoding::Digest;

use super::error::{AttesterError, Fault, Interface};

/// Where Linux has it.
pub const PATH: &str = "/dev/tdx_guest";

/// REPORTTYPE.TYPE of a TD.
const TYPE_TD: u8 = 0x81;
const REPORT_DATA_OFFSET: usize = 128;
const MR_CONFIG_ID_OFFSET: usize = 512 + 8 + 8 + 48;

/// The device, or what stands in for it.
pub trait TdxGuest: Send + Sync {
    /// `TDX_CMD_GET_REPORT0` over `data`.
    ///
    /// # Errors
    /// The kernel's.
    fn report(&self, data: &[u8; 64]) -> io::Result<[u8; 1024]>;
}

/// A TDREPORT over `data`, for this CPU alone.
///
/// # Errors
/// [`AttesterError::Interface`] with [`Interface::TdxGuest`].
pub fn td_report(device: &dyn TdxGuest, data: &[u8; 64]) -> Result<[u8; 1024], AttesterError> {
    let report = device.report(data).map_err(|error| {
        Interface::TdxGuest.fails(match error.kind() {
            ErrorKind::PermissionDenied => Fault::Forbidden,
            ErrorKind::WouldBlock | ErrorKind::ResourceBusy | ErrorKind::Interrupted => Fault::Busy,
            _ => Fault::Refused,
        })
    })?;
    if report[0] != TYPE_TD {
        return Err(Interface::TdxGuest.fails(Fault::Malformed));
    }
    if field::<64>(&report, REPORT_DATA_OFFSET) != *data {
        return Err(Interface::TdxGuest.fails(Fault::Stale));
    }
    Ok(report)
}

/// MRCONFIGID of a TDREPORT: the digest that the owner of the TD fixed at its launch, zero when nobody did.
#[must_use]
pub fn mr_config_id(report: &[u8; 1024]) -> Digest<48> {
    Digest::new(field(report, MR_CONFIG_ID_OFFSET))
}

fn field<const LENGTH: usize>(report: &[u8; 1024], at: usize) -> [u8; LENGTH] {
    let bytes = report.get(at..).and_then(|rest| rest.first_chunk());
    *bytes.expect("both fields lie within a TDREPORT")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A CPU whose TDREPORTs are over what is asked, or over something else.
    struct Fake {
        kind: u8,
        over: Option<[u8; 64]>,
        fails: Option<ErrorKind>,
    }

    impl TdxGuest for Fake {
        fn report(&self, data: &[u8; 64]) -> io::Result<[u8; 1024]> {
            if let Some(kind) = self.fails {
                return Err(kind.into());
            }
            let mut report = [0; 1024];
            report[0] = self.kind;
            report[128..192].copy_from_slice(&self.over.unwrap_or(*data));
            report[528..576].fill(1);
            report[576..624].fill(2);
            report[624..672].fill(3);
            Ok(report)
        }
    }

    const GOOD: Fake = Fake {
        kind: 0x81,
        over: None,
        fails: None,
    };

    #[test]
    fn a_report_is_a_tds_and_over_what_was_asked() {
        let report = td_report(&GOOD, &[7; 64]).unwrap();
        assert_eq!(mr_config_id(&report), Digest::new([2; 48]));
        let faults = [
            (Fake { kind: 0, ..GOOD }, Fault::Malformed),
            (
                Fake {
                    over: Some([8; 64]),
                    ..GOOD
                },
                Fault::Stale,
            ),
            (
                Fake {
                    fails: Some(ErrorKind::PermissionDenied),
                    ..GOOD
                },
                Fault::Forbidden,
            ),
            (
                Fake {
                    fails: Some(ErrorKind::Interrupted),
                    ..GOOD
                },
                Fault::Busy,
            ),
            (
                Fake {
                    fails: Some(ErrorKind::Other),
                    ..GOOD
                },
                Fault::Refused,
            ),
        ];
        for (fake, fault) in faults {
            let error = td_report(&fake, &[7; 64]).unwrap_err();
            assert_eq!(error, Interface::TdxGuest.fails(fault));
        }
    }
}
