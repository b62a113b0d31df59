//! The same rounding by AVX-512: sixteen blocks of a row at a time, whose scales are computed beside each other.
//!
//! Why apart: the height of a panel is known to the compiler here, and with it where each number goes.
//!
//! # Invariants
//! Equal to the plain code to the last bit: conversions round to even as its addition does, and a number that is none,
//! times zero, becomes a whole number whose lowest byte is zero.

use std::arch::x86_64::{
    __m256i, __m512i, _CMP_UNORD_Q, _mm256_castsi128_si256, _mm256_dpbusd_epi32, _mm256_hadd_epi32,
    _mm256_inserti128_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm512_add_epi32, _mm512_add_ps,
    _mm512_and_si512, _mm512_castps_si512, _mm512_castsi256_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cmpge_epu32_mask, _mm512_cmple_epu32_mask, _mm512_cmplt_epu32_mask, _mm512_cvtepi32_epi8,
    _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_div_ps, _mm512_inserti64x4,
    _mm512_mask_mov_epi32, _mm512_mask_mov_ps, _mm512_mask_or_epi32, _mm512_max_epu32, _mm512_mul_ps,
    _mm512_reduce_max_epu32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_srli_epi32, _mm512_sub_ps,
};

use super::super::panel::by_height;
use super::{INFINITE, LEAST, NONE, PairShape, Rounded, STEPS};
use crate::simd::{load_16, load_512, store_16, words, words_512};

/// Blocks whose scales are computed together.
const SOME: usize = 16;

/// What blocks of a row become.
struct Blocks {
    quants: [[i32; 8]; SOME],
    scales: Scales,
    /// Sums of the first and of the second half of each block.
    lower: [i32; SOME],
    upper: [i32; SOME],
}

/// See [`super::Scale`].
struct Scales {
    values: [f32; SOME],
    powers: [[f32; SOME]; 2],
    inverses: [f32; SOME],
}

/// Fills a panel with rows of `width` numbers.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn round(panel: &mut Rounded<'_>, width: usize, values: &[f32]) {
    by_height!(round_rows(width, panel, values), 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn round_rows<const M: usize>(width: usize, panel: &mut Rounded<'_>, values: &[f32]) {
    for (row, values) in values.chunks_exact(width).enumerate() {
        let (whole, rest) = values.as_chunks::<32>();
        for (index, some) in whole.chunks(SOME).enumerate() {
            put::<M>(panel, row, SOME * index, some.len(), &blocks(some));
        }
        if !rest.is_empty() {
            let mut numbers = [0f32; 32];
            numbers[..rest.len()].copy_from_slice(rest);
            put::<M>(panel, row, whole.len(), 1, &blocks(&[numbers]));
        }
    }
}

/// Puts blocks from the `first` on where a panel has them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn put<const M: usize>(panel: &mut Rounded<'_>, row: usize, first: usize, count: usize, blocks: &Blocks) {
    assert!(row < M, "a row of the panel");
    let range = first..first + count;
    let two = 2 * first..2 * (first + count);
    if panel.by_row {
        let quants = &mut panel.quants.as_chunks_mut::<8>().0.as_chunks_mut::<M>().0[range.clone()];
        for (quants, block) in quants.iter_mut().zip(&blocks.quants) {
            quants[row] = *block;
        }
    } else {
        let quants = &mut panel.quants.as_chunks_mut::<M>().0.as_chunks_mut::<8>().0[range.clone()];
        for (quants, block) in quants.iter_mut().zip(&blocks.quants) {
            for (quants, four) in quants.iter_mut().zip(block) {
                quants[row] = *four;
            }
        }
    }
    let scales = &mut panel.scales.as_chunks_mut::<M>().0[range.clone()];
    let powers = &mut panel.powers.as_chunks_mut::<M>().0[two.clone()];
    let starts_8 = &mut panel.starts_8.as_chunks_mut::<M>().0[range.clone()];
    let starts_4 = &mut panel.starts_4.as_chunks_mut::<M>().0[range.clone()];
    let halves = &mut panel.halves.as_chunks_mut::<M>().0[two];
    let sums = &mut panel.sums.as_chunks_mut::<M>().0[range];
    for index in 0..count.min(SOME) {
        let (lower, upper, scale) = (
            blocks.lower[index],
            blocks.upper[index],
            blocks.scales.values[index],
        );
        let sum = lower + upper;
        scales[index][row] = scale;
        powers[2 * index][row] = blocks.scales.powers[0][index];
        powers[2 * index + 1][row] = blocks.scales.powers[1][index];
        starts_8[index][row] = -128 * sum;
        starts_4[index][row] = -8 * sum;
        halves[2 * index][row] = -32 * lower;
        halves[2 * index + 1][row] = -32 * upper;
        sums[index][row] = scale * sum as f32;
    }
}

