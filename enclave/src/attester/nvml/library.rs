//! `libnvidia-ml.so.1`, loaded at run time.
//!
//! Why apart: the only file of GPUs with `unsafe`: nine functions and three structures of a C library.
//!
//! # Invariants
//! Structures are as large as NVML's, and lengths that it writes are checked against them. A function pointer is called
//! only while the library is loaded: it is not unloaded before the process ends. An older library without one of the
//! functions is an error when it is loaded, not when it is called.
//!
//! A statically linked program cannot load a shared library: GPUs need the image with the C library in it.
//!
//! Source: NVML API reference and `nvml.h` of driver 595 (as go-nvml 0.13.0 carries it); the structures are unchanged since
//! the header of CUDA 12.4 (compared).

#![allow(unsafe_code)] // calls into a C library

use std::ffi::{c_char, c_int, c_uint, c_void};
use std::mem::ManuallyDrop;
use std::path::Path;

use libloading::Library as Loaded;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::super::error::Fault;
use super::{Gate, Library, Mode};

/// Its name; the dynamic loader knows where.
pub const NAME: &str = "libnvidia-ml.so.1";

const CERT_CHAIN_SIZE: usize = 0x1000;
const ATTESTATION_CERT_CHAIN_SIZE: usize = 0x1400;
const NONCE_SIZE: usize = 0x20;
const REPORT_SIZE: usize = 0x2000;
const CEC_REPORT_SIZE: usize = 0x1000;
/// `NVML_CC_SYSTEM_FEATURE_ENABLED`, `NVML_CC_SYSTEM_DEVTOOLS_MODE_OFF`.
const FEATURE_ENABLED: c_uint = 1;
const DEVTOOLS_OFF: c_uint = 0;

/// `nvmlReturn_t`.
const SUCCESS: c_int = 0;
const NOT_SUPPORTED: c_int = 3;
const NO_PERMISSION: c_int = 4;
const DRIVER_NOT_LOADED: c_int = 9;
const TIMEOUT: c_int = 10;
const FUNCTION_NOT_FOUND: c_int = 13;
const IN_USE: c_int = 19;

/// `NVML_DEVICE_UUID_V2_BUFFER_SIZE`.
const UUID_SIZE: usize = 96;
/// `NVML_CC_ACCEPTING_CLIENT_REQUESTS_TRUE`.
const ACCEPTING: c_uint = 1;

type Handle = *mut c_void;

/// `nvmlConfComputeSystemState_t`.
#[repr(C)]
#[derive(Default)]
struct SystemState {
    environment: c_uint,
    feature: c_uint,
    devtools: c_uint,
}

/// `nvmlConfComputeGpuCertificate_t`.
#[repr(C)]
struct Certificate {
    chain_size: c_uint,
    attestation_chain_size: c_uint,
    chain: [u8; CERT_CHAIN_SIZE],
    attestation_chain: [u8; ATTESTATION_CERT_CHAIN_SIZE],
}

/// `nvmlConfComputeGpuAttestationReport_t`.
#[repr(C)]
struct Report {
    cec_present: c_uint,
    size: c_uint,
    cec_size: c_uint,
    nonce: [u8; NONCE_SIZE],
    report: [u8; REPORT_SIZE],
    cec_report: [u8; CEC_REPORT_SIZE],
}

const _: () = assert!(size_of::<SystemState>() == 12);
const _: () = assert!(size_of::<Certificate>() == 8 + 0x1000 + 0x1400);
const _: () = assert!(size_of::<Report>() == 12 + 0x20 + 0x2000 + 0x1000);

/// The loaded library, initialised.
pub struct Nvml {
    state: unsafe extern "C" fn(*mut SystemState) -> c_int,
    count: unsafe extern "C" fn(*mut c_uint) -> c_int,
    handle: unsafe extern "C" fn(c_uint, *mut Handle) -> c_int,
    report: unsafe extern "C" fn(Handle, *mut Report) -> c_int,
    certificate: unsafe extern "C" fn(Handle, *mut Certificate) -> c_int,
    uuid: unsafe extern "C" fn(Handle, *mut c_char, c_uint) -> c_int,
    ready: unsafe extern "C" fn(*mut c_uint) -> c_int,
    set_ready: unsafe extern "C" fn(c_uint) -> c_int,
    /// Never unloaded: the pointers above point into it.
    _library: ManuallyDrop<Loaded>,
}

