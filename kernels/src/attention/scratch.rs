//! What a thread needs to attend: queries, scores, shares, sums.
//!
//! Why apart: it is allocated once, and wiped like all that tells what was said.
//!
//! # Invariants
//! Whoever reads a number of it wrote it before, in the same part.

use std::sync::{Mutex, MutexGuard, PoisonError};

use zeroize::Zeroize as _;

use super::plan::Split;
use super::tile::{CHUNK, LINE};
use crate::kv::{Layout, POSITIONS};
use crate::memory::Buffer;

/// Rows of queries times heads that a part has at most, unless one row has more heads.
pub(super) const ROWS: usize = 48;

/// Memory that calls share. One of it serves one call at a time.
pub struct Workspace {
    layout: Layout,
    rows: usize,
    threads: Vec<Mutex<Scratch>>,
    /// Sums of ranges that several threads computed.
    pub(super) partial: Buffer<f32>,
    pub(super) splits: Vec<Split>,
}

impl Workspace {
    /// For `threads` threads, and rules with at most `heads` heads of queries.
    #[must_use]
    pub fn new(layout: Layout, heads: usize, threads: usize) -> Self {
        let rows = ROWS.max(heads.div_ceil(layout.kv_heads.max(1)));
        Self {
            layout,
            rows,
            threads: (0..threads)
                .map(|_| Mutex::new(Scratch::new(&layout, rows)))
                .collect(),
            partial: Buffer::zeroed(0),
            splits: Vec::new(),
        }
    }

    /// Overwrites what calls so far left, and keeps its memory.
    pub fn wipe(&mut self) {
        self.partial.wipe();
        for thread in &mut self.threads {
            thread.get_mut().unwrap_or_else(PoisonError::into_inner).wipe();
        }
    }

    /// What the sequences' pages hold.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Rows of a part.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn thread(&self, thread: usize) -> MutexGuard<'_, Scratch> {
        self.threads[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One thread's. Rows come in tiles, and a tile's rows lie together: in eights in `queries` and `shares`, in lines in
/// the others.
pub(super) struct Scratch {
    /// `[depth / 8][row][8]` a tile.
    pub(super) queries: Buffer<f32>,
    /// `[page of the chunk][row][32 positions]` a tile.
    pub(super) scores: Buffer<f32>,
    /// `[position / 8][row][8]` a tile.
    pub(super) shares: Buffer<f32>,
    /// `[column / 32][row][32]` a tile.
    pub(super) sums: Buffer<f32>,
    /// As `sums`, for the ranges so far.
    pub(super) total: Buffer<f32>,
    /// The largest score so far, by row.
    pub(super) largest: Vec<f32>,
    /// The sum of shares so far, by row.
    pub(super) weight: Vec<f32>,
    pub(super) total_largest: Vec<f32>,
    pub(super) total_weight: Vec<f32>,
    /// By how much a new largest score lowers what was summed, by row.
    pub(super) lower: Vec<f32>,
    /// A block that is not stored as kernels read it.
    pub(super) block: Buffer<f32>,
    /// A block without its keystream.
    pub(super) bare: Buffer<u16>,
}

impl Scratch {
    fn new(layout: &Layout, rows: usize) -> Self {
        let (depth, columns) = (layout.depth(), layout.columns());
        debug_assert_eq!(LINE, POSITIONS);
        Self {
            queries: Buffer::zeroed(rows * depth),
            scores: Buffer::zeroed(rows * CHUNK),
            shares: Buffer::zeroed(rows * CHUNK),
            sums: Buffer::zeroed(rows * columns),
            total: Buffer::zeroed(rows * columns),
            largest: vec![0.0; rows],
            weight: vec![0.0; rows],
            total_largest: vec![0.0; rows],
            total_weight: vec![0.0; rows],
            lower: vec![0.0; rows],
            block: Buffer::zeroed(POSITIONS * depth.max(columns)),
            bare: Buffer::zeroed(layout.key_units().max(layout.value_units())),
        }
    }

    fn wipe(&mut self) {
        // Every field by name: none that is added can be left out.
        let Self {
            queries,
            scores,
            shares,
            sums,
            total,
            largest,
            weight,
            total_largest,
            total_weight,
            lower,
            block,
            bare,
        } = self;
        for buffer in [queries, scores, shares, sums, total, block] {
            buffer.wipe();
        }
        bare.wipe();
        for rows in [largest, weight, total_largest, total_weight, lower] {
            rows.as_mut_slice().zeroize();
        }
    }
}
