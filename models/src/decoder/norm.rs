//! Root mean square normalisation (Zhang and Sennrich, arXiv:1910.07467).
//!
//! Why apart: used for rows and, in some families, for single heads.
//!
//! # Invariants
//! The weight has the width of what is normalised.

use anchorhold_kernels::vector;

use crate::config::decoder::DecoderConfig;
use crate::machine::Machine;
use crate::matrix::Rows;
use crate::model::error::LoadError;
use crate::weights::Weights;

pub(super) struct RmsNorm {
    weight: Rows,
    epsilon: f32,
}

impl RmsNorm {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        width: usize,
        config: &DecoderConfig,
    ) -> Result<Self, LoadError> {
        let mut weight = weights.take(name, &[width])?;
        for weight in weight.iter_mut() {
            *weight += config.norm_offset;
        }
        Ok(Self {
            weight,
            epsilon: config.norm_epsilon,
        })
    }

    /// Puts the normalised `rows` into `out`.
    pub(super) fn apply(&self, machine: &Machine, rows: &[f32], out: &mut [f32]) {
        let width = self.weight.len();
        machine.rows(width, out, |range, out| {
            let rows = rows
                .get(range.start * width..range.end * width)
                .unwrap_or_default();
            vector::rms_norm(machine.kernels, rows, &self.weight, self.epsilon, out);
        });
    }

    /// Where the rows lie, many of them.
    pub(super) fn apply_to_rows(&self, machine: &Machine, rows: &mut [f32]) {
        machine.rows(self.weight.len(), rows, |_, rows| {
            self.apply_in_place(machine, rows)
        });
    }

    pub(super) fn apply_in_place(&self, machine: &Machine, rows: &mut [f32]) {
        vector::rms_norm_in_place(machine.kernels, rows, &self.weight, self.epsilon);
    }
}
