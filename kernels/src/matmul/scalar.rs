//! Products in plain Rust: for any CPU, and what every other kernel is tested against.
//!
//! Why apart: it says in a few lines what the others do in many.
//!
//! # Invariants
//! Integer sums are exact; each block of 32 inputs is then added with one rounding (`mul_add`), in order. The other
//! integer kernels do the same in the same order, so that their results are equal to the last bit.

use super::Block;
use super::panel::{FloatPanel, IntegerPanel, PairPanel, stride};
use crate::half::{bf16_to_f32, f16_to_f32};
use crate::packed::tile::{LANES, Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32, WIDE};

/// A panel's four inputs `group` of `row` in `block`.
fn four(panel: &IntegerPanel<'_>, block: usize, group: usize, row: usize) -> [i32; 4] {
    let at = if panel.by_row {
        8 * (block * panel.rows + row) + group
    } else {
        (8 * block + group) * panel.rows + row
    };
    panel.quants[at]
        .to_le_bytes()
        .map(|byte| i32::from(byte.cast_signed()))
}

/// Adds the products of one group of four inputs to the sums of all lanes.
fn add_group(sums: &mut [i32; LANES], weights: &[u8; 64], inputs: [i32; 4]) {
    for (sum, weights) in sums.iter_mut().zip(weights.as_chunks::<4>().0) {
        for (weight, input) in weights.iter().zip(inputs) {
            *sum += i32::from(*weight) * input;
        }
    }
}

fn lower(bytes: &[u8; 64]) -> [u8; 64] {
    bytes.map(|byte| byte & 15)
}

fn upper(bytes: &[u8; 64]) -> [u8; 64] {
    bytes.map(|byte| byte >> 4)
}

/// Adds a block's integer sums, with their scales, to what there is.
fn scale_and_add(out: &mut [f32], sums: &[i32; LANES], scales: &[f32; LANES], scale: f32) {
    for ((out, sum), weight) in out.iter_mut().zip(sums).zip(scales) {
        *out = (*sum as f32).mul_add(weight * scale, *out);
    }
}

pub(super) fn q8(tiles: &[Tile8], panel: &IntegerPanel<'_>, out: &mut Block) {
    out.fill(0.0);
    for (block, tile) in tiles.iter().enumerate() {
        let scales = tile.scales.map(f16_to_f32);
        for row in 0..panel.rows {
            let place = block * panel.rows + row;
            let mut sums = [panel.starts_8[place]; LANES];
            for (group, weights) in tile.quants.iter().enumerate() {
                add_group(&mut sums, weights, four(panel, block, group, row));
            }
            scale_and_add(&mut out[row * LANES..], &sums, &scales, panel.scales[place]);
        }
    }
}

pub(super) fn q4(tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
    out.fill(0.0);
    for (block, tile) in tiles.iter().enumerate() {
        let scales = tile.scales.map(f16_to_f32);
        for row in 0..panel.rows {
            let place = block * panel.rows + row;
            let mut sums = [panel.starts_4[place]; LANES];
            for (group, weights) in tile.quants.iter().enumerate() {
                add_group(&mut sums, &lower(weights), four(panel, block, group, row));
                add_group(&mut sums, &upper(weights), four(panel, block, group + 4, row));
            }
            scale_and_add(&mut out[row * LANES..], &sums, &scales, panel.scales[place]);
        }
    }
}

pub(super) fn q4k(tiles: &[Tile4K], panel: &IntegerPanel<'_>, out: &mut Block) {
    out.fill(0.0);
    for (index, tile) in tiles.iter().enumerate() {
        let (scale, minimum) = (tile.scale.map(f16_to_f32), tile.minimum.map(f16_to_f32));
        for part in 0..8 {
            let block = 8 * index + part;
            let scales: [f32; LANES] = std::array::from_fn(|i| scale[i] * f32::from(tile.scales[part][i]));
            let minima: [f32; LANES] = std::array::from_fn(|i| minimum[i] * f32::from(tile.minima[part][i]));
            for row in 0..panel.rows {
                let place = block * panel.rows + row;
                let mut sums = [0; LANES];
                for (group, weights) in tile.quants[part].iter().enumerate() {
                    add_group(&mut sums, &lower(weights), four(panel, block, group, row));
                    add_group(&mut sums, &upper(weights), four(panel, block, group + 4, row));
                }
                let out = &mut out[row * LANES..][..LANES];
                scale_and_add(out, &sums, &scales, panel.scales[place]);
                for (out, minimum) in out.iter_mut().zip(minima) {
                    *out = (-minimum).mul_add(panel.sums[place], *out);
                }
            }
        }
    }
}

