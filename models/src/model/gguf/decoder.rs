//! The configuration of a decoder, out of the keys of a GGUF file.
//!
//! Why apart: it is put into the words of `config.json`, so that one reader decides what is supported. What only some
//! architectures have is in their family's file ([`crate::config::family`]).
//!
//! # Invariants
//! Keys of the architecture's that are neither honoured nor known to change nothing are refused.

use serde_json::{Map, Value, json};

use super::FILE;
use super::settings::{Settings, problem, unsupported};
use super::source::{LONG_FACTORS, ROPE_FACTORS, SHORT_FACTORS, Source};
use crate::config::decoder::DecoderConfig;
use crate::config::family::Family;
use crate::config::keys::Keys;
use crate::config::rope::RopeScaling;
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};
use crate::weights::Weights;
use crate::weights::names::Names;

/// Drops tensors that were settings.
pub(super) fn ignore_factors(weights: &mut Weights<'_>) {
    for name in [ROPE_FACTORS, SHORT_FACTORS, LONG_FACTORS] {
        weights.ignore(name);
    }
}

/// Honoured, or checked to be what is computed.
const HONOURED: [&str; 33] = [
    "attention.causal",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.layer_norm_rms_epsilon",
    "attention.sliding_window",
    "attention.value_length",
    "block_count",
    "context_length",
    "embedding_length",
    "expert_count",
    "expert_used_count",
    "feed_forward_length",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.scale_linear",
    "rope.scaling.attn_factor",
    "rope.scaling.beta_fast",
    "rope.scaling.beta_slow",
    "rope.scaling.ext_factor",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.type",
    "rope.scaling.yarn_attn_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_log_multiplier",
    "use_parallel_residual",
    "vocab_size",
    // These change nothing.
    "rope.scaling.finetuned",
    "tensor_data_layout",
    "pooling_type",
];

/// Configuration and names of tensors. `rows` are those of the embedding table.
pub(super) fn config(source: &Source<'_>, rows: usize) -> Result<(DecoderConfig, Names), LoadError> {
    let settings = source.settings;
    let (family, words) = Family::of_gguf(settings.architecture())
        .ok_or_else(|| unsupported("general.architecture", settings.architecture()))?;
    let prefix = format!("{}.", settings.architecture());
    settings.refuse_unknown(&prefix, |key| {
        HONOURED.contains(&key) || words.honoured.contains(&key)
    })?;
    let mut members = members(settings, rows, !source.has("output.weight"))?;
    (words.members)(source, &mut members)?;
    let mut config = family.read(&Keys::new(FILE, &members))?;

    config.qkv_bias |= source.has("blk.0.attn_q.bias");
    config.output_bias |= source.has("blk.0.attn_output.bias");
    config.mlp_bias |= source.has("blk.0.ffn_gate.bias");
    let turned = config.rope.turned(config.head_width);
    match settings.count(".rope.dimension_count", 1..=limits::HEAD_WIDTH)? {
        Some(said) if said != turned => {
            return Err(unsupported(".rope.dimension_count", "a_part_of_each_head"));
        }
        _ => {}
    }
    (words.adjust)(source, &mut config)?;
    if source.window()?.is_some() && config.windows.iter().all(Option::is_none) {
        return Err(unsupported(".attention.sliding_window", "a_window"));
    }
    if config.experts.is_none() && settings.count(".expert_count", 0..=usize::MAX)?.unwrap_or(0) > 0 {
        return Err(unsupported(".expert_count", "experts"));
    }
    if let Some(factors) = source.factors(ROPE_FACTORS, turned / 2)? {
        if config.rope.scaling != RopeScaling::None {
            return Err(problem(".rope.scaling.type", SettingProblem::Contradiction));
        }
        config.rope.scaling = RopeScaling::Factors(factors);
    }
    let names = Names::GgufDecoder {
        interleaved: words.interleaved.then_some(config.head_width),
        others: words.names,
    };
    Ok((config, names))
}

