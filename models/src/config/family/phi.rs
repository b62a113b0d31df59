//! Phi-3 (arXiv:2404.14219) and Phi-4 (arXiv:2412.08905), with Phi-4-mini (arXiv:2503.01743): dense, text only.
//!
//! Why apart: a family is a file.
//!
//! # Invariants
//! As [`super`].

use serde_json::{Map, Value, json};

use super::{Family, GgufWords};
use crate::config::decoder::{DecoderConfig, Rules, refuse_bias};
use crate::config::keys::Keys;
use crate::config::rope::{RopeScaling, long_attention_factor};
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem, TensorProblem};
use crate::model::gguf::settings::problem;
use crate::model::gguf::source::{LONG_FACTORS, SHORT_FACTORS, Source};
use crate::shown::ShownName;

const ARCHITECTURE: &str = "Phi3ForCausalLM";
const ORIGINAL: &str = "original_max_position_embeddings";

pub(super) static PHI3: Family = Family {
    architecture: ARCHITECTURE,
    read,
    gguf: Some(GgufWords {
        members,
        adjust,
        names: &[("self_attn.qkv_proj", "attn_qkv"), ("mlp.gate_up_proj", "ffn_up")],
        ..GgufWords::of("phi3")
    }),
};

fn read(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    let rules = Rules {
        kv_heads_may_miss: true,
        partial_rotation: true,
        ..Rules::of(ARCHITECTURE)
    };
    refuse_bias(keys, "attention_bias")?;
    refuse_bias(keys, "mlp_bias")?;
    let mut config = DecoderConfig::common(keys, &rules)?;
    match config.rope.scaling {
        RopeScaling::None => {}
        // The class takes another original length than the context for granted when it is not said.
        RopeScaling::LongRope { .. } if keys.names(ORIGINAL) || keys.names("rope_parameters") => {}
        RopeScaling::LongRope { .. } => return Err(keys.problem(ORIGINAL, SettingProblem::Missing)),
        _ => return Err(keys.unsupported("rope_scaling", "another_type_than_longrope")),
    }
    config.fused = true;
    let window = keys.count("sliding_window", 1..=limits::CONTEXT)?;
    config.windows.fill(window);
    config.apply_layer_types(keys, window)?;
    Ok(config)
}

fn members(source: &Source<'_>, members: &mut Map<String, Value>) -> Result<(), LoadError> {
    let settings = source.settings;
    if let Some(window) = source.window()? {
        members.insert("sliding_window".into(), json!(window));
    }
    let head_width = members.get("head_dim").and_then(Value::as_u64).unwrap_or(1);
    if let Some(turned) = settings.count(".rope.dimension_count", 1..=limits::HEAD_WIDTH)? {
        members.insert(
            "partial_rotary_factor".into(),
            json!(turned as f64 / head_width as f64),
        );
    }
    Ok(())
}

/// Factors are tensors here.
fn adjust(source: &Source<'_>, config: &mut DecoderConfig) -> Result<(), LoadError> {
    const ORIGINAL: &str = ".rope.scaling.original_context_length";
    let pairs = config.rope.turned(config.head_width) / 2;
    let (short, long) = (
        source.factors(SHORT_FACTORS, pairs)?,
        source.factors(LONG_FACTORS, pairs)?,
    );
    let missing = |name: &str| LoadError::Tensor {
        name: ShownName::new(name),
        problem: TensorProblem::Missing,
    };
    let (short, long) = match (short, long) {
        (None, None) => return Ok(()),
        (Some(short), Some(long)) => (short, long),
        (None, _) => return Err(missing(SHORT_FACTORS)),
        (_, None) => return Err(missing(LONG_FACTORS)),
    };
    let settings = source.settings;
    let original = settings
        .count(ORIGINAL, 2..=limits::CONTEXT)?
        .ok_or_else(|| problem(ORIGINAL, SettingProblem::Missing))?;
    let factor = config.context as f64 / original as f64;
    let attention_factor = match settings.number(".rope.scaling.attn_factor", 1e-6..=1e6)? {
        Some(factor) => factor,
        None if factor <= 1.0 => 1.0,
        None => long_attention_factor(factor, original),
    };
    config.rope.scaling = RopeScaling::LongRope {
        short,
        long,
        original_context: original,
        attention_factor,
    };
    Ok(())
}