pub(super) fn q6k(tiles: &[Tile6K], panel: &IntegerPanel<'_>, out: &mut Block) {
    out.fill(0.0);
    for (index, tile) in tiles.iter().enumerate() {
        let scale = tile.scale.map(f16_to_f32);
        for part in 0..8 {
            let block = 8 * index + part;
            for row in 0..panel.rows {
                let place = block * panel.rows + row;
                for half in 0..2 {
                    let mut sums = [panel.halves[(2 * block + half) * panel.rows + row]; LANES];
                    for group in 0..4 {
                        let low = if half == 0 {
                            lower(&tile.lower[part][group])
                        } else {
                            upper(&tile.lower[part][group])
                        };
                        let high = &tile.upper[part][half];
                        let weights = std::array::from_fn(|i| low[i] | (high[i] >> (2 * group) & 3) << 4);
                        add_group(&mut sums, &weights, four(panel, block, 4 * half + group, row));
                    }
                    let scales = &tile.scales[2 * part + half];
                    let scales: [f32; LANES] = std::array::from_fn(|i| scale[i] * f32::from(scales[i]));
                    scale_and_add(&mut out[row * LANES..], &sums, &scales, panel.scales[place]);
                }
            }
        }
    }
}

/// One input of all lanes, numbered, times the same input of each row.
fn add_input(out: &mut Block, weights: &[f32; WIDE], panel: &FloatPanel<'_>, input: usize) {
    let rows = panel.values.chunks_exact(panel.stride);
    for (out, values) in out.as_chunks_mut::<WIDE>().0.iter_mut().zip(rows) {
        for (out, weight) in out.iter_mut().zip(weights) {
            *out += weight * values[input];
        }
    }
}

pub(super) fn f32(tiles: &[TileF32], panel: &FloatPanel<'_>, out: &mut Block) {
    out.fill(0.0);
    for (input, weights) in tiles.iter().flat_map(|tile| &tile.0).enumerate() {
        add_input(out, weights, panel, input);
    }
}

pub(super) fn f16(tiles: &[TileF16], panel: &FloatPanel<'_>, out: &mut Block) {
    out.fill(0.0);
    for (input, weights) in tiles.iter().flat_map(|tile| &tile.0).enumerate() {
        add_input(out, &weights.map(f16_to_f32), panel, input);
    }
}

pub(super) fn bf16(tiles: &[TileBf16], panel: &FloatPanel<'_>, out: &mut Block) {
    out.fill(0.0);
    for (pair, weights) in tiles.iter().flat_map(|tile| &tile.0).enumerate() {
        add_input(out, &weights.map(|pair| bf16_to_f32(pair[0])), panel, 2 * pair);
        add_input(
            out,
            &weights.map(|pair| bf16_to_f32(pair[1])),
            panel,
            2 * pair + 1,
        );
    }
}

/// As [`bf16`], from pairs: for sets whose own kernel is missing.
pub(super) fn pairs(tiles: &[TileBf16], panel: &PairPanel<'_>, out: &mut Block) {
    let rows = panel.rows;
    let stride = stride(panel.pairs.len() / (16 * rows));
    let mut values = zeroize::Zeroizing::new(vec![0f32; rows * stride]);
    for (at, pairs) in panel.pairs.chunks_exact(rows).enumerate() {
        for (values, pair) in values.chunks_exact_mut(stride).zip(pairs) {
            values[2 * at] = bf16_to_f32(*pair as u16);
            values[2 * at + 1] = bf16_to_f32((pair >> 16) as u16);
        }
    }
    let values = &values;
    bf16(tiles, &FloatPanel { rows, stride, values }, out);
}
