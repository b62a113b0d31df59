//! The tile unit: eight registers of 16 rows of 64 bytes, and products of them.
//!
//! Why apart: all assembly of the crate's products is here, and little else. What a product of tiles means is written
//! down a second time, in plain Rust, so that everything around it is tested on CPUs without the unit.
//!
//! # Invariants
//! Tiles are configured between `begin` and `end` and hold nothing in between that is needed later. Loads and stores
//! touch exactly the rows that were configured.

#![allow(unsafe_code)]

use std::arch::asm;

use crate::matmul::Block;
use crate::packed::tile::TileBf16;

/// Sums of products of bytes: one row of activations each, of sixteen outputs.
pub(super) type Sums = [[i32; 16]; 16];

/// A way to multiply tiles.
pub(super) trait Unit {
    /// Makes ready for `rows` rows of activations and `groups` times four inputs.
    ///
    /// # Safety
    /// The unit must be there and be permitted.
    unsafe fn begin(rows: usize, groups: usize);

    /// `sums[row][output]`, of four inputs in each number. A row of inputs begins every eight numbers.
    ///
    /// # Safety
    /// Between [`Self::begin`] with as many rows and groups, and [`Self::end`].
    unsafe fn multiply<const GROUPS: usize>(
        rows: usize,
        inputs: &[i32],
        weights: &[[u8; 64]; GROUPS],
        sums: &mut Sums,
    );

    /// Gives the unit back.
    ///
    /// # Safety
    /// The unit must be there and be permitted.
    unsafe fn end();

    /// `out[row][output]` of pairs of bf16, `[block][row][16]`.
    ///
    /// # Safety
    /// The unit must be there and be permitted.
    unsafe fn multiply_pairs(rows: usize, pairs: &[u32], tiles: &[TileBf16], out: &mut Block);
}

/// What LDTILECFG reads (Intel SDM, volume 1, 18.2).
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    row_bytes: [u16; 16],
    rows: [u8; 16],
}

const _: () = assert!(size_of::<Configuration>() == 64);

/// For each register in turn: rows, and bytes of each.
fn configuration(tiles: &[(usize, usize)]) -> Configuration {
    let mut configuration = Configuration {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: [0; 16],
        rows: [0; 16],
    };
    for (index, (rows, bytes)) in tiles.iter().enumerate() {
        assert!((1..=16).contains(rows) && (4..=64).contains(bytes) && bytes % 4 == 0);
        configuration.rows[index] = *rows as u8;
        configuration.row_bytes[index] = *bytes as u16;
    }
    configuration
}

/// AMX.
pub(super) struct Amx;

