//! Rows that see their whole text, against sums in double precision.
//!
//! Why apart: pages and windows are not tested here.
//!
//! # Invariants
//! A set that this CPU lacks is named where its tests would be.

use super::*;
use crate::cases::{numbers, sets};

/// Heads and numbers of a head: of published models, and such as fill no vector.
const SHAPES: [(usize, usize); 5] = [(2, 32), (1, 64), (3, 8), (2, 41), (1, 3)];
const ROWS: [usize; 9] = [1, 2, 11, 12, 13, 31, 33, 64, 100];

struct Case {
    heads: usize,
    width: usize,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Case {
    fn new(heads: usize, width: usize, rows: usize) -> Self {
        let of = |size, seed| numbers(rows * heads * width, size, seed + rows as u32);
        Self {
            heads,
            width,
            queries: of(3.0, 1),
            keys: of(3.0, 2),
            values: of(2.0, 3),
        }
    }

    fn scale(&self) -> f32 {
        1.0 / (self.width as f32).sqrt()
    }

    /// What rows of the text from `first` on saw.
    fn attend(&self, kernels: Kernels, pool: &Pool, room: &Room, first: usize) -> Vec<f32> {
        let queries = &self.queries[first * self.heads * self.width..];
        let mut out = vec![f32::NAN; queries.len()];
        let text = Text {
            queries,
            keys: &self.keys,
            values: &self.values,
            out: &mut out,
        };
        attend_whole(
            kernels,
            pool,
            room,
            (self.heads, self.width),
            self.scale(),
            &mut [text],
        );
        out
    }

    fn expected(&self) -> Vec<f64> {
        let (row, rows) = (
            self.heads * self.width,
            self.keys.len() / (self.heads * self.width),
        );
        let at = |numbers: &[f32], index: usize| f64::from(numbers[index]);
        let mut out = vec![0.0; self.queries.len()];
        for (query, head) in (0..rows).flat_map(|query| (0..self.heads).map(move |head| (query, head))) {
            let first = head * self.width;
            let scores: Vec<f64> = (0..rows)
                .map(|key| {
                    let products = (first..first + self.width).map(|number| {
                        at(&self.queries, query * row + number) * at(&self.keys, key * row + number)
                    });
                    (products.sum::<f64>() * f64::from(self.scale())).exp()
                })
                .collect();
            let sum: f64 = scores.iter().sum();
            for number in first..first + self.width {
                let products = scores.iter().enumerate();
                out[query * row + number] = products
                    .map(|(key, score)| score / sum * at(&self.values, key * row + number))
                    .sum();
            }
        }
        out
    }
}

#[test]
fn rows_see_their_whole_text() {
    for kernels in sets("rows_see_their_whole_text") {
        let (pool, room) = (Pool::new(2), Room::new(2));
        for (heads, width) in SHAPES {
            // Long texts first, so that short ones meet what those left.
            for rows in ROWS.into_iter().rev() {
                let case = Case::new(heads, width, rows);
                let found = case.attend(kernels, &pool, &room, 0);
                for (found, expected) in found.iter().zip(case.expected()) {
                    let off = (f64::from(*found) - expected).abs();
                    assert!(
                        off < 2e-5,
                        "{} {heads} x {width}, {rows}: {found} {expected}",
                        kernels.set()
                    );
                }
            }
        }
    }
}

#[test]
fn a_row_is_the_same_bit_for_bit_alone_beside_other_texts_and_with_any_threads() {
    let bits = |numbers: &[f32]| {
        numbers
            .iter()
            .map(|number| number.to_bits())
            .collect::<Vec<u32>>()
    };
    for kernels in sets("a_row_is_the_same_bit_for_bit_alone_beside_other_texts_and_with_any_threads") {
        for (heads, width) in SHAPES {
            let cases = ROWS.map(|rows| Case::new(heads, width, rows));
            let alone = cases
                .each_ref()
                .map(|case| case.attend(kernels, &Pool::new(1), &Room::new(1), 0));
            let mut outs = alone.each_ref().map(|out| vec![f32::NAN; out.len()]);
            let mut texts: Vec<Text<'_>> = cases
                .iter()
                .zip(&mut outs)
                .map(|(case, out)| Text {
                    queries: &case.queries,
                    keys: &case.keys,
                    values: &case.values,
                    out,
                })
                .collect();
            let (pool, room) = (Pool::new(3), Room::new(3));
            attend_whole(
                kernels,
                &pool,
                &room,
                (heads, width),
                cases[0].scale(),
                &mut texts,
            );
            for ((case, alone), out) in cases.iter().zip(&alone).zip(&outs) {
                assert!(bits(alone) == bits(out), "{}", kernels.set());
                let rows = case.queries.len() / (heads * width);
                for first in [rows / 2, rows - 1] {
                    let some = case.attend(kernels, &pool, &room, first);
                    assert!(
                        bits(&alone[first * heads * width..]) == bits(&some),
                        "{}",
                        kernels.set()
                    );
                }
            }
        }
    }
}

#[test]
fn scores_too_large_for_exponentials_are_no_harm_and_none_is_one() {
    for kernels in sets("scores_too_large_for_exponentials_are_no_harm_and_none_is_one") {
        let mut case = Case::new(1, 8, 20);
        case.queries.iter_mut().for_each(|number| *number *= 1e4);
        let (pool, room) = (Pool::new(1), Room::new(1));
        let found = case.attend(kernels, &pool, &room, 0);
        assert!(found.iter().all(|number| number.abs() <= 2.0));
        case.queries[8 + 3] = f32::NAN;
        let found = case.attend(kernels, &pool, &room, 0);
        assert!(found[8..16].iter().all(|number| number.is_nan()));
        assert!(!found[16..].iter().any(|number| number.is_nan()));
    }
}

#[test]
fn nothing_is_left_of_texts() {
    let mut room = Room::new(1);
    Case::new(2, 8, 40).attend(Kernels::detect(), &Pool::new(1), &room, 0);
    let left = |room: &Room| {
        let scratch = room.threads[0].lock().unwrap();
        let lines = scratch.keys.iter().chain(&scratch.values).flatten();
        lines.chain(&scratch.scores).any(|number| *number != 0.0)
    };
    assert!(left(&room));
    room.wipe();
    assert!(!left(&room));
}

#[test]
#[should_panic(expected = "a value for each key")]
fn lengths_that_do_not_fit_are_refused() {
    let mut case = Case::new(1, 8, 4);
    case.values.pop();
    case.attend(Kernels::detect(), &Pool::new(1), &Room::new(1), 0);
}
