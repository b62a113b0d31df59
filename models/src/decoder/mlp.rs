//! The gated feed-forward part: down(silu(gate(x)) * up(x)) (Shazeer, arXiv:2002.05202).
//!
//! Why apart: other activations and expert mixtures differ here only.
//!
//! # Invariants
//! Gate and up are one product.

use crate::config::decoder::DecoderConfig;
use crate::matrix::{ComputeError, Matrix, Rows};
use crate::model::error::LoadError;
use crate::weights::Weights;
use zeroize::Zeroizing;

pub(super) struct Mlp {
    gate_up: Matrix,
    down: Matrix,
    width: usize,
}

impl Mlp {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &DecoderConfig,
        layer: &str,
    ) -> Result<Self, LoadError> {
        let width = config.feed_forward;
        let gate_up = [
            (format!("{layer}.mlp.gate_proj"), width),
            (format!("{layer}.mlp.up_proj"), width),
        ];
        let down = [(format!("{layer}.mlp.down_proj"), config.width)];
        Ok(Self {
            gate_up: Matrix::load(weights, &gate_up, config.width, config.mlp_bias)?,
            down: Matrix::load(weights, &down, width, config.mlp_bias)?,
            width,
        })
    }

    pub(super) fn apply(&self, rows: &[f32]) -> Result<Rows, ComputeError> {
        let both = self.gate_up.apply(rows)?;
        let mut gated: Rows = Zeroizing::new(Vec::with_capacity(both.len() / 2));
        for row in both.chunks_exact(2 * self.width) {
            let (gate, up) = row.split_at(self.width);
            gated.extend(
                gate.iter()
                    .zip(up)
                    .map(|(gate, up)| gate / (1.0 + (-gate).exp()) * up),
            );
        }
        self.down.apply(&gated)
    }
}
