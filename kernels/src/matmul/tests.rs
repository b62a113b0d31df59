//! Every kernel against a product in 64 bits, against the plain one, and against itself in other company.
//!
//! Why apart: one set of cases for all kernels.
//!
//! # Invariants
//! A set that this CPU lacks is named where its tests would be.

use super::*;
use crate::cases::sets;
use crate::cpu::Kernels;
use crate::format::BlockFormat;
use crate::half::{bf16_to_f32, f32_to_bf16, f32_to_f16};
use crate::packed::Precision;
use crate::packed::tests::random_matrix;

/// A format of a file for each precision.
const KINDS: [(BlockFormat, Precision); 7] = [
    (BlockFormat::F32, Precision::F32),
    (BlockFormat::F16, Precision::F16),
    (BlockFormat::Bf16, Precision::Bf16),
    (BlockFormat::Q8_0, Precision::Q8),
    (BlockFormat::Q4_0, Precision::Q4),
    (BlockFormat::Q4K, Precision::Q4K),
    (BlockFormat::Q6K, Precision::Q6K),
];

fn is_integer(precision: Precision) -> bool {
    !matches!(precision, Precision::F32 | Precision::F16 | Precision::Bf16)
}

/// Activations with blocks of zeros, of large and of small numbers.
fn random_values(rows: usize, width: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut values: Vec<f32> = (0..rows * width)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        })
        .collect();
    for (row, values) in values.chunks_mut(width).enumerate() {
        for (block, values) in values.chunks_mut(32).enumerate() {
            match (row + block) % 7 {
                1 => values.fill(0.0),
                2 => values.iter_mut().for_each(|value| *value *= 1e5),
                3 => values.iter_mut().for_each(|value| *value *= 1e-5),
                4 => values.iter_mut().for_each(|value| *value = value.signum()),
                _ => {}
            }
        }
    }
    values
}

fn product(kernels: Kernels, threads: usize, matrix: &Matrix, values: &[f32]) -> Vec<f32> {
    let pool = Pool::new(threads);
    let mut activations = Activations::new(kernels);
    activations.prepare(&pool, &[matrix.precision()], matrix.inputs(), values);
    let mut out = vec![f32::NAN; activations.rows() * matrix.outputs()];
    multiply(&pool, matrix, &activations, &mut out);
    out
}

/// A product in 64 bits and how far a kernel may be from it: rounding of activations and of each addition.
fn reference(matrix: &Matrix, values: &[f32]) -> Vec<(f64, f64)> {
    let mut rows = vec![0f32; matrix.outputs() * matrix.inputs()];
    for (index, row) in rows.chunks_mut(matrix.inputs()).enumerate() {
        matrix.row(index, row);
    }
    let mut out = Vec::new();
    for values in values.chunks(matrix.inputs()) {
        for row in rows.chunks(matrix.inputs()) {
            let (mut sum, mut bound) = (0f64, 0f64);
            for (weights, values) in row.chunks(32).zip(values.chunks(32)) {
                let largest = values
                    .iter()
                    .fold(0f32, |largest, value| largest.max(value.abs()));
                for (weight, value) in weights.iter().zip(values) {
                    let off = match matrix.precision() {
                        Precision::F32 | Precision::F16 => 0.0,
                        Precision::Bf16 => f64::from(value.abs()) / 256.0,
                        // Half a scale, which may be a seventh above what it must be.
                        _ => f64::from(largest) / 254.0 * 8.0 / 7.0 * 1.0001,
                    };
                    let (weight, value) = (f64::from(*weight), f64::from(*value));
                    sum += weight * value;
                    bound += weight.abs() * (off + value.abs() * 2e-6);
                }
                if matches!(matrix.precision(), Precision::Q4K) {
                    // Two parts of each weight nearly cancel; both are rounded.
                    bound += f64::from(largest) * 32.0 * 2e-6 * 16.0;
                }
            }
            out.push((sum, bound));
        }
    }
    out
}

#[test]
fn products_are_those_of_64_bits_within_a_bound() {
    for kernels in sets("products_are_those_of_64_bits_within_a_bound") {
        for (format, precision) in KINDS {
            for (outputs, blocks, rows) in [(1, 1, 1), (16, 2, 3), (50, 3, 2), (33, 1, 40)] {
                let inputs = if format.block_weights() == 1 {
                    43 * blocks
                } else {
                    format.block_weights() * blocks
                };
                let (_, matrix) = random_matrix(format, precision, outputs, inputs, 5);
                let values = random_values(rows, inputs, 6);
                let found = product(kernels, 2, &matrix, &values);
                for ((expected, bound), found) in reference(&matrix, &values).into_iter().zip(found) {
                    assert!(
                        (expected - f64::from(found)).abs() <= bound,
                        "{} {precision:?} {outputs} x {inputs}: {expected} {found} {bound}",
                        kernels.set()
                    );
                }
            }
        }
    }
}

