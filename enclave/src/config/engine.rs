//! What the configuration says of the engine.
//!
//! Why apart: these keys decide how fast an enclave is, how much memory it takes, and one of them what its host can see.
//!
//! # Invariants
//! Unset is the fastest that changes no number beyond rounding and hides which rows of the embedding table are read.

use anchorhold_kernels::{KernelSet, Kernels};
use anchorhold_models::{KvPrecision, LoadOptions, Quantise};

/// The engine's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Requests that run at one time.
    pub running: usize,
    /// Threads that compute; `None`: one for each core.
    pub threads: Option<usize>,
    /// Bytes for keys and values of all requests together; `None`: the engine's default.
    pub kv_bytes: Option<u64>,
    /// How keys and values are kept.
    pub kv_precision: KvPrecision,
    /// Whether each answer's keys and values lie under a keystream of its own.
    pub mask_kv: bool,
    /// No faster kernels than these.
    pub kernels: KernelSet,
    /// What plain weights become while they are loaded.
    pub quantise: Option<Quantise>,
    /// Consent to reading only those rows of the embedding table that a text needs.
    pub token_dependent_addresses: bool,
}

impl EngineConfig {
    /// How the model is loaded on this machine.
    #[must_use]
    pub fn load_options(&self) -> LoadOptions {
        let unset = LoadOptions::default();
        LoadOptions {
            kernels: Kernels::at_most(self.kernels),
            threads: self.threads.unwrap_or(unset.threads),
            kv_bytes: self.kv_bytes,
            kv_precision: self.kv_precision,
            quantise: self.quantise,
            dangerously_plain_gather: self.token_dependent_addresses,
            mask_kv: self.mask_kv,
        }
    }
}
