//! SEV-SNP reports by `/dev/sev-guest`, for kernels without TSM reports (5.19 to 6.6).
//!
//! Why apart: the same report by an older way, with a length to negotiate and a response to parse.
//!
//! # Invariants
//! Nothing of a response is used before its status is zero and its size is a report's. The host decides how long its
//! certificates are, within [`limits::TSM_BLOB`].
//!
//! Sources: Linux Documentation/virt/coco/sev-guest.rst and include/uapi/linux/sev-guest.h; *SEV Secure Nested Paging
//! Firmware ABI Specification* (AMD 56860), MSG_REPORT_RSP; GHCB specification (AMD 56421), SNP Extended Guest Request.

use std::io::{self, ErrorKind};

use super::error::{AttesterError, Fault, Interface};
use super::{RawReport, holds};
use crate::limits;

/// Where Linux has it.
pub const PATH: &str = "/dev/sev-guest";

/// The kernel takes buffers of whole pages only.
const PAGE: usize = 4096;
/// `SNP_GUEST_VMM_ERR_INVALID_LEN`: the certificates need more room.
const INVALID_LENGTH: u64 = 1;
/// `SNP_GUEST_VMM_ERR_BUSY`: the host wants to be asked later.
const BUSY: u64 = 2;
/// MSG_REPORT_RSP: status 4, report's size 4, reserved 24, report.
const REPORT_OFFSET: usize = 32;
const REPORT_LENGTH: usize = anchorhold_attestation::snp::REPORT_LENGTH;

/// What the device answered.
#[derive(Debug)]
pub struct Reply {
    /// The firmware's response: MSG_REPORT_RSP, and zeros.
    pub response: Box<[u8; Self::LENGTH]>,
    /// The length of the certificates: written, or needed.
    pub certificates_length: u32,
    /// Zero, or why there is no report: the hypervisor's error in the upper half, the firmware's in the lower.
    pub exit_info: u64,
}

impl Reply {
    /// Bytes of `struct snp_report_resp`.
    pub const LENGTH: usize = 4000;
}

/// The device, or what stands in for it.
pub trait SevGuest: Send + Sync {
    /// `SNP_GET_EXT_REPORT` over `data` at privilege level `vmpl`, with room for the host's certificates.
    ///
    /// # Errors
    /// The kernel's, where neither firmware nor hypervisor gave a reason.
    fn extended_report(&self, data: &[u8; 64], vmpl: u32, certificates: &mut [u8]) -> io::Result<Reply>;
}

/// Has the firmware sign `data`. May take long.
///
/// # Errors
/// [`AttesterError::Interface`] with [`Interface::SevGuest`].
pub fn report(device: &dyn SevGuest, data: &[u8; 64]) -> Result<RawReport, AttesterError> {
    ask(device, data).map_err(|fault| Interface::SevGuest.fails(fault))
}

fn ask(device: &dyn SevGuest, data: &[u8; 64]) -> Result<RawReport, Fault> {
    let mut certificates = vec![0; 4 * PAGE];
    for _ in 0..limits::REPORT_ATTEMPTS {
        // This interface is older than service modules: its guests run at the most privileged level.
        let reply = device
            .extended_report(data, 0, &mut certificates)
            .map_err(|error| fault(&error))?;
        match (reply.exit_info >> 32, reply.exit_info & 0xffff_ffff) {
            (0, 0) => return finish(&reply, certificates, data),
            (INVALID_LENGTH, _) => {
                let needed = usize::try_from(reply.certificates_length).map_err(|_| Fault::TooLarge)?;
                let needed = needed.next_multiple_of(PAGE);
                if needed > limits::TSM_BLOB {
                    return Err(Fault::TooLarge);
                }
                certificates = vec![0; needed];
            }
            (BUSY, _) => {}
            _ => return Err(Fault::Refused),
        }
    }
    Err(Fault::Busy)
}

