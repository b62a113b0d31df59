//! The operator's role: runs enclaves, trusted with nothing.
//!
//! Why apart: an operator has every right on the machine and none on what runs in it.
//!
//! - [`cli`]: the commands
//! - [`endorse`]: brings endorsements to an enclave
//! - [`launch`]: starts an enclave and fixes its configuration's digest at launch
//! - [`scan`]: looks for what must not be in a process's memory
//! - [`status`]: looks at an enclave from outside
//!
//! # Invariants
//! Nothing here verifies evidence: what an operator sees is no proof of anything.

pub mod cli;
pub mod endorse;
pub mod launch;
pub mod scan;
pub mod status;
