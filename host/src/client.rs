//! The client's role: verify an enclave, then talk to it over bound connections only.
//!
//! # Invariants
//! Nothing but a nonce is sent before a connection is bound.

pub mod cli;