/// Rounds at most [`SOME`] blocks.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn blocks(numbers: &[[f32; 32]]) -> Blocks {
    let mask = _mm512_set1_epi32(0x7fff_ffff);
    let mut largest = [0i32; SOME];
    for (largest, numbers) in largest.iter_mut().zip(numbers) {
        let [first, second] = both(numbers);
        let most = _mm512_max_epu32(_mm512_and_si512(first, mask), _mm512_and_si512(second, mask));
        *largest = _mm512_reduce_max_epu32(most).cast_signed();
    }
    let scales = scales_of(load_512(&largest));
    let mut quants = [[0; 8]; SOME];
    let mut fours = [_mm256_setzero_si256(); SOME];
    for (index, numbers) in numbers.iter().enumerate().take(SOME) {
        let bytes = rounded(numbers, scales.inverses[index]);
        quants[index] = words(bytes);
        fours[index] = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), bytes);
    }
    // The sums of four blocks' halves come out in the halves of one vector.
    let (mut lower, mut upper) = ([0; SOME], [0; SOME]);
    for (index, fours) in fours.as_chunks::<4>().0.iter().enumerate() {
        let first = _mm256_hadd_epi32(fours[0], fours[1]);
        let sums = words(_mm256_hadd_epi32(first, _mm256_hadd_epi32(fours[2], fours[3])));
        lower[4 * index..][..4].copy_from_slice(&sums[..4]);
        upper[4 * index..][..4].copy_from_slice(&sums[4..]);
    }
    Blocks {
        quants,
        scales,
        lower,
        upper,
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn both(numbers: &[f32; 32]) -> [__m512i; 2] {
    let halves = numbers.as_chunks::<16>().0;
    [load_512(&halves[0]), load_512(&halves[1])]
}

/// 32 bytes in order.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn rounded(numbers: &[f32; 32], inverse: f32) -> __m256i {
    let inverse = _mm512_set1_ps(inverse);
    let [first, second] = both(numbers);
    let first = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_castsi512_ps(first), inverse));
    let second = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_castsi512_ps(second), inverse));
    let bytes = _mm256_castsi128_si256(_mm512_cvtepi32_epi8(first));
    _mm256_inserti128_si256::<1>(bytes, _mm512_cvtepi32_epi8(second))
}

