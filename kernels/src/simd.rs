//! Loads of vectors from arrays, so that kernels need no pointers.
//!
//! Why apart: with these, all that is unsafe about a kernel is whether the CPU has its instructions.
//!
//! # Invariants
//! Each reads an array of exactly the size of a vector, at any alignment. A prefetch reads nothing.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m128i, __m256, __m256i, __m512, __m512bh, __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_loadl_epi64,
    _mm_loadu_si128, _mm_prefetch, _mm_storeu_si128, _mm256_loadu_ps, _mm256_loadu_si256, _mm256_storeu_ps,
    _mm256_storeu_si256, _mm512_loadu_ps, _mm512_loadu_si512, _mm512_mask_storeu_epi32, _mm512_storeu_ps,
    _mm512_storeu_si512,
};

use crate::memory::Number;

#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn load_128<T: Number, const COUNT: usize>(numbers: &[T; COUNT]) -> __m128i {
    const { assert!(size_of::<[T; COUNT]>() == 16) };
    // SAFETY: 16 bytes that are borrowed, and any bytes are a vector.
    unsafe { _mm_loadu_si128(numbers.as_ptr().cast()) }
}

/// Into the lower half.
#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn load_64<T: Number>(numbers: &[T; 8]) -> __m128i {
    const { assert!(size_of::<[T; 8]>() == 8) };
    // SAFETY: 8 bytes that are borrowed, and any bytes are a vector.
    unsafe { _mm_loadl_epi64(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn load_256<T: Number, const COUNT: usize>(numbers: &[T; COUNT]) -> __m256i {
    const { assert!(size_of::<[T; COUNT]>() == 32) };
    // SAFETY: 32 bytes that are borrowed, and any bytes are a vector.
    unsafe { _mm256_loadu_si256(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_512<T: Number, const COUNT: usize>(numbers: &[T; COUNT]) -> __m512i {
    const { assert!(size_of::<[T; COUNT]>() == 64) };
    // SAFETY: 64 bytes that are borrowed, and any bytes are a vector.
    unsafe { _mm512_loadu_si512(numbers.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn load_8(numbers: &[f32; 8]) -> __m256 {
    // SAFETY: eight numbers that are borrowed.
    unsafe { _mm256_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn load_16(numbers: &[f32; 16]) -> __m512 {
    // SAFETY: sixteen numbers that are borrowed.
    unsafe { _mm512_loadu_ps(numbers.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_16(numbers: &mut [f32; 16], vector: __m512) {
    // SAFETY: sixteen numbers that are borrowed to write.
    unsafe { _mm512_storeu_ps(numbers.as_mut_ptr(), vector) }
}

#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn store_8(numbers: &mut [f32; 8], vector: __m256) {
    // SAFETY: eight numbers that are borrowed to write.
    unsafe { _mm256_storeu_ps(numbers.as_mut_ptr(), vector) }
}

#[inline]
#[target_feature(enable = "sse2")]
pub(crate) fn store_128<T: Number, const COUNT: usize>(numbers: &mut [T; COUNT], vector: __m128i) {
    const { assert!(size_of::<[T; COUNT]>() == 16) };
    // SAFETY: 16 bytes that are borrowed to write.
    unsafe { _mm_storeu_si128(numbers.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn store_256<T: Number, const COUNT: usize>(numbers: &mut [T; COUNT], vector: __m256i) {
    const { assert!(size_of::<[T; COUNT]>() == 32) };
    // SAFETY: 32 bytes that are borrowed to write.
    unsafe { _mm256_storeu_si256(numbers.as_mut_ptr().cast(), vector) }
}

#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_512(bytes: &mut [u8; 64], vector: __m512i) {
    // SAFETY: 64 bytes that are borrowed to write.
    unsafe { _mm512_storeu_si512(bytes.as_mut_ptr().cast(), vector) }
}

/// The first numbers of a vector of sixteen.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn store_first<T: Number, const COUNT: usize>(numbers: &mut [T; COUNT], vector: __m512i) {
    const { assert!(size_of::<T>() == 4 && COUNT <= 16) };
    let mask = (0xffff_u32 >> (16 - COUNT)) as u16;
    // SAFETY: as many numbers of four bytes as the mask has bits are borrowed to write, and any bytes are numbers.
    unsafe { _mm512_mask_storeu_epi32(numbers.as_mut_ptr().cast(), mask, vector) }
}

/// The eight numbers of 32 bits that a vector holds.
#[inline]
#[target_feature(enable = "avx")]
pub(crate) fn words(vector: __m256i) -> [i32; 8] {
    let mut words = [0; 8];
    // SAFETY: 32 bytes that are borrowed to write.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) };
    words
}

/// The sixteen numbers of 32 bits that a vector holds.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn words_512(vector: __m512i) -> [u32; 16] {
    let mut words = [0; 16];
    // SAFETY: 64 bytes that are borrowed to write.
    unsafe { _mm512_storeu_si512(words.as_mut_ptr().cast(), vector) };
    words
}

/// The same bits as pairs of bf16.
#[inline]
#[target_feature(enable = "avx512f")]
pub(crate) fn pairs_512(bits: __m512i) -> __m512bh {
    // SAFETY: both are 64 bytes of which any are a value.
    unsafe { std::mem::transmute::<__m512i, __m512bh>(bits) }
}

/// Asks for one eighth of the memory of the item after the next; where there is none, nothing happens.
#[inline(always)]
pub(crate) fn prefetch_eighth<T>(item: &T, eighth: usize) {
    let size = size_of::<T>();
    let start = std::ptr::from_ref(item).wrapping_add(2).cast::<i8>();
    let mut at = eighth * size / 8;
    while at < (eighth + 1) * size / 8 {
        // SAFETY: a prefetch faults nowhere and reads no value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at)) };
        at += 64;
    }
}

/// Asks for the memory of the item `ahead` places further on; where there is none, nothing happens.
#[inline(always)]
pub(crate) fn prefetch<T>(item: &T, ahead: usize) {
    let start = std::ptr::from_ref(item).wrapping_add(ahead).cast::<i8>();
    let mut at = 0;
    while at < size_of::<T>() {
        // SAFETY: a prefetch faults nowhere and reads no value.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(at)) };
        at += 64;
    }
}

/// `COUNT` bytes from a place on.
#[inline(always)]
pub(crate) fn at<const COUNT: usize>(bytes: &[u8], place: usize) -> &[u8; COUNT] {
    bytes[place..]
        .first_chunk()
        .expect("so many bytes after the place")
}

/// As [`at`], to write.
#[inline(always)]
pub(crate) fn at_mut<const COUNT: usize>(bytes: &mut [u8], place: usize) -> &mut [u8; COUNT] {
    bytes[place..]
        .first_chunk_mut()
        .expect("so many bytes after the place")
}

/// As [`prefetch`], into the second cache: for what lies in pieces too short for the CPU to see where they go.
#[inline(always)]
pub(crate) fn prefetch_early<T>(item: &T) {
    let start = std::ptr::from_ref(item).cast::<i8>();
    let mut at = 0;
    while at < size_of::<T>() {
        // SAFETY: a prefetch faults nowhere and reads no value.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(start.wrapping_add(at)) };
        at += 64;
    }
}
