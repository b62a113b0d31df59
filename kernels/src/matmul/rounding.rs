//! Activations in 8 bits, one scale for 32 numbers of which the largest becomes 112 to 127; and in pairs of bf16.
//!
//! Why apart: the same few lines are compiled for several sets of instructions and must come to the same bits in each.
//!
//! # Invariants
//! Only operations that IEEE 754 defines to the last bit. A block with a number that is none gets a scale that is none.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod vectors;
#[cfg(target_arch = "x86_64")]
mod wide;

use crate::cpu::{KernelSet, Kernels};
use crate::half::f32_to_bf16;

/// Below this, 2^-113, a block counts as zero: its scale times a weight's, a multiple of 2^-24, would not always be exact.
const LEAST: u32 = 0x0700_0000;
/// What a scale's second power of two is multiplied by.
pub(crate) const SECOND: f32 = 0.75;
/// Minus this, a power of two is zero whatever it is multiplied by.
const NONE: f32 = 1000.0;

const INFINITE: u32 = 0x7f80_0000;
/// 1.5 * 2^23: added to a small number, the lowest bits of the sum are that number, rounded to even.
const ROUNDER: f32 = 12_582_912.0;

/// A panel to be written; as [`IntegerPanel`](super::panel::IntegerPanel).
pub(crate) struct Rounded<'a> {
    pub(crate) rows: usize,
    pub(crate) by_row: bool,
    pub(crate) quants: &'a mut [i32],
    pub(crate) scales: &'a mut [f32],
    pub(crate) powers: &'a mut [f32],
    pub(crate) starts_8: &'a mut [i32],
    pub(crate) starts_4: &'a mut [i32],
    pub(crate) halves: &'a mut [i32],
    pub(crate) sums: &'a mut [f32],
}

/// What 32 numbers become.
struct Eighths {
    scale: Scale,
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
        _ => unsafe { wide::round(panel, width, values) },
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
            unsafe { wide::pairs(shape, values, pairs) }
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
        let scale = eighths.scale.value;
        self.scales[place] = scale;
        self.powers[2 * block * self.rows + row] = eighths.scale.powers[0];
        self.powers[(2 * block + 1) * self.rows + row] = eighths.scale.powers[1];
        self.starts_8[place] = -128 * sum;
        self.starts_4[place] = -8 * sum;
        self.halves[2 * block * self.rows + row] = -32 * eighths.lower;
        self.halves[(2 * block + 1) * self.rows + row] = -32 * eighths.upper;
        self.sums[place] = scale * sum as f32;
    }
}

/// What the integers of a block are multiplied by.
#[derive(Clone, Copy)]
struct Scale {
    /// The sum of a power of two and [`SECOND`] times another: so few bits that its product with a weight's scale is
    /// exact, and kernels that have no multiplication to spare make it of the two powers.
    value: f32,
    /// Which powers they are.
    powers: [f32; 2],
    /// What numbers are multiplied by.
    inverse: f32,
}

/// Scales between a power of two and the next: the bits of the fraction, and both powers as counted from that one. No
/// number is further than an eighth of what is above it below the next.
const STEPS: [(u32, [f32; 2]); 9] = [
    (0x0000_0000, [0.0, -NONE]),
    (0x000c_0000, [0.0, -3.0]),
    (0x0018_0000, [0.0, -2.0]),
    (0x0020_0000, [-1.0, 0.0]),
    (0x0030_0000, [0.0, -1.0]),
    (0x0040_0000, [-NONE, 1.0]),
    (0x0050_0000, [-3.0, 1.0]),
    (0x0060_0000, [0.0, 0.0]),
    (0x0080_0000, [1.0, -NONE]),
];

/// The least scale by which a block's largest number becomes at most 127, from that number's bits without sign: as whole
/// numbers these are ordered as the numbers are, and what is no number is above all.
#[inline(always)]
fn scale_of(largest: u32) -> Scale {
    if largest >= INFINITE {
        return Scale {
            value: f32::NAN,
            powers: [f32::NAN; 2],
            inverse: 0.0,
        };
    }
    if largest < LEAST {
        return Scale {
            value: 0.0,
            powers: [-NONE; 2],
            inverse: 0.0,
        };
    }
    let least = (f32::from_bits(largest) / 127.0).to_bits();
    let (power, fraction) = (least & INFINITE, least & !INFINITE);
    let [.., (mut up, mut powers)] = STEPS;
    for (step, of_step) in STEPS.iter().rev() {
        if fraction <= *step {
            (up, powers) = (*step, *of_step);
        }
    }
    let exponent = (power >> 23) as f32 - 127.0;
    let value = f32::from_bits(power + up);
    Scale {
        value,
        powers: powers.map(|of_step| exponent + of_step),
        inverse: 1.0 / value,
    }
}

fn round_block(numbers: &[f32; 32]) -> Eighths {
    let largest = numbers.iter().fold(0u32, |largest, number| {
        largest.max(number.to_bits() & 0x7fff_ffff)
    });
    let scale = scale_of(largest);
    let mut quants = [0i32; 32];
    if largest < INFINITE {
        for (quant, number) in quants.iter_mut().zip(numbers) {
            *quant =
                (number * scale.inverse + ROUNDER).to_bits().cast_signed() - ROUNDER.to_bits().cast_signed();
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
            powers: &mut vec![0.0; 2 * blocks],
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
    fn scales_are_of_two_powers_and_little_above_what_they_must_be() {
        for step in 0..23_990 {
            let number = 2f32.powf(step as f32 / 100.0 - 112.99);
            let scale = scale_of(number.to_bits());
            assert!(
                scale.value >= number / 127.0 && scale.value <= number / 127.0 * 1.143,
                "{number}"
            );
            let [first, second] = scale.powers.map(|power| f64::from(power).exp2());
            assert_eq!(
                f64::from(scale.value),
                first + f64::from(SECOND) * second,
                "{number}"
            );
            // Six bits: exact times 18 bits of a weight's scale.
            assert_eq!(scale.value.to_bits() & 0x0003_ffff, 0, "{number}");
        }
    }

    #[test]
    fn zero_tiny_huge_and_no_numbers() {
        let kernels = Kernels::detect();
        assert_eq!(rounded(kernels, &[0.0; 32]), (vec![0; 32], vec![0.0]));
        assert_eq!(rounded(kernels, &[1e-40; 32]), (vec![0; 32], vec![0.0]));
        let (quants, scales) = rounded(kernels, &[-f32::MAX; 32]);
        assert_eq!((quants[0], scales[0]), (-117, 1.09375 * 2f32.powi(121)));
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; 40];
            values[33] = bad;
            let (quants, scales) = rounded(kernels, &values);
            assert_eq!((quants[0], scales[0]), (117, 1.09375 / 128.0));
            assert!(scales[1].is_nan() && quants[33..40].iter().all(|quant| *quant == 0));
        }
    }
}
