//! The publisher's role: reference values of an enclave, for others to take into their policies; and the public log
//! that shows what publishers say.
//!
//! Why apart: reference values are others' ground for trust. Who computes, who signs, who logs and who watches are
//! different people, and each part works without the others' keys.
//!
//! - [`cli`]: the commands
//! - [`measure`]: what a platform will measure for a given enclave and configuration
//! - [`reference`](mod@reference): statements of reference values, signed
//! - [`log`]: the log as a folder of static files; [`state`]: what its key and its witnesses' keys have signed
//! - [`key`]: signing keys; [`error`]: what goes wrong
//!
//! # Invariants
//! No network. A key signs one kind of thing. Formats are those of `anchorhold_attestation::published`:
//! docs/reference-values.md.

pub mod cli;
pub mod error;
pub mod key;
pub mod log;
pub mod measure;
pub mod reference;
pub mod state;
