//! The gated feed-forward part: down(silu(gate(x)) * up(x)) (Shazeer, arXiv:2002.05202).
//!
//! Why apart: other activations and expert mixtures differ here only.
//!
//! # Invariants
//! Gate and up share one form of their rows.

use anchorhold_kernels::vector;

use super::scratch::Scratch;
use crate::config::decoder::DecoderConfig;
use crate::machine::Machine;
use crate::matrix::Matrix;
use crate::model::error::LoadError;
use crate::model::options::Quantise;
use crate::weights::Weights;

pub(super) struct Mlp {
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

impl Mlp {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &DecoderConfig,
        layer: &str,
        quantise: Option<Quantise>,
    ) -> Result<Self, LoadError> {
        let (width, inner, bias) = (config.width, config.feed_forward, config.mlp_bias);
        let mut matrix =
            |name: &str, shape| Matrix::load(weights, &format!("{layer}.mlp.{name}"), shape, bias, quantise);
        Ok(Self {
            gate: matrix("gate_proj", (inner, width))?,
            up: matrix("up_proj", (inner, width))?,
            down: matrix("down_proj", (width, inner))?,
        })
    }

    /// Takes `count` normalised rows and leaves the result in their place.
    pub(super) fn apply(&self, machine: &Machine, scratch: &mut Scratch, count: usize) {
        let (inner, width) = (self.gate.outputs(), self.down.outputs());
        let Scratch {
            normed,
            gate,
            up,
            activations,
            ..
        } = scratch;
        let normed = &mut normed[..count * width];
        let (gate, up) = (&mut gate[..count * inner], &mut up[..count * inner]);
        let precisions = [self.gate.precision(), self.up.precision()];
        activations.prepare(&machine.pool, &precisions, width, normed);
        self.gate.apply(machine, activations, gate);
        self.up.apply(machine, activations, up);
        machine.rows(inner, gate, |range, gate| {
            vector::silu_multiply(machine.kernels, gate, &up[range.start * inner..range.end * inner]);
        });
        activations.prepare(&machine.pool, &[self.down.precision()], inner, gate);
        self.down.apply(machine, activations, normed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.gate.bytes() + self.up.bytes() + self.down.bytes()
    }
}
