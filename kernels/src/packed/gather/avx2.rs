//! Selection by permutations of 256 bits: a line is put together of what each part of it has of what is wanted.
//!
//! Why apart: compiled for instructions that only some CPUs have.
//!
//! # Invariants
//! Masks and orders are made by comparing vectors and go into no address and no branch.

use std::arch::x86_64::{
    __m256i, _mm_and_si128, _mm_or_si128, _mm_packs_epi16, _mm_shuffle_epi8, _mm256_and_si256,
    _mm256_broadcastsi128_si256, _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_extracti128_si256,
    _mm256_or_si256, _mm256_packs_epi32, _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32,
    _mm256_set1_epi32, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi32, _mm256_xor_si256,
};

use super::super::tile::Tile;
use super::{AT_ONCE, Groups, Wanted};
use crate::simd::{at, at_mut, load_128, load_256, store_128, store_256};

/// Eight lanes each, of 32.
type Eights = [__m256i; 4];

#[target_feature(enable = "avx2")]
pub(super) fn select<T: Tile>(found: &mut [u8], groups: &Groups<'_>, wanted: &Wanted) {
    let (lanes, numbers) = (eights(&wanted.lanes), eights(&wanted.groups));
    let kept = eights(&wanted.kept.dwords);
    let mut here = [[_mm256_setzero_si256(); 4]; AT_ONCE];
    for (here, group) in here.iter_mut().zip(groups.first..) {
        let group = _mm256_set1_epi32(group.cast_signed());
        *here = numbers.map(|numbers| _mm256_cmpeq_epi32(numbers, group));
    }
    let mut from = 0;
    while from < found.len() {
        for lines in T::LINES {
            let some = lines.count * lines.bytes * T::OUTPUTS;
            let places = (from..from + some).step_by(lines.bytes * T::OUTPUTS);
            match (lines.bytes, T::OUTPUTS) {
                (1, _) => bytes(found, groups, wanted, &here, places),
                (2, 16) => words::<32>(found, groups, wanted, &here, places),
                (2, _) => words::<64>(found, groups, wanted, &here, places),
                (_, 16) => dwords::<2, 64>(found, groups, &lanes, &kept, &here, places),
                (_, _) => dwords::<4, 128>(found, groups, &lanes, &kept, &here, places),
            }
            from += some;
        }
    }
}

type Places = std::iter::StepBy<std::ops::Range<usize>>;

/// Lines of sixteen bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn bytes(found: &mut [u8], groups: &Groups<'_>, wanted: &Wanted, here: &[Eights; AT_ONCE], places: Places) {
    let order = load_128(&wanted.bytes);
    let mut orders = [order; AT_ONCE];
    for (order, here) in orders.iter_mut().zip(here) {
        let other = others(here[0], here[1]);
        let (lower, upper) = (
            _mm256_castsi256_si128(other),
            _mm256_extracti128_si256::<1>(other),
        );
        *order = _mm_or_si128(*order, _mm_packs_epi16(lower, upper));
    }
    let kept = load_128(&wanted.kept.bytes);
    for place in places {
        let found = at_mut::<16>(found, place);
        let mut sum = _mm_and_si128(load_128(found), kept);
        for (weights, order) in groups.weights.iter().zip(orders) {
            sum = _mm_or_si128(sum, _mm_shuffle_epi8(load_128(at::<16>(weights, place)), order));
        }
        store_128(found, sum);
    }
}

/// Lines of elements of two bytes.
#[inline]
#[target_feature(enable = "avx2")]
fn words<const BYTES: usize>(
    found: &mut [u8],
    groups: &Groups<'_>,
    wanted: &Wanted,
    here: &[Eights; AT_ONCE],
    places: Places,
) {
    // By group, by part of the line that comes out, by part that goes in.
    let mut orders = [[[_mm256_setzero_si256(); 4]; 2]; AT_ONCE];
    for (orders, here) in orders.iter_mut().zip(here) {
        for (part, orders) in orders.iter_mut().enumerate() {
            let other = others(here[2 * part], here[2 * part + 1]);
            for (order, words) in orders.iter_mut().zip(&wanted.words) {
                *order = _mm256_or_si256(load_256(at::<32>(words, 32 * part)), other);
            }
        }
    }
    for place in places {
        let found = at_mut::<BYTES>(found, place).as_chunks_mut::<32>().0;
        for (part, found) in found.iter_mut().enumerate() {
            let mut sum = _mm256_and_si256(
                load_256(found),
                load_256(&wanted.kept.words.as_chunks::<16>().0[part]),
            );
            for (weights, orders) in groups.weights.iter().zip(&orders) {
                let line = at::<BYTES>(weights, place).as_chunks::<16>().0;
                for (some, order) in line.iter().zip(orders[part]) {
                    let some = _mm256_broadcastsi128_si256(load_128(some));
                    sum = _mm256_or_si256(sum, _mm256_shuffle_epi8(some, order));
                }
            }
            store_256(found, sum);
        }
    }
}

/// Lines of elements of four bytes, `PARTS` vectors.
#[inline]
#[target_feature(enable = "avx2")]
fn dwords<const PARTS: usize, const BYTES: usize>(
    found: &mut [u8],
    groups: &Groups<'_>,
    lanes: &Eights,
    kept: &Eights,
    here: &[Eights; AT_ONCE],
    places: Places,
) {
    let mut masks = [[[_mm256_setzero_si256(); PARTS]; PARTS]; AT_ONCE];
    for (masks, here) in masks.iter_mut().zip(here) {
        for (out, masks) in masks.iter_mut().enumerate() {
            let part = _mm256_srli_epi32::<3>(lanes[out]);
            for (mask, number) in masks.iter_mut().zip(0..) {
                let in_it = _mm256_cmpeq_epi32(part, _mm256_set1_epi32(number));
                *mask = _mm256_and_si256(here[out], in_it);
            }
        }
    }
    for place in places {
        let found = at_mut::<BYTES>(found, place).as_chunks_mut::<32>().0;
        let mut sums = [_mm256_setzero_si256(); PARTS];
        for (weights, masks) in groups.weights.iter().zip(&masks) {
            let line = at::<BYTES>(weights, place).as_chunks::<32>().0;
            for (number, some) in line.iter().enumerate() {
                let some = load_256(some);
                for out in 0..PARTS {
                    let picked = _mm256_permutevar8x32_epi32(some, lanes[out]);
                    sums[out] = _mm256_or_si256(sums[out], _mm256_and_si256(picked, masks[out][number]));
                }
            }
        }
        for ((found, sum), kept) in found.iter_mut().zip(sums).zip(kept) {
            let before = _mm256_and_si256(load_256(found), *kept);
            store_256(found, _mm256_or_si256(before, sum));
        }
    }
}

/// Sixteen words of which those are all ones that are wanted of another group.
#[inline]
#[target_feature(enable = "avx2")]
fn others(lower: __m256i, upper: __m256i) -> __m256i {
    // Packing goes by halves of vectors.
    let here = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(lower, upper));
    _mm256_xor_si256(here, _mm256_set1_epi32(-1))
}

#[inline]
#[target_feature(enable = "avx2")]
fn eights(numbers: &[u32; 32]) -> Eights {
    let eights = numbers.as_chunks::<8>().0;
    [
        load_256(&eights[0]),
        load_256(&eights[1]),
        load_256(&eights[2]),
        load_256(&eights[3]),
    ]
}