impl Nvml {
    /// Loads and initialises a library, usually [`NAME`].
    ///
    /// # Errors
    /// [`Fault::Missing`] when there is none, [`Fault::Unsupported`] when it is too old, or what it says itself.
    pub fn load(name: &Path) -> Result<Self, Fault> {
        // SAFETY: loading runs the library's constructors. It is NVIDIA's own, from the measured image, and the kernel
        // driver it belongs to is trusted with the same data.
        let library = unsafe { Loaded::new(name) }.map_err(|_| Fault::Missing)?;
        let library = ManuallyDrop::new(library);
        // SAFETY: each type is that of the function of this name in `nvml.h`. The copies of the pointers live in a
        // value that never unloads the library.
        let (initialise, nvml) = unsafe {
            let initialise: unsafe extern "C" fn() -> c_int = symbol(&library, b"nvmlInit_v2\0")?;
            let nvml = Self {
                state: symbol(&library, b"nvmlSystemGetConfComputeState\0")?,
                count: symbol(&library, b"nvmlDeviceGetCount_v2\0")?,
                handle: symbol(&library, b"nvmlDeviceGetHandleByIndex_v2\0")?,
                report: symbol(&library, b"nvmlDeviceGetConfComputeGpuAttestationReport\0")?,
                certificate: symbol(&library, b"nvmlDeviceGetConfComputeGpuCertificate\0")?,
                uuid: symbol(&library, b"nvmlDeviceGetUUID\0")?,
                ready: symbol(&library, b"nvmlSystemGetConfComputeGpusReadyState\0")?,
                set_ready: symbol(&library, b"nvmlSystemSetConfComputeGpusReadyState\0")?,
                _library: library,
            };
            (initialise, nvml)
        };
        // SAFETY: takes no arguments and may be called at any time.
        done(unsafe { initialise() })?;
        Ok(nvml)
    }

    fn handle(&self, gpu: u32) -> Result<Handle, Fault> {
        let mut handle = std::ptr::null_mut();
        // SAFETY: initialised, and `handle` is a place for one handle.
        done(unsafe { (self.handle)(gpu, &raw mut handle) })?;
        if handle.is_null() {
            return Err(Fault::Malformed);
        }
        Ok(handle)
    }
}

/// # Safety
/// `T` must be the type of the function of this name.
unsafe fn symbol<T: Copy>(library: &Loaded, name: &[u8]) -> Result<T, Fault> {
    // SAFETY: the caller's promise.
    let symbol = unsafe { library.get::<T>(name) }.map_err(|_| Fault::Unsupported)?;
    Ok(*symbol)
}

impl Library for Nvml {
    fn confidential(&self) -> Result<bool, Fault> {
        let mode = self.mode()?;
        Ok(mode.confidential && !mode.developer_tools)
    }

    fn count(&self) -> Result<u32, Fault> {
        let mut count = 0;
        // SAFETY: initialised, and `count` is a place for one number.
        done(unsafe { (self.count)(&raw mut count) })?;
        Ok(count)
    }

    fn report(&self, gpu: u32, nonce: &[u8; 32]) -> Result<Vec<u8>, Fault> {
        let handle = self.handle(gpu)?;
        let mut report = Box::new(Report {
            cec_present: 0,
            size: 0,
            cec_size: 0,
            nonce: *nonce,
            report: [0; REPORT_SIZE],
            cec_report: [0; CEC_REPORT_SIZE],
        });
        // SAFETY: initialised, the handle is the library's own, and `report` is the structure it fills.
        done(unsafe { (self.report)(handle, &raw mut *report) })?;
        prefix(&report.report, report.size)
    }

    fn certificates(&self, gpu: u32) -> Result<Vec<u8>, Fault> {
        let certificate = self.both_chains(gpu)?;
        prefix(&certificate.attestation_chain, certificate.attestation_chain_size)
    }
}

impl Gate for Nvml {
    fn mode(&self) -> Result<Mode, Fault> {
        let mut state = SystemState::default();
        // SAFETY: initialised, and `state` is the structure it fills.
        done(unsafe { (self.state)(&raw mut state) })?;
        Ok(Mode {
            confidential: state.feature == FEATURE_ENABLED,
            developer_tools: state.devtools != DEVTOOLS_OFF,
        })
    }

