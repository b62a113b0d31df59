//! The computation of the BERT family (Devlin et al., arXiv:1810.04805), from token ids to one vector a text.
//!
//! Why apart: it knows nothing of texts.
//!
//! # Invariants
//! Every tensor has been checked against the configuration. Callers give at least one id and not more than
//! the context; a slip is a [`ComputeError`].

use anchorhold_kernels::matmul::Activations;
use anchorhold_kernels::vector;
use zeroize::Zeroizing;

use super::layer::{Layer, LayerNorm};
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
    positions: Matrix,
    types: Matrix,
    norm: LayerNorm,
    layers: Vec<Layer>,
    parameters: u64,
    machine: Machine,
    /// Reads of the table of words tell which rows they are of.
    gathers_plainly: bool,
}

impl Network {
    pub(super) fn load(
        mut weights: Weights<'_>,
        config: EncoderConfig,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let mut table = |name: &str, rows: usize| {
            let name = format!("embeddings.{name}");
            Matrix::load(&mut weights, &name, (rows, config.width), false, None)
        };
        let words = table("word_embeddings", config.vocabulary)?;
        let positions = table("position_embeddings", config.positions)?;
        let types = table("token_type_embeddings", config.types)?;
        let norm = LayerNorm::load(&mut weights, "embeddings.LayerNorm", &config)?;
        let layers = (0..config.layers)
            .map(|index| Layer::load(&mut weights, &config, index, options.quantise))
            .collect::<Result<Vec<_>, _>>()?;
        // Saved by older versions of transformers and by training heads; no vector depends on them.
        let parameters =
            weights.finish(|name| name == "embeddings.position_ids" || name.starts_with("pooler.dense."))?;
        Ok(Self {
            config,
            words,
            positions,
            types,
            norm,
            layers,
            parameters,
            machine: Machine::new(options),
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
            let rows = self.hidden(now)?;
            let mut rows = &rows[..];
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
    pub(super) fn hidden(&self, texts: &[Ids]) -> Result<Rows, ComputeError> {
        let context = self.config.context();
        if texts.iter().any(|ids| ids.is_empty() || ids.len() > context) {
            return Err(ComputeError);
        }
        let (machine, width) = (&self.machine, self.config.width);
        let ids: Ids = Zeroizing::new(texts.iter().flat_map(|ids| ids.iter().copied()).collect());
        let mut rows: Rows = Zeroizing::new(vec![0.0; ids.len() * width]);
        self.words
            .gather(machine, &ids, self.gathers_plainly, &mut rows)?;
        // Which positions there are is told by the lengths alone.
        let first = u32::try_from(self.config.first_position).map_err(|_| ComputeError)?;
        let positions: Vec<u32> = texts.iter().flat_map(|ids| (first..).take(ids.len())).collect();
        let mut more: Rows = Zeroizing::new(vec![0.0; ids.len() * width]);
        self.positions.gather(machine, &positions, true, &mut more)?;
        vector::add(machine.kernels, &mut rows, &more);
        let first = more.get_mut(..width).ok_or(ComputeError)?;
        self.types.gather(machine, &[0], true, first)?;
        vector::add_bias(machine.kernels, &mut rows, first);
        self.norm.apply(machine, &mut rows);
        let lengths: Vec<usize> = texts.iter().map(|ids| ids.len()).collect();
        let mut activations = Activations::new(machine.kernels);
        for layer in &self.layers {
            layer.apply(machine, &mut activations, &lengths, &mut rows);
        }
        Ok(rows)
    }
}
