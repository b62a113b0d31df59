//! One encoder layer: attention in both directions and a feed-forward part, each added and normalised.
//!
//! Why apart: it is the unit that is repeated.
//!
//! # Invariants
//! A row depends on the rows of its own text, in an order of arithmetic that others do not change. Every matrix has a bias.

use anchorhold_kernels::attention::{Room, Text, attend_whole};
use anchorhold_kernels::{Kernels, vector};

use super::work::Work;
use crate::config::encoder::{Activation, EncoderConfig};
use crate::machine::Machine;
use crate::matrix::{Matrix, Rows};
use crate::model::error::LoadError;
use crate::model::options::Quantise;
use crate::weights::Weights;

/// Layer normalisation (Ba et al., arXiv:1607.06450).
pub(super) struct LayerNorm {
    weight: Rows,
    bias: Rows,
    epsilon: f32,
}

impl LayerNorm {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        config: &EncoderConfig,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[config.width])?,
            bias: weights.take(&format!("{name}.bias"), &[config.width])?,
            epsilon: config.norm_epsilon,
        })
    }

    pub(super) fn apply(&self, kernels: Kernels, rows: &mut [f32]) {
        vector::layer_norm(kernels, rows, &self.weight, &self.bias, self.epsilon);
    }

    /// Adds `more` and its bias to the rows, and normalises them.
    fn add(&self, machine: &Machine, rows: &mut [f32], more: &[f32], more_bias: Option<&[f32]>) {
        let (width, norm) = (self.weight.len(), (&self.weight[..], &self.bias[..]));
        let Some(more_bias) = more_bias else {
            return;
        };
        machine.rows(width, rows, |range, rows| {
            let more = &more[range.start * width..range.end * width];
            vector::add_layer_norm(machine.kernels, rows, (more, more_bias), norm, self.epsilon);
        });
    }
}

/// What some rows of one text look at.
pub(super) struct Seen<'a> {
    /// Of these rows.
    pub(super) queries: &'a [f32],
    /// Of all rows of the text.
    pub(super) keys: &'a [f32],
    /// Of all rows of the text.
    pub(super) values: &'a [f32],
}

pub(super) struct Layer {
    query: Matrix,
    key: Matrix,
    value: Matrix,
    output: Matrix,
    attention_norm: LayerNorm,
    up: Matrix,
    activation: Activation,
    down: Matrix,
    output_norm: LayerNorm,
    width: usize,
    head_width: usize,
}

impl Layer {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &EncoderConfig,
        index: usize,
        quantise: Option<Quantise>,
    ) -> Result<Self, LoadError> {
        let layer = format!("encoder.layer.{index}");
        let (width, inner) = (config.width, config.feed_forward);
        let mut matrix =
            |name: &str, shape| Matrix::load(weights, &format!("{layer}.{name}"), shape, true, quantise);
        let query = matrix("attention.self.query", (width, width))?;
        let key = matrix("attention.self.key", (width, width))?;
        let value = matrix("attention.self.value", (width, width))?;
        let output = matrix("attention.output.dense", (width, width))?;
        let up = matrix("intermediate.dense", (inner, width))?;
        let down = matrix("output.dense", (width, inner))?;
        Ok(Self {
            query,
            key,
            value,
            output,
            attention_norm: LayerNorm::load(weights, &format!("{layer}.attention.output.LayerNorm"), config)?,
            up,
            activation: config.activation,
            down,
            output_norm: LayerNorm::load(weights, &format!("{layer}.output.LayerNorm"), config)?,
            width,
            head_width: width / config.heads,
        })
    }

    /// Queries, keys and values of rows.
    pub(super) fn project(&self, machine: &Machine, work: &mut Work, rows: &[f32], out: [&mut [f32]; 3]) {
        let matrices = [&self.query, &self.key, &self.value];
        let precisions = matrices.map(Matrix::precision);
        let activations = &mut work.activations;
        activations.prepare(&machine.pool, &precisions, self.width, rows);
        let [queries, keys, values] = out;
        let products = [(&self.query, queries), (&self.key, keys), (&self.value, values)];
        Matrix::apply_each(machine, activations, products);
    }

    /// Changes rows by what their queries see in their texts.
    pub(super) fn apply(&self, machine: &Machine, work: &mut Work, seen: &[Seen<'_>], rows: &mut [f32]) {
        let Work {
            activations,
            room,
            attended,
            inner,
            product,
        } = work;
        let (pool, count) = (&machine.pool, rows.len() / self.width);
        let attended = attended.first(rows.len());
        self.attend(machine, room, seen, attended);
        activations.prepare(pool, &[self.output.precision()], self.width, attended);
        let product = product.first(rows.len());
        self.output.multiply(machine, activations, product);
        self.attention_norm
            .add(machine, rows, product, self.output.bias());
        activations.prepare(pool, &[self.up.precision()], self.width, rows);
        let width = self.up.outputs();
        let inner = inner.first(count * width);
        self.up.multiply(machine, activations, inner);
        machine.rows(width, inner, |_, rows| self.activate(machine, rows));
        activations.prepare(pool, &[self.down.precision()], width, inner);
        self.down.multiply(machine, activations, product);
        self.output_norm.add(machine, rows, product, self.down.bias());
    }

    /// Every row attends to every row of its text, head by head.
    fn attend(&self, machine: &Machine, room: &Room, seen: &[Seen<'_>], attended: &mut [f32]) {
        let heads = self.width / self.head_width;
        let scale = 1.0 / (self.head_width as f32).sqrt();
        let mut left = attended;
        let mut texts = Vec::with_capacity(seen.len());
        for seen in seen {
            let (out, rest) = left.split_at_mut(seen.queries.len());
            left = rest;
            texts.push(Text {
                queries: seen.queries,
                keys: seen.keys,
                values: seen.values,
                out,
            });
        }
        let shape = (heads, self.head_width);
        attend_whole(machine.kernels, &machine.pool, room, shape, scale, &mut texts);
    }

    fn activate(&self, machine: &Machine, rows: &mut [f32]) {
        let kernels = machine.kernels;
        let Some(bias) = self.up.bias() else {
            return;
        };
        match self.activation {
            Activation::Gelu => vector::gelu_of_sum(kernels, rows, bias),
            Activation::GeluTanh => {
                vector::add_bias(kernels, rows, bias);
                vector::gelu_tanh(kernels, rows);
            }
            Activation::Relu => {
                vector::add_bias(kernels, rows, bias);
                rows.iter_mut().for_each(|value| *value = value.max(0.0));
            }
        }
    }
}