impl Unit for Amx {
    unsafe fn begin(rows: usize, groups: usize) {
        let configuration = configuration(&[(rows, 64), (rows, 4 * groups), (groups, 64)]);
        // SAFETY: the unit is there, by the caller's promise; it reads 64 bytes, which are borrowed.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly));
        }
    }

    unsafe fn multiply<const GROUPS: usize>(
        rows: usize,
        inputs: &[i32],
        weights: &[[u8; 64]; GROUPS],
        sums: &mut Sums,
    ) {
        assert!(
            rows <= 16 && inputs.len() >= 8 * (rows - 1) + GROUPS,
            "inputs of all rows"
        );
        // SAFETY: `begin` has set the sizes of all three tiles, by the caller's promise: `rows` rows are read of
        // `inputs`, 32 bytes apart and `4 * GROUPS` long, all of `weights`, and `rows` rows of `sums` are written.
        unsafe {
            asm!(
                "tilezero tmm0",
                "tileloadd tmm1, [{inputs} + {input_row}]",
                "tileloadd tmm2, [{weights} + {full_row}]",
                "tdpbsud tmm0, tmm1, tmm2",
                "tilestored [{sums} + {full_row}], tmm0",
                inputs = in(reg) inputs.as_ptr(),
                input_row = in(reg) 32usize,
                weights = in(reg) weights.as_ptr(),
                full_row = in(reg) 64usize,
                sums = in(reg) sums.as_mut_ptr(),
                out("tmm0") _,
                out("tmm1") _,
                out("tmm2") _,
                options(nostack)
            );
        }
    }

    unsafe fn end() {
        // SAFETY: the unit is there, by the caller's promise. Tiles are zero afterwards.
        unsafe { asm!("tilerelease", options(nomem, nostack)) };
    }

    unsafe fn multiply_pairs(rows: usize, pairs: &[u32], tiles: &[TileBf16], out: &mut Block) {
        assert!(
            rows <= 16 && pairs.len() == tiles.len() * rows * 16,
            "pairs of all rows"
        );
        if tiles.is_empty() {
            out.fill(0.0);
            return;
        }
        let configuration = configuration(&[(rows, 64), (rows, 64), (rows, 64), (16, 64), (16, 64)]);
        // SAFETY: the unit is there, by the caller's promise. Each round reads `rows` rows of 64 bytes of `pairs`, one
        // after another, and one tile of weights: 16 rows of 128 bytes, in two halves. There are as many rounds as
        // tiles. At the end `rows` rows of 128 bytes are written, of the 16 in `out`.
        unsafe {
            asm!(
                "ldtilecfg [{configuration}]",
                "tilezero tmm0",
                "tilezero tmm1",
                "2:",
                "tileloadd tmm2, [{pairs} + {pair_row}]",
                "tileloadd tmm3, [{weights} + {full_row}]",
                "tileloadd tmm4, [{weights} + {full_row} + 64]",
                "tdpbf16ps tmm0, tmm2, tmm3",
                "tdpbf16ps tmm1, tmm2, tmm4",
                "add {pairs}, {step}",
                "add {weights}, 2048",
                "dec {rounds}",
                "jnz 2b",
                "tilestored [{out} + {full_row}], tmm0",
                "tilestored [{out} + {full_row} + 64], tmm1",
                "tilerelease",
                configuration = in(reg) &raw const configuration,
                pairs = inout(reg) pairs.as_ptr() => _,
                pair_row = in(reg) 64usize,
                weights = inout(reg) tiles.as_ptr() => _,
                full_row = in(reg) 128usize,
                step = in(reg) 64 * rows,
                rounds = inout(reg) tiles.len() => _,
                out = in(reg) out.as_mut_ptr(),
                out("tmm0") _,
                out("tmm1") _,
                out("tmm2") _,
                out("tmm3") _,
                out("tmm4") _,
                options(nostack)
            );
        }
    }
}

const _: () = assert!(size_of::<TileBf16>() == 2048);

/// The same products in plain Rust, as the manual describes them.
#[cfg(test)]
pub(super) struct Plain;

#[cfg(test)]
impl Unit for Plain {
    unsafe fn begin(rows: usize, groups: usize) {
        let configuration = configuration(&[(rows, 64), (rows, 4 * groups), (groups, 64)]);
        assert_eq!(configuration.row_bytes[..3], [64, 4 * groups as u16, 64]);
    }

    unsafe fn multiply<const GROUPS: usize>(
        rows: usize,
        inputs: &[i32],
        weights: &[[u8; 64]; GROUPS],
        sums: &mut Sums,
    ) {
        for (row, sums) in sums.iter_mut().take(rows).enumerate() {
            for (output, sum) in sums.iter_mut().enumerate() {
                *sum = 0;
                for group in 0..GROUPS {
                    let bytes = inputs[8 * row + group].to_le_bytes();
                    for (j, byte) in bytes.into_iter().enumerate() {
                        *sum += i32::from(byte.cast_signed()) * i32::from(weights[group][4 * output + j]);
                    }
                }
            }
        }
    }

    unsafe fn end() {}

    unsafe fn multiply_pairs(rows: usize, pairs: &[u32], tiles: &[TileBf16], out: &mut Block) {
        let number = crate::half::bf16_to_f32;
        out.fill(0.0);
        for (tile, pairs) in tiles.iter().zip(pairs.chunks_exact(16 * rows)) {
            for (row, pairs) in pairs.chunks_exact(16).enumerate() {
                for (weights, pair) in tile.0.iter().zip(pairs) {
                    for (out, weights) in out[32 * row..].iter_mut().zip(weights) {
                        *out += number(weights[0]) * number(*pair as u16);
                        *out += number(weights[1]) * number((*pair >> 16) as u16);
                    }
                }
            }
        }
    }
}
