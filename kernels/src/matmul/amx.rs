//! Kernels of tiles: a panel of 8 to 16 rows of activations at a time.
//!
//! Why apart: the unit multiplies a whole tile in one instruction; scales are applied by AVX-512.
//!
//! - `unit`: the instructions
//!
//! # Invariants
//! Integer sums are exact, and each block is then added as the kernels of AVX-512 do, so that both give the same bits
//! and few rows go to those. bf16 sums are rounded in the unit's own order, so that all rows go to it.

#![allow(unsafe_code)]

mod unit;

use std::arch::x86_64::{
    __m512, _mm512_add_epi32, _mm512_and_si512, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps,
    _mm512_cvtepu8_epi32, _mm512_fmadd_ps, _mm512_fnmadd_ps, _mm512_mul_ps, _mm512_or_si512,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi16,
    _mm512_srli_epi16,
};

use super::Block;
use super::avx512::{self, halves, lower, upper, write};
use super::panel::{IntegerPanel, PairPanel, by_height};
use crate::packed::tile::{Tile4, Tile4K, Tile6K, Tile8, TileBf16};
use crate::simd::{load_128, load_512, store_512};
use unit::{Amx, Sums, Unit};

/// Entry for one kind of tiles: few rows go to AVX-512.
macro_rules! entries {
    ($($name:ident($tile:ty) => $rows:ident);* $(;)?) => {$(
        /// # Safety
        /// The CPU must have AMX, and the process its permission.
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
        pub(super) unsafe fn $name(tiles: &[$tile], panel: &IntegerPanel<'_>, out: &mut Block) {
            if panel.by_row {
                // SAFETY: the same promise.
                unsafe { with::$name::<Amx>(tiles, panel, out) };
            } else {
                avx512::$name(tiles, panel, out);
            }
        }
    )*

        /// Kernels for any unit.
        mod with {
            use super::*;

            $(
                /// # Safety
                /// The unit must be there and be permitted.
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
                pub(super) unsafe fn $name<U: Unit>(
                    tiles: &[$tile],
                    panel: &IntegerPanel<'_>,
                    out: &mut Block,
                ) {
                    // SAFETY: the same promise.
                    unsafe { by_height!($rows[U](tiles, panel, out), 8 9 10 11 12 13 14 15 16) };
                }
            )*
        }
    };
}

entries! {
    q8(Tile8) => rows_8;
    q4(Tile4) => rows_4;
    q4k(Tile4K) => rows_4k;
    q6k(Tile6K) => rows_6k;
}

/// # Safety
/// The CPU must have AMX, and the process its permission.
pub(super) unsafe fn pairs(tiles: &[TileBf16], panel: &PairPanel<'_>, out: &mut Block) {
    // SAFETY: the same promise.
    unsafe { Amx::multiply_pairs(panel.rows, panel.pairs, tiles, out) };
}

/// Adds a block's sums, from where they start and times both scales, to what there is.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add<const M: usize>(
    total: &mut [__m512; M],
    sums: &Sums,
    starts: &[i32; M],
    weights: __m512,
    scales: &[f32; M],
) {
    for m in 0..M {
        let sum = _mm512_add_epi32(load_512(&sums[m]), _mm512_set1_epi32(starts[m]));
        let scale = _mm512_mul_ps(weights, _mm512_set1_ps(scales[m]));
        total[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum), scale, total[m]);
    }
}

/// Four bits a weight become bytes, as the unit wants them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn unfold(quants: &[[u8; 64]; 4], bytes: &mut [[u8; 64]; 8]) {
    for (group, both) in quants.iter().enumerate() {
        let both = load_512(both);
        store_512(&mut bytes[group], lower(both));
        store_512(&mut bytes[group + 4], upper(both));
    }
}

/// # Safety
/// The unit must be there and be permitted.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn rows_8<U: Unit, const M: usize>(tiles: &[Tile8], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps(); M];
    let mut sums: Sums = [[0; 16]; 16];
    let inputs = panel.quants.chunks_exact(8 * M);
    let starts = panel.starts_8.as_chunks::<M>().0;
    let scales = panel.scales.as_chunks::<M>().0;
    // SAFETY: the caller's promise; products stand between beginning and end.
    unsafe { U::begin(M, 8) };
    for (((tile, inputs), starts), scales) in tiles.iter().zip(inputs).zip(starts).zip(scales) {
        // SAFETY: as above.
        unsafe { U::multiply(M, inputs, &tile.quants, &mut sums) };
        add(&mut total, &sums, starts, halves(&tile.scales), scales);
    }
    // SAFETY: as above.
    unsafe { U::end() };
    write(out, &total);
}

