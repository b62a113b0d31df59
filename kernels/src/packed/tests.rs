//! Matrices give back what was put in, and refuse what is no weight.
//!
//! Why apart: longer than the code.
//!
//! # Invariants
//! Every format is packed into every precision it may become.

use super::*;
use crate::cpu::{KernelSet, Kernels};
use crate::half::f32_to_f16;
use crate::pool::Pool;

/// Bytes at random whose scales are ordinary numbers.
pub(crate) fn random_row(format: BlockFormat, inputs: usize, state: &mut u32) -> Vec<u8> {
    let mut next = || {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *state >> 8
    };
    let mut row = Vec::new();
    for _ in 0..inputs / format.block_weights() {
        let mut block: Vec<u8> = (0..format.block_bytes()).map(|_| next() as u8).collect();
        let number = next() as f32 / 8_388_608.0 - 1.0;
        let scale = f32_to_f16(number / 64.0).to_le_bytes();
        match format {
            BlockFormat::F32 => block.copy_from_slice(&number.to_le_bytes()),
            BlockFormat::F16 => block.copy_from_slice(&f32_to_f16(number).to_le_bytes()),
            BlockFormat::Bf16 => block.copy_from_slice(&number.to_le_bytes()[2..]),
            BlockFormat::Q8_0 | BlockFormat::Q4_0 | BlockFormat::Q5_0 => block[..2].copy_from_slice(&scale),
            BlockFormat::Q4_1 | BlockFormat::Q5_1 | BlockFormat::Q4K | BlockFormat::Q5K => {
                block[..2].copy_from_slice(&scale);
                block[2..4].copy_from_slice(&f32_to_f16(number / 16.0).to_le_bytes());
            }
            BlockFormat::Q6K => block[208..].copy_from_slice(&scale),
        }
        row.extend(block);
    }
    row
}

/// Rows of a file, and the matrix they make.
pub(crate) fn random_matrix(
    format: BlockFormat,
    precision: Precision,
    outputs: usize,
    inputs: usize,
    seed: u32,
) -> (Vec<Vec<u8>>, Matrix) {
    let mut state = seed;
    let mut builder = Matrix::builder(precision, outputs, inputs).unwrap();
    let rows: Vec<Vec<u8>> = (0..outputs)
        .map(|_| random_row(format, inputs, &mut state))
        .collect();
    for row in &rows {
        builder.push(format, row).unwrap();
    }
    (rows, builder.finish().unwrap())
}

fn row_of_file(format: BlockFormat, row: &[u8], inputs: usize) -> Vec<f32> {
    let mut numbers = vec![0.0; inputs];
    assert!(format.numbers(row, &mut numbers));
    numbers
}

fn row(matrix: &Matrix, index: usize) -> Vec<f32> {
    let mut numbers = vec![f32::NAN; matrix.inputs()];
    matrix.row(index, &mut numbers);
    numbers
}

