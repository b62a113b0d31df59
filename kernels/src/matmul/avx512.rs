//! Kernels of 512 bits: a vector holds four inputs of sixteen outputs, or one input of sixteen.
//!
//! Why apart: one file for each precision, and what they share.
//!
//! - `eight`, `four`: blocks of 32 with a scale
//! - `large`: blocks of 256 with small scales
//! - `plain`: binary32, binary16 and bf16
//!
//! # Invariants
//! No product depends on the height of the panel: each row has its own sums, added to in the order of inputs.

mod eight;
mod four;
mod large;
mod plain;

use std::arch::x86_64::{
    __m512, __m512i, _mm512_add_ps, _mm512_and_si512, _mm512_cvtepi32_ps, _mm512_cvtph_ps,
    _mm512_dpbusd_epi32, _mm512_fmadd_ps, _mm512_mul_ps, _mm512_scalef_ps, _mm512_set1_epi8,
    _mm512_set1_epi32, _mm512_set1_ps, _mm512_setzero_si512, _mm512_srli_epi16,
};

use super::Block;
use super::panel::IntegerPanel;
use super::rounding::SECOND;
use crate::packed::tile::LANES;
use crate::simd::{load_256, store_16};

pub(super) use eight::q8;
pub(super) use four::q4;
pub(super) use large::{q4k, q6k};
pub(super) use plain::{bf16, f16, f32, pairs};

/// Tiles that are asked for ahead of their use.
const AHEAD: usize = 6;

/// Sums of one block, one vector a row, from where they start.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn started<const M: usize>(starts: &[i32; M]) -> [__m512i; M] {
    let mut sums = [_mm512_setzero_si512(); M];
    for m in 0..M {
        sums[m] = _mm512_set1_epi32(starts[m]);
    }
    sums
}

/// Adds the products of four inputs to the sums of each row.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add<const M: usize>(sums: &mut [__m512i; M], weights: __m512i, inputs: &[i32; M]) {
    for m in 0..M {
        sums[m] = _mm512_dpbusd_epi32(sums[m], weights, _mm512_set1_epi32(inputs[m]));
    }
}

/// A block's scales of all rows.
struct Scales<'a, const M: usize> {
    values: &'a [f32; M],
    powers: &'a [[f32; M]; 2],
}

/// By block.
fn scales<'a, const M: usize>(panel: &IntegerPanel<'a>) -> impl Iterator<Item = Scales<'a, M>> + use<'a, M> {
    let values = panel.scales.as_chunks::<M>().0;
    let powers = panel.powers.as_chunks::<M>().0.as_chunks::<2>().0;
    values
        .iter()
        .zip(powers)
        .map(|(values, powers)| Scales { values, powers })
}

/// The scales of a block's weights, to be multiplied by those of rows.
#[derive(Clone, Copy)]
struct Weights {
    scale: __m512,
    /// The same times [`SECOND`].
    second: __m512,
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn weights(scale: __m512) -> Weights {
    Weights {
        scale,
        second: _mm512_mul_ps(scale, _mm512_set1_ps(SECOND)),
    }
}

/// Rows that are enough to keep the units busy that multiply.
const ENOUGH: usize = 4;

/// The products of both scales, for one part of `PARTS` of the rows: exact, and from [`ENOUGH`] rows on made by units
/// that multiply no integers, which are all busy. Called between additions of products, because a CPU does not look far
/// ahead.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn scale<const M: usize, const PART: usize, const PARTS: usize>(
    scales: &mut [__m512; M],
    weights: Weights,
    rows: &Scales<'_, M>,
) {
    #[allow(clippy::needless_range_loop)] // indices keep all in registers
    for m in PART * M / PARTS..(PART + 1) * M / PARTS {
        scales[m] = if M < ENOUGH {
            _mm512_mul_ps(weights.scale, _mm512_set1_ps(rows.values[m]))
        } else {
            let first = _mm512_scalef_ps(weights.scale, _mm512_set1_ps(rows.powers[0][m]));
            let second = _mm512_scalef_ps(weights.second, _mm512_set1_ps(rows.powers[1][m]));
            _mm512_add_ps(first, second)
        };
    }
}

/// Adds a block's sums, times both scales, to what there is.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn add_scaled<const M: usize>(total: &mut [__m512; M], sums: &[__m512i; M], scales: &[__m512; M]) {
    for m in 0..M {
        total[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[m]), scales[m], total[m]);
    }
}

/// The same, for who has both scales only.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn scale_and_add<const M: usize>(
    total: &mut [__m512; M],
    sums: &[__m512i; M],
    weights: __m512,
    scales: &[f32; M],
) {
    for m in 0..M {
        let scale = _mm512_mul_ps(weights, _mm512_set1_ps(scales[m]));
        total[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums[m]), scale, total[m]);
    }
}

/// Sixteen binary16 as numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn halves(scales: &[u16; LANES]) -> __m512 {
    _mm512_cvtph_ps(load_256(scales))
}

/// Lower four bits of each byte.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn lower(bytes: __m512i) -> __m512i {
    _mm512_and_si512(bytes, _mm512_set1_epi8(15))
}

/// Upper four bits of each byte.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn upper(bytes: __m512i) -> __m512i {
    lower(_mm512_srli_epi16::<4>(bytes))
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn write<const M: usize>(out: &mut Block, total: &[__m512; M]) {
    for (out, total) in out.as_chunks_mut::<LANES>().0.iter_mut().zip(total) {
        store_16(out, *total);
    }
}
