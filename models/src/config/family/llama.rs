//! Llama (Touvron et al., arXiv:2302.13971; Llama 3, arXiv:2407.21783).
//!
//! Why apart: a family is a file.
//!
//! # Invariants
//! As [`super`].

use super::{Family, GgufWords};
use crate::config::decoder::{DecoderConfig, Rules};
use crate::config::keys::Keys;
use crate::limits::inference as limits;
use crate::model::error::LoadError;
use crate::model::gguf::source::Source;

const ARCHITECTURE: &str = "LlamaForCausalLM";

pub(super) static LLAMA: Family = Family {
    architecture: ARCHITECTURE,
    read,
    gguf: Some(GgufWords {
        adjust,
        // Its converter turns neighbours; no other's does.
        interleaved: true,
        ..GgufWords::of("llama")
    }),
};

fn read(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    let rules = Rules {
        kv_heads_may_miss: true,
        ..Rules::of(ARCHITECTURE)
    };
    let mut config = DecoderConfig::common(keys, &rules)?;
    config.qkv_bias = keys.flag("attention_bias")?.unwrap_or(false);
    config.output_bias = config.qkv_bias;
    config.mlp_bias = keys.flag("mlp_bias")?.unwrap_or(false);
    if keys.count("sliding_window", 1..=limits::CONTEXT)?.is_some() {
        return Err(keys.unsupported("sliding_window", "a_window"));
    }
    config.apply_layer_types(keys, None)?;
    Ok(config)
}

/// The architecture of Llama is Mistral's too, and that has windows.
fn adjust(source: &Source<'_>, config: &mut DecoderConfig) -> Result<(), LoadError> {
    if let Some(window) = source.window()? {
        config.windows.fill(Some(window));
    }
    Ok(())
}