/// In the words of `config.json`.
fn members(settings: &Settings<'_>, rows: usize, tied: bool) -> Result<Map<String, Value>, LoadError> {
    for (key, harmless) in [(".attention.causal", true), (".use_parallel_residual", false)] {
        if settings.flag(key)?.is_some_and(|flag| flag != harmless) {
            return Err(unsupported(key, if harmless { "false" } else { "true" }));
        }
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
    let heads = settings.need_count(".attention.head_count", limits::HEADS)?;
    let kv_heads = settings
        .count(".attention.head_count_kv", 1..=limits::HEADS)?
        .unwrap_or(heads);
    let width = settings.need_count(".embedding_length", limits::WIDTH)?;
    let head_width = settings
        .count(".attention.key_length", 1..=limits::HEAD_WIDTH)?
        .unwrap_or(width / heads);
    let value_width = settings.count(".attention.value_length", 1..=limits::HEAD_WIDTH)?;
    if value_width.is_some_and(|other| other != head_width) {
        return Err(unsupported(".attention.value_length", "another_width_than_keys"));
    }
    let epsilon = settings
        .number(".attention.layer_norm_rms_epsilon", 1e-12..=1.0)?
        .ok_or_else(|| problem(".attention.layer_norm_rms_epsilon", SettingProblem::Missing))?;
    let config = json!({
        "hidden_size": width,
        "intermediate_size": settings.need_count(".feed_forward_length", limits::FEED_FORWARD)?,
        "num_hidden_layers": settings.need_count(".block_count", limits::LAYERS)?,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "head_dim": head_width,
        "vocab_size": rows,
        "max_position_embeddings": settings.need_count(".context_length", limits::CONTEXT)?,
        "rms_norm_eps": epsilon,
        "rope_theta": settings.number(".rope.freq_base", 1.0..=1e12)?.unwrap_or(10_000.0),
        "rope_scaling": rope_scaling(settings)?,
        "tie_word_embeddings": tied,
    });
    match config {
        Value::Object(members) => Ok(members),
        _ => Err(LoadError::Compute),
    }
}

/// As `rope_scaling` in `config.json`; null for none.
fn rope_scaling(settings: &Settings<'_>) -> Result<Value, LoadError> {
    const FACTOR: &str = ".rope.scaling.factor";
    const KIND: &str = ".rope.scaling.type";
    let factors = 1.0..=1e6;
    let factor = match settings.number(FACTOR, 0.0..=1e6)? {
        // Written by some where there is none.
        Some(0.0) | None => settings.number(".rope.scale_linear", factors.clone())?,
        factor => factor,
    };
    let kind = match settings.text(KIND)? {
        Some(kind) => kind,
        None if factor.is_none_or(|factor| factor == 1.0) => "none",
        None => "linear",
    };
    let need = || {
        factor
            .filter(|factor| factors.contains(factor))
            .ok_or_else(|| problem(FACTOR, SettingProblem::Missing))
    };
    match kind {
        "none" => Ok(Value::Null),
        "linear" => Ok(json!({"rope_type": "linear", "factor": need()?})),
        "yarn" => yarn(settings, need()?),
        other => Err(unsupported(KIND, other)),
    }
}

fn yarn(settings: &Settings<'_>, factor: f64) -> Result<Value, LoadError> {
    // Each key has two names.
    let either = |one: &'static str, other: &'static str| match settings.number(one, -1.0..=1e6)? {
        None => settings.number(other, -1.0..=1e6),
        number => Ok(number),
    };
    if either(".rope.scaling.ext_factor", ".rope.scaling.yarn_ext_factor")?
        .is_some_and(|strength| strength != 1.0 && strength >= 0.0)
    {
        return Err(unsupported(
            ".rope.scaling.yarn_ext_factor",
            "another_strength_than_1",
        ));
    }
    if settings
        .number(".rope.scaling.yarn_log_multiplier", -1e6..=1e6)?
        .is_some_and(|multiplier| multiplier != 0.0)
    {
        return Err(unsupported(".rope.scaling.yarn_log_multiplier", "a_multiplier"));
    }
    let original = settings.need_count(".rope.scaling.original_context_length", limits::CONTEXT)?;
    let mut yarn =
        json!({"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original});
    if let Some(more) = either(".rope.scaling.attn_factor", ".rope.scaling.yarn_attn_factor")? {
        // There it comes on top of what the factor gives, in `config.json` in its place.
        yarn["attention_factor"] = json!(more * (0.1 * factor.ln() + 1.0));
    }
    for (key, one, other) in [
        (
            "beta_fast",
            ".rope.scaling.beta_fast",
            ".rope.scaling.yarn_beta_fast",
        ),
        (
            "beta_slow",
            ".rope.scaling.beta_slow",
            ".rope.scaling.yarn_beta_slow",
        ),
    ] {
        if let Some(beta) = either(one, other)? {
            yarn[key] = json!(beta);
        }
    }
    Ok(yarn)
}
