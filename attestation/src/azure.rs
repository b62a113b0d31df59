//! Azure confidential VMs: a paravisor (HCL) between hardware and guest, on SEV-SNP and on TDX.
//!
//! Why apart: the hardware vouches for the paravisor, the paravisor for its vTPM's key, and the vTPM for the guest.
//! Each link is a format of its own, and a verifier that follows only some of them proves nothing.
//!
//! - [`hcl`], [`tdreport`]: the box in which hardware report and claims come
//! - [`claims`], [`vm`], [`key`]: what the paravisor says, and the key it gives the vTPM
//! - [`quote`], [`signature`]: what the vTPM says
//! - [`mod@bind`]: that all of it belongs together
//! - [`error`]: why not, with identifiers
//! - [`mod@explain`]: the same, check by check
//! - [`fields`]: what is proven, as a list
//! - [`read`]: a cursor over bytes
//!
//! The way through: [`HclReport::parse`] -> the hardware report inside is verified by its own module -> [`bind()`].
//!
//! The 64 bytes a guest wants signed are written to NV index 0x01400002. The next read of NV index 0x01400001 makes a
//! new hardware report over claims that repeat them as `user-data`. The vTPM's quote has their SHA-256 as
//! qualifying data. Either alone could be old: both are required.
//!
//! # Invariants
//! Pure: bytes are arguments. [`VerifiedGuest`] holds a verified hardware report, so none exists without one. No
//! judgement: Secure Boot may be off and the console open in a verified guest.
//!
//! Sources: *Azure Confidential VM guest attestation design detail* (Microsoft Learn, 2025-02-06); OpenHCL, the open
//! source of the paravisor (github.com/microsoft/openvmm, `openhcl_attestation_protocol`, `underhill_attestation`,
//! `tpm`), where the document is silent; TPM 2.0 Library, revision 1.59 (2019-11-08), Parts 1 to 3.

mod bind;
mod claims;
mod error;
mod explain;
mod fields;
mod hcl;
mod key;
mod quote;
mod read;
mod signature;
mod tdreport;
mod vm;

#[cfg(test)]
pub(crate) mod fake;

pub use bind::{CONFIGURATION_REGISTER, Hardware, VerifiedGuest, bind, configuration_register_of};
pub use claims::{RuntimeClaims, VmConfiguration};
pub use error::{AzureError, Check};
pub use explain::{Beside, GuestError, TpmQuote, explain};
pub use hcl::{HclHardware, HclReport};
pub use key::AttestationKey;
pub use quote::{Clock, Quote, Registers};
pub use tdreport::{TDREPORT_LENGTH, TdReport};
pub use vm::{HardwareSealing, RootCertificate, TpmVersion, Uuid, VmgsProvisioner};

/// Bytes of an SEV-SNP attestation report, and of the room for a hardware report.
pub const SNP_REPORT_LENGTH: usize = 1184;

#[cfg(test)]
mod tests;
