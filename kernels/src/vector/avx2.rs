//! Eight numbers at a time: AVX2, FMA and F16C.
//!
//! Why apart: compiled for instructions that only some CPUs have.
//!
//! # Invariants
//! Called only for sets that have them.

use std::arch::x86_64::*;

use super::scalar;
use super::wide::{EXP, EXP_LEAST, EXP_MOST, LN_2, each, fold, operations};
use crate::simd::{load_8 as load, load_128, store_8 as store, store_128};

pub(crate) const LANES: usize = 8;
pub(crate) type Vector = __m256;

macro_rules! words {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c")]
        pub(crate) fn $name($($argument: $type),*) -> $result {
            $body
        }
    )*};
}

words! {
    splat(x: f32) -> Vector = _mm256_set1_ps(x);
    add_(a: Vector, b: Vector) -> Vector = _mm256_add_ps(a, b);
    sub(a: Vector, b: Vector) -> Vector = _mm256_sub_ps(a, b);
    mul(a: Vector, b: Vector) -> Vector = _mm256_mul_ps(a, b);
    div(a: Vector, b: Vector) -> Vector = _mm256_div_ps(a, b);
    mul_add(a: Vector, b: Vector, c: Vector) -> Vector = _mm256_fmadd_ps(a, b, c);
    max(a: Vector, b: Vector) -> Vector = _mm256_max_ps(a, b);
    min(a: Vector, b: Vector) -> Vector = _mm256_min_ps(a, b);
    abs(a: Vector) -> Vector = _mm256_andnot_ps(_mm256_set1_ps(-0.0), a);
    narrow_f16(a: Vector) -> __m128i = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(a);
    widen_f16(x: &[u16; LANES]) -> Vector = _mm256_cvtph_ps(load_128(x));
    widen_bf16(x: &[u16; LANES]) -> Vector = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_cvtepu16_epi32(load_128(x))));
    store_halves(out: &mut [u16; LANES], halves: __m128i) -> () = store_128(out, halves);
    sum(a: Vector) -> f32 = {
        let four = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
    };
    largest(a: Vector) -> f32 = {
        let four = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
        let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
    };
    exp(x: Vector) -> Vector = {
        // A NaN is the second operand's, and so stays.
        let held = max(splat(EXP_LEAST), min(splat(EXP_MOST), x));
        let n = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(mul(held, splat(std::f32::consts::LOG2_E)));
        let r = _mm256_fnmadd_ps(n, splat(LN_2[1]), _mm256_fnmadd_ps(n, splat(LN_2[0]), held));
        let mut p = mul_add(splat(EXP[4]), r, splat(EXP[3]));
        p = mul_add(p, r, splat(EXP[2]));
        p = mul_add(p, r, splat(EXP[1]));
        p = mul_add(p, r, splat(EXP[0]));
        p = mul_add(mul(r, r), p, add_(r, splat(1.0)));
        let power = _mm256_slli_epi32::<23>(_mm256_cvtps_epi32(n));
        let scaled = _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(p), power));
        _mm256_andnot_ps(_mm256_cmp_ps::<_CMP_LT_OQ>(x, splat(EXP_LEAST)), scaled)
    };
}

operations!("avx2,fma,f16c");
