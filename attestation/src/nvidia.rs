//! NVIDIA GPUs and NVLink switches: from a device's report, its certificates and RIM files to what they prove.
//!
//! Why apart: the only evidence beside the CPU's, with reference values that the vendor signs as XML.
//!
//! - [`anchors`]: who is believed
//! - [`cursor`], [`report`], [`opaque`]: the report, byte for byte
//! - [`identity`]: the certificates: chip and firmware id
//! - [`revocation`]: what NVIDIA's responder says of the certificates, where it was stapled
//! - [`device`], [`fields`]: a proven report, and as a list
//! - [`xml`], [`rim`]: a proven RIM
//! - [`comparison`]: measurements against RIMs
//! - [`topology`]: many devices as one machine
//! - [`version`]: versions, and the names of RIM files
//! - [`asks`]: which RIM files a report asks for
//! - [`error`]: why not, with identifiers
//! - [`explain`]: the same, check by check
//!
//! # Invariants
//! Pure: bytes, anchors and time are arguments. Nothing in a report ties a GPU to the CPU it is plugged into but the nonce: it
//! must be the one that the CPU's evidence commits to.

/// A GPU, as evidence names its kind.
pub const GPU: &str = "nvidia-gpu";
/// An NVLink switch, as evidence names its kind.
pub const SWITCH: &str = "nvidia-switch";

mod anchors;
mod asks;
mod comparison;
mod cursor;
mod device;
mod error;
mod explain;
mod fields;
#[cfg(test)]
pub(crate) mod fixture;
mod identity;
mod opaque;
mod report;
mod revocation;
mod rim;
mod topology;
mod version;
mod xml;

pub use anchors::Anchors;
pub use asks::rims_asked;
pub use comparison::{ComparisonError, MatchedDevice, RimRole, differing, match_gpu, match_switch};
pub use device::{FirmwareBinding, VerifiedDevice, verify_device};
pub use error::{DeviceError, ReportField, RimError, RimField, XmlFault};
pub use explain::{explain_device, explain_match, explain_rim, explain_topology, fitting, nonce_of, wanted};
pub use identity::{Architecture, CHAIN_LENGTH, DeviceIdentity, DiceFlags};
pub use opaque::{FeatureFlag, GpuData, Pdi, SwitchData, Switched};
pub use report::{
    DeviceKind, Measurement, MeasurementType, OpaqueData, REQUEST_LENGTH, Report, SIGNATURE_LENGTH,
};
pub(crate) use revocation::prove_answer;
pub use revocation::{ANSWERED_FOR, Answers, Revocation, SIGNER_ANSWERED_FOR};
pub(crate) use rim::said as rim_said;
pub use rim::{Edition, Rim, RimMeasurement, VerifiedRim, rim_certificates, verify_rim};
pub use topology::{TopologyError, VerifiedTopology, verify_topology};
pub use version::{
    DriverVersion, FirmwareVersion, blackwell_driver_rim_id, hopper_driver_rim_id, switch_rim_id,
    vbios_rim_id,
};

#[cfg(anchorhold_fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
pub(crate) mod tests;
