//! AMD SEV-SNP: from a report and the certificate of the key that signed it to what they prove about a machine.
//!
//! Why apart: AMD's reports, certificates and their binding to each other are unlike anybody else's.
//!
//! - [`report`], [`tcb`], [`bits`], [`product`], [`part`]: the report's bytes, each with a place and a name
//! - [`fields`]: the same as a list, for people and pins
//! - [`vek`]: the certificate of the key that signs reports (VCEK or VLEK), and its chain
//! - [`cert_table`]: certificates as a hypervisor hands them to a guest
//! - [`anchors`]: who is believed
//! - [`verified`]: what is proven
//! - [`error`]: why not, with identifiers
//! - [`mod@explain`]: the same, check by check
//!
//! # Invariants
//! Pure: bytes, anchors and time are arguments. [`VerifiedReport`] exists only if every check of
//! docs/platforms/snp.md holds. What a machine may be (debug, TCB floors, platform bits) is not judged here.

mod anchors;
mod bits;
mod cert_table;
mod error;
mod explain;
mod fields;
mod part;
mod product;
mod report;
mod tcb;
mod vek;
mod verified;

pub use anchors::Anchors;
#[cfg(any(test, feature = "insecure-simulated"))]
pub use authority::{FakeAuthority, FakeChip};
pub use bits::{GuestPolicy, PlatformBit, PlatformInfo, PolicyBit};
pub use cert_table::{CertTable, Entry};
pub use error::{BindingCheck, Check, ReportCheck, SnpError, TableCheck, VekCheck, Whose};
pub use explain::{Given, explain};
pub use part::Part;
pub use product::{Cpuid, Product};
pub use report::{Firmware, REPORT_LENGTH, Report, SigningKey};
pub use tcb::{Component, Tcb};
pub(crate) use vek::Statements;
pub use vek::{Endorsements, Revocation, SignerKind, VerifiedVek};
pub use verified::VerifiedReport;

#[cfg(any(test, feature = "insecure-simulated"))]
mod authority;
// Written for tests, where a panic is how a test fails; nothing of it is in a build for real machines.
#[cfg(any(test, feature = "insecure-simulated"))]
#[cfg_attr(not(test), allow(dead_code))]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]
pub(crate) mod fake;
#[cfg(anchorhold_fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
pub(crate) mod tests;
