//! The decoder's computation, from token ids to logits.
//!
//! Why apart: it knows nothing of text, prompts or sampling.
//!
//! # Invariants
//! Every tensor has been checked against the configuration. Ids are below the vocabulary's size and positions within
//! what was reserved: callers check, and a slip is a [`ComputeError`]. What a row becomes depends on its own sequence
//! alone, whatever else is in the pass.

use anchorhold_kernels::kv::PagePool;
use anchorhold_kernels::matmul::Activations;
use anchorhold_kernels::matmul::choice::{Finish, Winners};
use anchorhold_kernels::race::Race;
use anchorhold_kernels::vector;
use zeroize::{Zeroize, Zeroizing};

use super::block::Block;
use super::cache::{self, Cache, NoPages};
use super::norm::RmsNorm;
use super::rope::{Angles, Rope};
use super::scratch::Scratch;
use crate::config::decoder::DecoderConfig;
use crate::limits::inference as limits;
use crate::machine::Machine;
use crate::matrix::{ComputeError, Matrix};
use crate::model::error::LoadError;
use crate::model::options::{LoadOptions, Memory, Quantise};
use crate::weights::Weights;

pub(crate) struct Network {
    config: DecoderConfig,
    machine: Machine,
    embedding: Matrix,
    /// Reads of the embedding table tell which rows they are of.
    gathers_plainly: bool,
    blocks: Vec<Block>,
    norm: RmsNorm,
    rope: Rope,
    /// Of layers with a window, where it differs.
    window_rope: Option<Rope>,
    /// `None` when the embedding table is used.
    head: Option<Matrix>,
    parameters: u64,
    pages: PagePool,
    /// Each sequence has a keystream of its own.
    masks: bool,
}

/// New tokens of one sequence.
pub(crate) struct Part<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) cache: &'a mut Cache,
    pub(crate) logits: Logits,
    /// The one id's row of the embedding table, where it is known already.
    pub(crate) row: Option<&'a [f32]>,
    /// The one id was drawn, not a prompt's: a device has shapes of their own for both.
    #[cfg_attr(not(any(test, feature = "device")), allow(dead_code))] // the CPU has one shape
    pub(crate) drawn: bool,
}

/// Which positions' rows, or the logits that are made of them, are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Logits {
    None,
    Last,
    All,
}

impl Network {
    pub(crate) fn load(
        mut weights: Weights<'_>,
        config: DecoderConfig,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let (vocabulary, quantise) = ((config.vocabulary, config.width), options.quantise);
        // Four bits are too few for a table that is read and written by.
        let table = quantise.map(|_| Quantise::Q8);
        let embedding = Matrix::load(&mut weights, "model.embed_tokens", vocabulary, false, table)?;
        let blocks = (0..config.layers())
            .map(|index| Block::load(&mut weights, &config, index, options))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = RmsNorm::load(&mut weights, "model.norm.weight", config.width, &config)?;
        let head = if config.tied {
            // Some files repeat the table; the tied one is what counts.
            weights.ignore("lm_head.weight");
            None
        } else {
            Some(Matrix::load(&mut weights, "lm_head", vocabulary, false, table)?)
        };
        // Angle steps that older versions of transformers saved; they follow from the configuration.
        let parameters = weights.finish(|name| name.ends_with("rotary_emb.inv_freq"))?;
        Ok(Self {
            machine: Machine::new(options),
            rope: Rope::new(&config.rope, config.head_width),
            window_rope: config
                .window_rope
                .as_ref()
                .map(|rope| Rope::new(rope, config.head_width)),
            pages: cache::pages(&config, options),
            gathers_plainly: options.dangerously_plain_gather,
            masks: options.mask_kv,
            config,
            embedding,
            blocks,
            norm,
            head,
            parameters,
        })
    }

    pub(crate) fn config(&self) -> &DecoderConfig {
        &self.config
    }

    pub(crate) fn machine(&self) -> &Machine {
        &self.machine
    }

    pub(crate) fn parameters(&self) -> u64 {
        self.parameters
    }

    /// Room for so many positions of a new sequence.
    pub(crate) fn new_cache(&self, positions: usize) -> Result<Cache, NoPages> {
        Cache::new(&self.pages, positions, self.masks)
    }

    /// What one pass works in.
    pub(crate) fn new_scratch(&self) -> Scratch {
        Scratch::new(&self.config, self.pages.layout(), &self.machine)
    }

    /// Pages that nobody has, and all.
    pub(crate) fn pages(&self) -> (usize, usize) {
        (self.pages.free(), self.pages.total())
    }

    pub(crate) fn memory(&self, scratch: &Scratch) -> Memory {
        let matrices = [Some(&self.embedding), self.head.as_ref()];
        let tables: u64 = matrices.into_iter().flatten().map(Matrix::bytes).sum();
        Memory {
            weights: tables + self.blocks.iter().map(Block::bytes).sum::<u64>(),
            kv: self.pages.bytes() as u64,
            scratch: scratch.bytes(&self.config),
            program: limits::PROGRAM_BYTES + limits::TOKEN_BYTES * self.config.vocabulary as u64,
        }
    }

