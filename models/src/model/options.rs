//! How a model is loaded: what its owner and the machine decide, and no file.
//!
//! Why apart: the enclave's configuration sets these and knows nothing else of the engine.
//!
//! # Invariants
//! The default is the fastest that changes no number beyond rounding, and leaks no address.

use anchorhold_kernels::Kernels;
pub use anchorhold_kernels::kv::KvPrecision;

/// What may be chosen at load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOptions {
    /// The instructions that are used.
    pub kernels: Kernels,
    /// Threads that compute, the caller's among them; at least one.
    pub threads: usize,
    /// Bytes for keys and values of all answers together. Without a number: 32 contexts, at most 1 GiB.
    pub kv_bytes: Option<u64>,
    /// How keys and values are kept.
    pub kv_precision: KvPrecision,
    /// Fold a keystream of its own into each answer's keys and values while they lie in memory. For machines whose memory
    /// encryption shows the host where equal plaintext lies.
    pub mask_kv: bool,
    /// Make plain weights smaller while they are loaded. Weights that come in blocks stay as they are.
    pub quantise: Option<Quantise>,
    /// Read only the rows of the embedding table that a text needs, and compute only the experts that its tokens choose.
    /// Whoever sees which pages are touched, as the host of a confidential machine may, then reads the text.
    pub dangerously_plain_gather: bool,
}

/// What plain weights become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quantise {
    /// Blocks of 32 signed bytes with a scale.
    Q8,
    /// Blocks of 32 four-bit numbers with a scale.
    Q4,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            kernels: Kernels::detect(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            kv_bytes: None,
            kv_precision: KvPrecision::F16,
            mask_kv: false,
            quantise: None,
            dangerously_plain_gather: false,
        }
    }
}

/// Bytes that a model takes while it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Weights as they are packed.
    pub weights: u64,
    /// Keys and values of all pages.
    pub kv: u64,
    /// What one pass needs at most.
    pub scratch: u64,
    /// The program itself and its tokenizer, which are known by measurement: `anchorhold-bench memory`.
    pub program: u64,
}

impl Memory {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.weights + self.kv + self.scratch + self.program
    }
}
