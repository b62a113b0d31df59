//! A sealed file becomes a model that answers.
//!
//! Why apart: a model does not know why it was unsealed. Whoever decided that (the broker's grant, the
//! enclave's boot order) hands over a key and the digest it was told to expect, and learns nothing more.
//!
//! The sealed format, always here:
//! - [`limits`]: how much of anything from outside is taken
//! - [`key`]: the weight key and the two doors through which it passes
//! - [`wrap`]: a key under a key, for the enclave ([`wrap::jwe`]) and for the store ([`wrap::kek`])
//! - [`name`]: names of keys and models, and the class that a key is made for
//! - [`manifest`]: which files make up a model; its digest is what evidence calls *the model*
//! - [`gguf`]: the tables of a GGUF file, and why one is refused
//! - [`shown`]: names out of files, made fit to be shown
//! - [`sealed`]: the file format, [`sealed::seal_dir`] into it and [`sealed::SealedModel::unseal`] out of it
//! - [`unsealed`]: plaintext that was checked to the last byte
//! - [`progress`]: how far long work has come
//!
//! The engine, under the feature `inference`:
//! - [`model`]: [`model::Model::load`], from unsealed files to a model that answers
//! - [`decoder`]: models that answer, of the families in `config::family`; prompts; `chat`: conversations
//! - `device`, under the feature `device`: a GPU that computes instead, with `cuda`, and the leave it needs
//! - [`generation`]: one answer, step by step
//! - [`constraint`]: answers that keep to a schema; [`tools`]: functions that a model may call
//! - [`sampler`]: from logits to the next token
//! - [`embedder`]: models that turn texts into vectors
//! - `config`, `weights`, `tokenizer`, `template`: the files of a model, each checked as it is read
//! - [`wording`]: texts to ids and back without a model's weights; [`prompt`]: why a text is none; `wiped`: JSON of plaintext
//! - `matrix`: the one operation that costs
//! - `machine`: the threads and instructions that compute
//!
//! # Invariants
//! No network, no clock, no logging. Only `aead` names a cipher. Keys and plaintext have no `Clone`, `Debug`
//! or `Serialize` and are wiped when dropped.

// `device/pinned.rs` asks CUDA's driver for memory.
#![cfg_attr(not(feature = "cuda"), forbid(unsafe_code))]

mod aead;
pub mod gguf;
pub mod key;
pub mod limits;
pub mod manifest;
pub mod name;
pub mod progress;
pub mod sealed;
mod secret;
pub mod shown;
pub mod unsealed;
pub mod wrap;

pub use key::ModelKey;
pub use manifest::{Manifest, ManifestError, ManifestFile};
pub use name::{Class, KeyId, ModelName};
pub use progress::Progress;
pub use sealed::{
    Expected, Header, SealError, SealOptions, SealedModel, SealedSummary, UnsealError, seal_dir,
};
pub use unsealed::{Plaintext, UnsealedModel};
pub use wrap::{Jwe, Kek, TeeKeyPair, TeePublicKey, WrapError};

#[cfg(feature = "text")]
pub mod chat;
#[cfg(feature = "inference")]
mod config;
/// What texts need of it.
#[cfg(all(feature = "text", not(feature = "inference")))]
mod config {
    #[allow(dead_code, reason = "the engine reads more of a model's settings")]
    pub(crate) mod keys;
}
#[cfg(feature = "inference")]
pub mod constraint;
#[cfg(feature = "inference")]
pub mod decoder;
#[cfg(any(feature = "device", all(test, feature = "inference")))]
pub mod device;
#[cfg(feature = "inference")]
mod device_terms;
#[cfg(feature = "inference")]
pub mod embedder;
#[cfg(feature = "inference")]
pub mod generation;
#[cfg(feature = "inference")]
mod machine;
#[cfg(feature = "inference")]
mod matrix;
#[cfg(feature = "inference")]
pub mod model;
/// What texts need of it.
#[cfg(all(feature = "text", not(feature = "inference")))]
pub mod model {
    pub mod error;
    #[allow(dead_code, reason = "the engine takes more of a model's files")]
    pub(crate) mod files;

    pub use crate::shown as name;
}
#[cfg(feature = "text")]
pub mod prompt;
#[cfg(feature = "inference")]
pub mod sampler;
#[cfg(feature = "text")]
#[cfg_attr(
    not(feature = "inference"),
    allow(dead_code, reason = "GGUF files have templates too")
)]
mod template;
#[cfg(all(test, feature = "inference"))]
mod testdata;
#[cfg(feature = "text")]
#[cfg_attr(
    not(feature = "inference"),
    allow(dead_code, reason = "the engine asks more of a tokenizer")
)]
mod tokenizer;
#[cfg(feature = "text")]
#[cfg_attr(
    not(feature = "inference"),
    allow(dead_code, reason = "only the engine reads calls out of answers")
)]
pub mod tools;
#[cfg(feature = "inference")]
mod weights;
#[cfg(feature = "text")]
mod wiped;
#[cfg(feature = "text")]
pub mod wording;

#[cfg(feature = "text")]
pub use chat::{ChatError, ChatMessage, Role, ToolCall};
#[cfg(feature = "inference")]
pub use constraint::schema::SchemaError;
#[cfg(feature = "inference")]
pub use constraint::{Constraint, ConstraintError, Format, Grammars, Output};
#[cfg(feature = "inference")]
pub use decoder::{Decoder, Prompt};
#[cfg(feature = "device")]
pub use device::{Device, DeviceError};
#[cfg(feature = "inference")]
pub use device_terms::{DevicePrecision, DeviceProof};
#[cfg(feature = "inference")]
pub use embedder::{EmbedError, Embedder, Embedding, Truncation};
#[cfg(feature = "inference")]
pub use generation::token::{TokenInfo, TokenLogprob};
#[cfg(feature = "inference")]
pub use generation::{Delta, Finish, FinishReason, GenerateError, Generation, Step, Usage};
#[cfg(feature = "inference")]
pub use model::Model;
#[cfg(feature = "text")]
pub use model::error::LoadError;
#[cfg(feature = "inference")]
pub use model::info::ModelInfo;
#[cfg(feature = "inference")]
pub use model::options::{KvPrecision, LoadOptions, Memory, Quantise};
#[cfg(feature = "text")]
pub use prompt::PromptError;
#[cfg(feature = "inference")]
pub use sampler::params::{Sampling, SamplingError, SamplingParams};
#[cfg(feature = "text")]
pub use tools::{CallDelta, Function, ToolChoice, Tools, ToolsError};
#[cfg(feature = "text")]
pub use wording::{AnswerText, Wording, WordingError};
