//! GPUs that compute the model: appraised by this enclave before any weight goes to one, and watched while it serves.
//!
//! Why apart: towards a GPU the enclave is a Relying Party itself. Nobody outside could say in time that it is genuine.
//!
//! - [`appraisal`]: evidence, certificates and reference values, then ready
//! - [`watch`]: what is compared while it serves
//!
//! # Invariants
//! A [`ReadyDevices`] comes of [`appraisal::admit`] alone, and weights go to a GPU by one alone. GPUs take no work before; they
//! take none after anything about them changed, and never again in this boot.

pub mod appraisal;
pub mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anchorhold_attestation::policy::nvidia::NvidiaPolicy;
use anchorhold_attestation::{AppraisedDevices, Timestamp};
use anchorhold_encoding::Digest;
use anchorhold_models::{DevicePrecision, DeviceProof};

use crate::attester::Fault;
use crate::attester::nvml::Gate;

/// What the configuration says of GPUs.
#[derive(Debug)]
pub struct DevicesConfig {
    /// What they must be: the words of a policy's section for them.
    pub policy: NvidiaPolicy,
    /// How weights, keys and values lie there.
    pub precision: DevicePrecision,
    /// A bundle of what NVIDIA signed: reference measurements, answers about revocation. It is judged like any evidence, so
    /// that whoever writes it can only make the enclave refuse.
    pub endorsements: PathBuf,
}

/// GPUs do not get the weights. The machine, or its operator, is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DevicesError {
    /// This build has no engine for GPUs.
    NotCompiled,
    /// NVIDIA's library is not there, failed, or gave what it may not.
    Library(Fault),
    /// The GPUs are not in confidential mode.
    NotConfidential,
    /// Developers' tools are on.
    DeveloperTools,
    /// Not as many as the configuration says.
    Count,
    /// Two have one UUID, or one certificate.
    Repeated,
    /// The driver's session is with a GPU of another certificate than the one whose evidence came.
    Session,
    /// The bundle of endorsements cannot be read.
    Endorsements,
    /// The evidence proves nothing, by the check's identifier.
    Evidence(&'static str),
    /// The evidence does not satisfy the configuration; the first rule's name.
    Denied(&'static str),
    /// They changed while they were appraised.
    Changed,
    /// They were set ready and are not.
    NotReady,
    /// CUDA does not show the GPU that was appraised.
    NotShown,
    /// No randomness for a nonce.
    Random,
}

impl fmt::Display for DevicesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Evidence(check) => write!(f, "the GPUs' evidence proves nothing: {check}"),
            Self::Denied(rule) => write!(f, "the GPUs are not what the configuration wants: {rule}"),
            other => f.write_str(other.code()),
        }
    }
}

impl std::error::Error for DevicesError {}

impl DevicesError {
    /// For scripts.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotCompiled => "devices_not_compiled",
            Self::Library(_) => "nvml_failed",
            Self::NotConfidential => "devices_not_confidential",
            Self::DeveloperTools => "devices_developer_tools",
            Self::Count => "devices_count",
            Self::Repeated => "devices_repeated",
            Self::Session => "devices_session",
            Self::Endorsements => "devices_endorsements",
            Self::Evidence(check) => check,
            Self::Denied(rule) => rule,
            Self::Changed => "devices_changed",
            Self::NotReady => "devices_not_ready",
            Self::NotShown => "devices_not_shown",
            Self::Random => "no_randomness",
        }
    }

    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotCompiled => {
                "use a build with the feature cuda, or take [devices] out of the configuration"
            }
            Self::Library(_) => "put NVIDIA's driver and libnvidia-ml.so.1 into the image, of one version",
            Self::NotConfidential => "set the GPUs to confidential mode from the host, and reset them",
            Self::DeveloperTools => {
                "set confidential mode on, not devtools, from the host, and reset the GPUs"
            }
            Self::Count => "give the machine as many GPUs as [devices.nvidia] gpus says",
            Self::Repeated => "each GPU must be a device of its own",
            Self::Session => "reset the GPUs; if it stays so, somebody stands between the driver and a GPU",
            Self::Endorsements => "write the bundle with `anchorhold client endorsements bundle`",
            Self::Evidence(_) => "verify the GPUs' evidence with `anchorhold client explain`",
            Self::Denied(_) => "compare [devices.nvidia] and the bundle with the GPUs' drivers and firmware",
            Self::Changed => "leave the GPUs alone while the enclave starts",
            Self::NotReady => "compare the versions of driver and libnvidia-ml.so.1",
            Self::NotShown => "unset CUDA_VISIBLE_DEVICES, and compare with nvidia-smi -L",
            Self::Random => "this machine gives no randomness",
        }
    }
}

impl From<Fault> for DevicesError {
    fn from(fault: Fault) -> Self {
        Self::Library(fault)
    }
}

/// What is compared before, after, and while the enclave serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// By the library's numbers.
    gpus: Vec<Gpu>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gpu {
    uuid: [u8; 16],
    /// SHA-384 of the session's certificate.
    session: Digest<48>,
}

/// GPUs that were appraised and take work. Dropped, they take none.
pub struct ReadyDevices {
    library: Arc<dyn Gate>,
    appraised: AppraisedDevices,
    snapshot: Snapshot,
    uuid: [u8; 16],
    holds: AtomicBool,
}

impl fmt::Debug for ReadyDevices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadyDevices")
            .field("appraised", &self.appraised)
            .finish_non_exhaustive()
    }
}

impl ReadyDevices {
    /// How many.
    #[must_use]
    pub fn count(&self) -> usize {
        self.snapshot.gpus.len()
    }

    /// When the first of what was believed of them ends. It was judged at the start, and is not judged again.
    #[must_use]
    pub fn valid_until(&self) -> Timestamp {
        self.appraised.valid_until()
    }

    /// Ends it for good: no upload and no pass begins after this. The driver is told when nobody has this any more, so that what
    /// lies on a GPU can still be overwritten.
    pub fn revoke(&self) {
        self.holds.store(false, Ordering::SeqCst);
    }
}

impl Drop for ReadyDevices {
    fn drop(&mut self) {
        // A library that cannot be told is one whose GPUs have gone.
        let _ = self.library.set_ready(false);
    }
}

impl DeviceProof for ReadyDevices {
    fn uuid(&self) -> [u8; 16] {
        self.uuid
    }

    fn holds(&self) -> bool {
        self.holds.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
