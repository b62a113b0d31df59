//! Attention in which every row of a text sees every row of it: that of encoders.
//!
//! Why apart: nothing is kept from one call to the next, so that keys and values are ordered where they are used and no
//! page is needed; and all scores of a row are there at once, so that its softmax is one step.
//!
//! - [`wide`]: products of a few rows with lines, for vectors, which are [`avx2`]'s or [`avx512`]'s
//!
//! # Invariants
//! A row's result depends on its own query and its text's keys and values alone, in an order of arithmetic that neither the
//! rows beside it nor threads change.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod wide;

use std::sync::{Mutex, PoisonError};

use zeroize::optimization_barrier;

use super::tile::{LINE, most_rows};
#[cfg(target_arch = "x86_64")]
use crate::cpu::KernelSet;
use crate::cpu::Kernels;
use crate::disjoint::Disjoint;
use crate::pool::Pool;
use crate::vector;

/// Rows that a tile has at most, of any set.
const TALLEST: usize = 12;

/// Rows of one text. All are `[row][head][number]`.
pub struct Text<'a> {
    /// Of the rows that attend: all of the text, or some.
    pub queries: &'a [f32],
    /// Of all rows of the text.
    pub keys: &'a [f32],
    /// Of all rows of the text.
    pub values: &'a [f32],
    /// What the heads saw; as long as `queries`.
    pub out: &'a mut [f32],
}

/// Memory that threads work in, kept from call to call. No `Clone` or `Debug`: it tells about texts.
pub struct Room {
    threads: Vec<Mutex<Scratch>>,
}

/// One thread's.
#[derive(Default)]
struct Scratch {
    /// `[position / 32][number of the head][position % 32]`, zero past the text's end.
    keys: Vec<[f32; LINE]>,
    /// `[number / 32][position][number % 32]`, zero past the head's end.
    values: Vec<[f32; LINE]>,
    /// `[row of the tile][position]`.
    scores: Vec<f32>,
}

impl Room {
    /// For `threads` threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        Self {
            threads: (0..threads).map(|_| Mutex::default()).collect(),
        }
    }

    /// Overwrites what calls left.
    pub fn wipe(&mut self) {
        for scratch in &mut self.threads {
            scratch.get_mut().unwrap_or_else(PoisonError::into_inner).wipe();
        }
    }
}

impl Scratch {
    fn wipe(&mut self) {
        for lines in [&mut self.keys, &mut self.values] {
            lines.fill([0.0; LINE]);
            optimization_barrier(lines.as_slice());
        }
        self.scores.fill(0.0);
        optimization_barrier(self.scores.as_slice());
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        self.wipe();
    }
}

/// So many numbers or lines of any value. What is too short is wiped before it is given back.
fn at_least<T: Copy>(room: &mut Vec<T>, count: usize, zero: T) -> &mut [T] {
    if room.len() < count {
        room.fill(zero);
        optimization_barrier(room.as_slice());
        *room = vec![zero; count];
    }
    &mut room[..count]
}

/// Lets the rows of each text attend by heads, which are so many and so wide, with scores multiplied by `scale`, which is
/// positive.
///
/// # Panics
/// When lengths do not fit each other, or `room` is for fewer threads than `pool` has.
pub fn attend_whole(
    kernels: Kernels,
    pool: &Pool,
    room: &Room,
    (heads, width): (usize, usize),
    scale: f32,
    texts: &mut [Text<'_>],
) {
    assert!(heads > 0 && width > 0, "heads of some numbers");
    assert!(room.threads.len() >= pool.threads(), "room for all threads");
    let row = heads * width;
    let views: Vec<View<'_>> = texts
        .iter_mut()
        .map(|text| {
            let rows = text.queries.len() / row;
            assert_eq!(text.queries.len(), rows * row, "whole rows of queries");
            assert!(text.keys.len().is_multiple_of(row), "whole rows of keys");
            assert_eq!(text.values.len(), text.keys.len(), "a value for each key");
            assert_eq!(text.out.len(), text.queries.len(), "room for each query's result");
            assert!(rows == 0 || !text.keys.is_empty(), "something to attend to");
            View {
                queries: text.queries,
                keys: text.keys,
                values: text.values,
                out: Disjoint::new(text.out),
                width,
                row,
                scale,
            }
        })
        .collect();
    pool.run_on(views.len() * heads, &|thread, part| {
        let (view, head) = (&views[part / heads], part % heads);
        let mut scratch = room.threads[thread]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        view.attend(kernels, &mut scratch, head);
    });
}

/// A text that threads share, a head each at a time.
struct View<'a> {
    queries: &'a [f32],
    keys: &'a [f32],
    values: &'a [f32],
    out: Disjoint<'a, f32>,
    /// Numbers of a head.
    width: usize,
    /// Numbers of all heads.
    row: usize,
    scale: f32,
}

