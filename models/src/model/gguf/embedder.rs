//! The configuration of an embedder, out of the keys of a GGUF file.
//!
//! Why apart: as for decoders, it is put into the words of `config.json`.
//!
//! # Invariants
//! As [`super::decoder`]. Vectors are brought to unit length, as llama.cpp does and every published one wants.

use serde_json::{Value, json};

use super::FILE;
use super::settings::{Settings, problem, unsupported};
use crate::config::encoder::{BERT, EncoderConfig};
use crate::config::keys::Keys;
use crate::config::sentence::{Pooling, SentenceConfig};
use crate::gguf::Gguf;
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};

pub(super) const ARCHITECTURE: &str = "bert";

const HONOURED: [&str; 10] = [
    "attention.causal",
    "attention.head_count",
    "attention.layer_norm_epsilon",
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "pooling_type",
    "vocab_size",
    // Another spelling of a tokenizer's key; the table of types says how many there are.
    "token_type_count",
];

/// `rows` are those of the embedding table.
pub(super) fn config(
    settings: &Settings<'_>,
    gguf: &Gguf<'_>,
    rows: usize,
) -> Result<EncoderConfig, LoadError> {
    settings.refuse_unknown("bert.", |key| HONOURED.contains(&key))?;
    if settings.flag(".attention.causal")?.unwrap_or(false) {
        return Err(unsupported(".attention.causal", "true"));
    }
    match settings.count(".vocab_size", 1..=limits::VOCABULARY)? {
        Some(said) if said != rows => {
            return Err(LoadError::VocabularyMismatch {
                tokenizer: said,
                weights: rows,
            });
        }
        _ => {}
    }
    let epsilon = settings
        .number(".attention.layer_norm_epsilon", 1e-15..=1.0)?
        .ok_or_else(|| problem(".attention.layer_norm_epsilon", SettingProblem::Missing))?;
    let types = gguf
        .tensors()
        .iter()
        .find(|tensor| tensor.name == "token_types.weight")
        .and_then(|tensor| tensor.shape().next())
        .unwrap_or(1);
    let config = json!({
        "hidden_act": "gelu",
        "hidden_size": settings.need_count(".embedding_length", limits::WIDTH)?,
        "intermediate_size": settings.need_count(".feed_forward_length", limits::FEED_FORWARD)?,
        "num_hidden_layers": settings.need_count(".block_count", limits::LAYERS)?,
        "num_attention_heads": settings.need_count(".attention.head_count", limits::HEADS)?,
        "vocab_size": rows,
        "max_position_embeddings": settings.need_count(".context_length", limits::CONTEXT)?,
        "type_vocab_size": types,
        "layer_norm_eps": epsilon,
    });
    let Value::Object(members) = config else {
        return Err(LoadError::Compute);
    };
    EncoderConfig::read(BERT, &Keys::new(FILE, &members))
}

/// What `pooling_type` says; `None` when nothing is, or none.
pub(super) fn pooling(settings: &Settings<'_>) -> Result<Option<Pooling>, LoadError> {
    match settings.count(".pooling_type", 0..=usize::MAX)? {
        None | Some(0) => Ok(None),
        Some(1) => Ok(Some(Pooling::Mean)),
        Some(2) => Ok(Some(Pooling::First)),
        Some(3) => Ok(Some(Pooling::Last)),
        Some(_) => Err(unsupported(".pooling_type", "another_kind")),
    }
}

/// How a network's output becomes a vector; the files beside may say otherwise. `None` when it is not said.
pub(super) fn sentence(
    settings: &Settings<'_>,
    width: usize,
    context: usize,
) -> Result<Option<SentenceConfig>, LoadError> {
    Ok(pooling(settings)?.map(|pooling| SentenceConfig {
        pooling: Some(pooling),
        ..SentenceConfig::new(width, context)
    }))
}
