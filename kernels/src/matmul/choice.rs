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
use crate::race::{Lead, Race, TOGETHER};

/// Makes of what was computed for some outputs what they would score without chance.
pub type Finish<'a> = dyn Fn(&mut [f32]) + Sync + 'a;

/// Tells a race's winner and its weights.
pub(super) type Winner<'a> = dyn Fn(usize, &mut [f32]) -> Lead + Sync + 'a;

/// Whose outputs race, and how they score.
pub(super) struct Runners<'a> {
    /// Which row each race is of.
    races: &'a [(usize, Race)],
    finish: &'a Finish<'a>,
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

/// As [`super::multiply`]. Meanwhile races are held, each of all outputs of a row, which are `finish`ed for it. A score that is no
/// number may win; whoever computes such numbers looks for them.
///
/// # Panics
/// As [`super::multiply`], and when there is no such row.
pub fn multiply_and_choose(
    pool: &Pool,
    matrix: &Matrix,
    activations: &Activations,
    out: &mut [f32],
    races: &[(usize, Race)],
    finish: &Finish<'_>,
) -> Winners {
    let runners = Runners { races, finish };
    let product = product(pool.threads(), matrix, activations, out, Some(&runners));
    pool.run_on(product.parts, &|thread, part| (product.work)(thread, part));
    let mut winners = Winners {
        outputs: vec![0; races.len()],
        rows: Buffer::zeroed(races.len() * matrix.inputs()),
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

impl<'a> Runners<'a> {
    pub(super) fn begin<T: Tile>(
        &'a self,
        threads: usize,
        kernels: Kernels,
        matrix: &Matrix,
    ) -> Running<'a, T> {
        let depth = matrix.inputs().div_ceil(T::INPUTS);
        let runner = || Runner {
            best: Best::new(self.races.len(), depth),
            leads: vec![Lead::NONE; self.races.len()],
            chances: Buffer::zeroed(self.races.len() * TOGETHER),
            window: usize::MAX,
        };
        Running {
            runners: self,
            kernels,
            each: (0..threads).map(|_| RwLock::new(runner())).collect(),
        }
    }
}

/// Races that are being held.
pub(super) struct Running<'a, T: Tile> {
    runners: &'a Runners<'a>,
    kernels: Kernels,
    /// What each thread sees of them.
    each: Vec<RwLock<Runner<T>>>,
}

struct Runner<T: Tile> {
    best: Best<T>,
    leads: Vec<Lead>,
    /// What chance adds to outputs of one window, of each race.
    chances: Buffer<f32>,
    window: usize,
}

impl<T: Tile> Drop for Runner<T> {
    fn drop(&mut self) {
        self.leads.zeroize();
    }
}

impl<T: Tile> Running<'_, T> {
    /// Takes up outputs of groups that follow one another, all in one window, whose weights are at hand; `numbers` gives a row's.
    pub(super) fn pass<'n>(
        &self,
        thread: usize,
        tiles: &[T],
        first: usize,
        numbers: impl Fn(usize) -> &'n [f32],
    ) {
        let mut runner = self.each[thread].write().unwrap_or_else(PoisonError::into_inner);
        let Runner {
            best,
            leads,
            chances,
            window,
        } = &mut *runner;
        let column = first * T::OUTPUTS;
        let races = self.runners.races;
        if *window != column / TOGETHER {
            *window = column / TOGETHER;
            for ((_, race), chances) in races.iter().zip(chances.chunks_exact_mut(TOGETHER)) {
                race.chances(self.kernels, *window, chances);
            }
        }
        let mut scores = [0.0; TOGETHER];
        for (((row, race), chances), lead) in
            races.iter().zip(chances.chunks_exact(TOGETHER)).zip(&mut *leads)
        {
            let numbers = numbers(*row);
            let scores = &mut scores[..numbers.len()];
            scores.copy_from_slice(numbers);
            (self.runners.finish)(scores);
            race.add(&chances[column % TOGETHER..], scores);
            *lead = Lead::of(self.kernels, column, scores);
        }
        best.take(self.kernels, tiles, first, leads);
    }

    pub(super) fn winner(&self, race: usize, out: &mut [f32]) -> Lead {
        let all: Vec<_> = self
            .each
            .iter()
            .map(|runner| runner.read().unwrap_or_else(PoisonError::into_inner))
            .collect();
        let all: Vec<&Best<T>> = all.iter().map(|runner| &runner.best).collect();
        Best::of_all(&all, race, out)
    }
}

#[cfg(test)]
mod tests;
