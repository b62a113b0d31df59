//! The gated feed-forward part: down(act(gate(x)) * up(x)) (Shazeer, arXiv:2002.05202).
//!
//! Why apart: a layer has one, or many of which each row goes through a few.
//!
//! # Invariants
//! Gate and up share one form of their rows.

use anchorhold_kernels::matmul::Activations;
use anchorhold_kernels::packed::Precision;
use anchorhold_kernels::vector;

use super::scratch::Scratch;
use crate::config::decoder::{DecoderConfig, Gate};
use crate::machine::Machine;
use crate::matrix::Matrix;
use crate::model::error::LoadError;
use crate::model::options::Quantise;
use crate::weights::Weights;

pub(super) struct Mlp {
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    act: Gate,
}

impl Mlp {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &DecoderConfig,
        name: &str,
        inner: usize,
        quantise: Option<Quantise>,
    ) -> Result<Self, LoadError> {
        let (width, bias) = (config.width, config.mlp_bias);
        let matrix = |weights: &mut Weights<'_>, part: &str, shape| {
            Matrix::load(weights, &format!("{name}.{part}"), shape, bias, quantise)
        };
        let [gate, up] = if config.fused {
            let name = format!("{name}.gate_up_proj");
            Matrix::load_split(weights, &name, [inner, inner], width, quantise)?
        } else {
            [
                matrix(weights, "gate_proj", (inner, width))?,
                matrix(weights, "up_proj", (inner, width))?,
            ]
        };
        let down = matrix(weights, "down_proj", (width, inner))?;
        Ok(Self::of(gate, up, down, config.gate))
    }

    pub(super) fn of(gate: Matrix, up: Matrix, down: Matrix, act: Gate) -> Self {
        Self { gate, up, down, act }
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
        activations.prepare(&machine.pool, &self.entry_precisions(), width, normed);
        Matrix::apply_each(machine, activations, [(&self.gate, gate), (&self.up, up)]);
        self.multiply(machine, gate, up);
        activations.prepare(&machine.pool, &[self.down.precision()], inner, gate);
        self.down.apply(machine, activations, normed);
    }

    /// As [`Self::apply`] of rows that were prepared, and that stay so.
    pub(super) fn pass(
        &self,
        machine: &Machine,
        rows: &Activations,
        inside: &mut Activations,
        [gate, up]: [&mut [f32]; 2],
        out: &mut [f32],
    ) {
        let (inner, count) = (self.gate.outputs(), rows.rows());
        let (gate, up) = (&mut gate[..count * inner], &mut up[..count * inner]);
        Matrix::apply_each(machine, rows, [(&self.gate, gate), (&self.up, up)]);
        self.multiply(machine, gate, up);
        inside.prepare(&machine.pool, &[self.down.precision()], inner, gate);
        self.down.apply(machine, inside, out);
    }

    /// The forms in which rows are wanted.
    pub(super) fn entry_precisions(&self) -> [Precision; 2] {
        [self.gate.precision(), self.up.precision()]
    }

    /// Multiplies what went through the gate with `up`.
    fn multiply(&self, machine: &Machine, gate: &mut [f32], up: &[f32]) {
        let inner = self.gate.outputs();
        machine.rows(inner, gate, |range, gate| {
            let up = &up[range.start * inner..range.end * inner];
            match self.act {
                Gate::Silu => vector::silu_multiply(machine.kernels, gate, up),
                Gate::GeluTanh => vector::gelu_tanh_multiply(machine.kernels, gate, up),
            }
        });
    }

    pub(super) fn bytes(&self) -> u64 {
        self.gate.bytes() + self.up.bytes() + self.down.bytes()
    }
}
