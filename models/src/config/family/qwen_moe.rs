//! Qwen 3 as a mixture of experts (arXiv:2505.09388).
//!
//! Why apart: a family is a file.
//!
//! # Invariants
//! As [`super`].

use serde_json::{Map, Value, json};

use super::{Family, GgufWords, qwen};
use crate::config::decoder::{DecoderConfig, Experts};
use crate::config::keys::Keys;
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};
use crate::model::gguf::source::Source;

const ARCHITECTURE: &str = "Qwen3MoeForCausalLM";

pub(super) static QWEN3_MOE: Family = Family {
    architecture: ARCHITECTURE,
    read,
    gguf: Some(GgufWords {
        honoured: &["expert_feed_forward_length"],
        members,
        names: &[
            ("mlp.gate", "ffn_gate_inp"),
            ("mlp.experts.gate_proj", "ffn_gate_exps"),
            ("mlp.experts.up_proj", "ffn_up_exps"),
            ("mlp.experts.down_proj", "ffn_down_exps"),
        ],
        ..GgufWords::of("qwen3moe")
    }),
};

fn read(keys: &Keys<'_>) -> Result<DecoderConfig, LoadError> {
    let mut config = qwen::read_3_as(keys, ARCHITECTURE)?;
    let experts = Experts {
        count: keys.need_count("num_experts", limits::EXPERTS)?,
        used: keys.need_count("num_experts_per_tok", limits::EXPERTS)?,
        feed_forward: keys.need_count("moe_intermediate_size", limits::FEED_FORWARD)?,
        normalised: keys.flag("norm_topk_prob")?.unwrap_or(false),
    };
    if experts.used > experts.count {
        return Err(keys.problem("num_experts_per_tok", SettingProblem::Contradiction));
    }
    let step = keys
        .count("decoder_sparse_step", 1..=limits::LAYERS)?
        .unwrap_or(1);
    for (index, sparse) in config.sparse.iter_mut().enumerate() {
        *sparse = (index + 1).is_multiple_of(step);
    }
    for layer in keys.list("mlp_only_layers")?.unwrap_or_default() {
        let dense = layer
            .as_u64()
            .and_then(|layer| usize::try_from(layer).ok())
            .ok_or_else(|| keys.problem("mlp_only_layers", SettingProblem::Type))?;
        // One that is not there is no layer's.
        if let Some(sparse) = config.sparse.get_mut(dense) {
            *sparse = false;
        }
    }
    config.experts = Some(experts);
    Ok(config)
}

/// All layers have experts there, and shares are brought to a sum of 1.
fn members(source: &Source<'_>, members: &mut Map<String, Value>) -> Result<(), LoadError> {
    let settings = source.settings;
    for (ours, theirs, most) in [
        ("num_experts", ".expert_count", limits::EXPERTS),
        ("num_experts_per_tok", ".expert_used_count", limits::EXPERTS),
        (
            "moe_intermediate_size",
            ".expert_feed_forward_length",
            limits::FEED_FORWARD,
        ),
    ] {
        members.insert(ours.into(), json!(settings.need_count(theirs, most)?));
    }
    members.insert("norm_topk_prob".into(), json!(true));
    Ok(())
}
