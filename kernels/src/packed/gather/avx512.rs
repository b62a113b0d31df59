//! Selection by permutations of 512 bits, each under a mask.
//!
//! Why apart: compiled for instructions that only some CPUs have.
//!
//! # Invariants
//! A mask is made by comparing vectors and goes into no address and no branch.

use std::arch::x86_64::{
    __m512i, _mm_and_si128, _mm_maskz_shuffle_epi8, _mm_or_si128, _mm256_and_si256,
    _mm256_maskz_permutexvar_epi16, _mm256_or_si256, _mm512_and_si512, _mm512_castsi256_si512,
    _mm512_cmpeq_epi32_mask, _mm512_cvtepi32_epi8, _mm512_cvtepi32_epi16, _mm512_inserti64x4,
    _mm512_maskz_permutex2var_epi32, _mm512_maskz_permutexvar_epi16, _mm512_maskz_permutexvar_epi32,
    _mm512_or_si512, _mm512_set1_epi32,
};

use super::super::tile::Tile;
use super::{AT_ONCE, Groups, Wanted};
use crate::simd::{at, at_mut, load_128, load_256, load_512, store_128, store_256, store_512};

#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
pub(super) fn select<T: Tile>(found: &mut [u8], groups: &Groups<'_>, wanted: &Wanted) {
    let (lanes, numbers) = (halves(&wanted.lanes), halves(&wanted.groups));
    let bytes = _mm512_cvtepi32_epi8(lanes[0]);
    let words = lanes.map(|lanes| _mm512_cvtepi32_epi16(lanes));
    let all_words = _mm512_inserti64x4::<1>(_mm512_castsi256_si512(words[0]), words[1]);
    let mut masks = [[0u16; 2]; AT_ONCE];
    for (masks, group) in masks.iter_mut().zip(groups.first..) {
        let group = _mm512_set1_epi32(group.cast_signed());
        for (mask, numbers) in masks.iter_mut().zip(numbers) {
            *mask = _mm512_cmpeq_epi32_mask(numbers, group);
        }
    }
    let kept = &wanted.kept;
    let kept_bytes = load_128(&kept.bytes);
    let kept_words = kept.words.as_chunks::<16>().0;
    let (kept_some_words, kept_all_words) = (load_256(&kept_words[0]), load_512(&kept.words));
    let kept_dwords = halves(&kept.dwords);
    let mut from = 0;
    while from < found.len() {
        for lines in T::LINES {
            for _ in 0..lines.count {
                match (lines.bytes, T::OUTPUTS) {
                    (1, _) => {
                        let found = at_mut::<16>(found, from);
                        let mut sum = _mm_and_si128(load_128(found), kept_bytes);
                        for (weights, masks) in groups.weights.iter().zip(masks) {
                            let line = load_128(at::<16>(weights, from));
                            sum = _mm_or_si128(sum, _mm_maskz_shuffle_epi8(masks[0], line, bytes));
                        }
                        store_128(found, sum);
                    }
                    (2, 16) => {
                        let found = at_mut::<32>(found, from);
                        let mut sum = _mm256_and_si256(load_256(found), kept_some_words);
                        for (weights, masks) in groups.weights.iter().zip(masks) {
                            let line = load_256(at::<32>(weights, from));
                            let line = _mm256_maskz_permutexvar_epi16(masks[0], words[0], line);
                            sum = _mm256_or_si256(sum, line);
                        }
                        store_256(found, sum);
                    }
                    (2, _) => {
                        let found = at_mut::<64>(found, from);
                        let mut sum = _mm512_and_si512(load_512(found), kept_all_words);
                        for (weights, masks) in groups.weights.iter().zip(masks) {
                            let mask = u32::from(masks[0]) | u32::from(masks[1]) << 16;
                            let line = load_512(at::<64>(weights, from));
                            let line = _mm512_maskz_permutexvar_epi16(mask, all_words, line);
                            sum = _mm512_or_si512(sum, line);
                        }
                        store_512(found, sum);
                    }
                    (_, 16) => {
                        let found = at_mut::<64>(found, from);
                        let mut sum = _mm512_and_si512(load_512(found), kept_dwords[0]);
                        for (weights, masks) in groups.weights.iter().zip(masks) {
                            let line = load_512(at::<64>(weights, from));
                            let line = _mm512_maskz_permutexvar_epi32(masks[0], lanes[0], line);
                            sum = _mm512_or_si512(sum, line);
                        }
                        store_512(found, sum);
                    }
                    (_, _) => {
                        let found = at_mut::<128>(found, from).as_chunks_mut::<64>().0;
                        let mut sums = [
                            _mm512_and_si512(load_512(&found[0]), kept_dwords[0]),
                            _mm512_and_si512(load_512(&found[1]), kept_dwords[1]),
                        ];
                        for (weights, masks) in groups.weights.iter().zip(masks) {
                            let line = at::<128>(weights, from).as_chunks::<64>().0;
                            let line = (load_512(&line[0]), load_512(&line[1]));
                            for half in 0..2 {
                                let picked =
                                    _mm512_maskz_permutex2var_epi32(masks[half], line.0, lanes[half], line.1);
                                sums[half] = _mm512_or_si512(sums[half], picked);
                            }
                        }
                        store_512(&mut found[0], sums[0]);
                        store_512(&mut found[1], sums[1]);
                    }
                }
                from += lines.bytes * T::OUTPUTS;
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn halves(numbers: &[u32; 32]) -> [__m512i; 2] {
    let halves = numbers.as_chunks::<16>().0;
    [load_512(&halves[0]), load_512(&halves[1])]
}
