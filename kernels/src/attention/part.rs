//! One head of keys, some rows of the heads that share it, some ranges of positions.
//!
//! Why apart: here is the order of arithmetic on which sameness rests.
//!
//! # Invariants
//! Reads only positions that one of its rows sees, rounded to pages of the sequence.

#![allow(unsafe_code)]

use std::ops::Range;

use super::scratch::Scratch;
use super::tile::{self, CHUNK, EIGHT, LINE, Lines, Step};
use super::{Rule, View};
use crate::cpu::Kernels;
use crate::kv::{KvPrecision, Layout, POSITIONS, Place, eight, read_f32};
use crate::vector;

/// Positions that are computed apart and merged from the front.
pub(super) const RANGE: usize = 4 * CHUNK;

/// What a part works on.
pub(super) struct Part<'a> {
    pub(super) kernels: Kernels,
    pub(super) layer: usize,
    pub(super) rule: &'a Rule,
    pub(super) layout: Layout,
    pub(super) view: &'a View<'a>,
    pub(super) kv_head: usize,
    /// Rows of the job.
    pub(super) queries: Range<usize>,
    /// Rows of a tile at most.
    pub(super) tile: usize,
}

impl Part<'_> {
    fn group(&self) -> usize {
        self.rule.heads / self.layout.kv_heads
    }

    /// Rows of queries times heads.
    pub(super) fn rows(&self) -> usize {
        self.queries.len() * self.group()
    }

    /// Where a row's numbers begin in the job's queries, and in what it gets out.
    fn at(&self, row: usize) -> usize {
        let (query, head) = (self.queries.start + row / self.group(), row % self.group());
        (query * self.rule.heads + self.kv_head * self.group() + head) * self.layout.width
    }

    /// Positions that a row sees.
    fn sees(&self, row: usize) -> Range<usize> {
        self.rule
            .sees(self.view.first + self.queries.start + row / self.group())
    }

    /// Positions that one of these rows sees.
    fn rows_see(&self, rows: &Range<usize>) -> Range<usize> {
        self.sees(rows.start).start..self.sees(rows.end - 1).end
    }

    /// Ranges that one of its rows sees.
    pub(super) fn ranges(&self) -> Range<usize> {
        let seen = self.rows_see(&(0..self.rows()));
        seen.start / RANGE..seen.end.div_ceil(RANGE)
    }

    fn tiles(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (rows, tile) = (self.rows(), self.tile);
        (0..rows)
            .step_by(tile)
            .map(move |first| first..rows.min(first + tile))
    }

    /// Lays the queries out for products, multiplied by the rule's scale.
    pub(super) fn lay_out(&self, scratch: &mut Scratch) {
        let (width, depth) = (self.layout.width, self.layout.depth());
        for tile in self.tiles() {
            let rows = tile.len();
            let laid = &mut scratch.queries[tile.start * depth..tile.end * depth];
            for (row, in_tile) in tile.clone().zip(0..) {
                let query = &self.view.queries[self.at(row)..][..width];
                for (eights, part) in laid.chunks_exact_mut(rows * EIGHT).zip(query.chunks(EIGHT)) {
                    let eight = &mut eights[in_tile * EIGHT..][..EIGHT];
                    for (to, from) in eight.iter_mut().zip(part) {
                        *to = from * self.rule.scale;
                    }
                    eight[part.len()..].fill(0.0);
                }
            }
        }
    }

    /// Computes one range into `sums`, `largest` and `weight`.
    pub(super) fn range(&self, scratch: &mut Scratch, range: usize) {
        let rows = self.rows();
        scratch.sums[..rows * self.layout.columns()].fill(0.0);
        scratch.largest[..rows].fill(f32::NEG_INFINITY);
        scratch.weight[..rows].fill(0.0);
        let seen = self.rows_see(&(0..rows));
        let first = seen.start.max(range * RANGE) / CHUNK;
        let end = seen.end.min((range + 1) * RANGE).div_ceil(CHUNK);
        for chunk in first..end {
            let next = (chunk + 1 < end).then_some((chunk + 1) * CHUNK);
            self.chunk(scratch, chunk * CHUNK, next);
        }
    }

    /// Pages of the chunk at `start` that one of these rows sees, counted from the chunk's first.
    fn pages(&self, rows: &Range<usize>, start: usize) -> Range<usize> {
        let seen = self.rows_see(rows);
        let first = seen.start.max(start).min(start + CHUNK) - start;
        let end = seen.end.max(start).min(start + CHUNK) - start;
        first / POSITIONS..end.div_ceil(POSITIONS)
    }

    /// Goes on by the chunk at `start`; `next` is read after it.
    fn chunk(&self, scratch: &mut Scratch, start: usize, next: Option<usize>) {
        let (depth, columns) = (self.layout.depth(), self.layout.columns());
        let pages = self.pages(&(0..self.rows()), start);
        let first = start / POSITIONS;
        let next = next.map(|next| next / POSITIONS + self.pages(&(0..self.rows()), next).start);
        for page in pages.clone() {
            let keys = self.lines(first + page, false, &mut scratch.block, &mut scratch.bare);
            let ahead = if page + 1 < pages.end {
                self.ahead(first + page + 1, false)
            } else {
                self.ahead(first + pages.start, true)
            };
            for tile in self
                .tiles()
                .filter(|tile| self.pages(tile, start).contains(&page))
            {
                let rows = tile.len();
                let scores = &mut scratch.scores[tile.start * CHUNK + page * rows * LINE..][..rows * LINE];
                scores.fill(0.0);
                let queries = &scratch.queries[tile.start * depth..tile.end * depth];
                tile::multiply(
                    self.kernels,
                    queries,
                    keys,
                    ahead.filter(|_| tile.start == 0),
                    rows,
                    scores,
                );
            }
        }
        for tile in self.tiles() {
            self.softmax(scratch, &tile, start);
        }
        for page in pages.clone() {
            let values = self.lines(first + page, true, &mut scratch.block, &mut scratch.bare);
            let ahead = if page + 1 < pages.end {
                self.ahead(first + page + 1, true)
            } else {
                next.and_then(|next| self.ahead(next, false))
            };
            for tile in self
                .tiles()
                .filter(|tile| self.pages(tile, start).contains(&page))
            {
                let rows = tile.len();
                let shares = &scratch.shares[tile.start * CHUNK + page * rows * LINE..][..rows * LINE];
                let sums = &mut scratch.sums[tile.start * columns..tile.end * columns];
                for (panel, sums) in sums.chunks_exact_mut(rows * LINE).enumerate() {
                    let values = values.part(panel * POSITIONS, POSITIONS);
                    let ahead = ahead
                        .filter(|_| tile.start == 0)
                        // The keys of a narrow head have fewer lines than its values.
                        .and_then(|ahead| ahead.part_if_whole(panel * POSITIONS, POSITIONS));
                    tile::multiply(self.kernels, shares, values, ahead, rows, sums);
                }
            }
        }
    }

    /// A head's keys or values of a page of the sequence, as they are stored.
    fn units(&self, page: usize, is_values: bool) -> &[u16] {
        // SAFETY: what is written at this time are positions that none of this part's rows sees, or it was written by
        // this thread before; see `plan`.
        let (keys, values) = unsafe { self.view.sequence.pages()[page].head(self.layer, self.kv_head) };
        if is_values { values } else { keys }
    }

    /// The same as lines that kernels read.
    fn lines<'a>(
        &'a self,
        page: usize,
        is_values: bool,
        block: &'a mut [f32],
        bare: &'a mut [u16],
    ) -> Lines<'a> {
        let mut units = self.units(page, is_values);
        if let Some(mask) = self.view.sequence.mask() {
            let place = Place {
                layer: self.layer,
                kv_head: self.kv_head,
                is_values,
                page,
            };
            let bare = &mut bare[..units.len()];
            mask.apply(self.kernels, place, units, bare);
            units = bare;
        }
        match self.layout.precision {
            KvPrecision::F16 => Lines::F16(units),
            KvPrecision::Bf16 => Lines::Bf16(units),
            KvPrecision::F32 => {
                let block = &mut block[..units.len() / 2];
                read_f32(units, block);
                Lines::F32(block)
            }
            KvPrecision::Q8 => {
                let block = &mut block[..eight::numbers(units.len()) * POSITIONS];
                eight::read(self.kernels, units, is_values, block);
                Lines::F32(block)
            }
        }
    }

    /// A page's keys or values, when asking memory for them ahead of their use is worth it.
    fn ahead(&self, page: usize, is_values: bool) -> Option<Lines<'_>> {
        if self.view.sequence.mask().is_some() {
            return None;
        }
        let units = self.units(page, is_values);
        match self.layout.precision {
            KvPrecision::F16 => Some(Lines::F16(units)),
            KvPrecision::Bf16 => Some(Lines::Bf16(units)),
            KvPrecision::F32 | KvPrecision::Q8 => None,
        }
    }

    fn softmax(&self, scratch: &mut Scratch, tile: &Range<usize>, start: usize) {
        let pages = self.pages(tile, start);
        if pages.is_empty() {
            return;
        }
        let rows = tile.len();
        let of_pages =
            tile.start * CHUNK + pages.start * rows * LINE..tile.start * CHUNK + pages.end * rows * LINE;
        let scores = &mut scratch.scores[of_pages.clone()];
        if let Some(cap) = self.rule.soft_cap {
            vector::soft_cap(self.kernels, scores, cap);
        }
        for (row, in_tile) in tile.clone().zip(0..) {
            let seen = self.sees(row);
            for (page, lines) in pages.clone().zip(scores.chunks_exact_mut(rows * LINE)) {
                let line = &mut lines[in_tile * LINE..][..LINE];
                let first = start + page * POSITIONS;
                let from = seen.start.clamp(first, first + LINE) - first;
                let to = seen.end.clamp(first, first + LINE) - first;
                line[..from].fill(f32::NEG_INFINITY);
                line[to..].fill(f32::NEG_INFINITY);
            }
        }
        tile::step(
            self.kernels,
            Step {
                scores,
                shares: &mut scratch.shares[of_pages],
                largest: &mut scratch.largest[tile.clone()],
                weight: &mut scratch.weight[tile.clone()],
                lower: &mut scratch.lower[tile.clone()],
            },
        );
        let columns = self.layout.columns();
        tile::lower(
            self.kernels,
            &mut scratch.sums[tile.start * columns..tile.end * columns],
            &scratch.lower[tile.clone()],
        );
    }

    /// Adds what `range` computed to the ranges before it.
    pub(super) fn merge(&self, scratch: &mut Scratch, is_first: bool) {
        let (rows, columns) = (self.rows(), self.layout.columns());
        if is_first {
            scratch.total[..rows * columns].copy_from_slice(&scratch.sums[..rows * columns]);
            scratch.total_largest[..rows].copy_from_slice(&scratch.largest[..rows]);
            scratch.total_weight[..rows].copy_from_slice(&scratch.weight[..rows]);
            return;
        }
        for tile in self.tiles() {
            let first = tile.start;
            for row in tile.clone() {
                let (a, b) = (scratch.total_largest[row], scratch.largest[row]);
                let largest = a.max(b);
                let factors = [a, b].map(|of| if of == largest { 1.0 } else { (of - largest).exp() });
                scratch.total_largest[row] = largest;
                scratch.total_weight[row] =
                    scratch.total_weight[row] * factors[0] + scratch.weight[row] * factors[1];
                for column in (0..columns).step_by(LINE) {
                    let at = first * columns + column * tile.len() + (row - first) * LINE;
                    let total = &mut scratch.total[at..at + LINE];
                    for (total, sum) in total.iter_mut().zip(&scratch.sums[at..at + LINE]) {
                        *total = *total * factors[0] + sum * factors[1];
                    }
                }
            }
        }
    }

    /// Divides by the shares and hands the rows out.
    pub(super) fn hand_out(&self, scratch: &Scratch) {
        let (width, columns) = (self.layout.width, self.layout.columns());
        for tile in self.tiles() {
            for (row, in_tile) in tile.clone().zip(0..) {
                // SAFETY: a job's row and head belong to one part, or to the last of its split to finish.
                let out = unsafe { self.view.out.part(self.at(row), width) };
                let factor = 1.0 / scratch.total_weight[row];
                let sums = &scratch.total[tile.start * columns..tile.end * columns];
                for (panel, out) in out.chunks_mut(LINE).enumerate() {
                    let line = &sums[(panel * tile.len() + in_tile) * LINE..][..LINE];
                    for (out, sum) in out.iter_mut().zip(line) {
                        // The sum with zero makes one zero of two.
                        *out = sum * factor + 0.0;
                    }
                }
            }
        }
    }
}
