//! Rows come out of a matrix without telling which: all of it is read, whatever is asked for.
//!
//! Why apart: a host sees which pages are touched, and a row of an embedding is a token of somebody's text.
//!
//! As many rows as a tile has outputs are found together. Of each line of a tile every row picks its element by a
//! permutation of registers, under a mask of its own that is empty unless the tile is in the row's group. So what was
//! found is a strip of tiles again, with a row in each lane.
//!
//! - [`avx2`], [`avx512`]: the permutations
//! - [`best`]: rows of the outputs that lead so far, while the outputs are being computed
//!
//! # Invariants
//! Addresses, branches and the amount of work depend on shapes and on how many rows are wanted, never on which.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod best;

use std::hint::black_box;

use zeroize::Zeroize;

pub(crate) use best::Best;

use super::tile::{Tile, WIDE};
use super::{Matrix, for_tiles, read_some};
#[cfg(target_arch = "x86_64")]
use crate::cpu::KernelSet;
use crate::cpu::Kernels;
use crate::matmul::SharedOutput;
use crate::memory::Buffer;
use crate::pool::Pool;

/// Rows found in one pass over the weights, at most.
const TOGETHER: usize = 512;
/// Bytes of the strips they are found in: they stay in a core's second cache.
const KEPT: usize = 256 << 10;
/// Groups of outputs that are read between two writes of a strip.
pub(crate) const AT_ONCE: usize = 4;

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

/// The rows of one strip: where each is to be found.
struct Wanted {
    /// Which group of outputs. Lanes that nobody wants are in none.
    groups: [u32; WIDE],
    /// Which lane of that group.
    lanes: [u32; WIDE],
    /// The same as bytes, in the order in which a line of bytes is shuffled.
    bytes: [u8; 16],
    /// The same for lines of two bytes: for each part of sixteen bytes of a line, where in it an element is; 128 where it
    /// is in another part.
    words: [[u8; 2 * WIDE]; 4],
    kept: Kept,
}

/// Of which lanes what was found before stays: all ones, in elements of one, two and four bytes.
struct Kept {
    bytes: [u8; 16],
    words: [u16; WIDE],
    dwords: [u32; WIDE],
}

impl Kept {
    const ALL: Self = Self {
        bytes: [u8::MAX; 16],
        words: [u16::MAX; WIDE],
        dwords: [u32::MAX; WIDE],
    };
}

impl Wanted {
    const NOTHING: Self = Self {
        groups: [u32::MAX; WIDE],
        lanes: [0; WIDE],
        bytes: [0; 16],
        words: [[0; 2 * WIDE]; 4],
        kept: Kept::ALL,
    };

    fn new<T: Tile>(ids: &[u32]) -> Self {
        let mut wanted = Self::NOTHING;
        wanted.set::<T>(ids.iter().map(|id| (*id, u32::MAX)));
        wanted.kept = Kept::ALL;
        wanted
    }

    /// Those that are marked by all ones; of the others, marked by zero, what was found before stays.
    fn set<T: Tile>(&mut self, ids: impl Iterator<Item = (u32, u32)>) {
        let lanes = self.groups.iter_mut().zip(&mut self.lanes);
        for (((group, lane), kept), (id, marked)) in lanes.zip(&mut self.kept.dwords).zip(ids) {
            *group = (id / T::OUTPUTS as u32) | !marked;
            *lane = id % T::OUTPUTS as u32;
            *kept = !marked;
        }
        for (word, kept) in self.kept.words.iter_mut().zip(self.kept.dwords) {
            *word = kept as u16;
        }
        for (byte, kept) in self.kept.bytes.iter_mut().zip(self.kept.dwords) {
            *byte = kept as u8;
        }
        for (byte, lane) in self.bytes.iter_mut().zip(self.lanes) {
            *byte = lane as u8;
        }
        for (part, words) in (0u32..).zip(&mut self.words) {
            for (word, lane) in words.as_chunks_mut::<2>().0.iter_mut().zip(self.lanes) {
                let difference = (lane / 8) ^ part;
                let elsewhere = (difference | difference.wrapping_neg()) >> 31 << 7;
                let first = 2 * (lane % 8);
                *word = [(first | elsewhere) as u8, ((first + 1) | elsewhere) as u8];
            }
        }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.groups.zeroize();
        self.lanes.zeroize();
        self.bytes.zeroize();
        self.words.zeroize();
        self.kept.bytes.zeroize();
        self.kept.words.zeroize();
        self.kept.dwords.zeroize();
    }
}

