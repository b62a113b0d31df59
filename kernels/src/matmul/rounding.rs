//! Activations in 8 bits, one scale for 32 numbers of which the largest becomes 127; and in pairs of bf16.
//!
//! Why apart: the same few lines are compiled for several sets of instructions and must come to the same bits in each.
//!
//! # Invariants
//! Only operations that IEEE 754 defines to the last bit. A block with a number that is none gets a scale that is none.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod vectors;

use crate::cpu::{KernelSet, Kernels};
use crate::half::f32_to_bf16;

/// Below this a block counts as zero: its scale would be no normal number.
const LEAST: u32 = 0x0400_0000;
const INFINITE: u32 = 0x7f80_0000;
/// 1.5 * 2^23: added to a small number, the lowest bits of the sum are that number, rounded to even.
const ROUNDER: f32 = 12_582_912.0;

/// A panel to be written; as [`IntegerPanel`](super::panel::IntegerPanel).
pub(crate) struct Rounded<'a> {
    pub(crate) rows: usize,
    pub(crate) by_row: bool,
    pub(crate) quants: &'a mut [i32],
    pub(crate) scales: &'a mut [f32],
    pub(crate) starts_8: &'a mut [i32],
    pub(crate) starts_4: &'a mut [i32],
    pub(crate) halves: &'a mut [i32],
    pub(crate) sums: &'a mut [f32],
}

/// What 32 numbers become.
struct Eighths {
    scale: f32,
    /// Four in each.
    quants: [i32; 8],
    /// Sums of both halves.
    lower: i32,
    upper: i32,
}

