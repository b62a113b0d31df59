//! Sixteen numbers at a time: AVX-512.
//!
//! Why apart: compiled for instructions that only some CPUs have.
//!
//! # Invariants
//! Called only for sets that have them.

use std::arch::x86_64::*;

use super::scalar;
use super::wide::{EXP, EXP_LEAST, EXP_MOST, LN_2, each, fold, operations};
use crate::simd::{load_16 as load, load_256, store_16 as store, store_256};

pub(crate) const LANES: usize = 16;
pub(crate) type Vector = __m512;

macro_rules! words {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $body:expr;)*) => {$(
        #[inline]
        #[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
        pub(crate) fn $name($($argument: $type),*) -> $result {
            $body
        }
    )*};
}

words! {
    splat(x: f32) -> Vector = _mm512_set1_ps(x);
    add_(a: Vector, b: Vector) -> Vector = _mm512_add_ps(a, b);
    sub(a: Vector, b: Vector) -> Vector = _mm512_sub_ps(a, b);
    mul(a: Vector, b: Vector) -> Vector = _mm512_mul_ps(a, b);
    div(a: Vector, b: Vector) -> Vector = _mm512_div_ps(a, b);
    mul_add(a: Vector, b: Vector, c: Vector) -> Vector = _mm512_fmadd_ps(a, b, c);
    max(a: Vector, b: Vector) -> Vector = _mm512_max_ps(a, b);
    min(a: Vector, b: Vector) -> Vector = _mm512_min_ps(a, b);
    abs(a: Vector) -> Vector = _mm512_abs_ps(a);
    narrow_f16(a: Vector) -> __m256i = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(a);
    widen_f16(x: &[u16; LANES]) -> Vector = _mm512_cvtph_ps(load_256(x));
    widen_bf16(x: &[u16; LANES]) -> Vector = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(load_256(x))));
    store_halves(out: &mut [u16; LANES], halves: __m256i) -> () = store_256(out, halves);
    sum(a: Vector) -> f32 = _mm512_reduce_add_ps(a);
    largest(a: Vector) -> f32 = _mm512_reduce_max_ps(a);
    exp(x: Vector) -> Vector = {
        // A NaN is the second operand's, and so stays.
        let held = max(splat(EXP_LEAST), min(splat(EXP_MOST), x));
        let n = _mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(mul(held, splat(std::f32::consts::LOG2_E)));
        let r = _mm512_fnmadd_ps(n, splat(LN_2[1]), _mm512_fnmadd_ps(n, splat(LN_2[0]), held));
        let mut p = mul_add(splat(EXP[4]), r, splat(EXP[3]));
        p = mul_add(p, r, splat(EXP[2]));
        p = mul_add(p, r, splat(EXP[1]));
        p = mul_add(p, r, splat(EXP[0]));
        p = mul_add(mul(r, r), p, add_(r, splat(1.0)));
        let power = _mm512_slli_epi32::<23>(_mm512_cvtps_epi32(n));
        let scaled = _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), power));
        _mm512_maskz_mov_ps(!_mm512_cmp_ps_mask::<_CMP_LT_OQ>(x, splat(EXP_LEAST)), scaled)
    };
}

operations!("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl");
