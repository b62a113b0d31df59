//! Gemma 2 (arXiv:2408.00118) and Gemma 3 (arXiv:2503.19786), text only.
//!
//! Why apart: a family is a file; these two share all but caps, norms of heads and positions.
//!
//! # Invariants
//! As [`super`].

use serde_json::{Map, Value, json};

use super::{Family, GgufWords};
use crate::config::decoder::{DecoderConfig, Gate, Rules, refuse_bias};
use crate::config::keys::Keys;
use crate::config::rope::RopeConfig;
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};
use crate::model::gguf::source::Source;

pub(super) static GEMMA2: Family = Family {
    architecture: "Gemma2ForCausalLM",
    read: read_2,
    gguf: Some(GgufWords {
        honoured: &["attn_logit_softcapping", "final_logit_softcapping"],
        members: members_2,
        adjust,
        names: &NAMES,
        ..GgufWords::of("gemma2")
    }),
};

pub(super) static GEMMA3: Family = Family {
    architecture: "Gemma3ForCausalLM",
    read: read_3,
    gguf: Some(GgufWords {
        honoured: &[
            "attention.sliding_window_pattern",
            "final_logit_softcapping",
            "rope.freq_base_swa",
        ],
        members: members_3,
        adjust,
        names: &NAMES,
        ..GgufWords::of("gemma3")
    }),
};

