//! Evidence of NVIDIA GPUs, by their driver's management library.
//!
//! Why apart: a second vendor, whose library is loaded at run time: one build serves machines with and without GPUs.
//!
//! - [`library`]: the library itself
//!
//! # Invariants
//! All GPUs give evidence or there is none: one left out could be the one that computes. A machine that is not in
//! confidential mode gives none. What a GPU hands over is bounded, answers the nonce and has certificates.
//!
//! Sources: NVML API reference, Thread Safety; header of driver 595 (`nvml.h`), Confidential Computing; the layout of reports as in
//! docs/platforms/nvidia.md.

pub mod library;

use std::thread;

use anchorhold_attestation::DeviceEvidence;
use anchorhold_attestation::limits as evidence;
use anchorhold_encoding::Digest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::DeviceReporter;
use super::error::{AttesterError, Fault, Interface};
pub use library::Nvml;

/// The kind of these devices in evidence.
pub const KIND: &str = "nvidia-gpu";

/// Where the nonce stands in a report: after version, code and two parameters (DSP0274 1.1.0, GET_MEASUREMENTS).
const NONCE_OFFSET: usize = 4;

/// NVIDIA's library, or what stands in for it.
pub trait Library: Send + Sync {
    /// Whether the machine's GPUs are in confidential mode, developers' tools off.
    ///
    /// # Errors
    /// [`Fault`].
    fn confidential(&self) -> Result<bool, Fault>;

    /// How many GPUs there are.
    ///
    /// # Errors
    /// [`Fault`].
    fn count(&self) -> Result<u32, Fault>;

    /// A report of one GPU, made for `nonce`.
    ///
    /// # Errors
    /// [`Fault`].
    fn report(&self, gpu: u32, nonce: &[u8; 32]) -> Result<Vec<u8>, Fault>;

    /// The certificates above that GPU's key, PEM, its own first.
    ///
    /// # Errors
    /// [`Fault`].
    fn certificates(&self, gpu: u32) -> Result<Vec<u8>, Fault>;
}

/// How the machine's GPUs are set up (NVML, `nvmlConfComputeSystemState_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode {
    /// `ccFeature` is on.
    pub confidential: bool,
    /// `devToolsMode` is on: whoever has such tools reads what a GPU computes.
    pub developer_tools: bool,
}

/// What is asked of the library by whoever gives GPUs work, besides their evidence.
pub trait Gate: Library {
    /// How the GPUs are set up.
    ///
    /// # Errors
    /// [`Fault`].
    fn mode(&self) -> Result<Mode, Fault>;

    /// A GPU's UUID, which CUDA gives alike.
    ///
    /// # Errors
    /// [`Fault`].
    fn uuid(&self, gpu: u32) -> Result<[u8; 16], Fault>;

    /// The certificate of the GPU with which the driver has its session, DER: the first of `certChain`.
    ///
    /// # Errors
    /// [`Fault`].
    fn session_certificate(&self, gpu: u32) -> Result<Vec<u8>, Fault>;

    /// Whether the GPUs take work.
    ///
    /// # Errors
    /// [`Fault`].
    fn is_ready(&self) -> Result<bool, Fault>;

    /// Lets the GPUs take work, or none.
    ///
    /// # Errors
    /// [`Fault`].
    fn set_ready(&self, ready: bool) -> Result<(), Fault>;
}

/// The GPUs of this machine.
pub struct Gpus {
    library: Box<dyn Library>,
}

impl Gpus {
    /// Takes a library when its GPUs can give evidence.
    ///
    /// # Errors
    /// [`AttesterError::NoDevices`] without any GPU; [`AttesterError::Interface`] with [`Interface::Nvml`].
    pub fn new(library: Box<dyn Library>) -> Result<Self, AttesterError> {
        if !library.confidential().map_err(nvml)? {
            return Err(nvml(Fault::Unsupported));
        }
        match library.count().map_err(nvml)? {
            0 => Err(AttesterError::NoDevices),
            count if usize::try_from(count).is_ok_and(|count| count <= evidence::DEVICES) => {
                Ok(Self { library })
            }
            _ => Err(nvml(Fault::TooLarge)),
        }
    }
}

/// Evidence of one GPU, made for `nonce`.
///
/// # Errors
/// [`Fault`].
pub fn evidence_of<L: Library + ?Sized>(
    library: &L,
    gpu: u32,
    nonce: &Digest<32>,
) -> Result<DeviceEvidence, Fault> {
    let report = library.report(gpu, nonce.as_bytes())?;
    let answered = report.get(NONCE_OFFSET..).and_then(|rest| rest.first_chunk());
    if answered != Some(nonce.as_bytes()) {
        return Err(Fault::Stale);
    }
    let chain = certificates(&library.certificates(gpu)?)?;
    DeviceEvidence::new(KIND.to_owned(), report, chain).map_err(|_| Fault::Malformed)
}

impl DeviceReporter for Gpus {
    fn collect(&self, nonce: &Digest<32>) -> Result<Vec<DeviceEvidence>, AttesterError> {
        let count = self.library.count().map_err(nvml)?;
        if usize::try_from(count).is_ok_and(|count| count > evidence::DEVICES) {
            return Err(nvml(Fault::TooLarge));
        }
        // Each GPU takes its own time to sign; NVML may be called by several threads at once.
        let gpus: Result<Vec<_>, Fault> = thread::scope(|scope| {
            let asked: Vec<_> = (0..count)
                .map(|gpu| scope.spawn(move || evidence_of(&*self.library, gpu, nonce)))
                .collect();
            let answers = asked
                .into_iter()
                .map(|gpu| gpu.join().unwrap_or(Err(Fault::Refused)));
            answers.collect()
        });
        match gpus.map_err(nvml)? {
            // They were there at the start.
            gpus if gpus.is_empty() => Err(AttesterError::NoDevices),
            gpus => Ok(gpus),
        }
    }
}

fn nvml(fault: Fault) -> AttesterError {
    Interface::Nvml.fails(fault)
}

/// PEM to DER, in its order.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Fault> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| Fault::Malformed)?;
        if chain.len() == evidence::DEVICE_CERTIFICATES || certificate.len() > evidence::CERTIFICATE {
            return Err(Fault::TooLarge);
        }
        chain.push(certificate.to_vec());
    }
    if chain.is_empty() {
        return Err(Fault::Malformed);
    }
    Ok(chain)
}

#[cfg(test)]
mod tests;
