//! One layer: attention and feed-forward part, each on a normalised copy and added to what came in.
//!
//! Why apart: it is the unit that families vary and that is repeated.
//!
//! # Invariants
//! Rows of all sequences of a pass go through each matrix together; each attends to its own sequence only.

use anchorhold_kernels::attention::{Job, Rule, attend};
use anchorhold_kernels::vector;

use super::feed_forward::FeedForward;
use super::network::Part;
use super::norm::RmsNorm;
use super::scratch::Scratch;
use crate::config::decoder::DecoderConfig;
use crate::machine::Machine;
use crate::matrix::{ComputeError, Matrix};
use crate::model::error::LoadError;
use crate::model::options::LoadOptions;
use crate::weights::Weights;

pub(super) struct Block {
    index: usize,
    width: usize,
    head_width: usize,
    attention_norm: RmsNorm,
    query: Matrix,
    key: Matrix,
    value: Matrix,
    /// Norms of queries and keys.
    head_norms: Option<(RmsNorm, RmsNorm)>,
    rule: Rule,
    output: Matrix,
    mlp_norm: RmsNorm,
    feed_forward: FeedForward,
    /// Norms of what attention and feed-forward part give.
    output_norms: Option<(RmsNorm, RmsNorm)>,
    /// Turns as layers with a window do.
    windowed: bool,
}