#[test]
fn integer_kernels_agree_to_the_last_bit() {
    let plain = Kernels::at_most(KernelSet::Scalar);
    for kernels in sets("integer_kernels_agree_to_the_last_bit") {
        for (format, precision) in KINDS {
            if !is_integer(precision) {
                continue;
            }
            for (outputs, blocks) in [(16, 1), (40, 3)] {
                let inputs = format.block_weights() * blocks;
                let (_, matrix) = random_matrix(format, precision, outputs, inputs, 7);
                for rows in 1..=40 {
                    let values = random_values(rows, inputs, 8 + rows as u32);
                    let (expected, found) = (
                        product(plain, 1, &matrix, &values),
                        product(kernels, 1, &matrix, &values),
                    );
                    for (expected, found) in expected.iter().zip(&found) {
                        assert_eq!(
                            expected.to_bits(),
                            found.to_bits(),
                            "{} {precision:?} {rows}",
                            kernels.set()
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn plain_number_kernels_agree_within_a_bound() {
    let scalar = Kernels::at_most(KernelSet::Scalar);
    for kernels in sets("plain_number_kernels_agree_within_a_bound") {
        for (format, precision) in KINDS {
            if is_integer(precision) {
                continue;
            }
            let (_, matrix) = random_matrix(format, precision, 70, 300, 9);
            let mut weights = vec![0f32; 300];
            for rows in 1..=40 {
                let values: Vec<f32> = random_values(rows, 300, rows as u32);
                let (expected, found) = (
                    product(scalar, 1, &matrix, &values),
                    product(kernels, 1, &matrix, &values),
                );
                for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
                    matrix.row(index % 70, &mut weights);
                    let sizes = values[index / 70 * 300..].iter().zip(&weights);
                    let size: f32 = sizes.map(|(value, weight)| (value * weight).abs()).sum();
                    let (off, bound) = ((expected - found).abs(), size * 2e-6);
                    assert!(
                        off <= bound,
                        "{} {precision:?} {rows}: {off} {bound}",
                        kernels.set()
                    );
                }
            }
        }
    }
}

#[test]
fn a_row_is_the_same_alone_in_any_batch_and_with_any_threads() {
    for kernels in sets("a_row_is_the_same_alone_in_any_batch_and_with_any_threads") {
        for (format, precision) in KINDS {
            let inputs = if format.block_weights() == 1 { 100 } else { 256 };
            let (_, matrix) = random_matrix(format, precision, 70, inputs, 11);
            let values = random_values(40, inputs, 12);
            let alone: Vec<u32> = values
                .chunks(inputs)
                .flat_map(|row| product(kernels, 1, &matrix, row))
                .map(f32::to_bits)
                .collect();
            for rows in 1..=40 {
                for first in [0, 40 - rows] {
                    let values = &values[first * inputs..][..rows * inputs];
                    let threads = 1 + rows % 3;
                    let found = product(kernels, threads, &matrix, values);
                    for (index, number) in found.iter().enumerate() {
                        let expected = alone[first * 70 + index];
                        assert_eq!(
                            number.to_bits(),
                            expected,
                            "{} {precision:?} {rows}",
                            kernels.set()
                        );
                    }
                }
            }
        }
    }
}

/// A row of blocks whose integers and scales are the extreme ones.
fn extreme_row(format: BlockFormat, byte: u8, scale: f32) -> Vec<u8> {
    let mut block = vec![byte; format.block_bytes()];
    let scale = f32_to_f16(scale).to_le_bytes();
    match format {
        BlockFormat::Q6K => block[208..].copy_from_slice(&scale),
        BlockFormat::Q4K => {
            block[..2].copy_from_slice(&scale);
            block[2..4].copy_from_slice(&scale);
        }
        _ => block[..2].copy_from_slice(&scale),
    }
    block
}

#[test]
fn extreme_integers_and_scales() {
    let plain = Kernels::at_most(KernelSet::Scalar);
    for kernels in sets("extreme_integers_and_scales") {
        for format in [
            BlockFormat::Q8_0,
            BlockFormat::Q4_0,
            BlockFormat::Q4K,
            BlockFormat::Q6K,
        ] {
            let inputs = format.block_weights();
            for byte in [0x00, 0x7f, 0x80, 0xff, 0x0f, 0xf0, 0x81] {
                for scale in [65504.0, -65504.0, 6e-8, 0.0] {
                    let mut builder = Matrix::builder(Precision::of(format), 16, inputs).unwrap();
                    for _ in 0..16 {
                        builder.push(format, &extreme_row(format, byte, scale)).unwrap();
                    }
                    let matrix = builder.finish().unwrap();
                    for value in [1.0f32, -1.0, 1e-30, 1e25] {
                        for rows in [1, 5, 17] {
                            let values = vec![value; rows * inputs];
                            let expected: Vec<u32> = product(plain, 1, &matrix, &values)
                                .into_iter()
                                .map(f32::to_bits)
                                .collect();
                            let found: Vec<u32> = product(kernels, 1, &matrix, &values)
                                .into_iter()
                                .map(f32::to_bits)
                                .collect();
                            assert_eq!(
                                expected,
                                found,
                                "{} {format:?} {byte} {scale} {value}",
                                kernels.set()
                            );
                            for ((expected, bound), found) in
                                reference(&matrix, &values).into_iter().zip(found)
                            {
                                let off = (expected - f64::from(f32::from_bits(found))).abs();
                                // Two large parts may cancel.
                                let parts = f64::from(scale.abs() * value.abs()) * 63.0 * 15.0 * 256.0;
                                assert!(
                                    off <= bound * 1.1 + parts * 1e-6,
                                    "{format:?} {byte} {scale} {value}"
                                );
                            }
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn what_is_no_number_makes_products_that_are_none_in_its_row_alone() {
    for kernels in sets("what_is_no_number_makes_products_that_are_none_in_its_row_alone") {
        for (format, precision) in KINDS {
            let (_, matrix) = random_matrix(format, precision, 40, 256, 13);
            let mut values = random_values(3, 256, 14);
            values[256 + 77] = f32::NAN;
            let found = product(kernels, 1, &matrix, &values);
            let bad: Vec<bool> = found.iter().map(|number| number.is_nan()).collect();
            assert!(
                bad[40..80].iter().all(|bad| *bad),
                "{} {precision:?}",
                kernels.set()
            );
            assert!(!bad[..40].iter().chain(&bad[80..]).any(|bad| *bad));
        }
    }
}

#[test]
fn matrices_share_activations() {
    let kernels = Kernels::detect();
    let pool = Pool::new(2);
    let mut activations = Activations::new(kernels);
    // Of different heights, so that their shares of one operation are of different numbers of parts.
    let mut outputs = (1..).map(|index| 170 * index);
    let matrices = KINDS.map(|(format, precision)| {
        let outputs = outputs.next().expect("endless");
        random_matrix(format, precision, outputs, 256, 15).1
    });
    let precisions: Vec<Precision> = matrices.iter().map(Matrix::precision).collect();
    // Wide ones first, so that room is used again.
    for rows in [30, 1, 4] {
        let values = random_values(rows, 256, 16);
        activations.prepare(&pool, &precisions, 256, &values);
        let alone = matrices
            .each_ref()
            .map(|matrix| product(kernels, 1, matrix, &values));
        let mut each = alone.each_ref().map(|out| vec![f32::NAN; out.len()]);
        let mut outs = each.iter_mut();
        let products = matrices.each_ref().map(|matrix| {
            let out = outs.next().expect("one for each matrix");
            (matrix, &mut out[..])
        });
        multiply_each(&pool, &activations, products);
        assert!(each == alone, "{rows} rows");
    }
    activations.prepare(&pool, &precisions, 256, &[]);
    multiply(&pool, &matrices[3], &activations, &mut []);
}

#[test]
fn activations_of_bf16_are_rounded_alike_by_every_set() {
    let (_, matrix) = random_matrix(BlockFormat::Bf16, Precision::Bf16, 32, 32, 17);
    let values: Vec<f32> = random_values(1, 32, 18);
    let rounded: Vec<f32> = values
        .iter()
        .map(|value| bf16_to_f32(f32_to_bf16(*value)))
        .collect();
    for kernels in sets("activations_of_bf16_are_rounded_alike_by_every_set") {
        assert_eq!(
            product(kernels, 1, &matrix, &values),
            product(kernels, 1, &matrix, &rounded)
        );
    }
}

#[test]
#[should_panic(expected = "activations were prepared for 8 bits")]
fn a_form_that_was_not_prepared_is_missed() {
    let (_, matrix) = random_matrix(BlockFormat::Q8_0, Precision::Q8, 16, 32, 19);
    let pool = Pool::new(1);
    let mut activations = Activations::new(Kernels::detect());
    activations.prepare(&pool, &[Precision::F32], 32, &[0.0; 32]);
    multiply(&pool, &matrix, &activations, &mut [0.0; 16]);
}
