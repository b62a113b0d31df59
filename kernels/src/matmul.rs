//! Products of packed weights with rows of activations.
//!
//! Why apart: nearly all time of a model is spent here, in kernels that exist once for each precision and set of
//! instructions.
//!
//! - `activations`: what is multiplied, rounded and ordered once for several matrices
//! - `panel`: how many rows are multiplied at a time, and where their numbers lie
//! - `rounding`: activations in 8 bits
//! - `dispatch`: which kernel it is
//! - `scalar`: plain kernels
//! - `vectors_256`, `avx2`, `avx_vnni`: kernels of 256 bits
//! - `avx512`: kernels of 512 bits
//! - `amx`: kernels of tiles, for panels of many rows
//! - `output`: a result that threads share
//! - [`choice`]: outputs that race while they are computed
//!
//! # Invariants
//! A row's product depends on nothing but the row and the weights: not on the rows beside it, and not on the number of
//! threads. Only so can the same request give the same tokens alone and in any batch.

#![allow(unsafe_code)]

mod activations;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "x86_64")]
mod avx_vnni;
pub mod choice;
mod dispatch;
mod output;
mod panel;
mod rounding;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod vectors_256;

pub use activations::Activations;

use std::sync::Arc;

use crate::cpu::KernelSet;
use crate::packed::tile::Tile;
use crate::packed::{AT_ONCE, Matrix, Tiles};
use crate::pool::Pool;
use crate::race::TOGETHER;
use choice::{Runners, Winner};
use output::Output;
use panel::{Spans, TALLEST};

pub(crate) use output::Output as SharedOutput;

/// Results of one kernel: for each row of a panel, each output of a tile.
type Block = [f32; TALLEST * 32];

/// Weights that are kept in the second cache while all panels pass by.
const KEPT: usize = 256 << 10;
/// Weights below which a part of the work is not worth handing over.
const LEAST: usize = 32 << 10;

/// Multiplies each row of activations with all rows of a matrix: `out[row][output]`.
///
/// # Panics
/// When shapes do not agree, or the activations were not prepared for the matrix's precision.
pub fn multiply(pool: &Pool, matrix: &Matrix, activations: &Activations, out: &mut [f32]) {
    multiply_each(pool, activations, [(matrix, out)]);
}

/// As [`multiply`] by several matrices, as one operation of the pool: threads wait for each other once.
///
/// # Panics
/// As [`multiply`].
pub fn multiply_each<const N: usize>(
    pool: &Pool,
    activations: &Activations,
    products: [(&Matrix, &mut [f32]); N],
) {
    let products = products.map(|(matrix, out)| product(pool.threads(), matrix, activations, out, None));
    let parts = products.iter().map(|product| product.parts).sum();
    pool.run_on(parts, &|thread, mut part| {
        for product in &products {
            if part < product.parts {
                return (product.work)(thread, part);
            }
            part -= product.parts;
        }
    });
}

/// One matrix's share of an operation.
struct Product<'a> {
    parts: usize,
    /// Told the thread and the part.
    work: Box<dyn Fn(usize, usize) + Sync + 'a>,
    /// Who won, where there were races.
    winner: Option<Box<Winner<'a>>>,
}

fn product<'a>(
    threads: usize,
    matrix: &'a Matrix,
    activations: &'a Activations,
    out: &'a mut [f32],
    races: Option<&'a Runners<'a>>,
) -> Product<'a> {
    assert_eq!(
        activations.width(),
        matrix.inputs(),
        "activations are as wide as the matrix"
    );
    assert_eq!(
        out.len(),
        activations.rows() * matrix.outputs(),
        "the result has rows times outputs"
    );
    let set = activations.kernels().set();
    let output = Output::new(out, matrix.outputs());
    macro_rules! by {
        ($kernel:ident, $tiles:ident, $panels:ident) => {
            drive(
                threads,
                matrix,
                $tiles,
                activations.$panels(),
                output,
                move |tiles, panel, block| {
                    dispatch::$kernel(set, tiles, panel, block);
                },
                races.map(|races| races.begin(threads, activations.kernels(), matrix)),
            )
        };
    }
    match matrix.tiles() {
        Tiles::F32(tiles) => by!(f32, tiles, float_panels),
        Tiles::F16(tiles) => by!(f16, tiles, float_panels),
        Tiles::Bf16(tiles) if set >= KernelSet::Avx512Bf16 => by!(pairs, tiles, pair_panels),
        Tiles::Bf16(tiles) => by!(bf16, tiles, rounded_panels),
        Tiles::Q8(tiles) => by!(q8, tiles, integer_panels),
        Tiles::Q4(tiles) => by!(q4, tiles, integer_panels),
        Tiles::Q4K(tiles) => by!(q4k, tiles, integer_panels),
        Tiles::Q6K(tiles) => by!(q6k, tiles, integer_panels),
    }
}

/// Shares a matrix's groups of outputs among threads; a part takes some groups, keeps them in its cache and passes all panels by.
fn drive<'a, T: Tile, P>(
    threads: usize,
    matrix: &Matrix,
    tiles: &'a [T],
    (spans, panel): (Spans, impl Fn(usize) -> P + Sync + 'a),
    output: Output<'a>,
    kernel: impl Fn(&[T], &P, &mut Block) + Sync + 'a,
    running: Option<choice::Running<'a, T>>,
) -> Product<'a> {
    let depth = matrix.inputs().div_ceil(T::INPUTS);
    let groups = tiles.len() / depth;
    let group_bytes = depth * size_of::<T>();
    let mut kept = (KEPT / group_bytes).max(1);
    let mut each = if threads == 1 {
        groups
    } else {
        (groups / (8 * threads)).max(LEAST / group_bytes).max(1)
    };
    if running.is_some() {
        // Scored before they leave the second cache, some of one window; a part begins with new chances.
        let window = TOGETHER / T::OUTPUTS;
        kept = (kept / AT_ONCE * AT_ONCE).clamp(AT_ONCE, window);
        while !window.is_multiple_of(kept) {
            kept -= AT_ONCE;
        }
        each = each.next_multiple_of(window);
    }
    let running = running.map(Arc::new);
    let winner = running.clone();
    let work = move |thread: usize, part: usize| {
        let mut block: Block = [0.0; TALLEST * 32];
        let last = ((part + 1) * each).min(groups);
        let mut first = part * each;
        while first < last {
            let next = (first + kept).min(last);
            for (index, span) in spans.enumerate() {
                let panel = panel(index);
                for group in first..next {
                    kernel(&tiles[group * depth..][..depth], &panel, &mut block);
                    for row in 0..span.rows {
                        let numbers = &block[row * T::OUTPUTS..][..T::OUTPUTS];
                        // SAFETY: a group is taken by one part, and a part by one thread.
                        unsafe { output.put(span.first + row, group * T::OUTPUTS, numbers) };
                    }
                }
            }
            if let Some(running) = &running {
                let (column, count) = (first * T::OUTPUTS, (next - first) * T::OUTPUTS);
                // SAFETY: these groups are this part's, which writes them no more.
                let numbers = |row| unsafe { output.get(row, column, count) };
                running.pass(thread, &tiles[first * depth..next * depth], first, numbers);
            }
            first = next;
        }
    };
    Product {
        parts: groups.div_ceil(each),
        work: Box::new(work),
        winner: winner.map(|running| {
            Box::new(move |race, out: &mut [f32]| running.winner(race, out)) as Box<Winner<'a>>
        }),
    }
}

#[cfg(test)]
mod tests;
