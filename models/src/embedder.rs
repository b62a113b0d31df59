//! A model that turns texts into vectors: the BERT family (Devlin et al., arXiv:1810.04805).
//!
//! Why apart: no cache, no sampling, attention in both directions.
//!
//! # Invariants
//! Texts are computed one by one, so that no text's vector depends on another. A text too long is refused
//! with both numbers unless the caller asks to cut it. Vectors are plaintext: wiped when dropped.

mod layer;
mod network;

use std::fmt;

use zeroize::Zeroizing;

use crate::limits::inference as limits;
use crate::matrix::ComputeError;
use crate::model::error::LoadError;
use crate::model::info::ModelInfo;
use crate::model::options::LoadOptions;
use crate::model::parts::EmbedderParts;
use crate::tokenizer::{TokenizeError, Tokenizer};
use network::Network;

/// An embedder with its tokenizer.
pub struct Embedder {
    network: Network,
    tokenizer: Tokenizer,
    info: ModelInfo,
}

/// A text's vector. No `Clone` or `Debug`: it tells about the text.
pub struct Embedding {
    /// Of [`ModelInfo::width`] numbers.
    pub values: Zeroizing<Vec<f32>>,
    /// Tokens computed, special ones included.
    pub tokens: usize,
}

/// What to do with a text of more tokens than the model takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncation {
    /// Refuse it.
    Refuse,
    /// Leave out what is too much at its end.
    Cut,
}

/// Texts are not embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedError {
    /// No text, or more than are taken at once.
    Count {
        /// Texts given.
        found: usize,
        /// Texts taken at most.
        most: usize,
    },
    /// A text has more tokens than the model takes.
    TooLong {
        /// Its place among the texts, from 0.
        index: usize,
        /// Its tokens, special ones included.
        tokens: usize,
        /// Tokens that the model takes.
        most: usize,
    },
    /// A text has more bytes than are tokenized at once.
    TooManyBytes {
        /// Its place among the texts, from 0.
        index: usize,
    },
    /// The model's tokenizer failed, or gave no token.
    Tokenizer,
    /// The model computed a NaN or an infinity.
    NotFinite,
    /// An operation was given sizes that do not fit.
    Compute,
}

impl fmt::Display for EmbedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count { found, most } => write!(f, "{found} texts were given, 1 to {most} are taken"),
            Self::TooLong { index, tokens, most } => {
                write!(f, "text {index} has {tokens} tokens, the model takes {most}")
            }
            Self::TooManyBytes { index } => write!(f, "text {index} is too long"),
            Self::Tokenizer => f.write_str("the model's tokenizer failed"),
            Self::NotFinite => f.write_str("the model computed a number that is not finite"),
            Self::Compute => f.write_str("an operation was given sizes that do not fit"),
        }
    }
}

impl std::error::Error for EmbedError {}

impl EmbedError {
    /// What the client, or for the last three the model's owner, can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Count { .. } => "split the request",
            Self::TooLong { .. } | Self::TooManyBytes { .. } => "split the text",
            Self::Tokenizer => "compare the model's tokenizer with the published one",
            Self::NotFinite => "compare the weights with the published ones",
            Self::Compute => "report this as a defect",
        }
    }
}

impl From<ComputeError> for EmbedError {
    fn from(_: ComputeError) -> Self {
        Self::Compute
    }
}

impl Embedder {
    pub(crate) fn load(parts: EmbedderParts<'_>, options: &LoadOptions) -> Result<Self, LoadError> {
        let network = Network::load(parts.weights, parts.config, options)?;
        let config = network.config();
        let info = ModelInfo {
            architecture: "BertModel",
            parameters: network.parameters(),
            context_length: config.context,
            vocabulary: config.vocabulary,
            width: config.width,
            layers: config.layers,
            chat: false,
        };
        Ok(Self {
            network,
            tokenizer: parts.tokenizer,
            info,
        })
    }

    /// What the model is.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The vectors of the texts, in order. Spelled control tokens are plain text.
    ///
    /// # Errors
    /// The first text that cannot be embedded; no vector is returned then.
    pub fn embed(&self, texts: &[&str], truncation: Truncation) -> Result<Vec<Embedding>, EmbedError> {
        if texts.is_empty() || texts.len() > limits::EMBEDDING_TEXTS {
            return Err(EmbedError::Count {
                found: texts.len(),
                most: limits::EMBEDDING_TEXTS,
            });
        }
        texts
            .iter()
            .enumerate()
            .map(|(index, text)| self.embed_one(index, text, truncation))
            .collect()
    }

    /// The vector of one text, which an engine may want between two looks at whether to go on. `index` is
    /// what an error calls the text.
    ///
    /// # Errors
    /// When the text cannot be embedded.
    pub fn embed_one(
        &self,
        index: usize,
        text: &str,
        truncation: Truncation,
    ) -> Result<Embedding, EmbedError> {
        let most = self.network.config().context;
        let lower = self.network.config().lower_case;
        let lower = lower.then(|| Zeroizing::new(text.to_lowercase()));
        let text = lower.as_ref().map_or(text, |lower| lower.as_str());
        let (ids, tokens) = self
            .tokenizer
            .encode_text_up_to(text, most)
            .map_err(|error| match error {
                TokenizeError::TooLong => EmbedError::TooManyBytes { index },
                TokenizeError::Failed => EmbedError::Tokenizer,
            })?;
        if tokens > most && truncation == Truncation::Refuse {
            return Err(EmbedError::TooLong { index, tokens, most });
        }
        if ids.is_empty() {
            return Err(EmbedError::Tokenizer);
        }
        let values = self.network.embed(&ids)?;
        if values.iter().any(|value| !value.is_finite()) {
            return Err(EmbedError::NotFinite);
        }
        Ok(Embedding {
            values,
            tokens: ids.len(),
        })
    }
}

#[cfg(test)]
mod tests;
