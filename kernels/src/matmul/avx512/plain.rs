//! binary32, binary16 and bf16 weights: a tile is 32 outputs, two vectors.
//!
//! Why apart: see `avx512`.
//!
//! # Invariants
//! One sum for each output and row, added to in the order of inputs.

use std::arch::x86_64::{
    __m512, _mm512_and_si512, _mm512_castsi512_ps, _mm512_cvtph_ps, _mm512_dpbf16_ps, _mm512_fmadd_ps,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_ps, _mm512_slli_epi32,
};

use super::super::Block;
use super::super::panel::{FloatPanel, Inputs, PairPanel, blocks, by_height, inputs};
use crate::packed::tile::{TileBf16, TileF16, TileF32};
use crate::simd::{load_16, load_256, load_512, pairs_512, prefetch, store_16};

/// Rows of a tile that are asked for ahead of their use: about 2 KiB.
const AHEAD: usize = 32;

/// Sums of a panel: 32 outputs, each row.
type Sums<const M: usize> = ([__m512; M], [__m512; M]);

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(in super::super) fn f32(tiles: &[TileF32], panel: &FloatPanel<'_>, out: &mut Block) {
    by_height!(rows_f32(tiles, panel, out), 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(in super::super) fn f16(tiles: &[TileF16], panel: &FloatPanel<'_>, out: &mut Block) {
    by_height!(rows_f16(tiles, panel, out), 1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Weights in bf16 without instructions for them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(in super::super) fn bf16(tiles: &[TileBf16], panel: &FloatPanel<'_>, out: &mut Block) {
    by_height!(rows_bf16(tiles, panel, out), 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
pub(in super::super) fn pairs(tiles: &[TileBf16], panel: &PairPanel<'_>, out: &mut Block) {
    by_height!(rows_pairs(tiles, panel, out), 1 2 3 4 5 6 7 8 9 10 11 12);
}

/// Adds the products of an input, numbered within its block, with its weights of both halves of the outputs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add<const M: usize>(
    sums: &mut Sums<M>,
    first: __m512,
    second: __m512,
    inputs: &Inputs<'_, M>,
    input: usize,
) {
    for (m, inputs) in inputs.iter().enumerate() {
        let input = _mm512_set1_ps(inputs[input]);
        sums.0[m] = _mm512_fmadd_ps(first, input, sums.0[m]);
        sums.1[m] = _mm512_fmadd_ps(second, input, sums.1[m]);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn write<const M: usize>(out: &mut Block, sums: &Sums<M>) {
    for (m, out) in out
        .as_chunks_mut::<16>()
        .0
        .as_chunks_mut::<2>()
        .0
        .iter_mut()
        .take(M)
        .enumerate()
    {
        store_16(&mut out[0], sums.0[m]);
        store_16(&mut out[1], sums.1[m]);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn rows_f32<const M: usize>(tiles: &[TileF32], panel: &FloatPanel<'_>, out: &mut Block) {
    let mut sums = ([_mm512_setzero_ps(); M], [_mm512_setzero_ps(); M]);
    let rows = blocks::<M>(panel);
    for (block, tile) in tiles.iter().enumerate() {
        let inputs = inputs(&rows, block);
        for (input, weights) in tile.0.iter().enumerate() {
            prefetch(weights, AHEAD);
            let halves = weights.as_chunks::<16>().0;
            let (first, second) = (load_16(&halves[0]), load_16(&halves[1]));
            add(&mut sums, first, second, &inputs, input);
        }
    }
    write(out, &sums);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn rows_f16<const M: usize>(tiles: &[TileF16], panel: &FloatPanel<'_>, out: &mut Block) {
    let mut sums = ([_mm512_setzero_ps(); M], [_mm512_setzero_ps(); M]);
    let rows = blocks::<M>(panel);
    for (block, tile) in tiles.iter().enumerate() {
        let inputs = inputs(&rows, block);
        for (input, weights) in tile.0.iter().enumerate() {
            prefetch(weights, AHEAD);
            let halves = weights.as_chunks::<16>().0;
            let (first, second) = (load_256(&halves[0]), load_256(&halves[1]));
            let (first, second) = (_mm512_cvtph_ps(first), _mm512_cvtph_ps(second));
            add(&mut sums, first, second, &inputs, input);
        }
    }
    write(out, &sums);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn rows_bf16<const M: usize>(tiles: &[TileBf16], panel: &FloatPanel<'_>, out: &mut Block) {
    let mut sums = ([_mm512_setzero_ps(); M], [_mm512_setzero_ps(); M]);
    let upper = _mm512_set1_epi32(0xffff_0000_u32.cast_signed());
    let rows = blocks::<M>(panel);
    for (block, tile) in tiles.iter().enumerate() {
        let inputs = inputs(&rows, block);
        for (pair, weights) in tile.0.iter().enumerate() {
            prefetch(weights, AHEAD);
            let halves = weights.as_flattened().as_chunks::<32>().0;
            let (first, second) = (load_512(&halves[0]), load_512(&halves[1]));
            // A number in bf16 is the upper half of one in binary32.
            let even = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(first));
            let even_2 = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(second));
            add(&mut sums, even, even_2, &inputs, 2 * pair);
            let odd = _mm512_castsi512_ps(_mm512_and_si512(first, upper));
            let odd_2 = _mm512_castsi512_ps(_mm512_and_si512(second, upper));
            add(&mut sums, odd, odd_2, &inputs, 2 * pair + 1);
        }
    }
    write(out, &sums);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512bf16")]
fn rows_pairs<const M: usize>(tiles: &[TileBf16], panel: &PairPanel<'_>, out: &mut Block) {
    let mut sums = ([_mm512_setzero_ps(); M], [_mm512_setzero_ps(); M]);
    let inputs = panel.pairs.as_chunks::<M>().0.as_chunks::<16>().0;
    for (tile, inputs) in tiles.iter().zip(inputs) {
        for (weights, inputs) in tile.0.iter().zip(inputs) {
            prefetch(weights, AHEAD);
            let halves = weights.as_flattened().as_chunks::<32>().0;
            let (first, second) = (pairs_512(load_512(&halves[0])), pairs_512(load_512(&halves[1])));
            for (m, input) in inputs.iter().enumerate() {
                let input = pairs_512(_mm512_set1_epi32(input.cast_signed()));
                sums.0[m] = _mm512_dpbf16_ps(sums.0[m], first, input);
                sums.1[m] = _mm512_dpbf16_ps(sums.1[m], second, input);
            }
        }
    }
    write(out, &sums);
}