/// # Safety
/// The unit must be there and be permitted.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn rows_4<U: Unit, const M: usize>(tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps(); M];
    let mut sums: Sums = [[0; 16]; 16];
    let mut bytes = [[0; 64]; 8];
    let inputs = panel.quants.chunks_exact(8 * M);
    let starts = panel.starts_4.as_chunks::<M>().0;
    let scales = panel.scales.as_chunks::<M>().0;
    // SAFETY: the caller's promise; products stand between beginning and end.
    unsafe { U::begin(M, 8) };
    for (((tile, inputs), starts), scales) in tiles.iter().zip(inputs).zip(starts).zip(scales) {
        unfold(&tile.quants, &mut bytes);
        // SAFETY: as above.
        unsafe { U::multiply(M, inputs, &bytes, &mut sums) };
        add(&mut total, &sums, starts, halves(&tile.scales), scales);
    }
    // SAFETY: as above.
    unsafe { U::end() };
    write(out, &total);
}

/// # Safety
/// The unit must be there and be permitted.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn rows_4k<U: Unit, const M: usize>(tiles: &[Tile4K], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps(); M];
    let mut sums: Sums = [[0; 16]; 16];
    let mut bytes = [[0; 64]; 8];
    let mut inputs = panel.quants.chunks_exact(8 * M);
    let scales = panel.scales.as_chunks::<M>().0.as_chunks::<8>().0;
    let input_sums = panel.sums.as_chunks::<M>().0.as_chunks::<8>().0;
    // SAFETY: the caller's promise; products stand between beginning and end.
    unsafe { U::begin(M, 8) };
    for ((tile, scales), input_sums) in tiles.iter().zip(scales).zip(input_sums) {
        let (scale, minimum) = (halves(&tile.scale), halves(&tile.minimum));
        for (part, inputs) in inputs.by_ref().take(8).enumerate() {
            unfold(&tile.quants[part], &mut bytes);
            // SAFETY: as above.
            unsafe { U::multiply(M, inputs, &bytes, &mut sums) };
            let small = |numbers| _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_128(numbers)));
            let scale = _mm512_mul_ps(scale, small(&tile.scales[part]));
            let minimum = _mm512_mul_ps(minimum, small(&tile.minima[part]));
            add(&mut total, &sums, &[0; M], scale, &scales[part]);
            for m in 0..M {
                total[m] = _mm512_fnmadd_ps(minimum, _mm512_set1_ps(input_sums[part][m]), total[m]);
            }
        }
    }
    // SAFETY: as above.
    unsafe { U::end() };
    write(out, &total);
}

/// # Safety
/// The unit must be there and be permitted.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
unsafe fn rows_6k<U: Unit, const M: usize>(tiles: &[Tile6K], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps(); M];
    let mut sums: Sums = [[0; 16]; 16];
    let mut bytes = [[0; 64]; 8];
    let mut weights = [[0; 64]; 4];
    let mask = _mm512_set1_epi8(0x30);
    let mut inputs = panel.quants.chunks_exact(8 * M);
    let starts = panel.halves.as_chunks::<M>().0.as_chunks::<16>().0;
    let scales = panel.scales.as_chunks::<M>().0.as_chunks::<8>().0;
    // SAFETY: the caller's promise; products stand between beginning and end.
    unsafe { U::begin(M, 4) };
    for ((tile, starts), scales) in tiles.iter().zip(starts).zip(scales) {
        let scale = halves(&tile.scale);
        for (part, inputs) in inputs.by_ref().take(8).enumerate() {
            unfold(&tile.lower[part], &mut bytes);
            for half in 0..2 {
                let high = load_512(&tile.upper[part][half]);
                let high = [
                    _mm512_slli_epi16::<4>(high),
                    _mm512_slli_epi16::<2>(high),
                    high,
                    _mm512_srli_epi16::<2>(high),
                ];
                for (group, weights) in weights.iter_mut().enumerate() {
                    let low = load_512(&bytes[4 * half + group]);
                    store_512(weights, _mm512_or_si512(low, _mm512_and_si512(high[group], mask)));
                }
                // SAFETY: as above.
                unsafe { U::multiply(M, &inputs[4 * half..], &weights, &mut sums) };
                let small = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_128(&tile.scales[2 * part + half])));
                let scale = _mm512_mul_ps(scale, small);
                add(&mut total, &sums, &starts[2 * part + half], scale, &scales[part]);
            }
        }
    }
    // SAFETY: as above.
    unsafe { U::end() };
    write(out, &total);
}

#[cfg(test)]
mod tests;
