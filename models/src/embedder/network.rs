//! The embedder's computation, from token ids to one vector.
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
use crate::config::embedder::{EmbedderConfig, Pooling};
use crate::machine::Machine;
use crate::matrix::{ComputeError, Matrix, Rows};
use crate::model::error::LoadError;
use crate::model::options::LoadOptions;
use crate::weights::Weights;

pub(super) struct Network {
    config: EmbedderConfig,
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
        config: EmbedderConfig,
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

    pub(super) fn config(&self) -> &EmbedderConfig {
        &self.config
    }

    pub(super) fn parameters(&self) -> u64 {
        self.parameters
    }

    /// The vector of a text.
    pub(super) fn embed(&self, ids: &[u32]) -> Result<Rows, ComputeError> {
        let rows = self.hidden(ids)?;
        let mut vector = self.pool(&rows);
        if self.config.normalise {
            let square: f64 = vector.iter().map(|value| f64::from(*value).powi(2)).sum();
            // As torch does: a vector of zeros stays one.
            let length = square.sqrt().max(1e-12) as f32;
            vector.iter_mut().for_each(|value| *value /= length);
        }
        Ok(vector)
    }

    /// One row for each token.
    pub(super) fn hidden(&self, ids: &[u32]) -> Result<Rows, ComputeError> {
        if ids.is_empty() || ids.len() > self.config.context {
            return Err(ComputeError);
        }
        let (machine, width) = (&self.machine, self.config.width);
        let mut rows: Rows = Zeroizing::new(vec![0.0; ids.len() * width]);
        self.words.gather(machine, ids, self.gathers_plainly, &mut rows)?;
        // Which positions there are is told by the length alone.
        let positions: Vec<u32> = (0u32..).take(ids.len()).collect();
        let mut more: Rows = Zeroizing::new(vec![0.0; ids.len() * width]);
        self.positions.gather(machine, &positions, true, &mut more)?;
        vector::add(machine.kernels, &mut rows, &more);
        let first = more.get_mut(..width).ok_or(ComputeError)?;
        self.types.gather(machine, &[0], true, first)?;
        vector::add_bias(machine.kernels, &mut rows, first);
        self.norm.apply(machine, &mut rows);
        let mut activations = Activations::new(machine.kernels);
        for layer in &self.layers {
            layer.apply(machine, &mut activations, &mut rows);
        }
        Ok(rows)
    }

    fn pool(&self, rows: &[f32]) -> Rows {
        let width = self.config.width;
        match self.config.pooling {
            Pooling::First => Zeroizing::new(rows.get(..width).unwrap_or_default().to_vec()),
            Pooling::Mean => {
                let count = (rows.len() / width) as f32;
                let mut mean = Zeroizing::new(vec![0.0; width]);
                for row in rows.chunks_exact(width) {
                    mean.iter_mut().zip(row).for_each(|(sum, value)| *sum += value);
                }
                mean.iter_mut().for_each(|sum| *sum /= count);
                mean
            }
        }
    }
}