    /// Appends each part's ids to its sequence, in one pass over the weights. The wanted rows are left in the scratch,
    /// in the order of the parts, and counted: [`Self::logits`] makes logits of them.
    pub(crate) fn forward(
        &self,
        scratch: &mut Scratch,
        parts: &mut [Part<'_>],
    ) -> Result<usize, ComputeError> {
        let mut ids = Zeroizing::new(Vec::with_capacity(limits::PASS_ROWS));
        scratch.angles.clear();
        scratch.window_angles.iter_mut().for_each(Angles::clear);
        for part in &*parts {
            let (first, new) = (part.cache.length, part.ids.len());
            let room = part.cache.room.min(self.config.context).saturating_sub(first);
            if new == 0 || new > room || new > limits::PASS_ROWS - ids.len() {
                return Err(ComputeError);
            }
            ids.extend_from_slice(part.ids);
            let positions = first..first + new;
            if let Some((rope, angles)) = self.window_rope.as_ref().zip(scratch.window_angles.as_mut()) {
                rope.turn(positions.clone(), part.cache.room, angles);
            }
            self.rope.turn(positions, part.cache.room, &mut scratch.angles);
        }
        self.warm(parts);
        let (count, width) = (ids.len(), self.config.width);
        self.embed(scratch, parts, &mut ids)?;
        let hidden = &mut scratch.hidden[..count * width];
        if self.config.embedding_scale != 1.0 {
            self.machine.rows(width, hidden, |_, rows| {
                vector::scale(self.machine.kernels, rows, self.config.embedding_scale);
            });
        }
        for block in &self.blocks {
            block.apply(&self.machine, scratch, parts, count)?;
        }
        let (mut row, mut wanted) = (0, 0);
        for part in parts {
            let end = row + part.ids.len();
            let from = match part.logits {
                Logits::None => end,
                Logits::Last => end - 1,
                Logits::All => row,
            };
            let to = wanted + end - from;
            self.norm.apply(
                &self.machine,
                &scratch.hidden[from * width..end * width],
                &mut scratch.wanted[wanted * width..to * width],
            );
            part.cache.length += part.ids.len();
            (row, wanted) = (end, to);
        }
        Ok(wanted)
    }

    /// Has memory found for the pages that sequences reach soon, a little in each pass.
    fn warm(&self, parts: &mut [Part<'_>]) {
        let sequences = parts.iter_mut().filter_map(|part| {
            let at = part.cache.length;
            Some((part.cache.sequence()?, at))
        });
        self.machine
            .each(sequences.collect(), |_, (sequence, at)| sequence.warm(*at));
    }

    /// Puts the ids' rows of the table into the hidden state: those that are known, and the others by reading the table.
    fn embed(
        &self,
        scratch: &mut Scratch,
        parts: &[Part<'_>],
        ids: &mut Vec<u32>,
    ) -> Result<(), ComputeError> {
        let width = self.config.width;
        let Scratch { hidden, normed, .. } = scratch;
        if parts.iter().all(|part| part.row.is_none()) {
            let hidden = &mut hidden[..ids.len() * width];
            return self
                .embedding
                .gather(&self.machine, ids, self.gathers_plainly, hidden);
        }
        ids.zeroize();
        for part in parts.iter().filter(|part| part.row.is_none()) {
            ids.extend_from_slice(part.ids);
        }
        // Nothing else lies there yet.
        let others = &mut normed[..ids.len() * width];
        self.embedding
            .gather(&self.machine, ids, self.gathers_plainly, others)?;
        let (mut hidden, mut others) = (&mut **hidden, &*others);
        for part in parts {
            let (here, after) = hidden.split_at_mut(part.ids.len() * width);
            match part.row {
                Some(row) if row.len() == here.len() => here.copy_from_slice(row),
                Some(_) => return Err(ComputeError),
                None => here.copy_from_slice(others.split_off(..here.len()).ok_or(ComputeError)?),
            }
            hidden = after;
        }
        Ok(())
    }

    /// Logits of `count` wanted rows from the `first` on, at most [`limits::LOGIT_ROWS`].
    pub(crate) fn logits<'s>(&self, scratch: &'s mut Scratch, first: usize, count: usize) -> &'s mut [f32] {
        let (head, activations, logits) = self.head(scratch, first, count);
        head.apply(&self.machine, activations, logits);
        self.cap(logits);
        logits
    }

    /// The same, and while they are computed some of these rows, counted from the `first`, hold a race: who won, with the
    /// winner's row of the embedding table. Nobody races where that is another table than the one for logits, or where it
    /// is read plainly.
    pub(crate) fn races<'s>(
        &self,
        scratch: &'s mut Scratch,
        (first, count): (usize, usize),
        races: &[(usize, Race)],
    ) -> Result<(&'s mut [f32], Winners), ComputeError> {
        if races.is_empty() || self.head.is_some() || self.gathers_plainly {
            return Ok((self.logits(scratch, first, count), Winners::default()));
        }
        let finish: &Finish<'_> = &|scores| {
            if let Some(cap) = self.config.logit_cap {
                vector::soft_cap(self.machine.kernels, scores, cap);
            }
        };
        let (head, activations, logits) = self.head(scratch, first, count);
        let winners = head.apply_and_choose(&self.machine, activations, logits, races, finish)?;
        self.cap(logits);
        Ok((logits, winners))
    }

    /// What makes logits, of what, and where they go.
    fn head<'n, 's>(
        &'n self,
        scratch: &'s mut Scratch,
        first: usize,
        count: usize,
    ) -> (&'n Matrix, &'s Activations, &'s mut [f32]) {
        let (width, head) = (self.config.width, self.head.as_ref().unwrap_or(&self.embedding));
        let Scratch {
            wanted,
            logits,
            activations,
            ..
        } = scratch;
        let rows = &wanted[first * width..(first + count) * width];
        activations.prepare(&self.machine.pool, &[head.precision()], width, rows);
        (head, activations, &mut logits[..count * self.config.vocabulary])
    }

    fn cap(&self, logits: &mut [f32]) {
        if let Some(cap) = self.config.logit_cap {
            self.machine.rows(self.config.vocabulary, logits, |_, logits| {
                vector::soft_cap(self.machine.kernels, logits, cap);
            });
        }
    }
}