/// As [`super::scale_of`] of each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn scales_of(largest: __m512i) -> Scales {
    let least = _mm512_castps_si512(_mm512_div_ps(_mm512_castsi512_ps(largest), _mm512_set1_ps(127.0)));
    let infinite = _mm512_set1_epi32(INFINITE.cast_signed());
    let power = _mm512_and_si512(least, infinite);
    let fraction = _mm512_and_si512(least, _mm512_set1_epi32((!INFINITE).cast_signed()));
    let exponent = _mm512_sub_ps(
        _mm512_cvtepi32_ps(_mm512_srli_epi32::<23>(power)),
        _mm512_set1_ps(127.0),
    );
    let [.., (up, powers)] = STEPS;
    let mut up = _mm512_set1_epi32(up.cast_signed());
    let (mut first, mut second) = (_mm512_set1_ps(powers[0]), _mm512_set1_ps(powers[1]));
    for (step, of_step) in STEPS.iter().rev() {
        let step = _mm512_set1_epi32(step.cast_signed());
        let enough = _mm512_cmple_epu32_mask(fraction, step);
        up = _mm512_mask_mov_epi32(up, enough, step);
        first = _mm512_mask_mov_ps(first, enough, _mm512_set1_ps(of_step[0]));
        second = _mm512_mask_mov_ps(second, enough, _mm512_set1_ps(of_step[1]));
    }
    let value = _mm512_castsi512_ps(_mm512_add_epi32(power, up));
    let inverse = _mm512_div_ps(_mm512_set1_ps(1.0), value);
    let small = _mm512_cmplt_epu32_mask(largest, _mm512_set1_epi32(LEAST.cast_signed()));
    let bad = _mm512_cmpge_epu32_mask(largest, infinite);
    let (zero, none) = (_mm512_set1_ps(0.0), _mm512_set1_ps(-NONE));
    let nan = _mm512_set1_ps(f32::NAN);
    let mut scales = Scales {
        values: [0.0; SOME],
        powers: [[0.0; SOME]; 2],
        inverses: [0.0; SOME],
    };
    let value = _mm512_mask_mov_ps(_mm512_mask_mov_ps(value, small, zero), bad, nan);
    store_16(&mut scales.values, value);
    for (target, of_step) in scales.powers.iter_mut().zip([first, second]) {
        let power = _mm512_mask_mov_ps(_mm512_add_ps(exponent, of_step), small, none);
        store_16(target, _mm512_mask_mov_ps(power, bad, nan));
    }
    store_16(
        &mut scales.inverses,
        _mm512_mask_mov_ps(inverse, small | bad, zero),
    );
    scales
}

/// Fills a panel with pairs of bf16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn pairs(shape: PairShape, values: &[f32], pairs: &mut [u32]) {
    by_height!(pair_rows(values, shape, pairs), 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn pair_rows<const M: usize>(values: &[f32], shape: PairShape, pairs: &mut [u32]) {
    for (row, values) in values.chunks_exact(shape.width).enumerate().take(M) {
        let (whole, rest) = values.as_chunks::<32>();
        let mut last = [0f32; 32];
        last[..rest.len()].copy_from_slice(rest);
        let last = (!rest.is_empty()).then_some(&last);
        if shape.by_row {
            let blocks = pairs.as_chunks_mut::<16>().0.as_chunks_mut::<M>().0;
            for (block, numbers) in blocks.iter_mut().zip(whole.iter().chain(last)) {
                block[row] = halves(numbers);
            }
        } else {
            let blocks = pairs.as_chunks_mut::<M>().0.as_chunks_mut::<16>().0;
            for (block, numbers) in blocks.iter_mut().zip(whole.iter().chain(last)) {
                for (pairs, pair) in block.iter_mut().zip(halves(numbers)) {
                    pairs[row] = pair;
                }
            }
        }
    }
}

/// Numbers as bf16, two in each word.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn halves(numbers: &[f32; 32]) -> [u32; 16] {
    let sixteens = numbers.as_chunks::<16>().0;
    let first = _mm512_castsi256_si512(upper_halves(&sixteens[0]));
    words_512(_mm512_inserti64x4::<1>(first, upper_halves(&sixteens[1])))
}

/// As [`crate::half::f32_to_bf16`] of each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn upper_halves(numbers: &[f32; 16]) -> __m256i {
    let bits = load_512(numbers);
    let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
    let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    let number = load_16(numbers);
    let none = _mm512_cmp_ps_mask::<_CMP_UNORD_Q>(number, number);
    let half = _mm512_mask_or_epi32(rounded, none, bits, _mm512_set1_epi32(0x0040_0000));
    _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(half))
}
