//! A model that turns texts into vectors: the BERT family, or a decoder of which nothing is drawn.
//!
//! Why apart: no sampling, and one vector instead of many.
//!
//! - `network`: the BERT family, of layers in `layer`
//! - `pass`: which thread computes which rows of it, in the memory of `work`
//! - `causal`: decoders
//! - `pooling`: from many vectors to one
//!
//! # Invariants
//! Texts share passes over the weights, and a text's vector is the same bit for bit alone and in any company. A text too
//! long is refused with both numbers unless the caller asks to cut it. Vectors are plaintext: wiped when dropped.

mod causal;
mod layer;
mod network;
mod pass;
mod pooling;
mod work;

use std::fmt;

use zeroize::Zeroizing;

use crate::config::sentence::{Pooling, SentenceConfig};
use crate::limits::inference as limits;
use crate::matrix::ComputeError;
use crate::model::error::LoadError;
use crate::model::info::ModelInfo;
use crate::model::options::LoadOptions;
use crate::model::parts::{EmbedderParts, NetworkConfig};
use crate::tokenizer::{Ids, TokenizeError, Tokenizer};
use causal::Causal;
use network::Network;

/// An embedder with its tokenizer.
pub struct Embedder {
    network: Either,
    sentence: SentenceConfig,
    pooling: Pooling,
    tokenizer: Tokenizer,
    info: ModelInfo,
}

enum Either {
    Encoder(Box<Network>),
    Causal(Box<Causal>),
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
        let EmbedderParts {
            network,
            mut sentence,
            tokenizer,
            weights,
        } = parts;
        // Whoever made the parts knows it, or refused them.
        let pooling = sentence.pooling.ok_or(LoadError::Compute)?;
        let (network, mut info) = match network {
            NetworkConfig::Encoder(config) => {
                let network = Network::load(weights, config, options)?;
                let config = network.config();
                let info = ModelInfo {
                    architecture: config.architecture,
                    parameters: network.parameters(),
                    context_length: 0,
                    vocabulary: config.vocabulary,
                    width: config.width,
                    layers: config.layers,
                    chat: false,
                };
                (Either::Encoder(Box::new(network)), info)
            }
            NetworkConfig::Decoder(config) => {
                let network = Causal::load(weights, *config, options)?;
                sentence.context = sentence.context.min(network.room());
                let config = network.config();
                let info = ModelInfo {
                    architecture: config.architecture,
                    parameters: network.parameters(),
                    context_length: 0,
                    vocabulary: config.vocabulary,
                    width: config.width,
                    layers: config.layers(),
                    chat: false,
                };
                (Either::Causal(Box::new(network)), info)
            }
        };
        info.context_length = sentence.context;
        Ok(Self {
            network,
            sentence,
            pooling,
            tokenizer,
            info,
        })
    }

    /// What the model is.
    #[must_use]
    pub fn info(&self) -> &ModelInfo {
        &self.info
    }

    /// The vectors of the texts, in order, in as few passes over the weights as fit. Spelled control tokens are plain text.
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
        let ids = texts
            .iter()
            .enumerate()
            .map(|(index, text)| self.ids(index, text, truncation))
            .collect::<Result<Vec<Ids>, _>>()?;
        let vectors = match &self.network {
            Either::Encoder(network) => network.embed(&ids, &self.sentence, self.pooling)?,
            Either::Causal(network) => network.embed(&ids, &self.sentence, self.pooling)?,
        };
        ids.iter()
            .zip(vectors)
            .map(|(ids, values)| {
                if values.iter().any(|value| !value.is_finite()) {
                    return Err(EmbedError::NotFinite);
                }
                Ok(Embedding {
                    values,
                    tokens: ids.len(),
                })
            })
            .collect()
    }

    /// Overwrites what is not overwritten after each call, and asks the threads that compute to do so with their stacks. For when
    /// somebody's texts are done.
    pub fn forget(&self) {
        match &self.network {
            Either::Encoder(network) => network.forget(),
            Either::Causal(network) => network.forget(),
        }
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
        let named = |error| match error {
            EmbedError::TooLong { tokens, most, .. } => EmbedError::TooLong { index, tokens, most },
            EmbedError::TooManyBytes { .. } => EmbedError::TooManyBytes { index },
            error => error,
        };
        let vectors = self.embed(&[text], truncation).map_err(named)?;
        vectors.into_iter().next().ok_or(EmbedError::Compute)
    }

    /// Tokens of a text, special ones included.
    fn ids(&self, index: usize, text: &str, truncation: Truncation) -> Result<Ids, EmbedError> {
        let most = self.sentence.context;
        let lower = self.sentence.lower_case;
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
        Ok(ids)
    }
}

#[cfg(test)]
mod tests;
