//! The decoder's computation on a device, by candle's tensors: what [`super::network`] is on a CPU.
//!
//! Why apart: the same families, files and promises with other operations; nothing above it can tell.
//!
//! - [`linear`]: weights on their way to the device, and products with them
//! - [`group`]: rows that are computed together, in shapes that never change
//! - [`layer`]: one transformer block
//!
//! # Invariants
//! As those of [`super::network`]. Besides: what lies on the device of weights, prompts and answers is overwritten before it
//! is given back; a pass begins only while the device may be given what it is given.

mod group;
mod layer;
mod linear;

use anchorhold_kernels::{Buffer, kv};
use candle_core::{DType, Tensor};

use super::cache::{Cache, NoPages};
use super::network::{Logits, Part};
use super::rope::Rope;
use crate::config::decoder::{DecoderConfig, Gate};
use crate::device::pages::{DevicePages, PageLayout};
use crate::device::staging::Staging;
use crate::device::wiped::Wiped;
use crate::device::{Device, DeviceError};
use crate::limits::inference as limits;
use crate::machine::Machine;
use crate::matrix::ComputeError;
use crate::model::error::LoadError;
use crate::model::options::{KvPrecision, LoadOptions, Memory};
use crate::weights::Weights;
use group::{BLOCK, Form, Group, Run, SLICE, Stagings, TOKENS};
use layer::Layer;
use linear::{Linear, Loading, Norm};

pub(crate) struct DeviceNetwork {
    config: DecoderConfig,
    machine: Machine,
    embedding: Linear,
    layers: Vec<Layer>,
    norm: Norm,
    rope: Rope,
    /// `None` when the embedding table is used.
    head: Option<Linear>,
    parameters: u64,
    bytes: u64,
    pages: DevicePages,
    /// The order in which a head's halves have changed places.
    swap: Wiped,
    /// Dropped last: its proof ends when everything was overwritten.
    device: Device,
}

/// What one pass works in.
pub(crate) struct DeviceScratch {
    stagings: Stagings,
    fetched: Staging<f32>,
    /// Rows whose logits are wanted, normalised.
    wanted: Wiped,
    logits: Buffer<f32>,
}

