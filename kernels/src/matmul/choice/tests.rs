//! Winners against the scores of whole rows, for all precisions and sets of instructions.
//!
//! Why apart: it needs random matrices, which the matrices' own tests make.
//!
//! # Invariants
//! A set that this CPU lacks is named where its tests would be.

use super::*;
use crate::cases::sets;
use crate::format::BlockFormat;
use crate::matmul::multiply;
use crate::packed::Precision;
use crate::packed::tests::random_matrix;

const FORMATS: [BlockFormat; 7] = [
    BlockFormat::F32,
    BlockFormat::F16,
    BlockFormat::Bf16,
    BlockFormat::Q8_0,
    BlockFormat::Q4_0,
    BlockFormat::Q4K,
    BlockFormat::Q6K,
];

fn values(rows: usize, width: usize) -> Vec<f32> {
    (0..rows * width)
        .map(|i| ((i * 7919 + i / width * 31) % 1000) as f32 / 500.0 - 1.0)
        .collect()
}

/// The product is that of [`multiply`], and each race's winner is the one of its row, with that output's weights.
#[test]
fn winners_are_those_of_whole_rows() {
    for format in FORMATS {
        let inputs = 2 * format.block_weights().max(20);
        let (outputs, rows) = (1203, 40);
        let (_, matrix) = random_matrix(format, Precision::of(format), outputs, inputs, 9);
        let values = values(rows, inputs);
        for kernels in sets("winners_are_those_of_whole_rows") {
            for (threads, races) in [
                (1, vec![3]),
                (2, vec![0, 39]),
                (3, (0..rows).rev().collect::<Vec<_>>()),
                (2, vec![]),
            ] {
                let pool = Pool::new(threads);
                let mut activations = Activations::new(kernels);
                activations.prepare(&pool, &[matrix.precision()], inputs, &values);
                let mut expected = vec![0.0; rows * outputs];
                multiply(&pool, &matrix, &activations, &mut expected);
                let race = |row: usize| Race::new(&[row as u8; 32], 4, (row % 2) as f32);
                let races: Vec<_> = races.into_iter().map(|row| (row, race(row))).collect();
                let mut out = vec![f32::NAN; rows * outputs];
                let winners =
                    multiply_and_choose(&pool, &matrix, &activations, &mut out, &races, &|scores| {
                        scores.iter_mut().for_each(|score| *score *= 0.5)
                    });
                assert!(out == expected, "{format:?} {}", kernels.set());
                assert_eq!(winners.iter().count(), races.len());
                for ((row, race), (output, weights)) in races.iter().zip(winners.iter()) {
                    let numbers = expected[row * outputs..][..outputs].iter();
                    let mut scores: Vec<f32> = numbers.map(|number| number * 0.5).collect();
                    race.score(kernels, &mut scores);
                    let best = Lead::of(kernels, 0, &scores).output();
                    assert_eq!(output, best, "{format:?} {} {row}", kernels.set());
                    let mut known = vec![0.0; inputs];
                    matrix.row(best as usize, &mut known);
                    assert_eq!(weights, known, "{format:?} {} {row}", kernels.set());
                }
            }
        }
    }
}

/// Of equal scores the lowest output wins, wherever its part was computed.
#[test]
fn the_lowest_of_equals_wins() {
    for (equals, best) in [(-1.0, 0), (f32::NEG_INFINITY, 0)] {
        let (_, matrix) = random_matrix(BlockFormat::Q8_0, Precision::Q8, 2000, 32, 5);
        for threads in [1, 3] {
            let pool = Pool::new(threads);
            for kernels in sets("the_lowest_of_equals_wins") {
                let mut activations = Activations::new(kernels);
                activations.prepare(&pool, &[matrix.precision()], 32, &values(1, 32));
                let mut out = vec![0.0; 2000];
                let races = [(0, Race::new(&[0; 32], 0, 0.0))];
                let finish: &Finish<'_> = &|scores| scores.fill(equals);
                let winners = multiply_and_choose(&pool, &matrix, &activations, &mut out, &races, finish);
                let found: Vec<u32> = winners.iter().map(|(output, _)| output).collect();
                assert_eq!(found, [best]);
            }
        }
    }
}
