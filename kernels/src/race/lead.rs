//! Who leads among scores.
//!
//! Why apart: what a compiler makes of "the better of both" may be a jump, or a choice of which address to read. Here it is
//! written with masks and vectors.
//!
//! # Invariants
//! The lowest of equals leads, for every set of instructions. No address and no branch depends on a score.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, __m512i, _mm256_add_epi32, _mm256_add_ps, _mm256_blendv_epi8, _mm256_castps_si256,
    _mm256_cmpeq_epi32, _mm256_cmpgt_epi32, _mm256_max_epi32, _mm256_min_epu32, _mm256_permutevar8x32_epi32,
    _mm256_set1_epi32, _mm256_setr_epi32, _mm256_setzero_ps, _mm256_srai_epi32, _mm256_srli_epi32,
    _mm256_xor_si256, _mm512_add_epi32, _mm512_add_ps, _mm512_castps_si512, _mm512_cmpeq_epi32_mask,
    _mm512_cmpgt_epu32_mask, _mm512_mask_mov_epi32, _mm512_mask_reduce_min_epu32, _mm512_or_si512,
    _mm512_reduce_max_epu32, _mm512_set1_epi32, _mm512_setr_epi32, _mm512_setzero_ps, _mm512_setzero_si512,
    _mm512_srai_epi32, _mm512_xor_si512,
};

use zeroize::Zeroize;

#[cfg(target_arch = "x86_64")]
use crate::cpu::KernelSet;
use crate::cpu::Kernels;
#[cfg(target_arch = "x86_64")]
use crate::simd::{load_8, load_16, words};

/// Who leads: higher is better, and never equal for two outputs. The lowest of equal scores is best.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lead(u64);

impl Lead {
    /// Nobody has run yet.
    pub const NONE: Self = Self(0);

    /// Which output leads. Nobody's is none.
    #[must_use]
    pub fn output(self) -> u32 {
        !(self.0 as u32)
    }

