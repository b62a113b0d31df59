//! Root mean square normalisation (Zhang and Sennrich, arXiv:1910.07467).
//!
//! Why apart: used for rows and, in Qwen3, for single heads.
//!
//! # Invariants
//! The weight has the width of what is normalised.

use crate::matrix::Rows;
use crate::model::error::LoadError;
use crate::weights::Weights;
use zeroize::Zeroizing;

pub(super) struct RmsNorm {
    weight: Rows,
    epsilon: f32,
}

impl RmsNorm {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        width: usize,
        epsilon: f32,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            weight: weights.take(name, &[width])?,
            epsilon,
        })
    }

    pub(super) fn apply(&self, rows: &[f32]) -> Rows {
        let mut result = Zeroizing::new(Vec::with_capacity(rows.len()));
        result.extend_from_slice(rows);
        self.apply_in_place(&mut result);
        result
    }

    pub(super) fn apply_in_place(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.weight.len()) {
            let square = super::attention::dot(row, row) / row.len() as f32;
            let factor = 1.0 / (square + self.epsilon).sqrt();
            row.iter_mut()
                .zip(self.weight.iter())
                .for_each(|(value, weight)| *value *= factor * weight);
        }
    }
}