#[test]
fn rows_come_back_as_they_were() {
    for format in BlockFormat::ALL {
        let precision = Precision::of(format);
        for (outputs, blocks) in [(1, 1), (16, 2), (37, 3)] {
            let inputs = if format.block_weights() == 1 {
                43 * blocks
            } else {
                blocks * format.block_weights()
            };
            let (rows, matrix) = random_matrix(format, precision, outputs, inputs, 1);
            assert_eq!(Some(matrix.bytes()), precision.bytes(outputs, inputs));
            for (index, bytes) in rows.iter().enumerate() {
                let (expected, found) = (row_of_file(format, bytes, inputs), row(&matrix, index));
                let rounded = matches!(format, BlockFormat::Q4_1 | BlockFormat::Q5_1 | BlockFormat::Q5K);
                for (expected, found) in expected.chunks(32).zip(found.chunks(32)) {
                    let largest = expected
                        .iter()
                        .fold(0f32, |largest, number| largest.max(number.abs()));
                    let bound = if rounded { largest / 250.0 } else { 0.0 };
                    for (expected, found) in expected.iter().zip(found) {
                        assert!(
                            (expected - found).abs() <= bound,
                            "{format:?}: {expected} {found}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn plain_weights_become_smaller_within_a_bound() {
    for format in [BlockFormat::F32, BlockFormat::F16, BlockFormat::Bf16] {
        for (precision, bound) in [
            (Precision::F32, 0.0),
            (Precision::Q8, 1.0 / 250.0),
            (Precision::Q4, 1.0 / 8.0),
            (Precision::F16, 1.0 / 2048.0),
            (Precision::Bf16, 1.0 / 256.0),
        ] {
            let (rows, matrix) = random_matrix(format, precision, 5, 172, 2);
            for (index, bytes) in rows.iter().enumerate() {
                for (expected, found) in row_of_file(format, bytes, 172).iter().zip(row(&matrix, index)) {
                    assert!((expected - found).abs() <= bound, "{format:?} as {precision:?}");
                }
            }
        }
    }
}

#[test]
fn gathered_rows_are_the_rows() {
    for format in BlockFormat::ALL {
        let inputs = 2 * format.block_weights().max(20);
        let (_, matrix) = random_matrix(format, Precision::of(format), 77, inputs, 3);
        let ids: Vec<u32> = (0..70).map(|i| (i * 31 + 5) % 77).chain([0, 76, 76]).collect();
        for set in KernelSet::ALL {
            let Some(kernels) = Kernels::exactly(set) else {
                continue;
            };
            for (threads, count) in [(1, 1), (2, 5), (3, ids.len())] {
                let pool = Pool::new(threads);
                let mut out = vec![f32::NAN; count * inputs];
                matrix.gather_oblivious(kernels, &pool, &ids[..count], &mut out);
                for (id, out) in ids.iter().zip(out.chunks(inputs)) {
                    assert_eq!(out, row(&matrix, *id as usize), "{format:?} {set} {id}");
                }
            }
        }
        matrix.gather_oblivious(Kernels::detect(), &Pool::new(1), &[], &mut []);
    }
}

#[test]
#[should_panic(expected = "rows of the matrix")]
fn a_row_that_is_none_is_not_gathered() {
    let (_, matrix) = random_matrix(BlockFormat::F32, Precision::F32, 4, 8, 1);
    matrix.gather_oblivious(Kernels::detect(), &Pool::new(1), &[1, 4], &mut [0.0; 16]);
}

fn refused(precision: Precision, format: BlockFormat, inputs: usize, bad: &[u8]) -> PackError {
    let mut builder = Matrix::builder(precision, 3, inputs).unwrap();
    let mut state = 9;
    let good = random_row(format, inputs, &mut state);
    builder.push(format, &good).unwrap();
    // Numbers are looked at when a tile's outputs are all there.
    let error = builder.push(format, bad).err();
    let error = error.unwrap_or_else(|| builder.push(format, &good).unwrap_err());
    assert!(builder.finish().is_err());
    error
}

#[test]
fn what_is_no_number_is_refused_with_its_row() {
    for format in BlockFormat::ALL {
        let inputs = 2 * format.block_weights();
        for bad in [0x7c00u16, 0xfc00, 0x7e01] {
            let mut state = 4;
            let mut row = random_row(format, inputs, &mut state);
            let at = match format {
                BlockFormat::Q6K => 210 + 208,
                _ => format.block_bytes(),
            };
            let bytes = match format {
                BlockFormat::F32 => vec![0, 0, 0x80, 0x7f | (bad >> 8) as u8],
                BlockFormat::Bf16 => vec![0x80, 0x7f | (bad >> 8) as u8],
                _ => bad.to_le_bytes().to_vec(),
            };
            row[at..at + bytes.len()].copy_from_slice(&bytes);
            let error = refused(Precision::of(format), format, inputs, &row);
            assert_eq!(error, PackError::NotFinite { row: 1 }, "{format:?}");
            if matches!(format, BlockFormat::Q4K) {
                let mut row = random_row(format, inputs, &mut state);
                row[2..4].copy_from_slice(&bad.to_le_bytes());
                let error = refused(Precision::Q4K, format, inputs, &row);
                assert_eq!(error, PackError::NotFinite { row: 1 });
            }
        }
    }
}

#[test]
fn weights_too_large_are_refused_with_their_row() {
    let huge: Vec<u8> = [1e30f32; 32]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    for precision in [Precision::F16, Precision::Q8, Precision::Q4] {
        let error = refused(precision, BlockFormat::F32, 32, &huge);
        assert_eq!(error, PackError::TooLarge { row: 1 }, "{precision:?}");
    }
    let largest: Vec<u8> = [f32::MAX; 32]
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect();
    let error = refused(Precision::Bf16, BlockFormat::F32, 32, &largest);
    assert_eq!(error, PackError::TooLarge { row: 1 });
}

#[test]
fn wrong_shapes_and_lengths_are_refused() {
    for (outputs, inputs) in [(0, 1), (1, 0), (usize::MAX, 2), (1 << 40, 1 << 40)] {
        assert_eq!(
            Matrix::builder(Precision::Q4, outputs, inputs).err(),
            Some(PackError::Shape { outputs, inputs })
        );
    }
    assert_eq!(
        refused(Precision::Q8, BlockFormat::Q8_0, 64, &[0; 67]),
        PackError::RowLength {
            row: 1,
            expected: Some(68),
            found: 67
        }
    );
    assert_eq!(
        Matrix::builder(Precision::Q8, 1, 33)
            .unwrap()
            .push(BlockFormat::Q8_0, &[0; 34]),
        Err(PackError::RowLength {
            row: 0,
            expected: None,
            found: 34
        })
    );
    assert_eq!(
        Matrix::builder(Precision::Q4K, 1, 256)
            .unwrap()
            .push(BlockFormat::F32, &[0; 1024]),
        Err(PackError::NoWay {
            format: BlockFormat::F32,
            precision: Precision::Q4K
        })
    );
    let mut builder = Matrix::builder(Precision::F32, 2, 1).unwrap();
    builder.push(BlockFormat::F32, &[0; 4]).unwrap();
    builder.push(BlockFormat::F32, &[0; 4]).unwrap();
    assert_eq!(
        builder.push(BlockFormat::F32, &[0; 4]),
        Err(PackError::Rows {
            expected: 2,
            found: 3
        })
    );
    let builder = Matrix::builder(Precision::F32, 2, 1).unwrap();
    assert_eq!(
        builder.finish().err(),
        Some(PackError::Rows {
            expected: 2,
            found: 0
        })
    );
}

/// Whoever packs which rows, the bytes are the same.
#[test]
fn groups_make_the_matrix_that_single_rows_make() {
    for format in BlockFormat::ALL {
        let inputs = 3 * format.block_weights().max(11);
        for (precision, outputs) in [
            (Precision::of(format), 83),
            (Precision::Q8, 64),
            (Precision::Q4, 1),
        ] {
            if matches!(format, BlockFormat::Q4K | BlockFormat::Q6K) && precision != Precision::of(format) {
                continue;
            }
            let (rows, one_by_one) = random_matrix(format, precision, outputs, inputs, 7);
            for step in [1usize, 16, 40, 1000] {
                let mut builder = Matrix::builder(precision, outputs, inputs).unwrap();
                let mut packed = 0;
                while packed < outputs {
                    let groups = builder.groups(step).unwrap();
                    packed = groups.last().unwrap().rows().end;
                    // The last first: the order is nobody's business.
                    std::thread::scope(|scope| {
                        for group in groups.into_iter().rev() {
                            let own: Vec<&[u8]> = rows[group.rows()].iter().map(Vec::as_slice).collect();
                            scope.spawn(move || group.pack(format, &own).unwrap());
                        }
                    });
                }
                let matrix = builder.finish().unwrap();
                let same = for_tiles!(matrix.tiles(), tiles => tiles.bytes().to_vec())
                    == for_tiles!(one_by_one.tiles(), tiles => tiles.bytes().to_vec());
                assert!(same, "{format:?} as {precision:?} by {step}");
            }
        }
    }
}

#[test]
fn a_group_that_is_not_packed_is_missed() {
    let row = [0u8; 4];
    let mut builder = Matrix::builder(Precision::F32, 64, 1).unwrap();
    let mut groups = builder.groups(64).unwrap();
    assert_eq!(groups.len(), 2);
    let first = groups.remove(0);
    let too_few = first.pack(BlockFormat::F32, &[&row[..]; 31]);
    assert_eq!(
        too_few,
        Err(PackError::Rows {
            expected: 32,
            found: 31
        })
    );
    let refused = groups
        .remove(0)
        .pack(BlockFormat::F32, &[&f32::NAN.to_le_bytes()[..]; 32]);
    assert_eq!(refused, Err(PackError::NotFinite { row: 32 }));
    assert!(builder.groups(64).unwrap().is_empty());
    assert_eq!(
        builder.finish().err(),
        Some(PackError::Rows {
            expected: 64,
            found: 0
        })
    );
}