/// Fills a panel with rows of `width` numbers.
pub(crate) fn round_rows(kernels: Kernels, panel: &mut Rounded<'_>, width: usize, values: &[f32]) {
    match kernels.set() {
        KernelSet::Scalar => round_plain(panel, width, values),
        #[cfg(target_arch = "x86_64")]
        // SAFETY: these sets have AVX2.
        KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { vectors::round_avx2(panel, width, values) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: the other sets have AVX-512 F, BW, DQ, VL and VNNI.
        _ => unsafe { vectors::round_avx512(panel, width, values) },
        #[cfg(not(target_arch = "x86_64"))]
        _ => round_plain(panel, width, values),
    }
}

/// Fills a panel with pairs of bf16, as [`PairPanel`](super::panel::PairPanel) has them.
pub(crate) fn round_pairs(kernels: Kernels, shape: PairShape, values: &[f32], pairs: &mut [u32]) {
    match kernels.set() {
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => {
            // SAFETY: these sets have AVX-512 F, BW, DQ and VL.
            unsafe { pairs_avx512(shape, values, pairs) }
        }
        _ => pairs_plain(shape, values, pairs),
    }
}

/// The shape of a panel of pairs.
#[derive(Clone, Copy)]
pub(crate) struct PairShape {
    pub(crate) rows: usize,
    pub(crate) width: usize,
    pub(crate) by_row: bool,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl")]
fn pairs_avx512(shape: PairShape, values: &[f32], pairs: &mut [u32]) {
    pairs_plain(shape, values, pairs);
}

#[inline(always)]
fn pairs_plain(shape: PairShape, values: &[f32], pairs: &mut [u32]) {
    let rows = shape.rows;
    for (row, values) in values.chunks_exact(shape.width).enumerate() {
        for (block, some) in values.chunks(32).enumerate() {
            let mut numbers = [0f32; 32];
            numbers[..some.len()].copy_from_slice(some);
            let mut halves = [0u32; 32];
            for (half, number) in halves.iter_mut().zip(numbers) {
                *half = u32::from(f32_to_bf16(number));
            }
            let twos = halves.as_chunks::<2>().0;
            let bits: [u32; 16] = std::array::from_fn(|i| twos[i][0] | twos[i][1] << 16);
            if shape.by_row {
                pairs[16 * (block * rows + row)..][..16].copy_from_slice(&bits);
            } else {
                let block = &mut pairs[16 * block * rows..][..16 * rows];
                for (pairs, bits) in block.chunks_exact_mut(rows).zip(bits) {
                    pairs[row] = bits;
                }
            }
        }
    }
}

/// A function that fills a panel by way of one for a block; a function does not pass on the features it has.
macro_rules! round_rows_by {
    ($name:ident, $block:ident $(, $features:literal)?) => {
        $(#[target_feature(enable = $features)])?
        pub(super) fn $name(panel: &mut Rounded<'_>, width: usize, values: &[f32]) {
            for (row, values) in values.chunks_exact(width).enumerate() {
                let (whole, rest) = values.as_chunks::<32>();
                for (block, numbers) in whole.iter().enumerate() {
                    panel.put(row, block, &$block(numbers));
                }
                if !rest.is_empty() {
                    let mut numbers = [0f32; 32];
                    numbers[..rest.len()].copy_from_slice(rest);
                    panel.put(row, whole.len(), &$block(&numbers));
                }
            }
        }
    };
}
use round_rows_by;

round_rows_by!(round_plain, round_block);

impl Rounded<'_> {
    #[inline(always)]
    fn put(&mut self, row: usize, block: usize, eighths: &Eighths) {
        let place = block * self.rows + row;
        if self.by_row {
            self.quants[8 * place..][..8].copy_from_slice(&eighths.quants);
        } else {
            let quants = &mut self.quants[8 * block * self.rows..][..8 * self.rows];
            for (quants, four) in quants.chunks_exact_mut(self.rows).zip(eighths.quants) {
                quants[row] = four;
            }
        }
        let sum = eighths.lower + eighths.upper;
        self.scales[place] = eighths.scale;
        self.starts_8[place] = -128 * sum;
        self.starts_4[place] = -8 * sum;
        self.halves[2 * block * self.rows + row] = -32 * eighths.lower;
        self.halves[(2 * block + 1) * self.rows + row] = -32 * eighths.upper;
        self.sums[place] = eighths.scale * sum as f32;
    }
}

/// The scale of a block and what its numbers are multiplied by, from the bits of the largest without sign: as whole
/// numbers these are ordered as the numbers are, and what is no number is above all.
#[inline(always)]
fn scale_of(largest: u32) -> (f32, f32) {
    let number = f32::from_bits(largest);
    if largest >= INFINITE {
        (f32::NAN, 0.0)
    } else if largest < LEAST {
        (0.0, 0.0)
    } else {
        (number / 127.0, 127.0 / number)
    }
}

fn round_block(numbers: &[f32; 32]) -> Eighths {
    let largest = numbers.iter().fold(0u32, |largest, number| {
        largest.max(number.to_bits() & 0x7fff_ffff)
    });
    let (scale, inverse) = scale_of(largest);
    let mut quants = [0i32; 32];
    if largest < INFINITE {
        for (quant, number) in quants.iter_mut().zip(numbers) {
            *quant = (number * inverse + ROUNDER).to_bits().cast_signed() - ROUNDER.to_bits().cast_signed();
        }
    }
    let fours = quants.as_chunks::<4>().0;
    Eighths {
        scale,
        quants: std::array::from_fn(|i| i32::from_le_bytes(fours[i].map(|quant| quant as u8))),
        lower: quants[..16].iter().sum(),
        upper: quants[16..].iter().sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panel of one row: integers, scale.
    fn rounded(kernels: Kernels, values: &[f32]) -> (Vec<i8>, Vec<f32>) {
        let blocks = values.len().div_ceil(32);
        let mut quants = vec![0i32; 8 * blocks];
        let mut scales = vec![0f32; blocks];
        let mut panel = Rounded {
            rows: 1,
            by_row: false,
            quants: &mut quants,
            scales: &mut scales,
            starts_8: &mut vec![0; blocks],
            starts_4: &mut vec![0; blocks],
            halves: &mut vec![0; 2 * blocks],
            sums: &mut vec![0.0; blocks],
        };
        round_rows(kernels, &mut panel, values.len(), values);
        let bytes = quants.iter().flat_map(|four| four.to_le_bytes());
        (bytes.map(u8::cast_signed).collect(), scales)
    }

    #[test]
    fn all_sets_round_to_the_same_bits() {
        let mut state = 3u32;
        let values: Vec<f32> = (0..32 * 200 + 5)
            .map(|i| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 2f32.powi(i / 32 - 100)
            })
            .collect();
        let plain = rounded(Kernels::at_most(KernelSet::Scalar), &values);
        for set in KernelSet::ALL {
            if let Some(kernels) = Kernels::exactly(set) {
                assert_eq!(rounded(kernels, &values), plain, "{set}");
            }
        }
        for (index, number) in values.iter().enumerate() {
            let scale = plain.1[index / 32];
            let off = (f32::from(plain.0[index]) * scale - number).abs();
            assert!(off <= scale * 0.5001, "number {index}");
        }
    }

    #[test]
    fn zero_tiny_huge_and_no_numbers() {
        let kernels = Kernels::detect();
        assert_eq!(rounded(kernels, &[0.0; 32]), (vec![0; 32], vec![0.0]));
        assert_eq!(rounded(kernels, &[1e-40; 32]), (vec![0; 32], vec![0.0]));
        let (quants, scales) = rounded(kernels, &[-f32::MAX; 32]);
        assert_eq!((quants[0], scales[0]), (-127, f32::MAX / 127.0));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; 40];
            values[33] = bad;
            let (quants, scales) = rounded(kernels, &values);
            assert_eq!((quants[0], scales[0]), (127, 1.0 / 127.0));
            assert!(scales[1].is_nan() && quants[33..40].iter().all(|quant| *quant == 0));
        }
    }
}
