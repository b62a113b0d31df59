//! What a loaded model is, in numbers that may be shown.
//!
//! Why apart: servers and command lines show it without touching the model.
//!
//! # Invariants
//! Follows from the manifest; no secret.

/// A loaded model's facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelInfo {
    /// Class name as `config.json` has it.
    pub architecture: &'static str,
    /// Numbers in all tensors that are used.
    pub parameters: u64,
    /// Most tokens of a prompt and its answer, or of one text to embed.
    pub context_length: usize,
    /// Rows of the embedding table.
    pub vocabulary: usize,
    /// Width of the hidden state; an embedder's vectors have this length.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Whether it has a chat template.
    pub chat: bool,
}
