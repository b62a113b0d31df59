//! Kernels of 256 bits: AVX2, FMA and F16C.
//!
//! Why apart: without VNNI, bytes are multiplied in pairs whose sums must fit into 16 bits.
//!
//! - `plain`: binary32, binary16 and bf16
//!
//! # Invariants
//! No sum of 16 bits saturates: 4 bits times 7 bits, sixteen of them, are at most 30480; 6 bits, four of them, 32004; 8
//! bits without sign, two of them, 32512.

mod plain;

use std::arch::x86_64::{
    __m256, __m256i, _mm256_abs_epi8, _mm256_add_epi16, _mm256_add_epi32, _mm256_and_si256,
    _mm256_cvtepi8_epi32, _mm256_cvtepi32_ps, _mm256_cvtepu8_epi32, _mm256_cvtph_ps, _mm256_fmadd_ps,
    _mm256_fnmadd_ps, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_mul_ps, _mm256_or_si256,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps,
    _mm256_setzero_si256, _mm256_sign_epi8, _mm256_slli_epi16, _mm256_srli_epi16, _mm256_xor_si256,
};

use super::Block;
use super::panel::{IntegerPanel, by_height};
use super::vectors_256::integer_kernels;
use crate::packed::tile::{LANES, Tile4, Tile4K, Tile6K, Tile8};
use crate::simd::{load_64, load_128, load_256, prefetch, prefetch_eighth, store_8};

pub(super) use plain::{bf16, f16, f32};

integer_kernels!("avx2,fma,f16c");

/// 32 inputs of eight outputs. Weights lose the 128 again: without sign they fit, and their sign goes to the inputs.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn eights<const M: usize>(
    quants: &[[u8; 64]; 8],
    half: usize,
    inputs: &[[i32; M]; 8],
    _starts: &[i32; M],
) -> [__m256i; M] {
    let mut sums = [_mm256_setzero_si256(); M];
    for (weights, inputs) in quants.iter().zip(inputs) {
        let weights = load_256(&weights.as_chunks::<32>().0[half]);
        let weights = _mm256_xor_si256(weights, _mm256_set1_epi8(-128));
        let sizes = _mm256_abs_epi8(weights);
        for m in 0..M {
            let inputs = _mm256_sign_epi8(_mm256_set1_epi32(inputs[m]), weights);
            let pairs = _mm256_maddubs_epi16(sizes, inputs);
            sums[m] = _mm256_add_epi32(sums[m], _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    }
    sums
}

/// 32 inputs of eight outputs, from 4 bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn fours<const M: usize>(
    quants: &[[u8; 64]; 4],
    half: usize,
    inputs: &[[i32; M]; 8],
    starts: &[i32; M],
) -> [__m256i; M] {
    let mut sums = [_mm256_setzero_si256(); M];
    for (group, weights) in quants.iter().enumerate() {
        let weights = load_256(&weights.as_chunks::<32>().0[half]);
        let (first, second) = (lower(weights), upper(weights));
        for m in 0..M {
            let one = _mm256_maddubs_epi16(first, _mm256_set1_epi32(inputs[group][m]));
            let other = _mm256_maddubs_epi16(second, _mm256_set1_epi32(inputs[group + 4][m]));
            sums[m] = _mm256_add_epi16(sums[m], _mm256_add_epi16(one, other));
        }
    }
    for m in 0..M {
        let wide = _mm256_madd_epi16(sums[m], _mm256_set1_epi16(1));
        sums[m] = _mm256_add_epi32(wide, _mm256_set1_epi32(starts[m]));
    }
    sums
}

/// 16 inputs of eight outputs, from 6 bits.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn sixes<const M: usize>(weights: &[__m256i; 4], inputs: &[[i32; M]; 4], starts: &[i32; M]) -> [__m256i; M] {
    let mut sums = [_mm256_setzero_si256(); M];
    for m in 0..M {
        let mut sum = _mm256_set1_epi32(starts[m]);
        for group in [0, 2] {
            let one = _mm256_maddubs_epi16(weights[group], _mm256_set1_epi32(inputs[group][m]));
            let other = _mm256_maddubs_epi16(weights[group + 1], _mm256_set1_epi32(inputs[group + 1][m]));
            let pairs = _mm256_add_epi16(one, other);
            sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
        sums[m] = sum;
    }
    sums
}

/// Four groups of weights out of lower and upper bits; `second` says which inputs of a block of 32.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn six_bits(low: &[[u8; 64]; 4], high: &[u8; 64], second: usize, half: usize) -> [__m256i; 4] {
    let high = load_256(&high.as_chunks::<32>().0[half]);
    let mask = _mm256_set1_epi8(0x30);
    let mut weights = [
        _mm256_and_si256(_mm256_slli_epi16::<4>(high), mask),
        _mm256_and_si256(_mm256_slli_epi16::<2>(high), mask),
        _mm256_and_si256(high, mask),
        _mm256_and_si256(_mm256_srli_epi16::<2>(high), mask),
    ];
    for (weights, low) in weights.iter_mut().zip(low) {
        let both = load_256(&low.as_chunks::<32>().0[half]);
        let low = if second == 0 { lower(both) } else { upper(both) };
        *weights = _mm256_or_si256(*weights, low);
    }
    weights
}

/// Lower four bits of each byte.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn lower(bytes: __m256i) -> __m256i {
    _mm256_and_si256(bytes, _mm256_set1_epi8(15))
}

/// Upper four bits of each byte.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn upper(bytes: __m256i) -> __m256i {
    lower(_mm256_srli_epi16::<4>(bytes))
}

/// Eight of sixteen binary16 as numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn halves(scales: &[u16; LANES], half: usize) -> __m256 {
    _mm256_cvtph_ps(load_128(&scales.as_chunks::<8>().0[half]))
}

/// Eight of sixteen small unsigned numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn unsigned(numbers: &[u8; LANES], half: usize) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(load_64(&numbers.as_chunks::<8>().0[half])))
}

/// Eight of sixteen small signed numbers.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn signed(numbers: &[i8; LANES], half: usize) -> __m256 {
    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(load_64(&numbers.as_chunks::<8>().0[half])))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn write<const M: usize>(out: &mut Block, half: usize, total: &[__m256; M]) {
    let rows = out.as_chunks_mut::<8>().0.as_chunks_mut::<2>().0;
    for (out, total) in rows.iter_mut().zip(total) {
        store_8(&mut out[half], *total);
    }
}
