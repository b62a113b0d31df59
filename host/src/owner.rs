//! The model owner's role: keys, sealed models, and a broker that releases a key only to affirmed evidence.
//!
//! Why apart: it holds the keys; no other role comes near them.
//!
//! - [`cli`]: the commands
//! - [`store`]: one SQLite file with wrapped keys, registered manifests and the release log
//! - [`release_log`]: the chain of signed entries, and its check offline
//! - [`broker`]: the key broker, protocol RCAR 0.4.0
//!
//! # Invariants
//! A ModelKey leaves the store in one way: wrapped for the TEE key of affirmed evidence, after the release
//! was logged durably.

pub mod broker;
pub mod cli;
pub mod error;
pub mod release_log;
pub mod store;
