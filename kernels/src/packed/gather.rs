//! Rows come out of a matrix without telling which: all of it is read, whatever is asked for.
//!
//! Why apart: a host sees which pages are touched, and a row of an embedding is a token of somebody's text.
//!
//! # Invariants
//! Addresses, branches and the amount of work depend on shapes and on how many rows are wanted, never on which.

#![allow(unsafe_code)]

use std::hint::black_box;

use zeroize::Zeroize;

use super::tile::Tile;
use super::{Matrix, for_tiles, read_some};
#[cfg(target_arch = "x86_64")]
use crate::cpu::KernelSet;
use crate::cpu::Kernels;
use crate::matmul::SharedOutput;
use crate::memory::Buffer;
use crate::pool::Pool;

/// Rows found in one pass over the weights: their copies stay in a core's cache.
const TOGETHER: usize = 32;
/// Bytes of all those copies.
const KEPT: usize = 128 << 10;
/// Groups of outputs that are read between two writes of a copy.
const AT_ONCE: usize = 4;

impl Matrix {
    /// Rows as numbers, `out[i]` being row `ids[i]`, found by reading the whole matrix.
    ///
    /// # Panics
    /// When there is no such row, or `out` is not as long as the rows.
    pub fn gather_oblivious(&self, kernels: Kernels, pool: &Pool, ids: &[u32], out: &mut [f32]) {
        let known = ids
            .iter()
            .fold(true, |known, id| known & ((*id as usize) < self.outputs));
        assert!(known, "rows of the matrix");
        assert_eq!(out.len(), ids.len() * self.inputs, "as long as the rows");
        if !ids.is_empty() {
            let output = SharedOutput::new(out, self.inputs);
            for_tiles!(&self.tiles, tiles => gather(kernels, pool, tiles, self.inputs, ids, &output));
        }
    }
}

fn gather<T: Tile>(
    kernels: Kernels,
    pool: &Pool,
    tiles: &[T],
    inputs: usize,
    ids: &[u32],
    output: &SharedOutput<'_>,
) {
    let depth = inputs.div_ceil(T::INPUTS);
    // A piece is a part of the inputs, of all outputs: small enough for the cache, and one for each thread at least.
    let deep = KEPT / (TOGETHER.min(ids.len()) * size_of::<T>());
    let deep = deep.min(depth.div_ceil(pool.threads())).max(1);
    let pieces = depth.div_ceil(deep);
    let passes = ids.len().div_ceil(TOGETHER);
    pool.run(pieces * passes, &|part| {
        let (pass, piece) = (part / pieces, part % pieces);
        let ids = &ids[pass * TOGETHER..(pass * TOGETHER + TOGETHER).min(ids.len())];
        let first = piece * deep;
        let last = (first + deep).min(depth);
        let mut found = Buffer::<T>::zeroed(ids.len() * (last - first));
        scan(kernels, tiles, depth, first..last, ids, &mut found);
        let mut numbers = [0f32; 256];
        let mut row = [0f32; 256];
        for (index, (id, found)) in ids.iter().zip(found.chunks(last - first)).enumerate() {
            for (tile, input) in found.iter().zip((first * T::INPUTS..).step_by(T::INPUTS)) {
                let width = T::INPUTS.min(inputs - input);
                let row = &mut row[..width];
                row.fill(0.0);
                for lane in 0..T::OUTPUTS {
                    let numbers = &mut numbers[..width];
                    read_some(tile, lane, numbers);
                    let mask = same(lane, *id as usize % T::OUTPUTS) as u32;
                    for (kept, number) in row.iter_mut().zip(numbers) {
                        *kept = f32::from_bits(kept.to_bits() | number.to_bits() & mask);
                    }
                }
                // SAFETY: a piece has its own columns, a pass its own rows, and a part is run by one thread.
                unsafe { output.put(pass * TOGETHER + index, input, row) };
            }
        }
        numbers.zeroize();
        row.zeroize();
    });
}

/// All ones when both are equal, zero otherwise, in a way that no compiler turns into a branch.
#[inline(always)]
fn same(a: usize, b: usize) -> u64 {
    let difference = (a ^ b) as u64;
    black_box(((difference | difference.wrapping_neg()) >> 63).wrapping_sub(1))
}

/// Copies from all groups of outputs, into `found`, those that the ids are in.
fn scan<T: Tile>(
    kernels: Kernels,
    tiles: &[T],
    depth: usize,
    piece: std::ops::Range<usize>,
    ids: &[u32],
    found: &mut Buffer<T>,
) {
    let found = found.bytes_mut();
    let each = found.len() / ids.len();
    for (index, some) in tiles.chunks(AT_ONCE * depth).enumerate() {
        // Where the last ones are fewer, the first stands in for the others, under a mask of zeros.
        let mut weights = [T::bytes_of(&some[piece.clone()]); AT_ONCE];
        for (weights, tiles) in weights.iter_mut().zip(some.chunks_exact(depth)) {
            *weights = T::bytes_of(&tiles[piece.clone()]);
        }
        for (id, found) in ids.iter().zip(found.chunks_exact_mut(each)) {
            let mut masks = [0; AT_ONCE];
            for (at, mask) in masks.iter_mut().take(some.len() / depth).enumerate() {
                *mask = same(AT_ONCE * index + at, *id as usize / T::OUTPUTS) as u8;
            }
            keep(kernels, found, &weights, masks);
        }
    }
}

fn keep(kernels: Kernels, found: &mut [u8], weights: &[&[u8]; AT_ONCE], masks: [u8; AT_ONCE]) {
    #[cfg(target_arch = "x86_64")]
    match kernels.set() {
        KernelSet::Scalar => {}
        // SAFETY: these sets have AVX2.
        KernelSet::Avx2 | KernelSet::AvxVnni => return unsafe { keep_avx2(found, weights, masks) },
        // SAFETY: the other sets have AVX-512 F, BW and VL.
        _ => return unsafe { keep_avx512(found, weights, masks) },
    }
    let _ = kernels;
    keep_plain(found, weights, masks);
}

#[inline(always)]
fn keep_plain(found: &mut [u8], weights: &[&[u8]; AT_ONCE], masks: [u8; AT_ONCE]) {
    let [first, second, third, fourth] = weights.map(|weights| &weights[..found.len()]);
    for index in 0..found.len() {
        let one = first[index] & masks[0] | second[index] & masks[1];
        let other = third[index] & masks[2] | fourth[index] & masks[3];
        found[index] |= one | other;
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn keep_avx2(found: &mut [u8], weights: &[&[u8]; AT_ONCE], masks: [u8; AT_ONCE]) {
    keep_plain(found, weights, masks);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512bw,avx512vl")]
fn keep_avx512(found: &mut [u8], weights: &[&[u8]; AT_ONCE], masks: [u8; AT_ONCE]) {
    keep_plain(found, weights, masks);
}
