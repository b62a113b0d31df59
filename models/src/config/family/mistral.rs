//! Mistral (Jiang et al., arXiv:2310.06825). Its GGUF files are Llama's.
//!
//! Why apart: a family is a file.
//!
//! # Invariants
//! As [`super`].

use super::Family;
use crate::config::decoder::{DecoderConfig, Rules, refuse_bias, sliding_window};
use crate::config::keys::Keys;
use crate::model::error::LoadError;

const ARCHITECTURE: &str = "MistralForCausalLM";

pub(super) static MISTRAL: Family = Family {
    architecture: ARCHITECTURE,
    read,
    gguf: None,
};

fn read(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    let mut config = DecoderConfig::common(keys, &Rules::of(ARCHITECTURE))?;
    refuse_bias(keys, "attention_bias")?;
    refuse_bias(keys, "mlp_bias")?;
    let window = sliding_window(keys)?;
    config.windows.fill(window);
    config.apply_layer_types(keys, window)?;
    Ok(config)
}
