//! The ioctls of `/dev/sev-guest` and `/dev/tdx_guest`.
//!
//! Why apart: the only file of these interfaces with `unsafe`, and nothing is decided in it. (The `sev` crate's way to
//! the same device follows offsets of the host's certificate table through raw pointers, opens one fixed path, and
//! brings a dozen crates; this is two calls.)
//!
//! # Invariants
//! Structures are those of Linux's uapi headers, their sizes checked at compile time. Everything a pointer in them
//! names outlives the call.
//!
//! Sources: Linux include/uapi/linux/sev-guest.h (as of 6.1 and since) and include/uapi/linux/tdx-guest.h (6.2 and
//! since).

#![allow(unsafe_code)] // two calls into the kernel

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use rustix::ioctl::{Opcode, Updater, ioctl, opcode};

use super::sev_guest::{Reply, SevGuest};
use super::tdx_guest::TdxGuest;

/// `struct snp_report_req` with the fields of `struct snp_ext_report_req` behind it.
#[repr(C)]
struct SnpRequest {
    user_data: [u8; 64],
    vmpl: u32,
    reserved: [u8; 28],
    certs_address: u64,
    certs_length: u32,
    padding: u32,
}

/// `struct snp_guest_request_ioctl`.
#[repr(C)]
struct SnpCall {
    message_version: u8,
    padding: [u8; 7],
    request: u64,
    response: u64,
    exit_info: u64,
}

/// `struct tdx_report_req`.
#[repr(C)]
struct TdxCall {
    report_data: [u8; 64],
    report: [u8; 1024],
}

const _: () = assert!(size_of::<SnpRequest>() == 112);
const _: () = assert!(size_of::<SnpCall>() == 32);
const _: () = assert!(size_of::<TdxCall>() == 1088);

/// `SNP_GET_EXT_REPORT`: `_IOWR('S', 2, struct snp_guest_request_ioctl)`.
pub(crate) const SNP_GET_EXT_REPORT: Opcode = opcode::read_write::<SnpCall>(b'S', 2);
/// `TDX_CMD_GET_REPORT0`: `_IOWR('T', 1, struct tdx_report_req)`.
const TDX_CMD_GET_REPORT0: Opcode = opcode::read_write::<TdxCall>(b'T', 1);

/// An open device.
#[derive(Debug)]
pub struct Device(File);

impl Device {
    /// Opens it for both directions.
    ///
    /// # Errors
    /// The system's.
    pub fn open(path: &Path) -> io::Result<Self> {
        OpenOptions::new().read(true).write(true).open(path).map(Self)
    }
}

impl SevGuest for Device {
    fn extended_report(&self, data: &[u8; 64], vmpl: u32, certificates: &mut [u8]) -> io::Result<Reply> {
        let mut request = SnpRequest {
            user_data: *data,
            vmpl,
            reserved: [0; 28],
            certs_address: certificates.as_mut_ptr() as u64,
            certs_length: u32::try_from(certificates.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            padding: 0,
        };
        let mut response = [0_u8; Reply::LENGTH];
        let mut call = SnpCall {
            message_version: 1,
            padding: [0; 7],
            request: (&raw mut request) as u64,
            response: (&raw mut response) as u64,
            exit_info: 0,
        };
        // SAFETY: the opcode is computed from the structure the kernel takes for it. The addresses in it are of
        // `request` (112 bytes, of which the kernel reads all and writes `certs_length`), of `response` (4000 bytes,
        // the size of `struct snp_report_resp`) and of `certificates`, of which the kernel writes at most
        // `certs_length` bytes; all three are live and not otherwise used until the call is over.
        let result = unsafe {
            let call = Updater::<SNP_GET_EXT_REPORT, SnpCall>::new(&mut call);
            ioctl(&self.0, call)
        };
        // SAFETY: `request` and `response` are plain integers, valid whatever the kernel wrote; reading them by their
        // address makes the compiler see what came in by the addresses above.
        let (request, response) = unsafe {
            (
                std::ptr::read_volatile(&raw const request),
                std::ptr::read_volatile(&raw const response),
            )
        };
        match result {
            // The firmware or the hypervisor said why: that says more than the kernel's number.
            Err(error) if call.exit_info == 0 => Err(error.into()),
            _ => Ok(Reply {
                response: Box::new(response),
                certificates_length: request.certs_length,
                exit_info: call.exit_info,
            }),
        }
    }
}

impl TdxGuest for Device {
    fn report(&self, data: &[u8; 64]) -> io::Result<[u8; 1024]> {
        let mut call = TdxCall {
            report_data: *data,
            report: [0; 1024],
        };
        // SAFETY: the opcode is computed from the structure the kernel takes for it, and the structure holds no
        // addresses.
        unsafe {
            let call = Updater::<TDX_CMD_GET_REPORT0, TdxCall>::new(&mut call);
            ioctl(&self.0, call)?;
        }
        Ok(call.report)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_headers() {
        // _IOC: direction 3 << 30, size << 16, type << 8, number (include/uapi/asm-generic/ioctl.h).
        assert_eq!(SNP_GET_EXT_REPORT, 0xc020_5302);
        assert_eq!(TDX_CMD_GET_REPORT0, 0xc440_5401);
    }

    #[test]
    fn a_file_that_is_no_such_device_says_so() {
        let null = Device::open(Path::new("/dev/null")).unwrap();
        let error = null.extended_report(&[1; 64], 0, &mut [0; 4096]).unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::NOTTY.raw_os_error())
        );
        let error = TdxGuest::report(&null, &[1; 64]).unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(rustix::io::Errno::NOTTY.raw_os_error())
        );
        assert!(Device::open(Path::new("/dev/no-such-guest")).is_err());
    }
}