impl Block {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &DecoderConfig,
        index: usize,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        let quantise = options.quantise;
        let layer = format!("model.layers.{index}");
        let (width, head_width) = (config.width, config.head_width);
        let (heads, kv_heads) = (config.heads * head_width, config.kv_heads * head_width);
        let norm = |weights: &mut Weights<'_>, name: &str, width: usize| {
            let name = format!("{layer}.{name}.weight");
            RmsNorm::load(weights, &name, width, config)
        };
        let head_norms = if config.qk_norm {
            let queries = norm(weights, "self_attn.q_norm", head_width)?;
            Some((queries, norm(weights, "self_attn.k_norm", head_width)?))
        } else {
            None
        };
        let attention_norm = norm(weights, "input_layernorm", width)?;
        // Where outputs are normalised too, the name says which part they follow, elsewhere where they stand.
        let (mlp_norm, output_norms) = if config.output_norms {
            let after = norm(weights, "post_attention_layernorm", width)?;
            let before = norm(weights, "pre_feedforward_layernorm", width)?;
            let last = norm(weights, "post_feedforward_layernorm", width)?;
            (before, Some((after, last)))
        } else {
            (norm(weights, "post_attention_layernorm", width)?, None)
        };
        let attention = format!("{layer}.self_attn");
        let mut matrix = |name: &str, shape, bias| {
            Matrix::load(weights, &format!("{attention}.{name}"), shape, bias, quantise)
        };
        let [query, key, value] = if config.fused {
            let outputs = [heads, kv_heads, kv_heads];
            Matrix::load_split(
                weights,
                &format!("{attention}.qkv_proj"),
                outputs,
                width,
                quantise,
            )?
        } else {
            [
                matrix("q_proj", (heads, width), config.qkv_bias)?,
                matrix("k_proj", (kv_heads, width), config.qkv_bias)?,
                matrix("v_proj", (kv_heads, width), config.qkv_bias)?,
            ]
        };
        let output = Matrix::load(
            weights,
            &format!("{attention}.o_proj"),
            (width, heads),
            config.output_bias,
            quantise,
        )?;
        let window = config.windows.get(index).copied().flatten();
        Ok(Self {
            index,
            width,
            head_width,
            attention_norm,
            query,
            key,
            value,
            head_norms,
            rule: Rule {
                heads: config.heads,
                window,
                scale: config.score_scale,
                soft_cap: config.score_cap,
            },
            output,
            mlp_norm,
            feed_forward: FeedForward::load(weights, config, index, &layer, options)?,
            output_norms,
            windowed: window.is_some(),
        })
    }

    /// Changes the `count` hidden rows of all parts.
    pub(super) fn apply(
        &self,
        machine: &Machine,
        scratch: &mut Scratch,
        parts: &mut [Part<'_>],
        count: usize,
    ) -> Result<(), ComputeError> {
        let range = ..count * self.width;
        self.attention_norm
            .apply(machine, &scratch.hidden[range], &mut scratch.normed[range]);
        self.project(machine, scratch, count);
        self.attend(machine, scratch, parts, count)?;
        if let Some((norm, _)) = &self.output_norms {
            norm.apply_to_rows(machine, &mut scratch.normed[range]);
        }
        add(
            machine,
            self.width,
            &mut scratch.hidden[range],
            &scratch.normed[range],
        );
        self.mlp_norm
            .apply(machine, &scratch.hidden[range], &mut scratch.normed[range]);
        self.feed_forward.apply(machine, scratch, count);
        if let Some((_, norm)) = &self.output_norms {
            norm.apply_to_rows(machine, &mut scratch.normed[range]);
        }
        add(
            machine,
            self.width,
            &mut scratch.hidden[range],
            &scratch.normed[range],
        );
        Ok(())
    }

    /// Makes queries, keys and values of the normalised rows, and turns the first two by their positions.
    fn project(&self, machine: &Machine, scratch: &mut Scratch, count: usize) {
        let Scratch {
            normed,
            queries,
            keys,
            values,
            angles,
            window_angles,
            activations,
            ..
        } = scratch;
        let angles = match window_angles {
            Some(window_angles) if self.windowed => window_angles,
            _ => angles,
        };
        let matrices = [&self.query, &self.key, &self.value];
        let precisions = matrices.map(Matrix::precision);
        activations.prepare(
            &machine.pool,
            &precisions,
            self.width,
            &normed[..count * self.width],
        );
        let [query, key, value] = matrices;
        let products = [
            (query, &mut queries[..count * query.outputs()]),
            (key, &mut keys[..count * key.outputs()]),
            (value, &mut values[..count * value.outputs()]),
        ];
        Matrix::apply_each(machine, activations, products);
        let norms = self.head_norms.as_ref();
        let turned = [
            (queries, norms.map(|norms| &norms.0), self.query.outputs()),
            (keys, norms.map(|norms| &norms.1), self.key.outputs()),
        ];
        for (rows, norm, width) in turned {
            machine.rows(width, &mut rows[..count * width], |range, rows| {
                if let Some(norm) = norm {
                    norm.apply_in_place(machine, rows);
                }
                for (row, heads) in range.zip(rows.chunks_exact_mut(width)) {
                    let (cosines, sines) = angles.of(row);
                    vector::rope(machine.kernels, heads, self.head_width, cosines, sines);
                }
            });
        }
    }

    /// Lets each part's queries attend to its sequence, and leaves what is to be added in `normed`.
    fn attend(
        &self,
        machine: &Machine,
        scratch: &mut Scratch,
        parts: &mut [Part<'_>],
        count: usize,
    ) -> Result<(), ComputeError> {
        let (heads, kv_heads) = (self.query.outputs(), self.key.outputs());
        let Scratch {
            normed,
            queries,
            keys,
            values,
            attended,
            activations,
            workspace,
            ..
        } = scratch;
        let mut jobs = Vec::with_capacity(parts.len());
        let (mut queries, mut keys, mut values) = (&queries[..], &keys[..], &values[..]);
        let mut out = &mut attended[..count * heads];
        for part in parts {
            let rows = part.ids.len();
            let own;
            (own, out) = out.split_at_mut(rows * heads);
            jobs.push(Job {
                sequence: part.cache.sequence().ok_or(ComputeError)?,
                queries: take(&mut queries, rows * heads),
                keys: take(&mut keys, rows * kv_heads),
                values: take(&mut values, rows * kv_heads),
                out: own,
            });
        }
        attend(
            machine.kernels,
            &machine.pool,
            workspace,
            self.index,
            &self.rule,
            &mut jobs,
        );
        drop(jobs);
        let precision = [self.output.precision()];
        activations.prepare(&machine.pool, &precision, heads, &attended[..count * heads]);
        self.output
            .apply(machine, activations, &mut normed[..count * self.width]);
        Ok(())
    }

    pub(super) fn bytes(&self) -> u64 {
        [&self.query, &self.key, &self.value, &self.output]
            .map(Matrix::bytes)
            .iter()
            .sum::<u64>()
            + self.feed_forward.bytes()
    }
}

/// Takes the first numbers off.
fn take<'a>(numbers: &mut &'a [f32], count: usize) -> &'a [f32] {
    let (first, rest) = numbers.split_at(count);
    *numbers = rest;
    first
}

fn add(machine: &Machine, width: usize, rows: &mut [f32], more: &[f32]) {
    machine.rows(width, rows, |range, rows| {
        vector::add(
            machine.kernels,
            rows,
            &more[range.start * width..range.end * width],
        );
    });
}