    fn uuid(&self, gpu: u32) -> Result<[u8; 16], Fault> {
        let handle = self.handle(gpu)?;
        let mut text: [c_char; UUID_SIZE] = [0; UUID_SIZE];
        // SAFETY: initialised, the handle is the library's own, and `text` is as long as it is told.
        done(unsafe { (self.uuid)(handle, text.as_mut_ptr(), UUID_SIZE as c_uint) })?;
        let text: Vec<u8> = text
            .iter()
            .map(|byte| *byte as u8)
            .take_while(|byte| *byte != 0)
            .collect();
        parse_uuid(&text).ok_or(Fault::Malformed)
    }

    fn session_certificate(&self, gpu: u32) -> Result<Vec<u8>, Fault> {
        let certificate = self.both_chains(gpu)?;
        first_certificate(&prefix(&certificate.chain, certificate.chain_size)?).ok_or(Fault::Malformed)
    }

    fn is_ready(&self) -> Result<bool, Fault> {
        let mut ready = 0;
        // SAFETY: initialised, and `ready` is a place for one number.
        done(unsafe { (self.ready)(&raw mut ready) })?;
        Ok(ready == ACCEPTING)
    }

    fn set_ready(&self, ready: bool) -> Result<(), Fault> {
        // SAFETY: initialised, and takes one number.
        done(unsafe { (self.set_ready)(c_uint::from(ready)) })
    }
}

impl Nvml {
    fn both_chains(&self, gpu: u32) -> Result<Box<Certificate>, Fault> {
        let handle = self.handle(gpu)?;
        let mut certificate = Box::new(Certificate {
            chain_size: 0,
            attestation_chain_size: 0,
            chain: [0; CERT_CHAIN_SIZE],
            attestation_chain: [0; ATTESTATION_CERT_CHAIN_SIZE],
        });
        // SAFETY: initialised, the handle is the library's own, and `certificate` is the structure it fills.
        done(unsafe { (self.certificate)(handle, &raw mut *certificate) })?;
        Ok(certificate)
    }
}

/// `GPU-` and a UUID in its usual form.
fn parse_uuid(text: &[u8]) -> Option<[u8; 16]> {
    let text = text.strip_prefix(b"GPU-")?;
    let dashes = [8, 13, 18, 23];
    if text.len() != 36 || dashes.iter().any(|at| text.get(*at) != Some(&b'-')) {
        return None;
    }
    let digits: Vec<u8> = text.iter().copied().filter(|byte| *byte != b'-').collect();
    let digit = |byte: u8| (byte as char).to_digit(16);
    let mut bytes = [0; 16];
    let (pairs, rest) = digits.as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?;
    }
    Some(bytes)
}

/// The first certificate of a chain that is PEM, or DER one behind the other. `nvml.h` does not say which it is.
fn first_certificate(chain: &[u8]) -> Option<Vec<u8>> {
    if chain.starts_with(b"-----") {
        let first = CertificateDer::pem_slice_iter(chain).next()?;
        return first.ok().map(|certificate| certificate.to_vec());
    }
    // SEQUENCE, with a length of two bytes: no certificate is shorter than 256 bytes or longer than 65,535.
    let [0x30, 0x82, high, low] = *chain.first_chunk()? else {
        return None;
    };
    let length = 4 + usize::from(u16::from_be_bytes([high, low]));
    chain.get(..length).map(<[u8]>::to_vec)
}

/// As many bytes as the library says, if it has room for them.
fn prefix(bytes: &[u8], length: c_uint) -> Result<Vec<u8>, Fault> {
    let length = usize::try_from(length).map_err(|_| Fault::TooLarge)?;
    bytes.get(..length).map(<[u8]>::to_vec).ok_or(Fault::TooLarge)
}

const fn done(code: c_int) -> Result<(), Fault> {
    Err(match code {
        SUCCESS => return Ok(()),
        NOT_SUPPORTED | FUNCTION_NOT_FOUND => Fault::Unsupported,
        NO_PERMISSION => Fault::Forbidden,
        DRIVER_NOT_LOADED => Fault::Missing,
        TIMEOUT | IN_USE => Fault::Busy,
        _ => Fault::Refused,
    })
}

#[cfg(test)]
mod tests;
