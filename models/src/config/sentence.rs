//! How the output of a network becomes one vector, as sentence-transformers writes it.
//!
//! Why apart: sentence models spread these settings over five files, and they hold for networks of any kind.
//!
//! # Invariants
//! Without `modules.json` an encoder's vector is the mean over all tokens at unit length; with it, exactly what it
//! lists, and a step that is not built is refused by name. What is not said, and would be a guess, is refused.

use serde_json::{Map, Value};

use super::keys::Keys;
use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError, SettingProblem};
use crate::model::name::ShownName;

/// How the vectors of all tokens become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// The mean over all tokens, the special ones included.
    Mean,
    /// The vector of the first token.
    First,
    /// The vector of the last token.
    Last,
}

/// What is done before and after the network.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SentenceConfig {
    /// Width of the network's output.
    pub(crate) width: usize,
    /// Most tokens of one text, the special ones included.
    pub(crate) context: usize,
    /// `None` when no file says so.
    pub(crate) pooling: Option<Pooling>,
    /// Texts are brought to lower case before anything else.
    pub(crate) lower_case: bool,
    /// Whether vectors are brought to unit length.
    pub(crate) normalise: bool,
}

impl SentenceConfig {
    /// Of a network of such a width that takes so many tokens, when no file says more.
    pub(crate) fn new(width: usize, context: usize) -> Self {
        Self {
            width,
            context,
            pooling: None,
            lower_case: false,
            normalise: true,
        }
    }

    /// Applies `sentence_bert_config.json`: the longest text, and whether case counts.
    pub(crate) fn apply_lengths(&mut self, settings: &Keys<'_>) -> Result<(), LoadError> {
        if let Some(longest) = settings.count("max_seq_length", 1..=limits::CONTEXT)? {
            self.context = longest.min(self.context);
        }
        self.lower_case = settings.flag("do_lower_case")?.unwrap_or(false);
        Ok(())
    }

    /// Looks at `config_sentence_transformers.json`: words put before every text unasked are not built.
    pub(crate) fn check_prompts(settings: &Keys<'_>) -> Result<(), LoadError> {
        settings.refuse_unless("default_prompt_name", &Value::Null)
    }

    /// Applies `modules.json`. Returns where the settings of its pooling module are.
    pub(crate) fn apply_modules(&mut self, bytes: &[u8]) -> Result<String, LoadError> {
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
        // Without one there would be no vector of a text.
        pooling.ok_or_else(|| refuse(FileProblem::NoPooling))
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
        ] {
            settings.refuse_unless(other, &Value::from(false))?;
        }
        let mut chosen = Vec::new();
        for (key, pooling) in [
            ("pooling_mode_cls_token", Pooling::First),
            ("pooling_mode_mean_tokens", Pooling::Mean),
            ("pooling_mode_lasttoken", Pooling::Last),
        ] {
            if settings.flag(key)?.unwrap_or(false) {
                chosen.push(pooling);
            }
        }
        self.pooling = match chosen[..] {
            [pooling] => Some(pooling),
            // Several would be set side by side, none gives nothing.
            _ => return Err(settings.problem("pooling_mode_mean_tokens", SettingProblem::Contradiction)),
        };
        Ok(())
    }
}
