//! Weights of 4 and 6 bits in blocks of 256, by VNNI.
//!
//! Why apart: see `avx512`.
//!
//! # Invariants
//! Small scales are taken into binary32 once a part and then serve all rows.

use std::arch::x86_64::{
    __m512, __m512i, _mm512_and_si512, _mm512_cvtepi8_epi32, _mm512_cvtepi32_ps, _mm512_cvtepu8_epi32,
    _mm512_fnmadd_ps, _mm512_mul_ps, _mm512_or_si512, _mm512_set1_epi8, _mm512_set1_ps, _mm512_setzero_ps,
    _mm512_setzero_si512, _mm512_slli_epi16, _mm512_srli_epi16,
};

use super::super::Block;
use super::super::panel::{IntegerPanel, by_height};
use super::{Scales, add, add_scaled, halves, lower, scale, scale_and_add, started, upper, weights, write};
use crate::packed::tile::{LANES, Tile4K, Tile6K};
use crate::simd::{load_128, load_512, prefetch_eighth};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(in super::super) fn q4k(tiles: &[Tile4K], panel: &IntegerPanel<'_>, out: &mut Block) {
    by_height!(rows_4(tiles, panel, out), 1 2 3 4 5 6 7 8 9 10 11 12);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(in super::super) fn q6k(tiles: &[Tile6K], panel: &IntegerPanel<'_>, out: &mut Block) {
    by_height!(rows_6(tiles, panel, out), 1 2 3 4 5 6 7 8 9 10 11 12);
}

/// By tile and its part.
fn scales<'a, const M: usize>(
    panel: &IntegerPanel<'a>,
) -> impl Iterator<Item = impl Fn(usize) -> Scales<'a, M> + use<'a, M>> + use<'a, M> {
    let values = panel.scales.as_chunks::<M>().0.as_chunks::<8>().0;
    let powers = panel
        .powers
        .as_chunks::<M>()
        .0
        .as_chunks::<2>()
        .0
        .as_chunks::<8>()
        .0;
    values.iter().zip(powers).map(|(values, powers)| {
        |part: usize| Scales {
            values: &values[part],
            powers: &powers[part],
        }
    })
}

/// Sixteen small unsigned numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn unsigned(numbers: &[u8; LANES]) -> __m512 {
    _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load_128(numbers)))
}

/// Sixteen small signed numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn signed(numbers: &[i8; LANES]) -> __m512 {
    _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_128(numbers)))
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn rows_4<const M: usize>(tiles: &[Tile4K], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps(); M];
    let inputs = panel
        .quants
        .as_chunks::<M>()
        .0
        .as_chunks::<8>()
        .0
        .as_chunks::<8>()
        .0;
    let sums_of_inputs = panel.sums.as_chunks::<M>().0.as_chunks::<8>().0;
    for (((tile, inputs), of_rows), input_sums) in
        tiles.iter().zip(inputs).zip(scales(panel)).zip(sums_of_inputs)
    {
        let (whole, minimum) = (halves(&tile.scale), halves(&tile.minimum));
        for part in 0..8 {
            prefetch_eighth(tile, part);
            let mut sums = [_mm512_setzero_si512(); M];
            let of_part = weights(_mm512_mul_ps(whole, unsigned(&tile.scales[part])));
            let mut products = [_mm512_setzero_ps(); M];
            macro_rules! group {
                ($($group:literal)*) => {$(
                    let weights = load_512(&tile.quants[part][$group]);
                    add(&mut sums, lower(weights), &inputs[part][$group]);
                    scale::<M, $group, 4>(&mut products, of_part, &of_rows(part));
                    add(&mut sums, upper(weights), &inputs[part][$group + 4]);
                )*};
            }
            group!(0 1 2 3);
            add_scaled(&mut total, &sums, &products);
            let minimum = _mm512_mul_ps(minimum, unsigned(&tile.minima[part]));
            for m in 0..M {
                total[m] = _mm512_fnmadd_ps(minimum, _mm512_set1_ps(input_sums[part][m]), total[m]);
            }
        }
    }
    write(out, &total);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn rows_6<const M: usize>(tiles: &[Tile6K], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps(); M];
    let inputs = panel
        .quants
        .as_chunks::<M>()
        .0
        .as_chunks::<8>()
        .0
        .as_chunks::<8>()
        .0;
    let starts = panel.halves.as_chunks::<M>().0.as_chunks::<16>().0;
    for (((tile, inputs), starts), of_rows) in tiles.iter().zip(inputs).zip(starts).zip(scales(panel)) {
        let whole = halves(&tile.scale);
        for part in 0..8 {
            prefetch_eighth(tile, part);
            let low = &tile.lower[part];
            let high = quarters(load_512(&tile.upper[part][0]));
            let mut sums = started(&starts[2 * part]);
            let of_half = weights(_mm512_mul_ps(whole, signed(&tile.scales[2 * part])));
            let mut products = [_mm512_setzero_ps(); M];
            macro_rules! group {
                ($($group:literal)*) => {$(
                    let weights = _mm512_or_si512(lower(load_512(&low[$group])), high[$group]);
                    add(&mut sums, weights, &inputs[part][$group]);
                    scale::<M, $group, 4>(&mut products, of_half, &of_rows(part));
                )*};
            }
            group!(0 1 2 3);
            add_scaled(&mut total, &sums, &products);
            let high = quarters(load_512(&tile.upper[part][1]));
            let mut sums = started(&starts[2 * part + 1]);
            for group in 0..4 {
                let weights = _mm512_or_si512(upper(load_512(&low[group])), high[group]);
                add(&mut sums, weights, &inputs[part][group + 4]);
            }
            // The units that made the first half's scales have no time for these.
            let second = _mm512_mul_ps(whole, signed(&tile.scales[2 * part + 1]));
            scale_and_add(&mut total, &sums, second, of_rows(part).values);
        }
    }
    write(out, &total);
}

/// The four pairs of bits of each byte, each as bits 4 and 5.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn quarters(bytes: __m512i) -> [__m512i; 4] {
    let mask = _mm512_set1_epi8(0x30);
    [
        _mm512_and_si512(_mm512_slli_epi16::<4>(bytes), mask),
        _mm512_and_si512(_mm512_slli_epi16::<2>(bytes), mask),
        _mm512_and_si512(bytes, mask),
        _mm512_and_si512(_mm512_srli_epi16::<2>(bytes), mask),
    ]
}
