//! The computation of the BERT family (Devlin et al., arXiv:1810.04805), from token ids to one vector a text.
//!
//! Why apart: it knows nothing of texts.
//!
//! # Invariants
//! Every tensor has been checked against the configuration. Callers give at least one id and not more than
//! the context; a slip is a [`ComputeError`].

use std::sync::{Mutex, PoisonError};

use anchorhold_kernels::vector;
use zeroize::Zeroizing;

use super::layer::{Layer, LayerNorm};
use super::pass::{self, Scratch};
use super::pooling::Pool;
use crate::config::encoder::EncoderConfig;
use crate::config::sentence::{Pooling, SentenceConfig};
use crate::limits::inference as limits;
use crate::machine::Machine;
use crate::matrix::{ComputeError, Matrix, Rows};
use crate::model::error::LoadError;
use crate::model::options::LoadOptions;
use crate::tokenizer::Ids;
use crate::weights::Weights;

pub(super) struct Network {
    config: EncoderConfig,
    words: Matrix,
    /// A row for each position, to which that of the only type of texts is added.
    positions: Rows,
    norm: LayerNorm,
    layers: Vec<Layer>,
    parameters: u64,
    machine: Machine,
    scratch: Mutex<Scratch>,
    /// Reads of the table of words tell which rows they are of.
    gathers_plainly: bool,
}

impl Network {
    /// As that of [`super::Embedder`]: all but stacks is overwritten after each call.
    pub(super) fn forget(&self) {
        self.machine.pool.scrub();
    }

    pub(super) fn load(
        mut weights: Weights<'_>,
        config: EncoderConfig,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let shape = (config.vocabulary, config.width);
        let words = Matrix::load(&mut weights, "embeddings.word_embeddings", shape, false, None)?;
        let mut table = |name: &str, rows: usize| {
            weights.take(&format!("embeddings.{name}.weight"), &[rows, config.width])
        };
        let mut positions = table("position_embeddings", config.positions)?;
        let types = table("token_type_embeddings", config.types)?;
        let only = types.get(..config.width).ok_or(LoadError::Compute)?;
        vector::add_bias(options.kernels, &mut positions, only);
        let norm = LayerNorm::load(&mut weights, "embeddings.LayerNorm", &config)?;
        let layers = (0..config.layers)
            .map(|index| Layer::load(&mut weights, &config, index, options.quantise))
            .collect::<Result<Vec<_>, _>>()?;
        // Saved by older versions of transformers and by training heads; no vector depends on them.
        let parameters =
            weights.finish(|name| name == "embeddings.position_ids" || name.starts_with("pooler.dense."))?;
        let machine = Machine::new(options);
        Ok(Self {
            config,
            words,
            positions,
            norm,
            layers,
            parameters,
            scratch: Mutex::new(Scratch::new(&machine)),
            machine,
            gathers_plainly: options.dangerously_plain_gather,
        })
    }

    pub(super) fn config(&self) -> &EncoderConfig {
        &self.config
    }

    pub(super) fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The vectors of the texts, in order.
    pub(super) fn embed(
        &self,
        texts: &[Ids],
        sentence: &SentenceConfig,
        pooling: Pooling,
    ) -> Result<Vec<Rows>, ComputeError> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let vectors = self.passes(&mut scratch, texts, sentence, pooling);
        scratch.wipe();
        vectors
    }

    /// What calls leave in the memory that is kept: see [`Scratch::left`].
    #[cfg(test)]
    pub(super) fn left(&self) -> (usize, usize) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.left()
    }

    /// The same in the middle of a call.
    #[cfg(test)]
    pub(super) fn left_within(&self, texts: &[Ids]) -> (usize, usize) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(self.pass(&mut scratch, texts).is_ok());
        let left = scratch.left();
        scratch.wipe();
        left
    }

    fn passes(
        &self,
        scratch: &mut Scratch,
        texts: &[Ids],
        sentence: &SentenceConfig,
        pooling: Pooling,
    ) -> Result<Vec<Rows>, ComputeError> {
        let width = self.config.width;
        let mut vectors = Vec::with_capacity(texts.len());
        let mut left = texts;
        while !left.is_empty() {
            let mut tokens = 0;
            let fitting = left.iter().take_while(|ids| {
                tokens += ids.len();
                tokens <= limits::EMBEDDING_ROWS
            });
            // A longer one has a pass of its own.
            let (now, later) = left.split_at(fitting.count().max(1));
            let mut rows = self.pass(scratch, now)?;
            for ids in now {
                let (own, rest) = rows.split_at(ids.len() * width);
                let mut pool = Pool::new(pooling, width);
                pool.push(own);
                vectors.push(pool.finish(sentence));
                rows = rest;
            }
            left = later;
        }
        Ok(vectors)
    }

    /// One row for each token, text behind text.
    fn pass<'a>(&self, scratch: &'a mut Scratch, texts: &[Ids]) -> Result<&'a [f32], ComputeError> {
        let context = self.config.context();
        if texts.iter().any(|ids| ids.is_empty() || ids.len() > context) {
            return Err(ComputeError);
        }
        let (machine, width) = (&self.machine, self.config.width);
        let ids: Ids = Zeroizing::new(texts.iter().flat_map(|ids| ids.iter().copied()).collect());
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let numbers = ids.len() * width;
        self.words
            .gather(machine, &ids, self.gathers_plainly, scratch.rows(numbers))?;
        // Which positions there are is told by the lengths alone.
        let first = self.config.first_position;
        let positions: Vec<usize> = lengths
            .iter()
            .flat_map(|length| (first..).take(*length))
            .collect();
        pass::run(machine, scratch, width, &lengths, &self.layers, |range, rows| {
            let positions = positions.get(range).unwrap_or_default();
            for (row, position) in rows.chunks_exact_mut(width).zip(positions) {
                if let Some(more) = self.positions.chunks_exact(width).nth(*position) {
                    vector::add(machine.kernels, row, more);
                }
            }
            self.norm.apply(machine.kernels, rows);
        });
        Ok(scratch.rows(numbers))
    }

    #[cfg(test)]
    pub(super) fn hidden(&self, texts: &[Ids]) -> Result<Rows, ComputeError> {
        let mut scratch = Scratch::new(&self.machine);
        let rows = self.pass(&mut scratch, texts)?;
        Ok(Zeroizing::new(rows.to_vec()))
    }
}
