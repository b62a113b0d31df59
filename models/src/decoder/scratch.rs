//! Memory that one pass works in.
//!
//! Why apart: it is taken once, its size is known before, and it is wiped after each pass.
//!
//! # Invariants
//! Between two passes nothing of a prompt or an answer lies in its rows.

use anchorhold_kernels::Buffer;
use anchorhold_kernels::attention::Workspace;
use anchorhold_kernels::kv::Layout;
use anchorhold_kernels::matmul::Activations;

use super::experts::Mixture;
use super::rope::Angles;
use crate::config::decoder::DecoderConfig;
use crate::limits::inference as limits;
use crate::machine::Machine;
use anchorhold_memory::measures::{self, Measure};

/// Rows of a pass, by what they are.
pub(crate) struct Scratch {
    /// The hidden state, to which each part of a layer adds.
    pub(super) hidden: Buffer<f32>,
    /// Normalised rows, and what is added next.
    pub(super) normed: Buffer<f32>,
    pub(super) queries: Buffer<f32>,
    pub(super) keys: Buffer<f32>,
    pub(super) values: Buffer<f32>,
    pub(super) attended: Buffer<f32>,
    pub(super) gate: Buffer<f32>,
    pub(super) up: Buffer<f32>,
    /// Rows whose logits are wanted, normalised.
    pub(super) wanted: Buffer<f32>,
    pub(super) logits: Buffer<f32>,
    pub(super) angles: Angles,
    /// Of layers with a window, where they turn otherwise.
    pub(super) window_angles: Option<Angles>,
    pub(super) activations: Activations,
    pub(super) workspace: Workspace,
    /// Of models that have experts.
    pub(super) mixture: Option<Mixture>,
}

impl Scratch {
    pub(super) fn new(config: &DecoderConfig, layout: Layout, machine: &Machine) -> Self {
        let rows = |width: usize| Buffer::zeroed(limits::PASS_ROWS * width);
        let inner = config
            .experts
            .map_or(0, |experts| experts.feed_forward)
            .max(config.feed_forward);
        Self {
            hidden: rows(config.width),
            normed: rows(config.width),
            queries: rows(config.heads * config.head_width),
            keys: rows(config.kv_heads * config.head_width),
            values: rows(config.kv_heads * config.head_width),
            attended: rows(config.heads * config.head_width),
            gate: rows(inner),
            up: rows(inner),
            wanted: rows(config.width),
            logits: Buffer::zeroed(limits::LOGIT_ROWS * config.vocabulary),
            angles: Angles::default(),
            window_angles: config.window_rope.as_ref().map(|_| Angles::default()),
            activations: Activations::new(machine.kernels),
            workspace: Workspace::new(layout, config.heads, machine.pool.threads()),
            mixture: config
                .experts
                .as_ref()
                .map(|experts| Mixture::new(config, experts, machine)),
        }
    }

    /// Bytes of it, and of the form that products want their rows in.
    pub(super) fn bytes(&self, config: &DecoderConfig) -> u64 {
        let rows = self
            .buffers()
            .iter()
            .map(|buffer| buffer.len() as u64)
            .sum::<u64>();
        let widest = config
            .feed_forward
            .max(config.width)
            .max(config.heads * config.head_width);
        let angles = limits::PASS_ROWS * config.head_width * (1 + usize::from(self.window_angles.is_some()));
        let mixture = self
            .mixture
            .as_ref()
            .map_or(0, |mixture| mixture.numbers() + 2 * self.gate.len()) as u64;
        4 * (rows + mixture + (2 * limits::PASS_ROWS * widest + angles) as u64)
    }

    /// The first of the wanted rows.
    pub(crate) fn wanted(&self, numbers: usize) -> &[f32] {
        self.wanted.get(..numbers).unwrap_or_default()
    }

    /// Overwrites what a pass of so many rows left.
    pub(crate) fn wipe(&mut self, rows: usize) {
        if !measures::is_on(Measure::Passes) {
            return;
        }
        let Self {
            hidden,
            normed,
            queries,
            keys,
            values,
            attended,
            gate,
            up,
            wanted,
            activations,
            mixture,
            ..
        } = self;
        activations.wipe();
        mixture.iter_mut().for_each(|mixture| mixture.wipe(rows));
        for buffer in [hidden, normed, queries, keys, values, attended, gate, up, wanted] {
            let used = buffer.len() / limits::PASS_ROWS * rows;
            wipe(buffer.get_mut(..used).unwrap_or_default());
        }
    }

    /// Overwrites what would be too much to overwrite after each pass: what attention works in.
    pub(crate) fn forget(&mut self) {
        if measures::is_on(Measure::Passes) {
            self.workspace.wipe();
        }
    }

    fn buffers(&self) -> [&Buffer<f32>; 10] {
        [
            &self.hidden,
            &self.normed,
            &self.queries,
            &self.keys,
            &self.values,
            &self.attended,
            &self.gate,
            &self.up,
            &self.wanted,
            &self.logits,
        ]
    }
}

/// Overwrites at the speed of `memset`; the barrier keeps the compiler from leaving it out.
pub(super) fn wipe(numbers: &mut [f32]) {
    numbers.fill(0.0);
    zeroize::optimization_barrier(numbers);
}
