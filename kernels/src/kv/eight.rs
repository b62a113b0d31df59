//! Keys and values in 8 bits: signed bytes, and a scale for 32 numbers of a row.
//!
//! Why apart: half the memory of 16 bits, for a measured loss, in a layout of its own.
//!
//! A line of 32 bytes is 16 units: the lower bytes are its first half, the upper ones its second, which widens without
//! shuffling. After all lines come the scales, a line of 32 for each 32 numbers: one for each position.
//!
//! # Invariants
//! A number is off by at most a 254th of the largest of its 32.

#![allow(unsafe_code)]

use super::POSITIONS;
use super::store::{put_f32, read_f32};
use crate::cpu::{KernelSet, Kernels};

/// Units of a line of bytes.
const HALF: usize = POSITIONS / 2;
/// Units of a line of scales.
const SCALES: usize = 2 * POSITIONS;

/// Units for `numbers` numbers of each position.
pub(super) const fn units(numbers: usize) -> usize {
    numbers * HALF + numbers.div_ceil(POSITIONS) * SCALES
}

/// Numbers of each position in so many units, where `numbers` is a multiple of 8: the inverse of [`units`].
pub(crate) const fn numbers(units: usize) -> usize {
    // A whole group of 32 numbers has 32 halves of lines and a line of scales.
    let group = POSITIONS * HALF + SCALES;
    let rest = units % group;
    units / group * POSITIONS + rest.saturating_sub(SCALES) / HALF
}

/// Puts the key of position `at`.
pub(super) fn put_key(row: &[f32], at: usize, keys: &mut [u16]) {
    let (lines, scales) = keys.split_at_mut(numbers(keys.len()) * HALF);
    let groups = row.chunks(POSITIONS).zip(lines.chunks_mut(POSITIONS * HALF));
    for ((group, lines), scales) in groups.zip(scales.chunks_exact_mut(SCALES)) {
        let scale = scale(group);
        put_f32(scales, at, scale);
        for (number, line) in group.iter().zip(lines.chunks_exact_mut(HALF)) {
            put(line, at, *number, scale);
        }
    }
}

/// Puts the value of position `at`.
pub(super) fn put_value(row: &[f32], at: usize, values: &mut [u16]) {
    let (lines, scales) = values.split_at_mut(numbers(values.len()) * HALF);
    let groups = row
        .chunks(POSITIONS)
        .zip(lines.chunks_exact_mut(POSITIONS * HALF));
    for ((group, lines), scales) in groups.zip(scales.chunks_exact_mut(SCALES)) {
        let scale = scale(group);
        put_f32(scales, at, scale);
        let line = &mut lines[at * HALF..][..HALF];
        for (index, number) in group.iter().enumerate() {
            put(line, index, *number, scale);
        }
    }
}

fn scale(group: &[f32]) -> f32 {
    group.iter().fold(0.0, |most: f32, number| most.max(number.abs())) / 127.0
}

/// What [`put`] keeps of a number.
pub(crate) fn rounded(number: f32, scale: f32) -> i8 {
    // A scale of zero makes zeros: the conversion takes what is no number for one.
    (number / scale).round() as i8
}

fn put(line: &mut [u16], index: usize, number: f32, scale: f32) {
    let byte = u16::from(rounded(number, scale) as u8);
    line[index % HALF] ^= byte << (index / HALF * 8);
}

/// Keys or values as numbers, line by line.
pub(crate) fn read(kernels: Kernels, units: &[u16], is_values: bool, out: &mut [f32]) {
    match kernels.set() {
        // SAFETY: a `Kernels` of these sets is possessed only where the CPU has AVX2.
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { by_avx2(units, is_values, out) },
        // SAFETY: and of these only where it has AVX-512 F, BW and VL.
        #[cfg(target_arch = "x86_64")]
        KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => unsafe {
            by_avx512(units, is_values, out)
        },
        _ => by_any(units, is_values, out),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn by_avx2(units: &[u16], is_values: bool, out: &mut [f32]) {
    by_any(units, is_values, out);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
fn by_avx512(units: &[u16], is_values: bool, out: &mut [f32]) {
    by_any(units, is_values, out);
}

#[inline(always)]
fn by_any(units: &[u16], is_values: bool, out: &mut [f32]) {
    let (lines, scales) = units.split_at(numbers(units.len()) * HALF);
    let groups = lines
        .chunks(POSITIONS * HALF)
        .zip(out.chunks_mut(POSITIONS * POSITIONS));
    for ((lines, out), of_group) in groups.zip(scales.chunks_exact(SCALES)) {
        let mut scales = [0.0; POSITIONS];
        read_f32(of_group, &mut scales);
        let pairs = lines
            .as_chunks::<HALF>()
            .0
            .iter()
            .zip(out.as_chunks_mut::<POSITIONS>().0);
        for (index, (line, out)) in pairs.enumerate() {
            // A line of keys is of all positions, one of values of a single one.
            let factors = if is_values {
                [scales[index]; POSITIONS]
            } else {
                scales
            };
            for i in 0..HALF {
                out[i] = f32::from(line[i] as u8 as i8) * factors[i];
                out[HALF + i] = f32::from((line[i] >> 8) as u8 as i8) * factors[HALF + i];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_and_numbers_are_inverse() {
        for count in (8..=512).step_by(8) {
            assert_eq!(numbers(units(count)), count);
        }
        assert_eq!(units(128), 128 * 18);
    }

    #[test]
    fn rows_come_back_within_the_bound_and_touch_no_other() {
        let row: Vec<f32> = (0..40)
            .map(|i| (i as f32 * 0.7).sin() * if i < 32 { 3.0 } else { 1e-3 })
            .collect();
        for set in KernelSet::ALL {
            let kernels = Kernels::at_most(set);
            for at in [0, 15, 16, 31] {
                let (mut keys, mut values) = (vec![0; units(40)], vec![0; units(64)]);
                put_key(&row, at, &mut keys);
                put_value(&row, at, &mut values);
                let mut wide = vec![7.0; 40 * POSITIONS];
                read(kernels, &keys, false, &mut wide);
                let mut along = vec![7.0; 64 * POSITIONS];
                read(kernels, &values, true, &mut along);
                for i in 0..40 {
                    let most = scale(if i < 32 { &row[..32] } else { &row[32..] }) * 127.0;
                    let value = along[(i / 32 * 32 + at) * 32 + i % 32];
                    assert!((wide[i * 32 + at] - row[i]).abs() <= most / 253.0);
                    assert_eq!(value, wide[i * 32 + at]);
                }
                assert_eq!(
                    wide.iter().filter(|x| **x != 0.0).count(),
                    row.iter().filter(|x| **x != 0.0).count()
                );
            }
        }
    }
}
