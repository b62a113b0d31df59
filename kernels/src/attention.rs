//! Attention of new rows over all that a sequence has said, in blocks.
//!
//! Why apart: it reads keys and values once, page by page, for all heads that share them, and never builds a whole row
//! of scores.
//!
//! - [`plan`]: which thread does what
//! - [`part`]: one head of keys, some rows, some positions
//! - [`scratch`]: what a thread needs for that
//! - [`tile`]: products of a few rows with a block, and the softmax between them; in [`wide`] for vectors, which are
//!   [`avx2`]'s or [`avx512`]'s
//! - [`whole`]: texts in which every row sees every other, without pages
//!
//! The order of arithmetic for a row is fixed by positions alone: scores a number of the head at a time, a softmax that
//! goes on from chunk to chunk of 128 positions, sums a position at a time, and ranges of 512 positions that are
//! computed apart and merged from the front. Positions a row may not see count as exact zeros. So a row's result is
//! the same bit for bit whether it is computed alone or among others, in a prompt or after it, by one thread or many.
//!
//! # Invariants
//! A row sees itself and what came before it, in its own sequence and window, and nothing else.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod part;
mod plan;
mod scratch;
mod tile;
mod whole;
#[cfg(target_arch = "x86_64")]
mod wide;

use crate::cpu::Kernels;
use crate::disjoint::Disjoint;
use crate::kv::Sequence;
use crate::pool::Pool;
pub use scratch::Workspace;
pub use whole::{Room, Text, attend_whole};

/// How a layer attends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// Heads of queries: a multiple of the heads of keys.
    pub heads: usize,
    /// Only the last so many positions are seen, the row's own among them.
    pub window: Option<usize>,
    /// Scores are multiplied by this.
    pub scale: f32,
    /// Scores become `cap * tanh(score / cap)`.
    pub soft_cap: Option<f32>,
}

/// New rows of one sequence. All are `[row][head][number]`.
pub struct Job<'a> {
    /// Where the keys and values go, and what the rows attend to.
    pub sequence: &'a mut Sequence,
    /// Queries, turned by their positions.
    pub queries: &'a [f32],
    /// Keys, turned by their positions.
    pub keys: &'a [f32],
    /// Values.
    pub values: &'a [f32],
    /// What the heads saw; as long as `queries`.
    pub out: &'a mut [f32],
}

/// Appends each job's keys and values to its sequence in `layer`, and lets its rows attend.
///
/// # Panics
/// When lengths do not fit each other, a sequence has no room, or sequences and the workspace have different layouts.
pub fn attend(
    kernels: Kernels,
    pool: &Pool,
    workspace: &mut Workspace,
    layer: usize,
    rule: &Rule,
    jobs: &mut [Job<'_>],
) {
    let layout = workspace.layout();
    assert!(
        rule.heads > 0 && rule.heads.is_multiple_of(layout.kv_heads),
        "query heads share the heads of keys evenly"
    );
    let views: Vec<View<'_>> = jobs
        .iter_mut()
        .map(|job| {
            assert_eq!(job.sequence.layout(), layout, "the layout of the workspace");
            let rows = job.keys.len() / (layout.kv_heads * layout.width);
            assert_eq!(
                job.keys.len(),
                rows * layout.kv_heads * layout.width,
                "whole rows of keys"
            );
            assert_eq!(job.values.len(), job.keys.len(), "a value for each key");
            assert_eq!(
                job.queries.len(),
                rows * rule.heads * layout.width,
                "a query for each key"
            );
            assert_eq!(job.out.len(), job.queries.len(), "room for each query's result");
            let first = job.sequence.written(layer);
            job.sequence.grow(layer, rows);
            View {
                sequence: job.sequence,
                first,
                rows,
                queries: job.queries,
                keys: job.keys,
                values: job.values,
                out: Disjoint::new(job.out),
            }
        })
        .collect();
    plan::run(kernels, pool, workspace, layer, rule, &views);
}

/// A job that threads share.
struct View<'a> {
    sequence: &'a Sequence,
    /// The position of its first new row.
    first: usize,
    rows: usize,
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    out: Disjoint<'a, f32>,
}

impl Rule {
    /// Positions that the row at `position` sees.
    fn sees(&self, position: usize) -> std::ops::Range<usize> {
        let first = self
            .window
            .map_or(0, |window| (position + 1).saturating_sub(window));
        first..position + 1
    }
}

#[cfg(test)]
mod tests;
