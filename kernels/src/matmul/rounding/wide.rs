//! The same rounding by AVX-512: sixteen blocks of a row at a time, whose scales are computed beside each other.
//!
//! Why apart: the height of a panel is known to the compiler here, and with it where each number goes.
//!
//! # Invariants
//! Equal to the plain code to the last bit: conversions round to even as its addition does, and a number that is none,
//! times zero, becomes a whole number whose lowest byte is zero.

use std::arch::x86_64::{
    __m256i, __m512, __m512i, _CMP_UNORD_Q, _mm256_castsi128_si256, _mm256_dpbusd_epi32, _mm256_hadd_epi32,
    _mm256_inserti128_si256, _mm256_set1_epi8, _mm256_setzero_si256, _mm512_add_epi32, _mm512_add_ps,
    _mm512_and_si512, _mm512_castps_si512, _mm512_castsi256_si512, _mm512_castsi512_ps, _mm512_cmp_ps_mask,
    _mm512_cmpge_epu32_mask, _mm512_cmple_epu32_mask, _mm512_cmplt_epu32_mask, _mm512_cvtepi32_epi8,
    _mm512_cvtepi32_epi16, _mm512_cvtepi32_ps, _mm512_cvtps_epi32, _mm512_div_ps, _mm512_inserti64x4,
    _mm512_mask_mov_epi32, _mm512_mask_mov_ps, _mm512_mask_or_epi32, _mm512_max_epu32, _mm512_mul_ps,
    _mm512_reduce_max_epu32, _mm512_set1_epi32, _mm512_set1_ps, _mm512_shuffle_i32x4, _mm512_slli_epi32,
    _mm512_srli_epi32, _mm512_sub_epi32, _mm512_sub_ps, _mm512_unpackhi_epi32, _mm512_unpackhi_epi64,
    _mm512_unpacklo_epi32, _mm512_unpacklo_epi64,
};

use super::super::panel::by_height;
use super::{INFINITE, LEAST, NONE, PairShape, Rounded, STEPS};
use crate::memory::Number;
use crate::simd::{load_16, load_512, store_16, store_256, store_first, words, words_512};

/// Blocks whose scales are computed together.
const SOME: usize = 16;
/// Numbers that a panel has for a block and row beside the integers.
const KINDS: usize = 8;

/// What blocks of a row become.
struct Blocks {
    quants: [[i32; 8]; SOME],
    /// Numbers of a panel beside those, some of them binary32: scales, both powers, starts for 8 and 4 bits, both halves, sums.
    rest: [[i32; SOME]; KINDS],
}

/// See [`super::Scale`].
struct Scales {
    values: __m512,
    powers: [__m512; 2],
    inverses: [f32; SOME],
}

/// Rows from which on a panel is filled by turning squares of sixteen blocks over.
const SQUARE: usize = 6;

