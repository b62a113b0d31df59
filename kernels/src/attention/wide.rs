//! Products of a tile and steps of its softmax, written once for vectors of any width.
//!
//! Why apart: sets of instructions differ in a few words, which `vector` defines.
//!
//! # Invariants
//! For a row, lines are added one after another, each number by itself, however many rows a tile has.

/// All that [`super::tile`] calls, for a module that has the words of `vector`.
macro_rules! tiles {
    ($features:literal) => {
        /// Vectors in a line.
        const VECTORS: usize = LINE / LANES;

        /// `out += left * lines`, `COUNT` vectors of each line from `FIRST` on.
        macro_rules! product {
            ($name:ident, $unit:ty, $widen:expr) => {
                #[inline]
                #[target_feature(enable = $features)]
                fn $name<const ROWS: usize, const FIRST: usize, const COUNT: usize>(
                    left: &[[[f32; EIGHT]; ROWS]],
                    lines: &[[[$unit; LINE]; EIGHT]],
                    ahead: &[[[$unit; LINE]; EIGHT]],
                    out: &mut [[f32; LINE]; ROWS],
                ) {
                    let mut sums = [[splat(0.0); COUNT]; ROWS];
                    for row in 0..ROWS {
                        for vector in 0..COUNT {
                            sums[row][vector] = load(&out[row].as_chunks().0[FIRST + vector]);
                        }
                    }
                    for (index, (left, lines)) in left.iter().zip(lines).enumerate() {
                        if let Some(ahead) = ahead.get(index) {
                            prefetch_early(ahead);
                        }
                        for k in 0..EIGHT {
                            let mut line = [splat(0.0); COUNT];
                            for vector in 0..COUNT {
                                line[vector] = $widen(&lines[k].as_chunks().0[FIRST + vector]);
                            }
                            for row in 0..ROWS {
                                let factor = splat(left[row][k]);
                                for vector in 0..COUNT {
                                    sums[row][vector] = mul_add(factor, line[vector], sums[row][vector]);
                                }
                            }
                        }
                    }
                    for row in 0..ROWS {
                        for vector in 0..COUNT {
                            store(
                                &mut out[row].as_chunks_mut().0[FIRST + vector],
                                sums[row][vector],
                            );
                        }
                    }
                }
            };
        }

        product!(by_f16, u16, widen_f16);
        product!(by_bf16, u16, widen_bf16);
        product!(by_f32, f32, load);

        /// Takes all for a number of rows that is known when this is compiled.
        #[inline]
        #[target_feature(enable = $features)]
        fn rows<const ROWS: usize>(
            left: &[f32],
            lines: Lines<'_>,
            ahead: Option<Lines<'_>>,
            out: &mut [f32],
        ) {
            let left = left.as_chunks::<EIGHT>().0.as_chunks::<ROWS>().0;
            let Some(out) = out.as_chunks_mut::<LINE>().0.first_chunk_mut::<ROWS>() else {
                return;
            };
            macro_rules! by {
                ($name:ident, $units:ident, $ahead:expr) => {{
                    let lines = $units.as_chunks::<LINE>().0.as_chunks::<EIGHT>().0;
                    let ahead = $ahead.as_chunks::<LINE>().0.as_chunks::<EIGHT>().0;
                    if 2 * ROWS * VECTORS > REGISTERS && VECTORS == 4 {
                        $name::<ROWS, 0, 2>(left, lines, ahead, out);
                        $name::<ROWS, { VECTORS - 2 }, 2>(left, lines, &[], out);
                    } else {
                        $name::<ROWS, 0, VECTORS>(left, lines, ahead, out);
                    }
                }};
            }
            match lines {
                Lines::F16(units) => {
                    let ahead = if let Some(Lines::F16(ahead)) = ahead {
                        ahead
                    } else {
                        &[]
                    };
                    by!(by_f16, units, ahead);
                }
                Lines::Bf16(units) => {
                    let ahead = if let Some(Lines::Bf16(ahead)) = ahead {
                        ahead
                    } else {
                        &[]
                    };
                    by!(by_bf16, units, ahead);
                }
                Lines::F32(numbers) => by!(by_f32, numbers, [0f32; 0]),
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn step(step: Step<'_>) {
            let rows = step.largest.len();
            let lines = step.scores.as_chunks::<LINE>().0;
            let shares = step.shares.as_chunks_mut::<EIGHT>().0;
            for row in 0..rows {
                let before = step.largest[row];
                let mut top = splat(before);
                for line in lines.iter().skip(row).step_by(rows) {
                    for vector in line.as_chunks().0 {
                        top = max(top, load(vector));
                    }
                }
                let now = largest(top);
                let mut sums = [splat(0.0); VECTORS];
                // A row that has seen nothing yet has shares of zero, not of minus infinity from itself.
                let top = splat(if now == f32::NEG_INFINITY { 0.0 } else { now });
                for (page, line) in lines.iter().skip(row).step_by(rows).enumerate() {
                    for (vector, scores) in line.as_chunks().0.iter().enumerate() {
                        let share = exp(sub(load(scores), top));
                        sums[vector] = add_(sums[vector], share);
                        let mut numbers = [0.0; LANES];
                        store(&mut numbers, share);
                        let first = (page * LINE + vector * LANES) / EIGHT;
                        for (eight, numbers) in numbers.as_chunks::<EIGHT>().0.iter().enumerate() {
                            shares[(first + eight) * rows + row] = *numbers;
                        }
                    }
                }
                let mut all = sums[0];
                for sum in &sums[1..] {
                    all = add_(all, *sum);
                }
                let lower = if before == now {
                    1.0
                } else {
                    (before - now).exp()
                };
                step.lower[row] = lower;
                step.weight[row] = step.weight[row] * lower + sum(all);
                step.largest[row] = now;
            }
        }

        #[target_feature(enable = $features)]
        pub(super) fn lower(sums: &mut [f32], lower: &[f32]) {
            for (line, factor) in sums
                .as_chunks_mut::<LINE>()
                .0
                .iter_mut()
                .zip(lower.iter().cycle())
            {
                for number in line {
                    *number *= factor;
                }
            }
        }
    };
}

pub(super) use tiles;
