//! Outputs that race while they are computed: who wins, and the winner's own weights.
//!
//! Why apart: where one table gives the outputs and is read again for the row of the one that was drawn, reading it twice is a
//! quarter of a small model's time. Here the row is kept while the table passes by, without telling which it is.
//!
//! # Invariants
//! What is read and written, and the amount of work, depend on shapes and on which rows have races, never on who wins.

use std::sync::{Mutex, PoisonError, RwLock};

use zeroize::Zeroize;

use super::{Activations, product};
use crate::cpu::Kernels;
use crate::memory::Buffer;
use crate::packed::tile::Tile;
use crate::packed::{Best, Matrix};
use crate::pool::Pool;
use crate::race::Lead;

/// Outputs that are scored at a time, at most.
const SCORED: usize = 512;
/// Weights that are kept in the second cache until their outputs are scored.
const KEPT: usize = 320 << 10;

/// Makes scores of what was computed for some outputs that follow one another: which race, the first of the outputs, and their
/// numbers.
pub type Score<'a> = dyn Fn(usize, usize, &mut [f32]) + Sync + 'a;

/// Tells a race's winner and its weights.
pub(super) type Winner<'a> = dyn Fn(usize, &mut [f32]) -> Lead + Sync + 'a;

/// Whose outputs race, and how they score.
pub(super) struct Runners<'a> {
    rows: &'a [usize],
    score: &'a Score<'a>,
}

/// Winners with their weights, wiped when dropped; by default of no race. No `Clone` or `Debug`.
pub struct Winners {
    outputs: Vec<u32>,
    rows: Buffer<f32>,
}

impl Winners {
    /// Each race's winner and its row of the matrix, in the order of the races.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[f32])> {
        let width = self.rows.len() / self.outputs.len().max(1);
        self.outputs
            .iter()
            .copied()
            .zip(self.rows.chunks_exact(width.max(1)))
    }
}

impl Default for Winners {
    fn default() -> Self {
        Self {
            outputs: Vec::new(),
            rows: Buffer::zeroed(0),
        }
    }
}

impl Drop for Winners {
    fn drop(&mut self) {
        self.outputs.zeroize();
    }
}

/// As [`super::multiply`]. For each of `rows`, one race of all its outputs is held meanwhile. A score that is no number may win;
/// whoever gives such scores looks for them.
///
/// # Panics
/// As [`super::multiply`], and when there is no such row.
pub fn multiply_and_choose(
    pool: &Pool,
    matrix: &Matrix,
    activations: &Activations,
    out: &mut [f32],
    rows: &[usize],
    score: &Score<'_>,
) -> Winners {
    let runners = Runners { rows, score };
    let product = product(pool.threads(), matrix, activations, out, Some(&runners));
    pool.run_on(product.parts, &|thread, part| (product.work)(thread, part));
    let mut winners = Winners {
        outputs: vec![0; rows.len()],
        rows: Buffer::zeroed(rows.len() * matrix.inputs()),
    };
    if let Some(winner) = &product.winner {
        let each = winners.rows.chunks_exact_mut(matrix.inputs());
        let each: Vec<_> = each.zip(&mut winners.outputs).map(Mutex::new).collect();
        pool.run(each.len(), &|race| {
            let mut each = each[race].lock().unwrap_or_else(PoisonError::into_inner);
            let (row, output) = &mut *each;
            **output = winner(race, row).output();
        });
    }
    winners
}

/// Groups of outputs that are computed, scored and gone through before the next.
pub(super) fn kept<T: Tile>(group_bytes: usize) -> usize {
    let most = (KEPT / group_bytes).clamp(1, SCORED / T::OUTPUTS);
    // A power of two: then what is drawn for some outputs together is drawn once.
    1 << most.ilog2()
}

impl<'a> Runners<'a> {
    pub(super) fn begin<T: Tile>(
        &'a self,
        threads: usize,
        kernels: Kernels,
        matrix: &Matrix,
    ) -> Running<'a, T> {
        let depth = matrix.inputs().div_ceil(T::INPUTS);
        let best = (0..threads).map(|_| RwLock::new(Best::new(self.rows.len(), depth)));
        Running {
            runners: self,
            kernels,
            best: best.collect(),
        }
    }
}

/// Races that are being held.
pub(super) struct Running<'a, T: Tile> {
    runners: &'a Runners<'a>,
    kernels: Kernels,
    /// Of each thread.
    best: Vec<RwLock<Best<T>>>,
}

impl<T: Tile> Running<'_, T> {
    /// Takes up outputs of groups that follow one another, whose weights are at hand; `numbers` gives a row's.
    pub(super) fn pass<'n>(
        &self,
        thread: usize,
        tiles: &[T],
        first: usize,
        numbers: impl Fn(usize) -> &'n [f32],
    ) {
        let mut scores = [0.0; SCORED];
        let column = first * T::OUTPUTS;
        let leads = self.runners.rows.iter().enumerate().map(|(race, row)| {
            let numbers = numbers(*row);
            let scores = &mut scores[..numbers.len()];
            scores.copy_from_slice(numbers);
            (self.runners.score)(race, column, scores);
            Lead::of(self.kernels, column, scores)
        });
        let mut leads: Vec<Lead> = leads.collect();
        let mut best = self.best[thread].write().unwrap_or_else(PoisonError::into_inner);
        best.take(self.kernels, tiles, first, &leads);
        scores.zeroize();
        leads.zeroize();
    }

    pub(super) fn winner(&self, race: usize, out: &mut [f32]) -> Lead {
        let all: Vec<_> = self
            .best
            .iter()
            .map(|best| best.read().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let all: Vec<&Best<T>> = all.iter().map(|best| &**best).collect();
        Best::of_all(&all, race, out)
    }
}

#[cfg(test)]
mod tests;
