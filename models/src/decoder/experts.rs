//! A mixture of experts: each row goes through the few that its router gives most, and gets their results by its shares
//! (Shazeer et al., arXiv:1701.06538; as Qwen 3 has it, arXiv:2505.09388).
//!
//! Why apart: which experts a row goes through tells about its token, and whoever sees which pages are touched, as the
//! host of a confidential machine may, sees which weights are read. So unless the options say otherwise all experts
//! are computed for all rows, and what was not chosen is masked away.
//!
//! # Invariants
//! Results are the same bit for bit in either way, and alone and in any company: products of a row depend on that row,
//! and experts are added in their order. Unless `plainly`, addresses, branches and the amount of work depend on shapes and
//! on how many rows there are, never on what is in them.

use std::hint::black_box;

use anchorhold_kernels::matmul::Activations;
use anchorhold_kernels::{Buffer, vector};

use super::mlp::Mlp;
use super::scratch::{Scratch, wipe};
use crate::config::decoder::{self, DecoderConfig};
use crate::limits::inference as limits;
use crate::machine::Machine;
use crate::matrix::Matrix;
use crate::model::error::LoadError;
use crate::model::options::LoadOptions;
use crate::weights::Weights;

pub(super) struct Experts {
    router: Matrix,
    each: Vec<Mlp>,
    used: usize,
    normalised: bool,
    /// Only experts that rows chose are computed.
    plainly: bool,
}

/// What a pass works in besides.
pub(super) struct Mixture {
    /// For each row, the share of each expert; zero for those not chosen.
    shares: Buffer<f32>,
    /// Rows that chose an expert.
    picked: Buffer<f32>,
    /// What an expert gives.
    given: Buffer<f32>,
    mixed: Buffer<f32>,
    /// The rows' other form stays for all experts, so that what is inside of one needs its own.
    inner: Activations,
}

impl Mixture {
    pub(super) fn new(config: &DecoderConfig, experts: &decoder::Experts, machine: &Machine) -> Self {
        let rows = |width: usize| Buffer::zeroed(limits::PASS_ROWS * width);
        Self {
            shares: rows(experts.count),
            picked: rows(config.width),
            given: rows(config.width),
            mixed: rows(config.width),
            inner: Activations::new(machine.kernels),
        }
    }

    /// Numbers in memory; what the other form takes is counted with that of the rows.
    pub(super) fn numbers(&self) -> usize {
        self.shares.len() + self.picked.len() + self.given.len() + self.mixed.len()
    }

    /// Overwrites what a pass of so many rows left.
    pub(super) fn wipe(&mut self, rows: usize) {
        for buffer in [
            &mut self.shares,
            &mut self.picked,
            &mut self.given,
            &mut self.mixed,
        ] {
            let used = buffer.len() / limits::PASS_ROWS * rows;
            wipe(buffer.get_mut(..used).unwrap_or_default());
        }
        self.inner.wipe();
    }
}

impl Experts {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &DecoderConfig,
        experts: &decoder::Experts,
        layer: &str,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let (width, inner, count) = (config.width, experts.feed_forward, experts.count);
        // Small, and a choice that is rounded away is another choice: as precise as the file has it.
        let router = Matrix::load(weights, &format!("{layer}.mlp.gate"), (count, width), false, None)?;
        let name = format!("{layer}.mlp.experts");
        let each = if weights.has(&format!("{name}.gate_proj.weight")) {
            let mut stack = |part: &str, shape| {
                Matrix::load_stack(weights, &format!("{name}.{part}"), count, shape, options.quantise)
            };
            let gates = stack("gate_proj", (inner, width))?;
            let ups = stack("up_proj", (inner, width))?;
            let downs = stack("down_proj", (width, inner))?;
            gates
                .into_iter()
                .zip(ups)
                .zip(downs)
                .map(|((gate, up), down)| Mlp::of(gate, up, down, config.gate))
                .collect()
        } else {
            (0..count)
                .map(|index| {
                    Mlp::load(
                        weights,
                        config,
                        &format!("{name}.{index}"),
                        inner,
                        options.quantise,
                    )
                })
                .collect::<Result<_, _>>()?
        };
        Ok(Self {
            router,
            each,
            used: experts.used,
            normalised: experts.normalised,
            plainly: options.dangerously_plain_gather,
        })
    }

    /// Takes `count` normalised rows and leaves the result in their place.
    pub(super) fn apply(&self, machine: &Machine, scratch: &mut Scratch, count: usize) {
        let width = self.router.inputs();
        let Scratch {
            normed,
            gate,
            up,
            activations,
            mixture: Some(mixture),
            ..
        } = scratch
        else {
            return;
        };
        let normed = &mut normed[..count * width];
        let all = self.each.iter().flat_map(Mlp::entry_precisions);
        let precisions: Vec<_> = all.chain([self.router.precision()]).collect();
        activations.prepare(&machine.pool, &precisions, width, normed);
        let experts = self.each.len();
        let shares = &mut mixture.shares[..count * experts];
        self.router.apply(machine, activations, shares);
        machine.rows(experts, shares, |_, rows| {
            for row in rows.chunks_exact_mut(experts) {
                vector::softmax(machine.kernels, row, experts);
                choose(row, self.used, self.normalised);
            }
        });
        let mixed = &mut mixture.mixed[..count * width];
        mixed.fill(0.0);
        for (expert, mlp) in self.each.iter().enumerate() {
            let share_of = |row: usize| shares[row * experts + expert];
            if self.plainly {
                let rows: Vec<usize> = (0..count).filter(|row| share_of(*row) != 0.0).collect();
                if rows.is_empty() {
                    continue;
                }
                let picked = &mut mixture.picked[..rows.len() * width];
                for (row, picked) in rows.iter().zip(picked.chunks_exact_mut(width)) {
                    picked.copy_from_slice(&normed[row * width..][..width]);
                }
                activations.prepare(&machine.pool, &mlp.entry_precisions(), width, picked);
                let given = &mut mixture.given[..rows.len() * width];
                mlp.pass(machine, activations, &mut mixture.inner, [gate, up], given);
                for (row, given) in rows.iter().zip(given.chunks_exact(width)) {
                    add_share(&mut mixed[row * width..][..width], given, share_of(*row));
                }
            } else {
                let given = &mut mixture.given[..count * width];
                mlp.pass(machine, activations, &mut mixture.inner, [gate, up], given);
                let given = &*given;
                machine.rows(width, mixed, |range, mixed| {
                    for (row, mixed) in range.zip(mixed.chunks_exact_mut(width)) {
                        add_share_if_chosen(mixed, &given[row * width..][..width], share_of(row));
                    }
                });
            }
        }
        normed.copy_from_slice(mixed);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.router.bytes() + self.each.iter().map(Mlp::bytes).sum::<u64>()
    }
}

