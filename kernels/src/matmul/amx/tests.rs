//! All of the kernels but the instructions themselves, with a unit in plain Rust.
//!
//! Why apart: runs on any CPU with AVX-512; where AMX is, the tests of `matmul` run the instructions too.
//!
//! # Invariants
//! Panels are laid out as for AMX.

use super::unit::Plain;
use super::*;
use crate::cpu::{KernelSet, Kernels};
use crate::format::BlockFormat;
use crate::half::f32_to_bf16;
use crate::matmul::rounding::{Rounded, round_rows};
use crate::matmul::scalar;
use crate::packed::tests::random_matrix;
use crate::packed::{Precision, Tiles};

const WIDTH: usize = 512;
const BLOCKS: usize = WIDTH / 32;

fn values(rows: usize) -> Vec<f32> {
    (0..rows * WIDTH)
        .map(|i| ((i * 7919 % 1009) as f32 / 500.0 - 1.0) * (1 + i / 32 % 5) as f32)
        .collect()
}

#[test]
#[expect(clippy::print_stderr, reason = "a test that is left out must say so")]
fn integer_kernels_around_the_unit_agree_to_the_last_bit() {
    let Some(kernels) = Kernels::exactly(KernelSet::Avx512Vnni) else {
        eprintln!(
            "SKIPPED integer_kernels_around_the_unit_agree_to_the_last_bit: this CPU has no avx512-vnni"
        );
        return;
    };
    for rows in 8..=16 {
        let count = rows * BLOCKS;
        let (mut quants, mut scales, mut sums) = (vec![0; 8 * count], vec![0.0; count], vec![0.0; count]);
        let mut powers = vec![0.0; 2 * count];
        let (mut starts_8, mut starts_4, mut halves) = (vec![0; count], vec![0; count], vec![0; 2 * count]);
        let mut rounded = Rounded {
            rows,
            by_row: true,
            quants: &mut quants,
            scales: &mut scales,
            powers: &mut powers,
            starts_8: &mut starts_8,
            starts_4: &mut starts_4,
            halves: &mut halves,
            sums: &mut sums,
        };
        round_rows(kernels, &mut rounded, WIDTH, &values(rows));
        let panel = IntegerPanel {
            rows,
            by_row: true,
            quants: &quants,
            scales: &scales,
            powers: &powers,
            starts_8: &starts_8,
            starts_4: &starts_4,
            halves: &halves,
            sums: &sums,
        };
        for format in [
            BlockFormat::Q8_0,
            BlockFormat::Q4_0,
            BlockFormat::Q4K,
            BlockFormat::Q6K,
        ] {
            let (_, matrix) = random_matrix(format, Precision::of(format), 16, WIDTH, 31);
            let (mut expected, mut found) = ([1.0; 512], [2.0; 512]);
            // SAFETY: this CPU was seen to have AVX-512, and the plain unit is everywhere.
            unsafe {
                match matrix.tiles() {
                    Tiles::Q8(tiles) => {
                        scalar::q8(tiles, &panel, &mut expected);
                        with::q8::<Plain>(tiles, &panel, &mut found);
                    }
                    Tiles::Q4(tiles) => {
                        scalar::q4(tiles, &panel, &mut expected);
                        with::q4::<Plain>(tiles, &panel, &mut found);
                    }
                    Tiles::Q4K(tiles) => {
                        scalar::q4k(tiles, &panel, &mut expected);
                        with::q4k::<Plain>(tiles, &panel, &mut found);
                    }
                    Tiles::Q6K(tiles) => {
                        scalar::q6k(tiles, &panel, &mut expected);
                        with::q6k::<Plain>(tiles, &panel, &mut found);
                    }
                    _ => unreachable!("integers only"),
                }
            }
            for (expected, found) in expected[..16 * rows].iter().zip(&found[..16 * rows]) {
                assert_eq!(expected.to_bits(), found.to_bits(), "{format:?} {rows}");
            }
        }
    }
}

#[test]
fn pairs_by_row_are_those_that_the_unit_wants() {
    let (_, matrix) = random_matrix(BlockFormat::Bf16, Precision::Bf16, 32, WIDTH, 32);
    let Tiles::Bf16(tiles) = matrix.tiles() else {
        unreachable!("as asked for");
    };
    for rows in [1, 7, 16] {
        let values = values(rows);
        let half = |row: usize, input: usize| u32::from(f32_to_bf16(values[row * WIDTH + input]));
        let mut by_row = vec![0; rows * WIDTH / 2];
        let mut interleaved = vec![0; rows * WIDTH / 2];
        for row in 0..rows {
            for pair in 0..WIDTH / 2 {
                let number = half(row, 2 * pair) | half(row, 2 * pair + 1) << 16;
                by_row[(pair / 16 * rows + row) * 16 + pair % 16] = number;
                interleaved[pair * rows + row] = number;
            }
        }
        let (mut expected, mut found) = ([1.0; 512], [2.0; 512]);
        let pairs = &interleaved;
        scalar::pairs(tiles, &PairPanel { rows, pairs }, &mut expected);
        // SAFETY: the plain unit is everywhere.
        unsafe { Plain::multiply_pairs(rows, &by_row, tiles, &mut found) };
        assert_eq!(expected[..32 * rows], found[..32 * rows]);
    }
}
