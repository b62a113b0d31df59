//! Tiles of up to twelve rows, two vectors a line: AVX-512.
//!
//! Why apart: compiled for instructions that only some CPUs have.
//!
//! # Invariants
//! Called only for sets that have them.

// Loops over indices keep all sums in registers.
#![allow(clippy::needless_range_loop)]

use super::tile::{EIGHT, LINE, Lines, Step};
use super::wide::tiles;
use crate::simd::{load_16 as load, prefetch_early, store_16 as store};
use crate::vector::avx512::{
    LANES, add_, exp, largest, max, mul_add, splat, sub, sum, widen_bf16, widen_f16,
};

/// Rows of a tile at most.
pub(super) const ROWS: usize = 12;
const REGISTERS: usize = 32;

tiles!("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl");

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
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
        6 => rows::<6>(left, lines, ahead, out),
        7 => rows::<7>(left, lines, ahead, out),
        8 => rows::<8>(left, lines, ahead, out),
        9 => rows::<9>(left, lines, ahead, out),
        10 => rows::<10>(left, lines, ahead, out),
        11 => rows::<11>(left, lines, ahead, out),
        _ => rows::<ROWS>(left, lines, ahead, out),
    }
}
