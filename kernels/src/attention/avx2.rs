//! Tiles of up to six rows, four vectors a line: AVX2, FMA and F16C.
//!
//! Why apart: compiled for instructions that only some CPUs have.
//!
//! # Invariants
//! Called only for sets that have them.

// Loops over indices keep all sums in registers.
#![allow(clippy::needless_range_loop)]

use super::tile::{EIGHT, LINE, Lines, Step};
use super::wide::tiles;
use crate::simd::{load_8 as load, prefetch_early, store_8 as store};
use crate::vector::avx2::{LANES, add_, exp, largest, max, mul_add, splat, sub, sum, widen_bf16, widen_f16};

/// Rows of a tile at most.
pub(super) const ROWS: usize = 6;
/// Twice the vectors that sums may take, with some left for lines and factors.
const REGISTERS: usize = 24;

tiles!("avx2,fma,f16c");

#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn multiply(
    left: &[f32],
    lines: Lines<'_>,
    ahead: Option<Lines<'_>>,
    count: usize,
    out: &mut [f32],
) {
    match count {
        1 => rows::<1>(left, lines, ahead, out),
        2 => rows::<2>(left, lines, ahead, out),
        3 => rows::<3>(left, lines, ahead, out),
        4 => rows::<4>(left, lines, ahead, out),
        5 => rows::<5>(left, lines, ahead, out),
        _ => rows::<ROWS>(left, lines, ahead, out),
    }
}