/// Fills a panel with rows of `width` numbers.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(super) fn round(panel: &mut Rounded<'_>, width: usize, values: &[f32]) {
    by_height!(round_rows(width, panel, values), 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn round_rows<const M: usize>(width: usize, panel: &mut Rounded<'_>, values: &[f32]) {
    let whole = width / 32;
    let row_of = |row: usize| &values[row * width..][..width];
    // Some blocks of all rows, then the next: what rows share of the panel's memory stays near.
    for first in (0..whole).step_by(SOME) {
        let count = SOME.min(whole - first);
        let some = |row: usize| &row_of(row).as_chunks::<32>().0[first..first + count];
        if M >= SQUARE && count == SOME {
            let mut all = [const { Blocks::new() }; M];
            for (row, all) in all.iter_mut().enumerate() {
                blocks(some(row), all);
            }
            put_all::<M>(panel, first, &all);
        } else {
            for row in 0..M {
                let mut blocks_of_row = Blocks::new();
                blocks(some(row), &mut blocks_of_row);
                put::<M>(panel, row, first, count, &blocks_of_row);
            }
        }
    }
    if 32 * whole < width {
        for row in 0..M {
            let mut numbers = [0f32; 32];
            numbers[..width - 32 * whole].copy_from_slice(&row_of(row)[32 * whole..]);
            let mut block = Blocks::new();
            blocks(&[numbers], &mut block);
            put::<M>(panel, row, whole, 1, &block);
        }
    }
}

impl Blocks {
    const fn new() -> Self {
        Self {
            quants: [[0; 8]; SOME],
            rest: [[0; SOME]; KINDS],
        }
    }
}

/// Puts one row's blocks from the `first` on where a panel has them.
fn put<const M: usize>(panel: &mut Rounded<'_>, row: usize, first: usize, count: usize, blocks: &Blocks) {
    for (block, quants) in (first..first + count).zip(&blocks.quants) {
        if panel.by_row {
            panel.quants[8 * (block * M + row)..][..8].copy_from_slice(quants);
        } else {
            let of_block = &mut panel.quants.as_chunks_mut::<M>().0.as_chunks_mut::<8>().0[block];
            for (of_rows, four) in of_block.iter_mut().zip(quants) {
                of_rows[row] = *four;
            }
        }
    }
    for (kind, numbers) in blocks.rest.iter().enumerate() {
        for (block, number) in (first..first + count).zip(numbers) {
            let float = f32::from_bits(number.cast_unsigned());
            match kind {
                0 => panel.scales[block * M + row] = float,
                1 | 2 => panel.powers[(2 * block + kind - 1) * M + row] = float,
                3 => panel.starts_8[block * M + row] = *number,
                4 => panel.starts_4[block * M + row] = *number,
                5 | 6 => panel.halves[(2 * block + kind - 5) * M + row] = *number,
                _ => panel.sums[block * M + row] = float,
            }
        }
    }
}

/// Puts all rows' [`SOME`] blocks from the `first` on where a panel has them.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn put_all<const M: usize>(panel: &mut Rounded<'_>, first: usize, all: &[Blocks; M]) {
    let zero = _mm512_set1_epi32(0);
    for pair in 0..SOME / 2 {
        if panel.by_row {
            let quants = &mut panel.quants.as_chunks_mut::<8>().0.as_chunks_mut::<M>().0[first + 2 * pair..];
            for (row, blocks) in all.iter().enumerate() {
                quants[0][row] = blocks.quants[2 * pair];
                quants[1][row] = blocks.quants[2 * pair + 1];
            }
            continue;
        }
        let mut square = [zero; 16];
        for (line, blocks) in square.iter_mut().zip(all) {
            *line = load_512(&blocks.quants.as_flattened().as_chunks::<16>().0[pair]);
        }
        let quants = &mut panel.quants.as_chunks_mut::<M>().0[8 * (first + 2 * pair)..];
        for (quants, line) in quants.iter_mut().zip(turned(&square)) {
            store_first(quants, line);
        }
    }
    for kind in 0..KINDS {
        let mut square = [zero; 16];
        for (line, blocks) in square.iter_mut().zip(all) {
            *line = load_512(&blocks.rest[kind]);
        }
        let lines = turned(&square);
        match kind {
            0 => column::<_, M, 1>(panel.scales, first, 0, &lines),
            1 | 2 => column::<_, M, 2>(panel.powers, first, kind - 1, &lines),
            3 => column::<_, M, 1>(panel.starts_8, first, 0, &lines),
            4 => column::<_, M, 1>(panel.starts_4, first, 0, &lines),
            5 | 6 => column::<_, M, 2>(panel.halves, first, kind - 5, &lines),
            _ => column::<_, M, 1>(panel.sums, first, 0, &lines),
        }
    }
}

/// Stores a line for each block from the `first` on, into the `which` of `EACH` that each has.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn column<T: Number, const M: usize, const EACH: usize>(
    numbers: &mut [T],
    first: usize,
    which: usize,
    lines: &[__m512i; 16],
) {
    let blocks = &mut numbers.as_chunks_mut::<M>().0.as_chunks_mut::<EACH>().0[first..];
    for (block, line) in blocks.iter_mut().zip(lines) {
        store_first(&mut block[which], *line);
    }
}