const NAMES: [(&str, &str); 3] = [
    ("post_attention_layernorm", "post_attention_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
];

/// Bounds of a cap: published ones are 30 and 50.
const CAP: std::ops::RangeInclusive<f64> = 1e-3..=1e6;

/// What both have.
fn read(keys: &Keys<'_>, architecture: &'static str) -> Result<DecoderConfig, LoadError> {
    const GELU: &str = "gelu_pytorch_tanh";
    let rules = Rules {
        activation: ("hidden_activation", GELU, Gate::GeluTanh),
        head_width_may_miss: false,
        rope_by_kind: architecture == GEMMA3.architecture,
        tied: true,
        ..Rules::of(architecture)
    };
    // Written beside the other by some, and not looked at by the classes.
    keys.refuse_unless("hidden_act", &Value::from(GELU))?;
    refuse_bias(keys, "attention_bias")?;
    refuse_bias(keys, "use_bidirectional_attention")?;
    let mut config = DecoderConfig::common(keys, &rules)?;
    config.norm_offset = 1.0;
    config.output_norms = true;
    config.score_scale = 1.0 / (keys.need_number("query_pre_attn_scalar", 1e-3..=1e6)? as f32).sqrt();
    config.logit_cap = keys.number("final_logit_softcapping", CAP)?.map(|cap| cap as f32);
    config.embedding_scale = embedding_scale(keys, config.width)?;
    Ok(config)
}

/// The square root of the width, as precise as the weights are: with bf16, in which they were trained, 55.4 is 55.5.
fn embedding_scale(keys: &Keys<'_>, width: usize) -> Result<f32, LoadError> {
    let exact = (width as f32).sqrt();
    let kind = match keys.text("dtype")? {
        None => keys.text("torch_dtype")?,
        kind => kind,
    };
    Ok(match kind {
        Some("bfloat16") => rounded(exact, 16),
        Some("float16") => rounded(exact, 13),
        _ => exact,
    })
}

/// To the nearest number that has so many bits less of mantissa, to the even one of two.
fn rounded(number: f32, less: u32) -> f32 {
    let bits = number.to_bits();
    let odd = (bits >> less) & 1;
    let bits = bits + (1 << (less - 1)) - 1 + odd;
    f32::from_bits(bits >> less << less)
}

fn read_2(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    let mut config = read(keys, "Gemma2ForCausalLM")?;
    config.score_cap = keys.number("attn_logit_softcapping", CAP)?.map(|cap| cap as f32);
    let window = keys.need_count("sliding_window", limits::CONTEXT)?;
    // Every other layer, from the first.
    config
        .windows
        .iter_mut()
        .step_by(2)
        .for_each(|layer| *layer = Some(window));
    config.apply_layer_types(keys, Some(window))?;
    Ok(config)
}

fn read_3(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    let mut config = read(keys, "Gemma3ForCausalLM")?;
    // The class has the setting and does not act by it.
    keys.refuse_unless("attn_logit_softcapping", &Value::Null)?;
    config.qk_norm = true;
    let window = keys.need_count("sliding_window", limits::CONTEXT)?;
    // All but every sixth.
    let mut pattern = 6;
    for key in ["sliding_window_pattern", "_sliding_window_pattern"] {
        pattern = keys.count(key, 1..=limits::LAYERS)?.unwrap_or(pattern);
    }
    for (index, layer) in config.windows.iter_mut().enumerate() {
        *layer = Some(window).filter(|_| !(index + 1).is_multiple_of(pattern));
    }
    config.apply_layer_types(keys, Some(window))?;
    config.window_rope = Some(window_rope(keys)?);
    Ok(config)
}

/// transformers 5 has an object for each kind of layer; before, the one of layers with a window was a number.
fn window_rope(keys: &Keys<'_>) -> Result<RopeConfig, LoadError> {
    const SLIDING: &str = "sliding_attention";
    let Some(parameters) = keys.object("rope_parameters")? else {
        // Its default is not the one of others.
        if !keys.names("rope_theta") {
            return Err(keys.problem("rope_theta", SettingProblem::Missing));
        }
        let theta = keys.number("rope_local_base_freq", 1.0..=1e12)?;
        return Ok(RopeConfig::plain(theta.unwrap_or(10_000.0)));
    };
    let sliding = parameters
        .object(SLIDING)?
        .ok_or_else(|| keys.problem(SLIDING, SettingProblem::Missing))?;
    RopeConfig::of_parameters(&sliding, keys)
}

/// llama.cpp's files leave out what a score is divided by, and so tell the two models where it is not a head's width by
/// their layers: 27B of either generation.
fn query_scalar(source: &Source<'_>, layers_of_27b: usize) -> Result<Value, LoadError> {
    let settings = source.settings;
    let width = settings.need_count(".embedding_length", limits::WIDTH)?;
    let heads = settings.need_count(".attention.head_count", limits::HEADS)?;
    let head_width = settings.need_count(".attention.key_length", limits::HEAD_WIDTH)?;
    let layers = settings.need_count(".block_count", limits::LAYERS)?;
    Ok(if layers == layers_of_27b {
        json!(width as f64 / heads as f64)
    } else {
        json!(head_width)
    })
}

fn members_2(source: &Source<'_>, members: &mut Map<String, Value>) -> Result<(), LoadError> {
    // What llama.cpp takes when a file does not say, since the first files did not.
    let cap = |key, usual: f64| Ok::<_, LoadError>(json!(source.settings.number(key, CAP)?.unwrap_or(usual)));
    members.insert(
        "attn_logit_softcapping".into(),
        cap(".attn_logit_softcapping", 50.0)?,
    );
    members.insert(
        "final_logit_softcapping".into(),
        cap(".final_logit_softcapping", 30.0)?,
    );
    members.insert("sliding_window".into(), json!(source.window()?.unwrap_or(4096)));
    members.insert("query_pre_attn_scalar".into(), query_scalar(source, 46)?);
    Ok(())
}

fn members_3(source: &Source<'_>, members: &mut Map<String, Value>) -> Result<(), LoadError> {
    let settings = source.settings;
    if let Some(cap) = settings.number(".final_logit_softcapping", CAP)? {
        members.insert("final_logit_softcapping".into(), json!(cap));
    }
    let window = source.window()?.ok_or_else(|| {
        crate::model::gguf::settings::problem(".attention.sliding_window", SettingProblem::Missing)
    })?;
    members.insert("sliding_window".into(), json!(window));
    if let Some(pattern) = settings.count(".attention.sliding_window_pattern", 1..=limits::LAYERS)? {
        members.insert("sliding_window_pattern".into(), json!(pattern));
    }
    if settings.number(".rope.freq_base", 1.0..=1e12)?.is_none() {
        members.insert("rope_theta".into(), json!(1e6));
    }
    if let Some(theta) = settings.number(".rope.freq_base_swa", 1.0..=1e12)? {
        members.insert("rope_local_base_freq".into(), json!(theta));
    }
    members.insert("query_pre_attn_scalar".into(), query_scalar(source, 62)?);
    Ok(())
}

/// The converter has added the 1 already.
fn adjust(_: &Source<'_>, config: &mut DecoderConfig) -> Result<(), LoadError> {
    config.norm_offset = 0.0;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_of_embeddings_is_rounded_as_their_kind_is() {
        // The widths of 2B and 9B of Gemma 2, of 1B of Gemma 3, and of the first Gemma.
        for (width, expected) in [(2304, 48.0), (3584, 59.75), (1152, 34.0), (3072, 55.5)] {
            assert_eq!(rounded(f32::sqrt(width as f32), 16), expected);
        }
        assert_eq!(rounded((3584f32).sqrt(), 13), 59.875);
        assert_eq!(rounded(1.0, 16), 1.0);
    }
}