impl DeviceNetwork {
    pub(crate) fn load(
        mut weights: Weights<'_>,
        config: DecoderConfig,
        device: Device,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        refuse(&config, options)?;
        let mut loading = Loading::new(&mut weights, &device, config.width.max(config.feed_forward))?;
        let table = |loading: &mut Loading<'_, '_>, name| {
            loading.linear(&[(name, config.vocabulary)], config.width, false)
        };
        let embedding = table(&mut loading, "model.embed_tokens")?;
        let layers = (0..config.windows.len())
            .map(|index| Layer::load(&mut loading, &config, index))
            .collect::<Result<Vec<_>, _>>()?;
        let norm = loading.norm(&[("model.norm", 1)], config.width, config.norm_epsilon)?;
        let head = if config.tied {
            loading.weights.ignore("lm_head.weight");
            None
        } else {
            Some(table(&mut loading, "lm_head")?)
        };
        let bytes = loading.bytes;
        drop(loading);
        let parameters = weights.finish(|name| name.ends_with("rotary_emb.inv_freq"))?;
        let half = (config.head_width / 2) as u32;
        let order: Vec<u32> = (half..2 * half).chain(0..half).collect();
        let swap = Staging::new(&device.candle, order.len())?.send_all(&order, order.len())?;
        let layout = PageLayout {
            layers: config.windows.len(),
            kv_heads: config.kv_heads,
            head_width: config.head_width,
            number_bytes: device.precision.bytes(),
        };
        let contexts = config
            .context
            .div_ceil(kv::POSITIONS)
            .saturating_mul(limits::KV_CONTEXTS);
        let affordable = options.kv_bytes.unwrap_or(limits::KV_BYTES) / layout.page_bytes();
        let total = usize::try_from(affordable)
            .unwrap_or(usize::MAX)
            .max(1)
            .min(contexts);
        Ok(Self {
            machine: Machine::new(options),
            rope: Rope::new(&config.rope, config.head_width),
            pages: DevicePages::new(&device, layout, total)?,
            config,
            embedding,
            layers,
            norm,
            head,
            parameters,
            bytes,
            swap,
            device,
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

    pub(crate) fn new_cache(&self, positions: usize) -> Result<Cache, NoPages> {
        let (needed, total) = (positions.div_ceil(kv::POSITIONS), self.pages.counts().1);
        if needed > total {
            return Err(NoPages::Ever { needed, total });
        }
        let sequence = self.pages.reserve(needed);
        let sequence = sequence.map_err(|free| NoPages::Now { needed, free })?;
        Ok(Cache::on_device(sequence, positions))
    }

    pub(crate) fn new_scratch(&self) -> Result<DeviceScratch, ComputeError> {
        let config = &self.config;
        let candle = &self.device.candle;
        let heads = config.kv_heads * (BLOCK / kv::POSITIONS);
        let ids = [SLICE * config.kv_heads, TOKENS * heads, SLICE];
        let numbers = [SLICE * config.head_width, SLICE * BLOCK];
        let most = |counts: &[usize]| counts.iter().copied().max().unwrap_or(0);
        Ok(DeviceScratch {
            stagings: Stagings {
                ids: Staging::new(candle, most(&ids))?,
                numbers: Staging::new(candle, most(&numbers))?,
            },
            fetched: Staging::new(candle, limits::LOGIT_ROWS * config.vocabulary)?,
            wanted: Wiped::of(Tensor::zeros(
                (limits::PASS_ROWS, config.width),
                DType::F32,
                candle,
            ))?,
            logits: Buffer::zeroed(limits::LOGIT_ROWS * config.vocabulary),
        })
    }

    pub(crate) fn pages(&self) -> (usize, usize) {
        self.pages.counts()
    }

    /// On the device, but for the sampler's logits. The library for products has a workspace besides.
    pub(crate) fn memory(&self) -> Memory {
        Memory {
            weights: self.bytes,
            kv: self.pages.bytes(),
            scratch: self.scratch_bytes(),
            program: limits::PROGRAM_BYTES + limits::TOKEN_BYTES * self.config.vocabulary as u64,
        }
    }

    /// No more than all that a layer makes at once, and what stays.
    fn scratch_bytes(&self) -> u64 {
        let config = &self.config;
        let (rows, number) = (SLICE.max(TOKENS), self.device.precision.bytes());
        let heads = (config.heads + 2 * config.kv_heads) * config.head_width;
        let by_row = 6 * config.width + 5 * heads + 4 * config.feed_forward;
        let fetched = 2 * TOKENS * config.kv_heads * BLOCK * config.head_width;
        let scores = 4 * rows * config.heads * BLOCK;
        let sums = 6 * rows * config.heads * config.head_width;
        let logits = limits::LOGIT_ROWS * config.vocabulary;
        let floats = rows * by_row + scores + sums + 3 * logits + limits::PASS_ROWS * config.width;
        4 * floats as u64 + number * (fetched + logits) as u64
    }

    /// Appends each part's ids to its sequence. The wanted rows are left in the scratch, in the order of the parts, and
    /// counted.
    pub(crate) fn forward(
        &self,
        scratch: &mut DeviceScratch,
        parts: &mut [Part<'_>],
    ) -> Result<usize, ComputeError> {
        if !self.device.leave.holds() {
            return Err(ComputeError);
        }
        let (mut count, mut wanted) = (0, 0);
        let mut places = Vec::with_capacity(parts.len());
        for part in &*parts {
            let (first, new) = (part.cache.length, part.ids.len());
            let room = part.cache.room.min(self.config.context).saturating_sub(first);
            let ours = part
                .cache
                .device()
                .is_some_and(|sequence| self.pages.owns(sequence));
            let known = part.ids.iter().all(|id| (*id as usize) < self.config.vocabulary);
            count += new;
            if !ours || !known || new == 0 || new > room || count > limits::PASS_ROWS {
                return Err(ComputeError);
            }
            if part.drawn && new != 1 {
                return Err(ComputeError);
            }
            let from = match part.logits {
                Logits::None => new,
                Logits::Last => new - 1,
                Logits::All => 0,
            };
            places.push((wanted, from));
            wanted += new - from;
        }
        let drawn: Vec<usize> = (0..parts.len())
            .filter(|index| parts.get(*index).is_some_and(|part| part.drawn))
            .collect();
        for group in drawn.chunks(TOKENS) {
            let runs = group.iter().map(|index| run(parts, *index, 0..1));
            let runs = runs.collect::<Result<Vec<_>, _>>()?;
            let rows = self.group(scratch, Form::TOKENS, &runs)?;
            for (row, index) in group.iter().enumerate() {
                let (place, from) = places.get(*index).copied().ok_or(ComputeError)?;
                if from == 0 {
                    keep(&scratch.wanted, place, &rows, row..row + 1)?;
                }
            }
        }
        for (index, (place, from)) in places.iter().enumerate() {
            let new = parts.get(index).ok_or(ComputeError)?;
            if new.drawn {
                continue;
            }
            let new = new.ids.len();
            for start in (0..new).step_by(SLICE) {
                let end = new.min(start + SLICE);
                let rows = self.group(scratch, Form::SLICE, &[run(parts, index, start..end)?])?;
                let first = start.max(*from);
                if first < end {
                    keep(
                        &scratch.wanted,
                        place + first - from,
                        &rows,
                        first - start..end - start,
                    )?;
                }
            }
        }
        for part in parts {
            part.cache.length += part.ids.len();
        }
        Ok(wanted)
    }

    /// Computes a group's rows up to the last norm.
    fn group(
        &self,
        scratch: &mut DeviceScratch,
        form: Form,
        runs: &[Run<'_>],
    ) -> Result<Wiped, ComputeError> {
        let precision = self.device.precision.kind();
        let group = Group::new(form, runs, &self.config, &self.rope, &mut scratch.stagings)?;
        let mut hidden = self.embedding.gather(group.ids.tensor())?;
        for layer in &self.layers {
            hidden = layer.apply(&group, &self.pages, hidden, precision, self.swap.tensor())?;
        }
        self.norm.apply(hidden.tensor())
    }

    /// Logits of `count` wanted rows from the `first` on, at most [`limits::LOGIT_ROWS`].
    pub(crate) fn logits<'s>(
        &self,
        scratch: &'s mut DeviceScratch,
        first: usize,
        count: usize,
    ) -> Result<&'s mut [f32], ComputeError> {
        let head = self.head.as_ref().unwrap_or(&self.embedding);
        let DeviceScratch {
            fetched,
            wanted,
            logits,
            ..
        } = scratch;
        // Always as many rows: see `group`.
        let rows = wanted.tensor().narrow(0, first, limits::LOGIT_ROWS);
        let rows = Wiped::cast(&rows.map_err(|_| ComputeError)?, self.device.precision.kind())?;
        let made = head.apply(&rows)?;
        let logits = logits
            .get_mut(..count * self.config.vocabulary)
            .ok_or(ComputeError)?;
        fetched.fetch(made.tensor(), logits)?;
        Ok(logits)
    }
}

impl DeviceScratch {
    /// Overwrites what a pass left that stays.
    pub(super) fn wipe(&mut self) {
        // A device that cannot do this is lost, and its memory with it.
        let _ = self.wanted.wipe();
    }
}

fn run<'p>(
    parts: &'p [Part<'_>],
    index: usize,
    range: std::ops::Range<usize>,
) -> Result<Run<'p>, ComputeError> {
    let part = parts.get(index).ok_or(ComputeError)?;
    Ok(Run {
        first: part.cache.length + range.start,
        ids: part.ids.get(range).ok_or(ComputeError)?,
        sequence: part.cache.device().ok_or(ComputeError)?,
    })
}

