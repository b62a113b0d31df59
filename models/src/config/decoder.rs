//! `config.json` of the decoder families.
//!
//! Why apart: what differs between the families is decided here once; the decoder sees only the result.
//!
//! # Invariants
//! A setting that would change the computation is honoured or refused by name. Products of the numbers
//! here fit in `usize` (see [`crate::limits`]).

use serde_json::Value;

use super::keys::Keys;
use super::rope::{RopeConfig, refuse_partial};
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};

/// Families of decoders, by the class name in `architectures`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Llama,
    Mistral,
    Qwen2,
    Qwen3,
}

impl Family {
    pub(crate) fn of(architecture: &str) -> Option<Self> {
        match architecture {
            "LlamaForCausalLM" => Some(Self::Llama),
            "MistralForCausalLM" => Some(Self::Mistral),
            "Qwen2ForCausalLM" => Some(Self::Qwen2),
            "Qwen3ForCausalLM" => Some(Self::Qwen3),
            _ => None,
        }
    }

    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
            Self::Qwen3 => "Qwen3ForCausalLM",
        }
    }
}

/// All that the decoder's computation depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DecoderConfig {
    pub(crate) family: Family,
    /// Width of the hidden state.
    pub(crate) width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) heads: usize,
    /// Heads of keys and values; each serves `heads / kv_heads` query heads.
    pub(crate) kv_heads: usize,
    pub(crate) head_width: usize,
    pub(crate) vocabulary: usize,
    /// Most positions of one sequence.
    pub(crate) context: usize,
    pub(crate) norm_epsilon: f32,
    pub(crate) rope: RopeConfig,
    /// The output projection is the embedding table.
    pub(crate) tied: bool,
    pub(crate) qkv_bias: bool,
    pub(crate) output_bias: bool,
    pub(crate) mlp_bias: bool,
    /// Queries and keys are normalised for each head.
    pub(crate) qk_norm: bool,
    /// For each layer, how many positions a query sees, itself included; `None` is all before it.
    pub(crate) windows: Vec<Option<usize>>,
    /// `eos_token_id`.
    pub(crate) stop_ids: Vec<u32>,
}

impl DecoderConfig {
    pub(crate) fn read(family: Family, config: &Keys<'_>) -> Result<Self, LoadError> {
        match config.text("hidden_act")?.unwrap_or("silu") {
            "silu" => {}
            other => return Err(config.unsupported("hidden_act", other)),
        }
        config.refuse_unless("quantization_config", &Value::Null)?;
        refuse_partial(config)?;

        let width = config.need_count("hidden_size", limits::WIDTH)?;
        let heads = config.need_count("num_attention_heads", limits::HEADS)?;
        let kv_heads = match config.count("num_key_value_heads", 1..=limits::HEADS)? {
            Some(count) => count,
            // The older Llama configurations leave it out; the other families' defaults are surprising.
            None if family == Family::Llama => heads,
            None => return Err(config.problem("num_key_value_heads", SettingProblem::Missing)),
        };
        if !heads.is_multiple_of(kv_heads) {
            return Err(config.problem("num_key_value_heads", SettingProblem::Contradiction));
        }
        let head_width = match config.count("head_dim", 1..=limits::HEAD_WIDTH)? {
            Some(head_width) => head_width,
            None if family == Family::Qwen3 => {
                return Err(config.problem("head_dim", SettingProblem::Missing));
            }
            None if width.is_multiple_of(heads) => width / heads,
            None => return Err(config.problem("num_attention_heads", SettingProblem::Contradiction)),
        };
        // Rotary positions turn pairs.
        if head_width % 2 != 0 || head_width > limits::HEAD_WIDTH {
            return Err(config.problem("head_dim", SettingProblem::Bounds));
        }
        let layers = config.need_count("num_hidden_layers", limits::LAYERS)?;
        let biases = Biases::read(family, config)?;
        Ok(Self {
            family,
            width,
            feed_forward: config.need_count("intermediate_size", limits::FEED_FORWARD)?,
            heads,
            kv_heads,
            head_width,
            vocabulary: config.need_count("vocab_size", limits::VOCABULARY)?,
            context: config.need_count("max_position_embeddings", limits::CONTEXT)?,
            norm_epsilon: config.need_number("rms_norm_eps", 1e-12..=1.0)? as f32,
            rope: RopeConfig::read(config)?,
            tied: config.flag("tie_word_embeddings")?.unwrap_or(false),
            qkv_bias: biases.qkv,
            output_bias: biases.output,
            mlp_bias: biases.mlp,
            qk_norm: family == Family::Qwen3,
            windows: windows(family, config, layers)?,
            stop_ids: config.token_ids("eos_token_id")?,
        })
    }
}

struct Biases {
    qkv: bool,
    output: bool,
    mlp: bool,
}

impl Biases {
    fn read(family: Family, config: &Keys<'_>) -> Result<Self, LoadError> {
        let attention = config.flag("attention_bias")?.unwrap_or(false);
        let mlp = config.flag("mlp_bias")?.unwrap_or(false);
        match family {
            Family::Llama => Ok(Self {
                qkv: attention,
                output: attention,
                mlp,
            }),
            _ if mlp => Err(config.unsupported("mlp_bias", "true")),
            Family::Mistral if attention => Err(config.unsupported("attention_bias", "true")),
            Family::Mistral => Ok(Self {
                qkv: false,
                output: false,
                mlp: false,
            }),
            // The class has them always, whatever is written.
            Family::Qwen2 => Ok(Self {
                qkv: true,
                output: false,
                mlp: false,
            }),
            Family::Qwen3 => Ok(Self {
                qkv: attention,
                output: attention,
                mlp: false,
            }),
        }
    }
}

/// The window of the classes that have one, where the configuration says nothing; null is none.
const DEFAULT_WINDOW: usize = 4096;

/// Which layers see a window only.
fn windows(family: Family, config: &Keys<'_>, layers: usize) -> Result<Vec<Option<usize>>, LoadError> {
    let window = match config.count("sliding_window", 1..=limits::CONTEXT)? {
        None if family != Family::Llama && !config.names("sliding_window") => Some(DEFAULT_WINDOW),
        window => window,
    };
    let slides = |layer: usize, first: usize| window.filter(|_| layer >= first);
    let by_family: Vec<Option<usize>> = match family {
        Family::Llama if window.is_some() => {
            return Err(config.unsupported("sliding_window", "a_window"));
        }
        Family::Llama => vec![None; layers],
        Family::Mistral => vec![window; layers],
        Family::Qwen2 | Family::Qwen3 if !config.flag("use_sliding_window")?.unwrap_or(false) => {
            vec![None; layers]
        }
        Family::Qwen2 | Family::Qwen3 => {
            // The classes' default is 28.
            let first = config
                .count("max_window_layers", 0..=limits::LAYERS)?
                .unwrap_or(28);
            (0..layers).map(|layer| slides(layer, first)).collect()
        }
    };
    let Some(types) = config.list("layer_types")? else {
        return Ok(by_family);
    };
    if types.len() != layers {
        return Err(config.problem("layer_types", SettingProblem::Contradiction));
    }
    let in_use = by_family.iter().any(Option::is_some) || family == Family::Mistral;
    types
        .iter()
        .map(|kind| match kind.as_str() {
            Some("full_attention") => Ok(None),
            Some("sliding_attention") if in_use && window.is_some() => Ok(window),
            Some("sliding_attention") => Err(config.problem("layer_types", SettingProblem::Contradiction)),
            Some(other) => Err(config.unsupported("layer_types", other)),
            None => Err(config.problem("layer_types", SettingProblem::Type)),
        })
        .collect()
}
