//! Machines whose workload only the provider's TPM has measured: SEV-SNP on Google Cloud and on AWS.
//!
//! Why apart: there an SEV-SNP report covers the provider's firmware and nothing that it boots. What a TPM adds rests on
//! the provider's word alone, so it is proven here, by provider, and a policy must `dangerously` trust it.
//!
//! - [`anchors`]: the roots of Google's and AWS's certificates
//! - [`google`]: a vTPM's quote under Google's certificate of its key
//! - [`aws`], [`cbor`]: NitroTPM's attestation document
//! - [`machine`]: what is proven
//! - [`error`]: why not, with identifiers
//! - [`mod@explain`]: the same, check by check
//!
//! # Invariants
//! Pure. [`ProviderMachine`] exists only after signature, chain and binding held: both ways bind SHA-256 of the 64 bytes
//! that the SEV-SNP report carries. Nothing else joins TPM and report: that both are one machine is the provider's word.
//!
//! Sources: TPM 2.0 Library, revision 1.59, Part 2; *Amazon EC2 User Guide*, Validate a NitroTPM Attestation Document;
//! RFC 8949 (CBOR); RFC 9052 and RFC 9053 (COSE).

pub mod anchors;
mod aws;
mod cbor;
mod error;
mod explain;
mod google;
mod machine;

#[cfg(test)]
pub(crate) mod fake;

pub use anchors::Anchors;
pub use aws::verify as verify_aws;
pub use error::{Check, ProviderError};
pub use explain::{Beside, MachineError, Proven, Tpm, explain};
pub use google::{GoogleQuote, verify as verify_google};
pub use machine::{MachineRegisters, Provider, ProviderMachine};

#[cfg(test)]
mod tests;