/// Some tiles of groups that follow one another.
struct Groups<'a> {
    /// Of each group. Where the last ones are fewer, the first stands in for the others: nobody wants those.
    weights: [&'a [u8]; AT_ONCE],
    /// The number of the first group.
    first: u32,
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
    let strips = ids.len().min(TOGETHER).div_ceil(T::OUTPUTS);
    let deep = KEPT / (strips * size_of::<T>());
    let deep = deep.min(depth.div_ceil(pool.threads())).max(1);
    let pieces = depth.div_ceil(deep);
    let passes = ids.len().div_ceil(TOGETHER);
    pool.run(pieces * passes, &|part| {
        let (pass, piece) = (part / pieces, part % pieces);
        let ids = &ids[pass * TOGETHER..(pass * TOGETHER + TOGETHER).min(ids.len())];
        let first = piece * deep;
        let last = (first + deep).min(depth);
        let wanted: Vec<Wanted> = ids.chunks(T::OUTPUTS).map(Wanted::new::<T>).collect();
        let mut found = Buffer::<T>::zeroed(wanted.len() * (last - first));
        scan(kernels, tiles, depth, first..last, &wanted, &mut found);
        let mut numbers = [0f32; 256];
        let strips = found.chunks_exact(last - first);
        for (index, lane) in (0..ids.len()).map(|index| (index, index % T::OUTPUTS)) {
            let strip = strips.clone().nth(index / T::OUTPUTS).unwrap_or_default();
            for (tile, input) in strip.iter().zip((first * T::INPUTS..).step_by(T::INPUTS)) {
                let numbers = &mut numbers[..T::INPUTS.min(inputs - input)];
                read_some(tile, lane, numbers);
                // SAFETY: a piece has its own columns, a pass its own rows, and a part is run by one thread.
                unsafe { output.put(pass * TOGETHER + index, input, numbers) };
            }
        }
        numbers.zeroize();
    });
}

/// Goes through all groups of outputs, and leaves in `found` what is wanted of them.
fn scan<T: Tile>(
    kernels: Kernels,
    tiles: &[T],
    depth: usize,
    piece: std::ops::Range<usize>,
    wanted: &[Wanted],
    found: &mut Buffer<T>,
) {
    let found = found.bytes_mut();
    let each = found.len() / wanted.len();
    for groups in groups(tiles, depth, piece, 0) {
        for (wanted, found) in wanted.iter().zip(found.chunks_exact_mut(each)) {
            select::<T>(kernels, found, &groups, wanted);
        }
    }
}

/// Groups of outputs, some at a time, of which the first has a number.
fn groups<T: Tile>(
    tiles: &[T],
    depth: usize,
    piece: std::ops::Range<usize>,
    first: usize,
) -> impl Iterator<Item = Groups<'_>> {
    let some = (first..).step_by(AT_ONCE).zip(tiles.chunks(AT_ONCE * depth));
    some.map(move |(first, some)| {
        let mut weights = [T::bytes_of(&some[piece.clone()]); AT_ONCE];
        for (weights, tiles) in weights.iter_mut().zip(some.chunks_exact(depth)) {
            *weights = T::bytes_of(&tiles[piece.clone()]);
        }
        Groups {
            weights,
            first: first as u32,
        }
    })
}

fn select<T: Tile>(kernels: Kernels, found: &mut [u8], groups: &Groups<'_>, wanted: &Wanted) {
    #[cfg(target_arch = "x86_64")]
    match kernels.set() {
        KernelSet::Scalar => {}
        KernelSet::Avx2 | KernelSet::AvxVnni => {
            // SAFETY: these sets have AVX2.
            return unsafe { avx2::select::<T>(found, groups, wanted) };
        }
        // SAFETY: the other sets have AVX-512 F, BW, DQ and VL.
        _ => return unsafe { avx512::select::<T>(found, groups, wanted) },
    }
    let _ = kernels;
    plain::<T>(found, groups, wanted);
}

/// All ones when both are equal, zero otherwise, in a way that no compiler turns into a branch.
fn same(a: u32, b: u32) -> u8 {
    let difference = u64::from(a ^ b);
    black_box(((difference | difference.wrapping_neg()) >> 63).wrapping_sub(1)) as u8
}

fn plain<T: Tile>(found: &mut [u8], groups: &Groups<'_>, wanted: &Wanted) {
    let mut at = 0;
    while at < found.len() {
        for lines in T::LINES {
            for line in
                found[at..at + lines.count * lines.bytes * T::OUTPUTS].chunks_mut(lines.bytes * T::OUTPUTS)
            {
                for (element, kept) in line.chunks_mut(lines.bytes).zip(wanted.kept.dwords) {
                    element.iter_mut().for_each(|byte| *byte &= kept as u8);
                }
            }
            at += lines.count * lines.bytes * T::OUTPUTS;
        }
    }
    for (weights, group) in groups.weights.iter().zip(groups.first..) {
        for (row, (wanted, lane)) in wanted
            .groups
            .iter()
            .zip(&wanted.lanes)
            .enumerate()
            .take(T::OUTPUTS)
        {
            let here = same(*wanted, group);
            let masks: [u8; WIDE] = std::array::from_fn(|at| here & same(*lane, at as u32));
            let mut at = 0;
            while at < found.len() {
                for lines in T::LINES {
                    for _ in 0..lines.count {
                        let line = &weights[at..at + lines.bytes * T::OUTPUTS];
                        let found = &mut found[at + row * lines.bytes..][..lines.bytes];
                        for (element, mask) in line.chunks_exact(lines.bytes).zip(masks) {
                            for (found, byte) in found.iter_mut().zip(element) {
                                *found |= byte & mask;
                            }
                        }
                        at += line.len();
                    }
                }
            }
        }
    }
}
