//! What a decoder computes, and what the `config.json` of all families has in common.
//!
//! Why apart: what differs between the families is decided in [`super::family`]; the decoder sees only the result.
//!
//! # Invariants
//! A setting that would change the computation is honoured or refused by name. Products of the numbers
//! here fit in `usize` (see [`crate::limits`]).

use serde_json::Value;

use super::keys::Keys;
use super::rope::{RopeConfig, RopeScaling};
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};

/// What the gate of a feed-forward part goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// `x / (1 + exp(-x))`.
    Silu,
    /// The approximation of GELU by tanh.
    GeluTanh,
}

/// Feed-forward parts of which each row goes through a few.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Experts {
    pub(crate) count: usize,
    /// How many a row goes through.
    pub(crate) used: usize,
    /// The inner width of one.
    pub(crate) feed_forward: usize,
    /// The shares of those that are used are brought to a sum of 1.
    pub(crate) normalised: bool,
}

/// All that the decoder's computation depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecoderConfig {
    /// The class in `architectures`.
    pub(crate) architecture: &'static str,
    /// Width of the hidden state.
    pub(crate) width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) gate: Gate,
    pub(crate) heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` query heads.
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) vocabulary: usize,
    /// Most positions of one sequence.
    pub(crate) context: usize,
    pub(crate) norm_epsilon: f32,
    /// Norms multiply by their weights and this together.
    pub(crate) norm_offset: f32,
    /// What attention and feed-forward part give is normalised too, before it is added.
    pub(crate) output_norms: bool,
    pub(crate) rope: RopeConfig,
    /// Of layers with a window, where it differs.
    pub(crate) window_rope: Option<RopeConfig>,
    /// The output projection is the embedding table.
    pub(crate) tied: bool,
    /// Rows of the embedding table are multiplied by it.
    pub(crate) embedding_scale: f32,
    pub(crate) qkv_bias: bool,
    pub(crate) output_bias: bool,
    pub(crate) mlp_bias: bool,
    /// Queries, keys and values are one matrix in the file, and so are gate and up.
    pub(crate) fused: bool,
    /// Queries and keys are normalised for each head.
    pub(crate) qk_norm: bool,
    /// Products of queries and keys are multiplied by it.
    pub(crate) score_scale: f32,
    /// Scores become `cap * tanh(score / cap)`.
    pub(crate) score_cap: Option<f32>,
    /// And so do logits.
    pub(crate) logit_cap: Option<f32>,
    /// For each layer, how many positions a query sees, itself included; `None` is all before it.
    pub(crate) windows: Vec<Option<usize>>,
    /// The experts of the layers that have some; `sparse` says which.
    pub(crate) experts: Option<Experts>,
    /// For each layer, whether its feed-forward part is the experts.
    pub(crate) sparse: Vec<bool>,
    /// `eos_token_id`.
    pub(crate) stop_ids: Vec<u32>,
}

/// How a family reads what all have.
pub(super) struct Rules {
    pub(super) architecture: &'static str,
    /// The key that names the activation, and the one that is built; a configuration without it has that one.
    pub(super) activation: (&'static str, &'static str, Gate),
    /// Without their number, there are as many heads of keys as of queries.
    pub(super) kv_heads_may_miss: bool,
    /// Without it, a head's width is the hidden state's divided by the heads.
    pub(super) head_width_may_miss: bool,
    /// Rotation of a part of each head.
    pub(super) partial_rotation: bool,
    /// Positions that differ between layers with a window and without.
    pub(super) rope_by_kind: bool,
    /// What `tie_word_embeddings` is when nothing is written.
    pub(super) tied: bool,
}

impl Rules {
    /// What most classes do.
    pub(super) const fn of(architecture: &'static str) -> Self {
        Self {
            architecture,
            activation: ("hidden_act", "silu", Gate::Silu),
            kv_heads_may_miss: false,
            head_width_may_miss: true,
            partial_rotation: false,
            rope_by_kind: false,
            tied: false,
        }
    }
}

impl DecoderConfig {
    /// What the configuration says in the words of all families; nothing that only some have is set.
    pub(super) fn common(config: &Keys<'_>, rules: &Rules) -> Result<Self, LoadError> {
        let (key, built, gate) = rules.activation;
        match config.text(key)? {
            Some(other) if other != built => return Err(config.unsupported(key, other)),
            _ => {}
        }
        config.refuse_unless("quantization_config", &Value::Null)?;

        let width = config.need_count("hidden_size", limits::WIDTH)?;
        let heads = config.need_count("num_attention_heads", limits::HEADS)?;
        let kv_heads = match config.count("num_key_value_heads", 1..=limits::HEADS)? {
            Some(count) => count,
            // The older Llama configurations leave it out; the other families' defaults are surprising.
            None if rules.kv_heads_may_miss => heads,
            None => return Err(config.problem("num_key_value_heads", SettingProblem::Missing)),
        };
        if !heads.is_multiple_of(kv_heads) {
            return Err(config.problem("num_key_value_heads", SettingProblem::Contradiction));
        }
        let head_width = match config.count("head_dim", 1..=limits::HEAD_WIDTH)? {
            Some(head_width) => head_width,
            None if !rules.head_width_may_miss => {
                return Err(config.problem("head_dim", SettingProblem::Missing));
            }
            None if width.is_multiple_of(heads) => width / heads,
            None => return Err(config.problem("num_attention_heads", SettingProblem::Contradiction)),
        };
        // Rotary positions turn pairs.
        if head_width % 2 != 0 || head_width > limits::HEAD_WIDTH {
            return Err(config.problem("head_dim", SettingProblem::Bounds));
        }
        if RopeConfig::by_kind(config)? && !rules.rope_by_kind {
            return Err(config.unsupported("rope_parameters", "one_for_each_kind_of_layer"));
        }
        let rope = RopeConfig::read(config)?;
        if rope.part < 1.0 && !rules.partial_rotation {
            return Err(config.unsupported("partial_rotary_factor", "a_part_of_each_head"));
        }
        let pairs = rope.turned(head_width) / 2;
        if pairs == 0 || rope.turned(head_width) % 2 != 0 {
            return Err(config.problem("partial_rotary_factor", SettingProblem::Bounds));
        }
        if let RopeScaling::LongRope { short, long, .. } = &rope.scaling
            && (short.len() != pairs || long.len() != pairs)
        {
            return Err(config.problem("rope_scaling", SettingProblem::Contradiction));
        }
        let layers = config.need_count("num_hidden_layers", limits::LAYERS)?;
        Ok(Self {
            architecture: rules.architecture,
            width,
            feed_forward: config.need_count("intermediate_size", limits::FEED_FORWARD)?,
            gate,
            heads,
            kv_heads,
            head_width,
            vocabulary: config.need_count("vocab_size", limits::VOCABULARY)?,
            context: config.need_count("max_position_embeddings", limits::CONTEXT)?,
            norm_epsilon: config.need_number("rms_norm_eps", 1e-12..=1.0)? as f32,
            norm_offset: 0.0,
            output_norms: false,
            rope,
            window_rope: None,
            tied: config.flag("tie_word_embeddings")?.unwrap_or(rules.tied),
            embedding_scale: 1.0,
            qkv_bias: false,
            output_bias: false,
            mlp_bias: false,
            fused: false,
            qk_norm: false,
            score_scale: 1.0 / (head_width as f32).sqrt(),
            score_cap: None,
            logit_cap: None,
            windows: vec![None; layers],
            experts: None,
            sparse: vec![false; layers],
            stop_ids: config.token_ids("eos_token_id")?,
        })
    }

    pub(crate) fn layers(&self) -> usize {
        self.windows.len()
    }

    /// Replaces the windows by what `layer_types` says, if it is there. `window` is what those layers see that slide.
    pub(super) fn apply_layer_types(
        &mut self,
        config: &Keys<'_>,
        window: Option<usize>,
    ) -> Result<(), LoadError> {
        let Some(types) = config.list("layer_types")? else {
            return Ok(());
        };
        if types.len() != self.layers() {
            return Err(config.problem("layer_types", SettingProblem::Contradiction));
        }
        self.windows = types
            .iter()
            .map(|kind| match kind.as_str() {
                Some("full_attention") => Ok(None),
                Some("sliding_attention") if window.is_some() => Ok(window),
                Some("sliding_attention") => {
                    Err(config.problem("layer_types", SettingProblem::Contradiction))
                }
                Some(other) => Err(config.unsupported("layer_types", other)),
                None => Err(config.problem("layer_types", SettingProblem::Type)),
            })
            .collect::<Result<_, _>>()?;
        Ok(())
    }
}

/// `attention_bias` or `mlp_bias` of a class that has none.
pub(super) fn refuse_bias(config: &Keys<'_>, key: &'static str) -> Result<(), LoadError> {
    match config.flag(key)? {
        Some(true) => Err(config.unsupported(key, "true")),
        _ => Ok(()),
    }
}

/// The window of the classes that have one, where the configuration says nothing; null is none.
const DEFAULT_WINDOW: usize = 4096;

/// `sliding_window` of a class that has one by default.
pub(super) fn sliding_window(config: &Keys<'_>) -> Result<Option<usize>, LoadError> {
    match config.count("sliding_window", 1..=limits::CONTEXT)? {
        None if !config.names("sliding_window") => Ok(Some(DEFAULT_WINDOW)),
        window => Ok(window),
    }
}