impl View<'_> {
    fn attend(&self, kernels: Kernels, scratch: &mut Scratch, head: usize) {
        let (width, row, first) = (self.width, self.row, head * self.width);
        let count = self.keys.len() / row;
        let (pages, panels) = (count.div_ceil(LINE), width.div_ceil(LINE));
        let keys = at_least(&mut scratch.keys, pages * width, [0.0; LINE]);
        for (page, rows) in keys.chunks_exact_mut(width).zip(self.keys.chunks(LINE * row)) {
            for (panel, lines) in page.chunks_mut(LINE).enumerate() {
                let numbers = first + panel * LINE..first + panel * LINE + lines.len();
                let mut block = [[0.0; LINE]; LINE];
                for (line, row) in block.iter_mut().zip(rows.chunks_exact(row)) {
                    *line = line_of(&row[numbers.clone()]);
                }
                for (number, line) in lines.iter_mut().enumerate() {
                    *line = std::array::from_fn(|at| block[at][number % LINE]);
                }
            }
        }
        let values = at_least(&mut scratch.values, panels * count, [0.0; LINE]);
        for (panel, lines) in values.chunks_exact_mut(count).enumerate() {
            let numbers = first + panel * LINE..first + width.min((panel + 1) * LINE);
            for (line, row) in lines.iter_mut().zip(self.values.chunks_exact(row)) {
                *line = line_of(&row[numbers.clone()]);
            }
        }
        let most = most_rows(kernels).min(TALLEST);
        let stride = pages * LINE;
        let scores = at_least(&mut scratch.scores, most * stride, 0.0);
        let mut factors = [0.0; TALLEST];
        let mut block = [0.0; TALLEST * LINE];
        let rows = self.queries.len() / row;
        for tile in (0..rows).step_by(most) {
            let height = most.min(rows - tile);
            let queries = &self.queries[tile * row + first..];
            for (page, lines) in keys.chunks_exact(width).enumerate() {
                let left = Left {
                    numbers: queries,
                    stride: row,
                    rows: height,
                };
                multiply(kernels, left, lines, &mut scores[page * LINE..], stride);
            }
            for (factor, scores) in factors
                .iter_mut()
                .zip(scores.chunks_exact_mut(stride))
                .take(height)
            {
                *factor = 1.0 / vector::shares(kernels, &mut scores[..count], self.scale);
            }
            for (panel, lines) in values.chunks_exact(count).enumerate() {
                let left = Left {
                    numbers: scores,
                    stride,
                    rows: height,
                };
                multiply(kernels, left, lines, &mut block, LINE);
                let from = first + panel * LINE;
                let numbers = LINE.min(width - panel * LINE);
                for (index, (sums, factor)) in block.chunks_exact(LINE).zip(factors).take(height).enumerate()
                {
                    // SAFETY: a text's head is computed by one part, and a part by one thread.
                    let out = unsafe { self.out.part((tile + index) * row + from, numbers) };
                    for (out, sum) in out.iter_mut().zip(sums) {
                        *out = sum * factor;
                    }
                }
            }
        }
        optimization_barrier(&block);
    }
}

/// The first numbers, or all that there are and zeros.
#[inline(always)]
fn line_of(numbers: &[f32]) -> [f32; LINE] {
    // Of a length that is known: a call of the library's would take longer than the copy.
    numbers.first_chunk().copied().unwrap_or_else(|| {
        let mut line = [0.0; LINE];
        line[..numbers.len()].copy_from_slice(numbers);
        line
    })
}

/// Rows of numbers, each `stride` behind the one before.
#[derive(Clone, Copy)]
struct Left<'a> {
    numbers: &'a [f32],
    stride: usize,
    rows: usize,
}

/// `out[row * out_stride..][..32] = left[row][k] * lines[k]`, added up over all lines in order.
fn multiply(kernels: Kernels, left: Left<'_>, lines: &[[f32; LINE]], out: &mut [f32], out_stride: usize) {
    #[cfg(target_arch = "x86_64")]
    match kernels.set() {
        KernelSet::Scalar => {}
        KernelSet::Avx2 | KernelSet::AvxVnni => {
            // SAFETY: a `Kernels` of these sets is possessed only where the CPU has AVX2, FMA and F16C.
            return unsafe { avx2::multiply(left, lines, out, out_stride) };
        }
        // SAFETY: and of the others only where it has AVX-512 F, BW, DQ and VL besides.
        _ => return unsafe { avx512::multiply(left, lines, out, out_stride) },
    }
    let _ = kernels;
    for row in 0..left.rows {
        let out = &mut out[row * out_stride..][..LINE];
        out.fill(0.0);
        for (factor, line) in left.numbers[row * left.stride..].iter().zip(lines) {
            for (out, number) in out.iter_mut().zip(line) {
                *out += factor * number;
            }
        }
    }
}

#[cfg(test)]
mod tests;
