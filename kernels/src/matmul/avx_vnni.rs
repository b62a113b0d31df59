//! Integer kernels of 256 bits with AVX-VNNI: four bytes are multiplied and summed in one step.
//!
//! Why apart: CPUs without AVX-512 have it in an encoding of its own.
//!
//! # Invariants
//! Weights are 128 or 8 too large; sums start at what that is too much by.

use std::arch::x86_64::{
    __m256, __m256i, _mm256_cvtepi32_ps, _mm256_dpbusd_avx_epi32, _mm256_fmadd_ps, _mm256_fnmadd_ps,
    _mm256_mul_ps, _mm256_set1_epi32, _mm256_set1_ps, _mm256_setzero_ps, _mm256_setzero_si256,
};

use super::Block;
use super::avx2::{halves, lower, signed, six_bits, unsigned, upper, write};
use super::panel::{IntegerPanel, by_height};
use super::vectors_256::integer_kernels;
use crate::packed::tile::{Tile4, Tile4K, Tile6K, Tile8};
use crate::simd::{load_256, prefetch, prefetch_eighth};

/// The steps that differ from AVX2, around one instruction.
macro_rules! steps {
    ($features:literal, $multiply:ident) => {
        integer_kernels!($features);

        #[inline]
        #[target_feature(enable = $features)]
        fn started<const M: usize>(starts: &[i32; M]) -> [__m256i; M] {
            let mut sums = [_mm256_setzero_si256(); M];
            for m in 0..M {
                sums[m] = _mm256_set1_epi32(starts[m]);
            }
            sums
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn add<const M: usize>(sums: &mut [__m256i; M], weights: __m256i, inputs: &[i32; M]) {
            for m in 0..M {
                sums[m] = $multiply(sums[m], weights, _mm256_set1_epi32(inputs[m]));
            }
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn eights<const M: usize>(
            quants: &[[u8; 64]; 8],
            half: usize,
            inputs: &[[i32; M]; 8],
            starts: &[i32; M],
        ) -> [__m256i; M] {
            let mut sums = started(starts);
            for (weights, inputs) in quants.iter().zip(inputs) {
                add(
                    &mut sums,
                    load_256(&weights.as_chunks::<32>().0[half]),
                    inputs,
                );
            }
            sums
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn fours<const M: usize>(
            quants: &[[u8; 64]; 4],
            half: usize,
            inputs: &[[i32; M]; 8],
            starts: &[i32; M],
        ) -> [__m256i; M] {
            let mut sums = started(starts);
            for (group, weights) in quants.iter().enumerate() {
                let weights = load_256(&weights.as_chunks::<32>().0[half]);
                add(&mut sums, lower(weights), &inputs[group]);
                add(&mut sums, upper(weights), &inputs[group + 4]);
            }
            sums
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn sixes<const M: usize>(
            weights: &[__m256i; 4],
            inputs: &[[i32; M]; 4],
            starts: &[i32; M],
        ) -> [__m256i; M] {
            let mut sums = started(starts);
            for (weights, inputs) in weights.iter().zip(inputs) {
                add(&mut sums, *weights, inputs);
            }
            sums
        }
    };
}

steps!("avx2,fma,f16c,avxvnni", _mm256_dpbusd_avx_epi32);

/// The same steps with the instruction that AVX-512 has for 256 bits: so they are tested on CPUs that lack AVX-VNNI.
#[cfg(test)]
pub(super) mod by_avx512 {
    use std::arch::x86_64::_mm256_dpbusd_epi32;

    use super::*;

    steps!("avx2,fma,f16c,avx512f,avx512vl,avx512vnni", _mm256_dpbusd_epi32);
}