    /// The best of some outputs that follow one another.
    #[must_use]
    pub fn of(kernels: Kernels, first: usize, scores: &[f32]) -> Self {
        match kernels.set() {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Kernels` of these sets is possessed only where the CPU has AVX2.
            KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { avx2(first as u32, scores) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: and of these only where it has AVX-512 F, BW, DQ and VL.
            KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => unsafe {
                avx512(first as u32, scores)
            },
            _ => one_by_one(first as u32, scores),
        }
    }

    /// The best of some, which need not follow one another.
    #[must_use]
    pub fn of_some(scores: impl Iterator<Item = (u32, f32)>) -> Self {
        scores
            .map(|(output, score)| Self::joined(order(score), output))
            .fold(Self::NONE, |lead, other| lead.or(other).0)
    }

    fn joined(order: u32, output: u32) -> Self {
        Self(u64::from(order) << 32 | u64::from(!output))
    }

    /// All ones when this is better than `other`, zero otherwise.
    pub(crate) fn beats(self, other: Self) -> u32 {
        // The difference's sign, of numbers of 65 bits.
        let less = (!other.0 & self.0) | (!(other.0 ^ self.0) & self.0.wrapping_sub(other.0).wrapping_neg());
        std::hint::black_box((less >> 63) as u32).wrapping_neg()
    }

    /// The better of both, and all ones where that is the other, without a branch.
    pub(crate) fn or(self, other: Self) -> (Self, u32) {
        let better = other.beats(self);
        let mask = u64::from(better) | u64::from(better) << 32;
        (Self((other.0 & mask) | (self.0 & !mask)), better)
    }
}

impl Zeroize for Lead {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// A number that is ordered as the score is.
#[inline(always)]
fn order(score: f32) -> u32 {
    // A negative zero is a zero.
    let bits = (score + 0.0).to_bits();
    bits ^ ((bits.cast_signed() >> 31).cast_unsigned() | 1 << 31)
}

fn one_by_one(first: u32, scores: &[f32]) -> Lead {
    Lead::of_some((first..).zip(scores.iter().copied()))
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn avx2(first: u32, scores: &[f32]) -> Lead {
    let (chunks, rest) = scores.as_chunks::<8>();
    // As signed numbers, which is what can be compared. The least of all is no score's: it would be a NaN of its own.
    let mut best = _mm256_set1_epi32(i32::MIN);
    let mut output = _mm256_set1_epi32(-1);
    let mut next = _mm256_add_epi32(
        _mm256_set1_epi32(first.cast_signed()),
        _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
    );
    for scores in chunks {
        let bits = _mm256_castps_si256(_mm256_add_ps(load_8(scores), _mm256_setzero_ps()));
        let others = _mm256_srli_epi32::<1>(_mm256_srai_epi32::<31>(bits));
        let order = _mm256_xor_si256(bits, others);
        // Only a better one: each lane keeps the lowest of equals.
        let better = _mm256_cmpgt_epi32(order, best);
        best = _mm256_blendv_epi8(best, order, better);
        output = _mm256_blendv_epi8(output, next, better);
        next = _mm256_add_epi32(next, _mm256_set1_epi32(8));
    }
    let mut most = best;
    for turned in turns() {
        most = _mm256_max_epi32(most, _mm256_permutevar8x32_epi32(most, turned));
    }
    // Lanes that are not best get the highest number.
    let least = _mm256_blendv_epi8(_mm256_set1_epi32(-1), output, _mm256_cmpeq_epi32(best, most));
    let mut lowest = least;
    for turned in turns() {
        lowest = _mm256_min_epu32(lowest, _mm256_permutevar8x32_epi32(lowest, turned));
    }
    let order = words(most)[0].cast_unsigned() ^ 1 << 31;
    let whole = Lead::joined(order, words(lowest)[0].cast_unsigned());
    let after = first.wrapping_add((chunks.len() * 8) as u32);
    whole.or(one_by_one(after, rest)).0
}

/// Permutations that bring all eight lanes together in three steps.
#[cfg(target_arch = "x86_64")]
#[inline]
#[target_feature(enable = "avx2")]
fn turns() -> [__m256i; 3] {
    [
        _mm256_setr_epi32(4, 5, 6, 7, 0, 1, 2, 3),
        _mm256_setr_epi32(2, 3, 0, 1, 6, 7, 4, 5),
        _mm256_setr_epi32(1, 0, 3, 2, 5, 4, 7, 6),
    ]
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn avx512(first: u32, scores: &[f32]) -> Lead {
    let (chunks, rest) = scores.as_chunks::<16>();
    let mut best = _mm512_setzero_si512();
    let mut output = _mm512_set1_epi32(-1);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let mut next = _mm512_add_epi32(_mm512_set1_epi32(first.cast_signed()), lanes);
    for scores in chunks {
        let bits: __m512i = _mm512_castps_si512(_mm512_add_ps(load_16(scores), _mm512_setzero_ps()));
        let sign = _mm512_set1_epi32(i32::MIN);
        let order = _mm512_xor_si512(bits, _mm512_or_si512(_mm512_srai_epi32::<31>(bits), sign));
        // Only a better one: each lane keeps the lowest of equals.
        let better = _mm512_cmpgt_epu32_mask(order, best);
        best = _mm512_mask_mov_epi32(best, better, order);
        output = _mm512_mask_mov_epi32(output, better, next);
        next = _mm512_add_epi32(next, _mm512_set1_epi32(16));
    }
    let most = _mm512_reduce_max_epu32(best);
    let those = _mm512_cmpeq_epi32_mask(best, _mm512_set1_epi32(most.cast_signed()));
    let whole = Lead::joined(most, _mm512_mask_reduce_min_epu32(those, output));
    let after = first.wrapping_add((chunks.len() * 16) as u32);
    whole.or(one_by_one(after, rest)).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::sets;

    #[test]
    fn the_lowest_of_the_best_leads() {
        for kernels in sets("the_lowest_of_the_best_leads") {
            for count in [1, 15, 16, 17, 100] {
                let mut scores: Vec<f32> = (0..count).map(|i| -1.0 - (i * 37 % 101) as f32).collect();
                for at in [0, count / 2, count - 1] {
                    let before = scores[at];
                    scores[at] = 3.0;
                    assert_eq!(Lead::of(kernels, 50, &scores).output() as usize, 50 + at);
                    scores[count - 1] = 3.0;
                    assert_eq!(Lead::of(kernels, 50, &scores).output() as usize, 50 + at);
                    (scores[at], scores[count - 1]) = (before, -1.0 - ((count - 1) * 37 % 101) as f32);
                }
            }
        }
        let numbers = [f32::NEG_INFINITY, -2.0, -1e-40, 0.0, 1e-40, 1.0, 2.0];
        for (a, first) in numbers.into_iter().enumerate() {
            for (b, second) in numbers.into_iter().enumerate() {
                for (x, y) in [(3, 4), (4, 3)] {
                    let lead = |output, score| Lead::joined(order(score), output);
                    let expected = if a > b || (a == b && x < y) { u32::MAX } else { 0 };
                    assert_eq!(
                        lead(x, first).beats(lead(y, second)),
                        expected,
                        "{first} {second}"
                    );
                    assert_eq!(lead(x, first).beats(Lead::NONE), u32::MAX);
                }
            }
        }
    }
}
