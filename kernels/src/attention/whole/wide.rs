//! Products of a few rows with lines of 32 numbers, written once for vectors of any width.
//!
//! Why apart: sets of instructions differ in a few words, which `vector` defines.
//!
//! # Invariants
//! For a row, lines are added one after another, each number by itself, however many rows there are.

/// [`super::multiply`] for each number of rows, for a module that has the words of `vector`.
macro_rules! products {
    ($features:literal, $most:literal: $($rows:literal)*) => {
        #[target_feature(enable = $features)]
        pub(super) fn multiply(left: Left<'_>, lines: &[[f32; LINE]], out: &mut [f32], stride: usize) {
            match left.rows {
                $($rows => rows::<$rows>(left, lines, out, stride),)*
                $most => rows::<$most>(left, lines, out, stride),
                _ => unreachable!("a tile has as many rows as the set allows"),
            }
        }

        #[target_feature(enable = $features)]
        fn rows<const ROWS: usize>(left: Left<'_>, lines: &[[f32; LINE]], out: &mut [f32], stride: usize) {
            for first in (0..LINE / LANES).step_by(2) {
                pair::<ROWS>(left, lines, first, out, stride);
            }
        }

        /// Two vectors of each line from `first` on.
        #[inline]
        #[target_feature(enable = $features)]
        fn pair<const ROWS: usize>(
            left: Left<'_>,
            lines: &[[f32; LINE]],
            first: usize,
            out: &mut [f32],
            stride: usize,
        ) {
            let depth = lines.len();
            let mut numbers = [&left.numbers[..0]; ROWS];
            for row in 0..ROWS {
                numbers[row] = &left.numbers[row * left.stride..][..depth];
            }
            let mut sums = [[splat(0.0); 2]; ROWS];
            let (eights, rest) = lines.as_chunks::<EIGHT>();
            for (index, lines) in eights.iter().enumerate() {
                let mut eight = [&[0.0; EIGHT]; ROWS];
                for row in 0..ROWS {
                    eight[row] = &numbers[row].as_chunks().0[index];
                }
                for k in 0..EIGHT {
                    let vectors = lines[k].as_chunks::<LANES>().0;
                    let line = [load(&vectors[first]), load(&vectors[first + 1])];
                    for row in 0..ROWS {
                        let factor = splat(eight[row][k]);
                        sums[row][0] = mul_add(factor, line[0], sums[row][0]);
                        sums[row][1] = mul_add(factor, line[1], sums[row][1]);
                    }
                }
            }
            for (index, line) in rest.iter().enumerate() {
                let vectors = line.as_chunks::<LANES>().0;
                let line = [load(&vectors[first]), load(&vectors[first + 1])];
                for row in 0..ROWS {
                    let factor = splat(numbers[row][eights.len() * EIGHT + index]);
                    sums[row][0] = mul_add(factor, line[0], sums[row][0]);
                    sums[row][1] = mul_add(factor, line[1], sums[row][1]);
                }
            }
            for row in 0..ROWS {
                let out = out[row * stride..][..LINE].as_chunks_mut::<LANES>().0;
                store(&mut out[first], sums[row][0]);
                store(&mut out[first + 1], sums[row][1]);
            }
        }
    };
}

pub(super) use products;
