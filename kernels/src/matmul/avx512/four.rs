//! 4-bit weights by VNNI.
//!
//! Why apart: see `avx512`.
//!
//! # Invariants
//! Weights are 8 too large; sums start at what that is too much by.

use std::arch::x86_64::{
    _mm512_add_epi32, _mm512_dpbusd_epi32, _mm512_set1_epi32, _mm512_setzero_ps, _mm512_setzero_si512,
};

use super::super::Block;
use super::super::panel::{IntegerPanel, by_height};
use super::{add, add_scaled, halves, lower, scale, scale_and_add, scales, started, upper, weights, write};
use crate::packed::tile::Tile4;
use crate::simd::{load_512, prefetch};

/// Tiles are half as large as those of 8 bits.
const AHEAD: usize = 2 * super::AHEAD;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
pub(in super::super) fn q4(tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
    if panel.rows == 1 {
        one(tiles, panel, out);
    } else {
        by_height!(rows(tiles, panel, out), 1 2 3 4 5 6 7 8 9 10 11 12);
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn rows<const M: usize>(tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps(); M];
    let inputs = panel.quants.as_chunks::<M>().0.as_chunks::<8>().0;
    let starts = panel.starts_4.as_chunks::<M>().0;
    for (((tile, inputs), starts), of_rows) in tiles.iter().zip(inputs).zip(starts).zip(scales(panel)) {
        prefetch(tile, AHEAD);
        let mut sums = started(starts);
        let of_tile = weights(halves(&tile.scales));
        let mut products = [_mm512_setzero_ps(); M];
        macro_rules! group {
            ($($group:literal)*) => {$(
                let weights = load_512(&tile.quants[$group]);
                add(&mut sums, lower(weights), &inputs[$group]);
                scale::<M, $group, 4>(&mut products, of_tile, &of_rows);
                add(&mut sums, upper(weights), &inputs[$group + 4]);
            )*};
        }
        group!(0 1 2 3);
        add_scaled(&mut total, &sums, &products);
    }
    write(out, &total);
}

/// One row: two chains of sums, which are exact.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn one(tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
    let mut total = [_mm512_setzero_ps()];
    let blocks = panel.quants.as_chunks::<8>().0.iter().zip(panel.starts_4);
    for ((tile, (inputs, start)), scale) in tiles.iter().zip(blocks).zip(panel.scales) {
        prefetch(tile, AHEAD);
        let mut sums = [_mm512_set1_epi32(*start), _mm512_setzero_si512()];
        for (group, weights) in tile.quants.iter().enumerate() {
            let weights = load_512(weights);
            sums[0] = _mm512_dpbusd_epi32(sums[0], lower(weights), _mm512_set1_epi32(inputs[group]));
            sums[1] = _mm512_dpbusd_epi32(sums[1], upper(weights), _mm512_set1_epi32(inputs[group + 4]));
        }
        let sums = [_mm512_add_epi32(sums[0], sums[1])];
        scale_and_add(&mut total, &sums, halves(&tile.scales), &[*scale]);
    }
    write(out, &total);
}