/// All ones when so, zero otherwise, in a way that no compiler turns into a branch.
#[inline(always)]
fn mask(so: bool) -> u32 {
    black_box(0u32.wrapping_sub(u32::from(so)))
}

/// Leaves the `used` largest shares, the first of equal ones, and makes the others zero.
fn choose(shares: &mut [f32], used: usize, normalised: bool) {
    let mut kept = zeroize::Zeroizing::new([0u32; limits::EXPERTS]);
    let mut sum = 0.0;
    for (index, (own, kept)) in shares.iter().zip(kept.iter_mut()).enumerate() {
        let mut before = 0usize;
        for (other_index, other) in shares.iter().enumerate() {
            let larger = usize::from(other > own);
            let equal_and_first = usize::from(other == own) & usize::from(other_index < index);
            before += larger | equal_and_first;
        }
        *kept = own.to_bits() & mask(before < used);
        sum += f32::from_bits(*kept);
    }
    let divisor = if normalised { sum } else { 1.0 };
    for (share, kept) in shares.iter_mut().zip(kept.iter()) {
        *share = f32::from_bits(*kept) / divisor;
    }
}

fn add_share(mixed: &mut [f32], given: &[f32], share: f32) {
    for (mixed, given) in mixed.iter_mut().zip(given) {
        *mixed += share * given;
    }
}

/// As [`add_share`], but leaves all as it is when the share is zero, without a look at that.
fn add_share_if_chosen(mixed: &mut [f32], given: &[f32], share: f32) {
    let chosen = mask(share != 0.0);
    for (mixed, given) in mixed.iter_mut().zip(given) {
        let sum = *mixed + share * given;
        *mixed = f32::from_bits(sum.to_bits() & chosen | mixed.to_bits() & !chosen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_shares_stay_and_the_first_of_equal_ones() {
        let chosen = |shares: &[f32], used, normalised| {
            let mut shares = shares.to_vec();
            choose(&mut shares, used, normalised);
            shares
        };
        assert_eq!(
            chosen(&[0.125, 0.5, 0.25, 0.125], 2, false),
            [0.0, 0.5, 0.25, 0.0]
        );
        assert_eq!(chosen(&[0.25, 0.25, 0.25, 0.25], 2, true), [0.5, 0.5, 0.0, 0.0]);
        assert_eq!(chosen(&[0.25, 0.75], 2, false), [0.25, 0.75]);
        assert_eq!(chosen(&[0.2, 0.7, 0.1], 1, true), [0.0, 1.0, 0.0]);
    }

    #[test]
    fn what_was_not_chosen_leaves_no_trace_even_where_it_is_no_number() {
        let mut mixed = [1.0, -0.0];
        add_share_if_chosen(&mut mixed, &[f32::NAN, f32::INFINITY], 0.0);
        assert_eq!(mixed.map(f32::to_bits), [1.0f32, -0.0].map(f32::to_bits));
        let (mut one, mut other) = ([0.1, 0.3], [0.1, 0.3]);
        add_share(&mut one, &[0.7, -1.1], 0.3);
        add_share_if_chosen(&mut other, &[0.7, -1.1], 0.3);
        assert_eq!(one.map(f32::to_bits), other.map(f32::to_bits));
    }
}
