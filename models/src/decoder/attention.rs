//! Causal attention of new positions over the cache.
//!
//! Why apart: it is the part whose cost grows with the context.
//!
//! # Invariants
//! A query sees itself and what is before it, within the layer's window; each key and value head is read
//! where it lies and never repeated. Scores are wiped.

use rayon::prelude::*;
use zeroize::Zeroizing;

use super::cache::LayerCache;
use crate::matrix::Rows;

/// Multiplications below which a second thread costs more than it saves.
const WORTH_SHARING: usize = 1 << 16;

/// Sizes of one layer's attention.
pub(super) struct Attention {
    pub(super) heads: usize,
    pub(super) kv_heads: usize,
    pub(super) head_width: usize,
    pub(super) window: Option<usize>,
}

impl Attention {
    /// Attends with rows of queries, the first of which is at position `first`.
    pub(super) fn apply(&self, cache: &LayerCache, queries: &[f32], first: usize) -> Rows {
        let mut output = Zeroizing::new(vec![0.0; queries.len()]);
        let one = |(index, (query, output)): (usize, (&[f32], &mut [f32]))| {
            let (row, head) = (index / self.heads, index % self.heads);
            self.head(cache, query, first + row, head, output);
        };
        let work = queries.len() * (first + 1);
        if work < WORTH_SHARING {
            queries
                .chunks_exact(self.head_width)
                .zip(output.chunks_exact_mut(self.head_width))
                .enumerate()
                .for_each(one);
        } else {
            queries
                .par_chunks_exact(self.head_width)
                .zip(output.par_chunks_exact_mut(self.head_width))
                .enumerate()
                .for_each(one);
        }
        output
    }

    fn head(&self, cache: &LayerCache, query: &[f32], position: usize, head: usize, output: &mut [f32]) {
        let kv_head = head / (self.heads / self.kv_heads);
        let to = position + 1;
        let from = self.window.map_or(0, |window| to.saturating_sub(window));
        let scale = 1.0 / (self.head_width as f32).sqrt();
        let mut scores: Rows = Zeroizing::new(Vec::with_capacity(to - from));
        scores.extend(cache.keys(kv_head, from, to).map(|key| dot(query, key) * scale));
        softmax(&mut scores);
        for (weight, value) in scores.iter().zip(cache.values(kv_head, from, to)) {
            output
                .iter_mut()
                .zip(value)
                .for_each(|(sum, value)| *sum += weight * value);
        }
    }
}

/// Sum of products, in eight lanes so that the compiler may use vectors.
pub(crate) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let (left, left_rest) = left.as_chunks::<8>();
    let (right, right_rest) = right.as_chunks::<8>();
    let mut lanes = [0.0f32; 8];
    for (left, right) in left.iter().zip(right) {
        for ((lane, x), y) in lanes.iter_mut().zip(left).zip(right) {
            *lane += x * y;
        }
    }
    let rest: f32 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}

/// Brings scores to positive weights of sum one.
pub(crate) fn softmax(scores: &mut [f32]) {
    let highest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - highest).exp();
        sum += *score;
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}
