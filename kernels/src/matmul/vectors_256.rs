//! The loops of integer kernels of 256 bits, without the one step in which sets differ.
//!
//! Why apart: AVX2 and AVX-VNNI multiply small integers in different ways and do all else alike. A macro, because a
//! function does not pass on the features it is compiled for.
//!
//! # Invariants
//! Eight outputs at a time, so that sums of four rows fit into sixteen registers; each half of a tile is passed over by
//! itself, the second time out of the cache.

/// Kernels `q8`, `q4`, `q4k` and `q6k` for some features, out of three functions that are in scope where it stands:
/// `eights` (32 inputs, weights plus 128), `fours` (32 inputs) and `sixes` (16 inputs), each giving sums of a block.
macro_rules! integer_kernels {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(in crate::matmul) fn q8(tiles: &[Tile8], panel: &IntegerPanel<'_>, out: &mut Block) {
            by_height!(rows_8(tiles, panel, out), 1 2 3 4);
        }

        #[target_feature(enable = $features)]
        pub(in crate::matmul) fn q4(tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
            by_height!(rows_4(tiles, panel, out), 1 2 3 4);
        }

        #[target_feature(enable = $features)]
        pub(in crate::matmul) fn q4k(tiles: &[Tile4K], panel: &IntegerPanel<'_>, out: &mut Block) {
            by_height!(rows_4k(tiles, panel, out), 1 2 3 4);
        }

        #[target_feature(enable = $features)]
        pub(in crate::matmul) fn q6k(tiles: &[Tile6K], panel: &IntegerPanel<'_>, out: &mut Block) {
            by_height!(rows_6k(tiles, panel, out), 1 2 3 4);
        }

        #[target_feature(enable = $features)]
        fn rows_8<const M: usize>(tiles: &[Tile8], panel: &IntegerPanel<'_>, out: &mut Block) {
            let inputs = panel.quants.as_chunks::<M>().0.as_chunks::<8>().0;
            let starts = panel.starts_8.as_chunks::<M>().0;
            let scales = panel.scales.as_chunks::<M>().0;
            for half in 0..2 {
                let mut total = [_mm256_setzero_ps(); M];
                for (((tile, inputs), starts), scales) in tiles.iter().zip(inputs).zip(starts).zip(scales) {
                    if half == 0 {
                        prefetch(tile, 6);
                    }
                    let sums = eights(&tile.quants, half, inputs, starts);
                    scale_and_add(&mut total, &sums, halves(&tile.scales, half), scales);
                }
                write(out, half, &total);
            }
        }

        #[target_feature(enable = $features)]
        fn rows_4<const M: usize>(tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
            let inputs = panel.quants.as_chunks::<M>().0.as_chunks::<8>().0;
            let starts = panel.starts_4.as_chunks::<M>().0;
            let scales = panel.scales.as_chunks::<M>().0;
            for half in 0..2 {
                let mut total = [_mm256_setzero_ps(); M];
                for (((tile, inputs), starts), scales) in tiles.iter().zip(inputs).zip(starts).zip(scales) {
                    if half == 0 {
                        prefetch(tile, 12);
                    }
                    let sums = fours(&tile.quants, half, inputs, starts);
                    scale_and_add(&mut total, &sums, halves(&tile.scales, half), scales);
                }
                write(out, half, &total);
            }
        }

        #[target_feature(enable = $features)]
        fn rows_4k<const M: usize>(tiles: &[Tile4K], panel: &IntegerPanel<'_>, out: &mut Block) {
            let inputs = panel.quants.as_chunks::<M>().0.as_chunks::<8>().0.as_chunks::<8>().0;
            let scales = panel.scales.as_chunks::<M>().0.as_chunks::<8>().0;
            let input_sums = panel.sums.as_chunks::<M>().0.as_chunks::<8>().0;
            for half in 0..2 {
                let mut total = [_mm256_setzero_ps(); M];
                for (((tile, inputs), scales), input_sums) in tiles.iter().zip(inputs).zip(scales).zip(input_sums) {
                    let (scale, minimum) = (halves(&tile.scale, half), halves(&tile.minimum, half));
                    for part in 0..8 {
                        if half == 0 {
                            prefetch_eighth(tile, part);
                        }
                        let sums = fours(&tile.quants[part], half, &inputs[part], &[0; M]);
                        let scale = _mm256_mul_ps(scale, unsigned(&tile.scales[part], half));
                        let minimum = _mm256_mul_ps(minimum, unsigned(&tile.minima[part], half));
                        scale_and_add(&mut total, &sums, scale, &scales[part]);
                        for m in 0..M {
                            total[m] = _mm256_fnmadd_ps(minimum, _mm256_set1_ps(input_sums[part][m]), total[m]);
                        }
                    }
                }
                write(out, half, &total);
            }
        }

        #[target_feature(enable = $features)]
        fn rows_6k<const M: usize>(tiles: &[Tile6K], panel: &IntegerPanel<'_>, out: &mut Block) {
            let inputs = panel.quants.as_chunks::<M>().0.as_chunks::<4>().0.as_chunks::<16>().0;
            let starts = panel.halves.as_chunks::<M>().0.as_chunks::<16>().0;
            let scales = panel.scales.as_chunks::<M>().0.as_chunks::<8>().0;
            for half in 0..2 {
                let mut total = [_mm256_setzero_ps(); M];
                for (((tile, inputs), starts), scales) in tiles.iter().zip(inputs).zip(starts).zip(scales) {
                    let scale = halves(&tile.scale, half);
                    for part in 0..16 {
                        let lower = &tile.lower[part / 2];
                        if half == 0 && part % 2 == 0 {
                            prefetch_eighth(tile, part / 2);
                        }
                        let weights = six_bits(lower, &tile.upper[part / 2][part % 2], part % 2, half);
                        let sums = sixes(&weights, &inputs[part], &starts[part]);
                        let scale = _mm256_mul_ps(scale, signed(&tile.scales[part], half));
                        scale_and_add(&mut total, &sums, scale, &scales[part / 2]);
                    }
                }
                write(out, half, &total);
            }
        }

        /// Adds a block's sums, times both scales, to what there is.
        #[inline]
        #[target_feature(enable = $features)]
        fn scale_and_add<const M: usize>(
            total: &mut [__m256; M],
            sums: &[__m256i; M],
            weights: __m256,
            scales: &[f32; M],
        ) {
            for m in 0..M {
                let scale = _mm256_mul_ps(weights, _mm256_set1_ps(scales[m]));
                total[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sums[m]), scale, total[m]);
            }
        }
    };
}
pub(super) use integer_kernels;