/// Rows become columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn turned(rows: &[__m512i; 16]) -> [__m512i; 16] {
    let mut twos = *rows;
    for i in 0..8 {
        twos[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
        twos[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
    }
    // Quarter q of the vector 4 i + j is column 4 q + j of the rows from 4 i on.
    let mut fours = twos;
    for i in 0..4 {
        let i = 4 * i;
        fours[i] = _mm512_unpacklo_epi64(twos[i], twos[i + 2]);
        fours[i + 1] = _mm512_unpackhi_epi64(twos[i], twos[i + 2]);
        fours[i + 2] = _mm512_unpacklo_epi64(twos[i + 1], twos[i + 3]);
        fours[i + 3] = _mm512_unpackhi_epi64(twos[i + 1], twos[i + 3]);
    }
    let mut columns = fours;
    for j in 0..4 {
        let even = _mm512_shuffle_i32x4::<0x88>(fours[j], fours[j + 4]);
        let odd = _mm512_shuffle_i32x4::<0xdd>(fours[j], fours[j + 4]);
        let more_even = _mm512_shuffle_i32x4::<0x88>(fours[j + 8], fours[j + 12]);
        let more_odd = _mm512_shuffle_i32x4::<0xdd>(fours[j + 8], fours[j + 12]);
        columns[j] = _mm512_shuffle_i32x4::<0x88>(even, more_even);
        columns[j + 4] = _mm512_shuffle_i32x4::<0x88>(odd, more_odd);
        columns[j + 8] = _mm512_shuffle_i32x4::<0xdd>(even, more_even);
        columns[j + 12] = _mm512_shuffle_i32x4::<0xdd>(odd, more_odd);
    }
    columns
}

/// Rounds at most [`SOME`] blocks.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn blocks(numbers: &[[f32; 32]], blocks: &mut Blocks) {
    let mask = _mm512_set1_epi32(0x7fff_ffff);
    let mut largest = [0i32; SOME];
    for (largest, numbers) in largest.iter_mut().zip(numbers) {
        let [first, second] = both(numbers);
        let most = _mm512_max_epu32(_mm512_and_si512(first, mask), _mm512_and_si512(second, mask));
        *largest = _mm512_reduce_max_epu32(most).cast_signed();
    }
    let scales = scales_of(load_512(&largest));
    let mut fours = [_mm256_setzero_si256(); SOME];
    for (index, numbers) in numbers.iter().enumerate().take(SOME) {
        let bytes = rounded(numbers, scales.inverses[index]);
        store_256(&mut blocks.quants[index], bytes);
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
    let (lower, upper) = (load_512(&lower), load_512(&upper));
    let sum = _mm512_add_epi32(lower, upper);
    let zero = _mm512_set1_epi32(0);
    let rest = [
        _mm512_castps_si512(scales.values),
        _mm512_castps_si512(scales.powers[0]),
        _mm512_castps_si512(scales.powers[1]),
        _mm512_sub_epi32(zero, _mm512_slli_epi32::<7>(sum)),
        _mm512_sub_epi32(zero, _mm512_slli_epi32::<3>(sum)),
        _mm512_sub_epi32(zero, _mm512_slli_epi32::<5>(lower)),
        _mm512_sub_epi32(zero, _mm512_slli_epi32::<5>(upper)),
        _mm512_castps_si512(_mm512_mul_ps(scales.values, _mm512_cvtepi32_ps(sum))),
    ];
    for (target, numbers) in blocks.rest.iter_mut().zip(rest) {
        store_first(target, numbers);
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
    let mut inverses = [0.0; SOME];
    store_16(&mut inverses, _mm512_mask_mov_ps(inverse, small | bad, zero));
    let power = |of_step| {
        let power = _mm512_mask_mov_ps(_mm512_add_ps(exponent, of_step), small, none);
        _mm512_mask_mov_ps(power, bad, nan)
    };
    Scales {
        values: _mm512_mask_mov_ps(_mm512_mask_mov_ps(value, small, zero), bad, nan),
        powers: [power(first), power(second)],
        inverses,
    }
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