fn finish(reply: &Reply, mut certificates: Vec<u8>, data: &[u8; 64]) -> Result<RawReport, Fault> {
    let word = |at: usize| {
        let bytes = reply.response.get(at..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    };
    if word(0) != Some(0) {
        return Err(Fault::Refused);
    }
    if word(4).and_then(|size| usize::try_from(size).ok()) != Some(REPORT_LENGTH) {
        return Err(Fault::Malformed);
    }
    let report = reply
        .response
        .get(REPORT_OFFSET..REPORT_OFFSET + REPORT_LENGTH)
        .ok_or(Fault::Malformed)?;
    if !holds(report, data) {
        return Err(Fault::Stale);
    }
    let written = usize::try_from(reply.certificates_length).map_err(|_| Fault::TooLarge)?;
    if written > certificates.len() {
        return Err(Fault::Malformed);
    }
    certificates.truncate(written);
    // A host without certificates writes a table without entries, or nothing.
    let empty = certificates.iter().all(|byte| *byte == 0);
    Ok(RawReport {
        report: report.to_vec(),
        auxiliary: (!empty).then_some(certificates),
    })
}

fn fault(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::PermissionDenied => Fault::Forbidden,
        ErrorKind::WouldBlock | ErrorKind::ResourceBusy | ErrorKind::Interrupted => Fault::Busy,
        _ => Fault::Refused,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A firmware and its host.
    struct Fake {
        /// What the host hands over beside the report.
        certificates: Vec<u8>,
        /// How often it says that it is busy.
        busy: Mutex<usize>,
        status: u32,
        size: u32,
        exit_info: u64,
        over: Option<[u8; 64]>,
        calls: Mutex<usize>,
    }

    fn fake() -> Fake {
        Fake {
            certificates: vec![7; 100],
            busy: Mutex::new(0),
            status: 0,
            size: 1184,
            exit_info: 0,
            over: None,
            calls: Mutex::new(0),
        }
    }

    impl SevGuest for Fake {
        fn extended_report(&self, data: &[u8; 64], vmpl: u32, certificates: &mut [u8]) -> io::Result<Reply> {
            *self.calls.lock().unwrap() += 1;
            assert_eq!(vmpl, 0);
            // As the kernel: anything but whole pages is refused.
            if !certificates.len().is_multiple_of(PAGE) {
                return Err(ErrorKind::InvalidInput.into());
            }
            let mut reply = Reply {
                response: Box::new([0; Reply::LENGTH]),
                certificates_length: u32::try_from(certificates.len()).unwrap(),
                exit_info: self.exit_info,
            };
            let mut busy = self.busy.lock().unwrap();
            if *busy > 0 {
                *busy -= 1;
                reply.exit_info = BUSY << 32;
                return Ok(reply);
            }
            if self.certificates.len() > certificates.len() {
                let pages = self.certificates.len().next_multiple_of(PAGE);
                reply.certificates_length = u32::try_from(pages).unwrap();
                reply.exit_info = INVALID_LENGTH << 32;
                return Ok(reply);
            }
            certificates[..self.certificates.len()].copy_from_slice(&self.certificates);
            reply.certificates_length = u32::try_from(self.certificates.len()).unwrap();
            reply.response[..4].copy_from_slice(&self.status.to_le_bytes());
            reply.response[4..8].copy_from_slice(&self.size.to_le_bytes());
            reply.response[32] = 5;
            reply.response[32 + 0x50..32 + 0x90].copy_from_slice(&self.over.unwrap_or(*data));
            Ok(reply)
        }
    }

    const DATA: [u8; 64] = [3; 64];

    fn refused(fake: &Fake) -> Fault {
        match report(fake, &DATA).unwrap_err() {
            AttesterError::Interface {
                interface: Interface::SevGuest,
                fault,
            } => fault,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_report_comes_with_the_hosts_certificates() {
        let signed = report(&fake(), &DATA).unwrap();
        assert_eq!(signed.report.len(), 1184);
        assert_eq!(
            (signed.report[0], &signed.report[0x50..0x90]),
            (5, DATA.as_slice())
        );
        assert_eq!(signed.auxiliary, Some(vec![7; 100]));
        let none = Fake {
            certificates: vec![0; 24],
            ..fake()
        };
        assert_eq!(report(&none, &DATA).unwrap().auxiliary, None);
    }

    #[test]
    fn the_host_may_ask_for_more_room_up_to_a_limit() {
        for length in [4 * PAGE, 4 * PAGE + 1, limits::TSM_BLOB] {
            let large = Fake {
                certificates: vec![7; length],
                ..fake()
            };
            assert_eq!(report(&large, &DATA).unwrap().auxiliary.unwrap().len(), length);
        }
        let larger = Fake {
            certificates: vec![7; limits::TSM_BLOB + 1],
            ..fake()
        };
        assert_eq!(refused(&larger), Fault::TooLarge);
        assert_eq!(*larger.calls.lock().unwrap(), 1);
    }

    #[test]
    fn a_busy_host_is_asked_a_few_times() {
        let busy = fake();
        *busy.busy.lock().unwrap() = 2;
        report(&busy, &DATA).unwrap();
        *busy.busy.lock().unwrap() = 100;
        assert_eq!(refused(&busy), Fault::Busy);
        assert_eq!(*busy.calls.lock().unwrap(), 3 + limits::REPORT_ATTEMPTS);
    }

    #[test]
    fn what_is_no_good_report_is_not_taken() {
        // 0x16: invalid parameter (AMD 56860, status codes); 0xff: the firmware was never called (Linux).
        for exit_info in [0x16, 0xff, 3 << 32] {
            assert_eq!(refused(&Fake { exit_info, ..fake() }), Fault::Refused);
        }
        assert_eq!(
            refused(&Fake {
                status: 0x16,
                ..fake()
            }),
            Fault::Refused
        );
        assert_eq!(refused(&Fake { size: 1183, ..fake() }), Fault::Malformed);
        assert_eq!(
            refused(&Fake {
                over: Some([4; 64]),
                ..fake()
            }),
            Fault::Stale
        );
    }
}
