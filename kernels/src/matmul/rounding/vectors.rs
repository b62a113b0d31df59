//! The same rounding, 8 numbers at a time.
//!
//! Why apart: intrinsics beside the plain code would hide it.
//!
//! # Invariants
//! Equal to the plain code to the last bit: conversions round to even as its addition does.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_add_epi32, _mm_cvtsi128_si32, _mm_max_epu32, _mm_shuffle_epi32, _mm_unpackhi_epi64,
    _mm256_and_si256, _mm256_castsi256_ps, _mm256_castsi256_si128, _mm256_cvtps_epi32,
    _mm256_extracti128_si256, _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_max_epu32, _mm256_mul_ps,
    _mm256_packs_epi16, _mm256_packs_epi32, _mm256_permutevar8x32_epi32, _mm256_set1_epi8, _mm256_set1_epi16,
    _mm256_set1_epi32, _mm256_set1_ps, _mm256_setr_epi32,
};

use super::{Eighths, INFINITE, Rounded, Scale, round_rows_by, scale_of};
use crate::simd::{load_256, words};

round_rows_by!(round_avx2, block_avx2, "avx2");

#[inline]
#[target_feature(enable = "avx2")]
fn block_avx2(numbers: &[f32; 32]) -> Eighths {
    let eights = numbers.as_chunks::<8>().0;
    let bits = [
        load_256(&eights[0]),
        load_256(&eights[1]),
        load_256(&eights[2]),
        load_256(&eights[3]),
    ];
    let mask = _mm256_set1_epi32(0x7fff_ffff);
    let mut largest = _mm256_and_si256(bits[0], mask);
    for bits in &bits[1..] {
        largest = _mm256_max_epu32(largest, _mm256_and_si256(*bits, mask));
    }
    let largest = _mm_max_epu32(
        _mm256_castsi256_si128(largest),
        _mm256_extracti128_si256::<1>(largest),
    );
    let largest = _mm_max_epu32(largest, _mm_unpackhi_epi64(largest, largest));
    let largest = _mm_max_epu32(largest, _mm_shuffle_epi32::<1>(largest));
    let largest = _mm_cvtsi128_si32(largest).cast_unsigned();
    let scale = scale_of(largest);
    if largest >= INFINITE {
        return Eighths {
            scale,
            quants: [0; 8],
            lower: 0,
            upper: 0,
        };
    }
    let inverse = _mm256_set1_ps(scale.inverse);
    let mut quants = bits;
    for quants in &mut quants {
        *quants = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_castsi256_ps(*quants), inverse));
    }
    // Packing works on halves of vectors: their fours come out as 0 2 4 6 1 3 5 7.
    let first = _mm256_packs_epi32(quants[0], quants[1]);
    let second = _mm256_packs_epi32(quants[2], quants[3]);
    let bytes = _mm256_packs_epi16(first, second);
    finish(
        scale,
        _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)),
    )
}

/// A block whose 32 bytes are in order.
#[inline]
#[target_feature(enable = "avx2")]
fn finish(scale: Scale, bytes: __m256i) -> Eighths {
    let pairs = _mm256_maddubs_epi16(_mm256_set1_epi8(1), bytes);
    let fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
    Eighths {
        scale,
        quants: words(bytes),
        lower: sum(_mm256_castsi256_si128(fours)),
        upper: sum(_mm256_extracti128_si256::<1>(fours)),
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn sum(fours: __m128i) -> i32 {
    let twos = _mm_add_epi32(fours, _mm_unpackhi_epi64(fours, fours));
    _mm_cvtsi128_si32(_mm_add_epi32(twos, _mm_shuffle_epi32::<1>(twos)))
}
