//! `config.json` of the BERT family: BERT (arXiv:1810.04805), RoBERTa (arXiv:1907.11692), XLM-RoBERTa (arXiv:1911.02116).
//!
//! Why apart: encoders have nothing of decoders' settings.
//!
//! # Invariants
//! A setting that would change the computation is honoured or refused by name.

use serde_json::Value;

use super::keys::Keys;
use crate::limits::inference as limits;
use crate::model::error::{LoadError, SettingProblem};

pub(crate) const BERT: &str = "BertModel";
/// They differ in where their tables of positions begin.
const CLASSES: [&str; 3] = [BERT, "RobertaModel", "XLMRobertaModel"];

/// The non-linearity between the two matrices of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x * Phi(x), by the error function.
    Gelu,
    /// The approximation by tanh (Hendrycks and Gimpel, arXiv:1606.08415, section 2).
    GeluTanh,
    Relu,
}

/// All that an encoder's computation depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EncoderConfig {
    /// The class in `architectures`.
    pub(crate) architecture: &'static str,
    pub(crate) width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) vocabulary: usize,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// The row of the first token: RoBERTa's rows begin behind the one of padding.
    pub(crate) first_position: usize,
    /// Rows of the table of token types.
    pub(crate) types: usize,
    pub(crate) norm_epsilon: f32,
    pub(crate) activation: Activation,
}

impl EncoderConfig {
    /// The class of that name, if it is one of these.
    pub(crate) fn class(architecture: &str) -> Option<&'static str> {
        CLASSES.into_iter().find(|class| *class == architecture)
    }

    /// What the configuration of one of [`Self::class`] says.
    pub(crate) fn read(architecture: &'static str, config: &Keys<'_>) -> Result<Self, LoadError> {
        let activation = match config.text("hidden_act")?.unwrap_or("gelu") {
            "gelu" => Activation::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" => Activation::GeluTanh,
            "relu" => Activation::Relu,
            other => return Err(config.unsupported("hidden_act", other)),
        };
        config.refuse_unless("position_embedding_type", &Value::from("absolute"))?;
        config.refuse_unless("is_decoder", &Value::from(false))?;
        config.refuse_unless("add_cross_attention", &Value::from(false))?;
        config.refuse_unless("quantization_config", &Value::Null)?;
        let width = config.need_count("hidden_size", limits::WIDTH)?;
        let heads = config.need_count("num_attention_heads", limits::HEADS)?;
        if !width.is_multiple_of(heads) {
            return Err(config.problem("num_attention_heads", SettingProblem::Contradiction));
        }
        let positions = config.need_count("max_position_embeddings", limits::CONTEXT)?;
        let first_position = if architecture == BERT {
            0
        } else {
            // The classes' default is 1, and the row of padding is no token's.
            config.count("pad_token_id", 0..=positions)?.unwrap_or(1) + 1
        };
        if first_position >= positions {
            return Err(config.problem("pad_token_id", SettingProblem::Bounds));
        }
        Ok(Self {
            architecture,
            width,
            feed_forward: config.need_count("intermediate_size", limits::FEED_FORWARD)?,
            layers: config.need_count("num_hidden_layers", limits::LAYERS)?,
            heads,
            vocabulary: config.need_count("vocab_size", limits::VOCABULARY)?,
            positions,
            first_position,
            types: config.need_count("type_vocab_size", 1_024)?,
            norm_epsilon: config.need_number("layer_norm_eps", 1e-15..=1.0)? as f32,
            activation,
        })
    }
    /// Most tokens of one text, the special ones included.
    pub(crate) fn context(&self) -> usize {
        self.positions - self.first_position
    }
}
