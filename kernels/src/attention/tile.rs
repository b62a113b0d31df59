//! Products of a few rows with a block, and the softmax between them.
//!
//! Why apart: all arithmetic of attention is here, once for each set of instructions.
//!
//! # Invariants
//! What happens to a row does not depend on how many rows its tile has.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512};
use crate::cpu::{KernelSet, Kernels};
use crate::vector;

/// Numbers in a line of a block.
pub(super) const LINE: usize = 32;
/// Numbers of a row that lie together on the left of a product.
pub(super) const EIGHT: usize = 8;
/// Pages between two steps of the softmax.
pub(super) const CHUNK_PAGES: usize = 4;
/// Positions between two steps of the softmax.
pub(super) const CHUNK: usize = CHUNK_PAGES * LINE;

/// Lines of 32 numbers, as they are stored.
#[derive(Clone, Copy)]
pub(super) enum Lines<'a> {
    F16(&'a [u16]),
    Bf16(&'a [u16]),
    F32(&'a [f32]),
}

impl<'a> Lines<'a> {
    /// As [`Self::part`], where there are so many.
    pub(super) fn part_if_whole(self, first: usize, count: usize) -> Option<Self> {
        let length = match self {
            Self::F16(units) | Self::Bf16(units) => units.len(),
            Self::F32(numbers) => numbers.len(),
        };
        ((first + count) * LINE <= length).then(|| self.part(first, count))
    }

    /// `count` lines from `first` on.
    pub(super) fn part(self, first: usize, count: usize) -> Self {
        let range = first * LINE..(first + count) * LINE;
        match self {
            Self::F16(units) => Lines::F16(&units[range]),
            Self::Bf16(units) => Lines::Bf16(&units[range]),
            Self::F32(numbers) => Lines::F32(&numbers[range]),
        }
    }
}

/// Rows that a tile has at most.
pub(super) fn most_rows(kernels: Kernels) -> usize {
    match kernels.set() {
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx2 | KernelSet::AvxVnni => avx2::ROWS,
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => avx512::ROWS,
        _ => 4,
    }
}

/// Calls what the set in use has.
macro_rules! by_set {
    ($kernels:expr, $name:ident($($argument:expr),*), $plain:expr) => {
        match $kernels.set() {
            // SAFETY: a `Kernels` of these sets is possessed only where the CPU has AVX2, FMA and F16C.
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { avx2::$name($($argument),*) },
            // SAFETY: and of these only where it has AVX-512 F, BW, DQ and VL besides.
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => unsafe { avx512::$name($($argument),*) },
            _ => $plain,
        }
    };
}

/// `out[row][32] += left[row][k] * lines[k][32]` over all lines. `left` is `[k / 8][row][8]`. What is read next may be
/// fetched `ahead`.
pub(super) fn multiply(
    kernels: Kernels,
    left: &[f32],
    lines: Lines<'_>,
    ahead: Option<Lines<'_>>,
    rows: usize,
    out: &mut [f32],
) {
    by_set!(
        kernels,
        multiply(left, lines, ahead, rows, out),
        plain_multiply(kernels, left, lines, rows, out)
    );
}

fn plain_multiply(kernels: Kernels, left: &[f32], lines: Lines<'_>, rows: usize, out: &mut [f32]) {
    let mut line = [0.0; LINE];
    let count = left.len() / rows;
    for k in 0..count {
        match lines.part(k, 1) {
            Lines::F16(units) => vector::from_f16(kernels, units, &mut line),
            Lines::Bf16(units) => vector::from_bf16(kernels, units, &mut line),
            Lines::F32(numbers) => line.copy_from_slice(numbers),
        }
        let left = &left[k / EIGHT * rows * EIGHT + k % EIGHT..];
        for (factor, out) in left.iter().step_by(EIGHT).zip(out.chunks_exact_mut(LINE)) {
            for (out, number) in out.iter_mut().zip(&line) {
                *out += factor * number;
            }
        }
    }
}

/// One step of the softmax for a tile's rows.
pub(super) struct Step<'a> {
    /// `[page][row][32]`: scores, minus infinity where a row may not see.
    pub(super) scores: &'a [f32],
    /// `[page * 4][row][8]`: becomes the exponentials of what the scores are below the largest.
    pub(super) shares: &'a mut [f32],
    /// By row, the largest score so far.
    pub(super) largest: &'a mut [f32],
    /// By row, the sum of shares so far.
    pub(super) weight: &'a mut [f32],
    /// By row: becomes the factor for what was summed before.
    pub(super) lower: &'a mut [f32],
}

/// Does it.
pub(super) fn step(kernels: Kernels, step: Step<'_>) {
    by_set!(kernels, step(step), plain_step(step));
}

fn plain_step(step: Step<'_>) {
    let rows = step.largest.len();
    let pages = step.scores.len() / (rows * LINE);
    for row in 0..rows {
        let line = |page: usize| &step.scores[(page * rows + row) * LINE..][..LINE];
        let before = step.largest[row];
        let largest = (0..pages).flat_map(line).copied().fold(before, f32::max);
        let mut lanes = [0.0; LINE];
        for page in 0..pages {
            for (at, score) in line(page).iter().enumerate() {
                // Minus infinity from minus infinity: the row has seen nothing yet.
                let share = if *score == f32::NEG_INFINITY {
                    0.0
                } else {
                    (score - largest).exp()
                };
                lanes[at] += share;
                let eight = (page * LINE + at) / EIGHT;
                step.shares[(eight * rows + row) * EIGHT + at % EIGHT] = share;
            }
        }
        let lower = if before == largest {
            1.0
        } else {
            (before - largest).exp()
        };
        step.lower[row] = lower;
        step.weight[row] = step.weight[row] * lower + lanes.iter().sum::<f32>();
        step.largest[row] = largest;
    }
}

/// `sums[..][row][32] *= lower[row]`.
pub(super) fn lower(kernels: Kernels, sums: &mut [f32], lower: &[f32]) {
    if lower.iter().all(|factor| *factor == 1.0) {
        return;
    }
    by_set!(kernels, lower(sums, lower), plain_lower(kernels, sums, lower));
}

fn plain_lower(kernels: Kernels, sums: &mut [f32], lower: &[f32]) {
    for panel in sums.chunks_exact_mut(lower.len() * LINE) {
        for (line, factor) in panel.chunks_exact_mut(LINE).zip(lower) {
            vector::scale(kernels, line, *factor);
        }
    }
}
