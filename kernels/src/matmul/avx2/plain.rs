//! binary32, binary16 and bf16 weights: half a tile at a time, two vectors of eight outputs.
//!
//! Why apart: see `avx2`.
//!
//! # Invariants
//! One sum for each output and row, added to in the order of inputs.

use std::arch::x86_64::{
    __m256, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_set1_epi32,
    _mm256_set1_ps, _mm256_setzero_ps, _mm256_slli_epi32,
};

use super::super::Block;
use super::super::panel::{FloatPanel, Inputs, blocks, by_height, inputs};
use crate::packed::tile::{TileBf16, TileF16, TileF32};
use crate::simd::{load_8, load_128, load_256, prefetch, store_8};

/// Rows of a tile that are asked for ahead of their use: about 2 KiB.
const AHEAD: usize = 32;

/// Sums of a panel: 16 outputs, each row.
type Sums<const M: usize> = [[__m256; 2]; M];

#[target_feature(enable = "avx2,fma,f16c")]
pub(in super::super) fn f32(tiles: &[TileF32], panel: &FloatPanel<'_>, out: &mut Block) {
    by_height!(rows_f32(tiles, panel, out), 1 2 3 4 5 6);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(in super::super) fn f16(tiles: &[TileF16], panel: &FloatPanel<'_>, out: &mut Block) {
    by_height!(rows_f16(tiles, panel, out), 1 2 3 4 5 6);
}

#[target_feature(enable = "avx2,fma,f16c")]
pub(in super::super) fn bf16(tiles: &[TileBf16], panel: &FloatPanel<'_>, out: &mut Block) {
    by_height!(rows_bf16(tiles, panel, out), 1 2 3 4 5 6);
}

/// Adds the products of an input, numbered within its block, with its weights of both vectors of outputs.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn add<const M: usize>(
    sums: &mut Sums<M>,
    first: __m256,
    second: __m256,
    inputs: &Inputs<'_, M>,
    input: usize,
) {
    for (sums, inputs) in sums.iter_mut().zip(inputs) {
        let input = _mm256_set1_ps(inputs[input]);
        sums[0] = _mm256_fmadd_ps(first, input, sums[0]);
        sums[1] = _mm256_fmadd_ps(second, input, sums[1]);
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn write<const M: usize>(out: &mut Block, half: usize, sums: &Sums<M>) {
    let rows = out.as_chunks_mut::<8>().0.as_chunks_mut::<4>().0;
    for (out, sums) in rows.iter_mut().zip(sums) {
        store_8(&mut out[2 * half], sums[0]);
        store_8(&mut out[2 * half + 1], sums[1]);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn rows_f32<const M: usize>(tiles: &[TileF32], panel: &FloatPanel<'_>, out: &mut Block) {
    let rows = blocks::<M>(panel);
    for half in 0..2 {
        let mut sums = [[_mm256_setzero_ps(); 2]; M];
        for (block, tile) in tiles.iter().enumerate() {
            let inputs = inputs(&rows, block);
            for (input, weights) in tile.0.iter().enumerate() {
                prefetch(weights, AHEAD);
                let eights = weights.as_chunks::<8>().0;
                let (first, second) = (load_8(&eights[2 * half]), load_8(&eights[2 * half + 1]));
                add(&mut sums, first, second, &inputs, input);
            }
        }
        write(out, half, &sums);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn rows_f16<const M: usize>(tiles: &[TileF16], panel: &FloatPanel<'_>, out: &mut Block) {
    let rows = blocks::<M>(panel);
    for half in 0..2 {
        let mut sums = [[_mm256_setzero_ps(); 2]; M];
        for (block, tile) in tiles.iter().enumerate() {
            let inputs = inputs(&rows, block);
            for (input, weights) in tile.0.iter().enumerate() {
                prefetch(weights, AHEAD);
                let eights = weights.as_chunks::<8>().0;
                let (first, second) = (load_128(&eights[2 * half]), load_128(&eights[2 * half + 1]));
                let (first, second) = (_mm256_cvtph_ps(first), _mm256_cvtph_ps(second));
                add(&mut sums, first, second, &inputs, input);
            }
        }
        write(out, half, &sums);
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn rows_bf16<const M: usize>(tiles: &[TileBf16], panel: &FloatPanel<'_>, out: &mut Block) {
    let rows = blocks::<M>(panel);
    let upper = _mm256_set1_epi32(0xffff_0000_u32.cast_signed());
    for half in 0..2 {
        let mut sums = [[_mm256_setzero_ps(); 2]; M];
        for (block, tile) in tiles.iter().enumerate() {
            let inputs = inputs(&rows, block);
            for (pair, weights) in tile.0.iter().enumerate() {
                prefetch(weights, AHEAD);
                let eights = weights.as_flattened().as_chunks::<16>().0;
                let (first, second) = (load_256(&eights[2 * half]), load_256(&eights[2 * half + 1]));
                // A number in bf16 is the upper half of one in binary32.
                let even = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(first));
                let even_2 = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(second));
                add(&mut sums, even, even_2, &inputs, 2 * pair);
                let odd = _mm256_castsi256_ps(_mm256_and_si256(first, upper));
                let odd_2 = _mm256_castsi256_ps(_mm256_and_si256(second, upper));
                add(&mut sums, odd, odd_2, &inputs, 2 * pair + 1);
            }
        }
        write(out, half, &sums);
    }
}
