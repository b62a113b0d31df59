//! `config.json` of the BERT family, and the files that say how its output becomes one vector.
//!
//! Why apart: sentence models spread their settings over five files.
//!
//! # Invariants
//! Without `modules.json` a vector is the mean over all tokens at unit length; with it, exactly what it
//! lists, and a step that is not built is refused by name.

use serde_json::{Map, Value};

use super::keys::Keys;
use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError, SettingProblem};
use crate::model::name::ShownName;

/// The non-linearity between the two matrices of a feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x * Phi(x), by the error function.
    Gelu,
    /// The approximation by tanh (Hendrycks and Gimpel, arXiv:1606.08415, section 2).
    GeluTanh,
    Relu,
}

/// How the vectors of all tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean over all tokens, the special ones included.
    Mean,
    /// The vector of the first token.
    First,
}

/// All that the embedder's computation depends on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EmbedderConfig {
    pub(crate) width: usize,
    pub(crate) feed_forward: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) vocabulary: usize,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// Most tokens of one text, the special ones included.
    pub(crate) context: usize,
    /// Rows of the table of token types.
    pub(crate) types: usize,
    pub(crate) norm_epsilon: f32,
    pub(crate) activation: Activation,
    pub(crate) pooling: Pooling,
    /// Texts are brought to lower case before anything else.
    pub(crate) lower_case: bool,
    /// Whether vectors are brought to unit length.
    pub(crate) normalise: bool,
}

impl EmbedderConfig {
    pub(crate) fn read(config: &Keys<'_>) -> Result<Self, LoadError> {
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
        Ok(Self {
            width,
            feed_forward: config.need_count("intermediate_size", limits::FEED_FORWARD)?,
            layers: config.need_count("num_hidden_layers", limits::LAYERS)?,
            heads,
            vocabulary: config.need_count("vocab_size", limits::VOCABULARY)?,
            positions,
            context: positions,
            types: config.need_count("type_vocab_size", 1_024)?,
            norm_epsilon: config.need_number("layer_norm_eps", 1e-15..=1.0)? as f32,
            activation,
            pooling: Pooling::Mean,
            lower_case: false,
            normalise: true,
        })
    }

    /// Applies `sentence_bert_config.json`: the longest text, and whether case counts.
    pub(crate) fn apply_lengths(&mut self, settings: &Keys<'_>) -> Result<(), LoadError> {
        if let Some(longest) = settings.count("max_seq_length", 1..=limits::CONTEXT)? {
            self.context = longest.min(self.positions);
        }
        self.lower_case = settings.flag("do_lower_case")?.unwrap_or(false);
        Ok(())
    }

    /// Looks at `config_sentence_transformers.json`: words put before every text unasked are not built.
    pub(crate) fn check_prompts(settings: &Keys<'_>) -> Result<(), LoadError> {
        settings.refuse_unless("default_prompt_name", &Value::Null)
    }

    /// Applies `modules.json`. Returns whether a pooling module is listed and where its settings are.
    pub(crate) fn apply_modules(&mut self, bytes: &[u8]) -> Result<Option<String>, LoadError> {
        const FILE: &str = "modules.json";
        let refuse = |problem| LoadError::File {
            file: ShownName::new(FILE),
            problem,
        };
        if bytes.len() > limits::CONFIG_BYTES {
            return Err(refuse(FileProblem::TooLarge(limits::CONFIG_BYTES as u64)));
        }
        let modules: Vec<Map<String, Value>> =
            serde_json::from_slice(bytes).map_err(|_| refuse(FileProblem::NotJson))?;
        let mut pooling = None;
        self.normalise = false;
        for (position, module) in modules.iter().enumerate() {
            let module = Keys::new(FILE, module);
            let kind = module
                .text("type")?
                .ok_or_else(|| module.problem("type", SettingProblem::Missing))?;
            // The package has moved its classes between modules; their names stayed.
            match (position, kind.rsplit('.').next().unwrap_or(kind)) {
                (0, "Transformer") => {
                    // Weights in a folder of their own would be looked for at the wrong place.
                    module.refuse_unless("path", &Value::from(""))?;
                }
                (1, "Pooling") => {
                    pooling = Some(module.text("path")?.unwrap_or("1_Pooling").to_owned());
                }
                (2, "Normalize") => self.normalise = true,
                _ => return Err(module.unsupported("type", kind)),
            }
        }
        Ok(pooling)
    }

    /// Applies the settings of the pooling module.
    pub(crate) fn apply_pooling(&mut self, settings: &Keys<'_>) -> Result<(), LoadError> {
        if let Some(width) = settings.count("word_embedding_dimension", 1..=limits::WIDTH)?
            && width != self.width
        {
            return Err(settings.problem("word_embedding_dimension", SettingProblem::Contradiction));
        }
        for other in [
            "pooling_mode_max_tokens",
            "pooling_mode_mean_sqrt_len_tokens",
            "pooling_mode_weightedmean_tokens",
            "pooling_mode_lasttoken",
        ] {
            settings.refuse_unless(other, &Value::from(false))?;
        }
        let first = settings.flag("pooling_mode_cls_token")?.unwrap_or(false);
        let mean = settings.flag("pooling_mode_mean_tokens")?.unwrap_or(false);
        self.pooling = match (first, mean) {
            (true, false) => Pooling::First,
            (false, true) => Pooling::Mean,
            // Both would be set side by side, neither gives nothing.
            _ => return Err(settings.problem("pooling_mode_mean_tokens", SettingProblem::Contradiction)),
        };
        Ok(())
    }
}
