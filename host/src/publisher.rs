//! The publisher's role: reference values of an enclave, for others to write into their policies.
//!
//! Why apart: reference values are others' ground for trust, so computing them needs no trust.
//!
//! - [`cli`]: the commands
//! - [`measure`]: what a platform will measure for a given enclave and configuration
//!
//! # Invariants
//! Pure computation over files: no key, no network.

pub mod cli;
pub mod measure;
