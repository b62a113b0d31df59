//! From the vectors of all tokens to the one of a text.
//!
//! Why apart: encoders give all vectors at once, decoders slice by slice.
//!
//! # Invariants
//! What comes out depends on the vectors and their order, not on how many came at a time.

use zeroize::Zeroizing;

use crate::config::sentence::{Pooling, SentenceConfig};
use crate::matrix::Rows;

/// A text's vector as it grows.
pub(super) struct Pool {
    pooling: Pooling,
    vector: Rows,
    count: usize,
}

impl Pool {
    pub(super) fn new(pooling: Pooling, width: usize) -> Self {
        Self {
            pooling,
            vector: Zeroizing::new(vec![0.0; width]),
            count: 0,
        }
    }

    /// Takes the next tokens' vectors.
    pub(super) fn push(&mut self, rows: &[f32]) {
        for row in rows.chunks_exact(self.vector.len()) {
            match self.pooling {
                Pooling::First if self.count > 0 => {}
                Pooling::First | Pooling::Last => self.vector.copy_from_slice(row),
                Pooling::Mean => self
                    .vector
                    .iter_mut()
                    .zip(row)
                    .for_each(|(sum, value)| *sum += value),
            }
            self.count += 1;
        }
    }

    /// The vector, at unit length if that is wanted.
    pub(super) fn finish(mut self, sentence: &SentenceConfig) -> Rows {
        if self.pooling == Pooling::Mean {
            let count = self.count as f32;
            self.vector.iter_mut().for_each(|sum| *sum /= count);
        }
        if sentence.normalise {
            let square: f64 = self.vector.iter().map(|value| f64::from(*value).powi(2)).sum();
            // As torch does: a vector of zeros stays one.
            let length = square.sqrt().max(1e-12) as f32;
            self.vector.iter_mut().for_each(|value| *value /= length);
        }
        self.vector
    }
}