/// Copies rows to where logits are made of them.
fn keep(
    wanted: &Wiped,
    place: usize,
    rows: &Wiped,
    range: std::ops::Range<usize>,
) -> Result<(), ComputeError> {
    let rows = rows.tensor().narrow(0, range.start, range.len());
    let kept = rows.and_then(|rows| wanted.tensor().slice_set(&rows, 0, place));
    kept.map_err(|_| ComputeError)
}

/// Families and settings that are not built for devices are refused by name.
fn refuse(config: &DecoderConfig, options: &LoadOptions) -> Result<(), LoadError> {
    let unsupported = |what| Err(LoadError::Device(DeviceError::Unsupported(what)));
    let plain = config.gate == Gate::Silu
        && config.norm_offset == 0.0
        && !config.output_norms
        && config.window_rope.is_none()
        && config.embedding_scale == 1.0
        && !config.fused
        && config.score_scale == 1.0 / (config.head_width as f32).sqrt()
        && config.score_cap.is_none()
        && config.logit_cap.is_none()
        && config.experts.is_none();
    if !plain {
        return unsupported("this family of models");
    }
    match options {
        LoadOptions { mask_kv: true, .. } => unsupported("masked keys and values"),
        LoadOptions {
            quantise: Some(_), ..
        } => unsupported("weights made smaller at load"),
        LoadOptions {
            kv_precision: KvPrecision::Q8 | KvPrecision::F32,
            ..
        } => unsupported("a precision of keys and values other than the device's own"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
