//! The decoder's computation, from token ids to logits.
//!
//! Why apart: it knows nothing of text, prompts or sampling.
//!
//! # Invariants
//! Every tensor has been checked against the configuration. Ids are below the vocabulary's size and
//! positions below the context's length: callers check, and a slip is a [`ComputeError`].

use std::sync::Arc;

use zeroize::Zeroizing;

use super::block::Block;
use super::cache::{Cache, NoPages, Pages};
use super::norm::RmsNorm;
use super::rope::Rope;
use crate::config::decoder::DecoderConfig;
use crate::matrix::{ComputeError, Matrix, Rows};
use crate::model::error::LoadError;
use crate::model::options::{LoadOptions, Memory};
use crate::weights::Weights;

pub(crate) struct Network {
    config: DecoderConfig,
    embedding: Matrix,
    blocks: Vec<Block>,
    norm: RmsNorm,
    rope: Rope,
    /// `None` when the embedding table is used.
    head: Option<Matrix>,
    parameters: u64,
    pages: Arc<Pages>,
}

/// Which positions' logits are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logits {
    None,
    Last,
    #[cfg(test)]
    All,
}

impl Network {
    pub(crate) fn load(
        mut weights: Weights<'_>,
        config: DecoderConfig,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let vocabulary = |name: &str| [(name.to_owned(), config.vocabulary)];
        let embedding = Matrix::load(
            &mut weights,
            &vocabulary("model.embed_tokens"),
            config.width,
            false,
        )?;
        let blocks = (0..config.windows.len())
            .map(|index| Block::load(&mut weights, &config, index))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = RmsNorm::load(
            &mut weights,
            "model.norm.weight",
            config.width,
            config.norm_epsilon,
        )?;
        let head = if config.tied {
            // Some files repeat the table; the tied one is what counts.
            weights.ignore("lm_head.weight");
            None
        } else {
            Some(Matrix::load(
                &mut weights,
                &vocabulary("lm_head"),
                config.width,
                false,
            )?)
        };
        // Angle steps that older versions of transformers saved; they follow from the configuration.
        let parameters = weights.finish(|name| name.ends_with("rotary_emb.inv_freq"))?;
        let rope = Rope::new(&config.rope, config.head_width);
        let pages = Arc::new(Pages::new(&config, options.kv_bytes));
        Ok(Self {
            config,
            embedding,
            blocks,
            norm,
            rope,
            head,
            parameters,
            pages,
        })
    }

    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    pub(crate) fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Room for so many positions of a new sequence.
    pub(crate) fn new_cache(&self, positions: usize) -> Result<Cache, NoPages> {
        Cache::new(&self.config, &self.pages, positions)
    }

    pub(crate) fn pages(&self) -> (usize, usize) {
        (self.pages.free(), self.pages.total())
    }

    pub(crate) fn memory(&self) -> Memory {
        Memory {
            weights: self.parameters * 4,
            kv: self.pages.bytes(),
            scratch: 0,
        }
    }

    /// Appends `ids` to the sequence of `cache`. Returns the wanted logits, row by row.
    pub(crate) fn forward(
        &self,
        ids: &[u32],
        cache: &mut Cache,
        logits: Logits,
    ) -> Result<Rows, ComputeError> {
        let first = cache.length;
        if ids.is_empty() || ids.len() > self.config.context.saturating_sub(first) {
            return Err(ComputeError);
        }
        let mut rows: Rows = Zeroizing::new(Vec::with_capacity(ids.len() * self.config.width));
        for id in ids {
            self.embedding.append_row(*id as usize, &mut rows)?;
        }
        let angles = self.rope.angles(first, ids.len());
        for (block, layer) in self.blocks.iter().zip(&mut cache.layers) {
            block.apply(&mut rows, first, &angles, layer)?;
        }
        cache.length += ids.len();
        let wanted = match logits {
            Logits::None => return Ok(Zeroizing::new(Vec::new())),
            Logits::Last => rows.get(rows.len() - self.config.width..).unwrap_or_default(),
            #[cfg(test)]
            Logits::All => &rows,
        };
        self.head
            .as_ref()
            .unwrap_or(&self.embedding)
            .apply(&self.norm.apply(wanted))
    }
}
