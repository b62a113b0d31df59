//! Qwen 2 (arXiv:2407.10671) and Qwen 3 (arXiv:2505.09388), dense.
//!
//! Why apart: a family is a file; these two differ in biases and norms of heads only.
//!
//! # Invariants
//! As [`super`].

use super::{Family, GgufWords};
use crate::config::decoder::{DecoderConfig, Rules, refuse_bias, sliding_window};
use crate::config::keys::Keys;
use crate::limits::inference as limits;
use crate::model::error::LoadError;

pub(super) static QWEN2: Family = Family {
    architecture: "Qwen2ForCausalLM",
    read: read_2,
    gguf: Some(GgufWords::of("qwen2")),
};

pub(super) static QWEN3: Family = Family {
    architecture: "Qwen3ForCausalLM",
    read: read_3,
    gguf: Some(GgufWords::of("qwen3")),
};

fn read_2(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    let mut config = DecoderConfig::common(keys, &Rules::of("Qwen2ForCausalLM"))?;
    refuse_bias(keys, "mlp_bias")?;
    // The class has them always, whatever is written.
    config.qkv_bias = true;
    windows(&mut config, keys)?;
    Ok(config)
}

fn read_3(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    read_3_as(keys, "Qwen3ForCausalLM")
}

/// What Qwen 3 and its mixture of experts have in common.
pub(super) fn read_3_as(keys: &Keys<'_>, architecture: &'static str) -> Result<DecoderConfig, LoadError> {
    let rules = Rules {
        head_width_may_miss: false,
        ..Rules::of(architecture)
    };
    let mut config = DecoderConfig::common(keys, &rules)?;
    refuse_bias(keys, "mlp_bias")?;
    config.qkv_bias = keys.flag("attention_bias")?.unwrap_or(false);
    config.output_bias = config.qkv_bias;
    config.qk_norm = true;
    windows(&mut config, keys)?;
    Ok(config)
}

/// The first `max_window_layers` see all, and so do the others unless `use_sliding_window`.
fn windows(config: &mut DecoderConfig, keys: &Keys<'_>) -> Result<(), LoadError> {
    let window = sliding_window(keys)?;
    let slides = keys.flag("use_sliding_window")?.unwrap_or(false);
    // The classes' default is 28.
    let first = keys.count("max_window_layers", 0..=limits::LAYERS)?.unwrap_or(28);
    if slides {
        config
            .windows
            .iter_mut()
            .skip(first)
            .for_each(|layer| *layer = window);
    }
    let in_use = config.windows.iter().any(Option::is_some);
    config.apply_layer_types(keys, window.filter(|_| in_use))
}
