//! One encoder layer: attention in both directions and a feed-forward part, each added and normalised.
//!
//! Why apart: it is the unit that is repeated.
//!
//! # Invariants
//! Texts lie behind each other without padding. A row depends on the rows of its own text, in an order of arithmetic that
//! others do not change.

use anchorhold_kernels::matmul::Activations;
use anchorhold_kernels::vector;
use zeroize::Zeroizing;

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

    pub(super) fn apply(&self, machine: &Machine, rows: &mut [f32]) {
        machine.rows(self.weight.len(), rows, |_, rows| {
            vector::layer_norm(machine.kernels, rows, &self.weight, &self.bias, self.epsilon);
        });
    }
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

    /// Changes the rows of texts of these lengths.
    pub(super) fn apply(
        &self,
        machine: &Machine,
        activations: &mut Activations,
        lengths: &[usize],
        rows: &mut [f32],
    ) {
        let count = rows.len() / self.width;
        let product = |activations: &Activations, matrix: &Matrix| {
            let mut out: Rows = Zeroizing::new(vec![0.0; count * matrix.outputs()]);
            matrix.apply(machine, activations, &mut out);
            out
        };
        let inputs = [&self.query, &self.key, &self.value];
        activations.prepare(&machine.pool, &inputs.map(Matrix::precision), self.width, rows);
        let [queries, keys, values] = inputs.map(|matrix| product(activations, matrix));
        let attended = self.attend(machine, lengths, &queries, &keys, &values);
        activations.prepare(&machine.pool, &[self.output.precision()], self.width, &attended);
        vector::add(machine.kernels, rows, &product(activations, &self.output));
        self.attention_norm.apply(machine, rows);
        activations.prepare(&machine.pool, &[self.up.precision()], self.width, rows);
        let mut inner = product(activations, &self.up);
        let width = self.up.outputs();
        machine.rows(width, &mut inner, |_, rows| self.activate(machine, rows));
        activations.prepare(&machine.pool, &[self.down.precision()], width, &inner);
        vector::add(machine.kernels, rows, &product(activations, &self.down));
        self.output_norm.apply(machine, rows);
    }

    /// Every row attends to every row of its text, head by head.
    fn attend(
        &self,
        machine: &Machine,
        lengths: &[usize],
        queries: &[f32],
        keys: &[f32],
        values: &[f32],
    ) -> Rows {
        let (width, head_width) = (self.width, self.head_width);
        let scale = 1.0 / (head_width as f32).sqrt();
        let mut output: Rows = Zeroizing::new(vec![0.0; queries.len()]);
        // Keys across, text by text, so that a number of the query meets the keys of all positions side by side.
        let mut across: Rows = Zeroizing::new(vec![0.0; keys.len()]);
        // For each row, where its text begins and how many rows that has.
        let mut texts = Vec::with_capacity(queries.len() / width);
        for count in lengths {
            let first = texts.len();
            texts.extend(std::iter::repeat_n((first, *count), *count));
            let range = first * width..(first + count) * width;
            let across = &mut across[range.clone()];
            for (position, key) in keys[range].chunks_exact(width).enumerate() {
                for (place, number) in across[position..].iter_mut().step_by(*count).zip(key) {
                    *place = *number;
                }
            }
        }
        let longest = lengths.iter().copied().max().unwrap_or_default();
        machine.rows(width, &mut output, |range, output| {
            let mut room: Rows = Zeroizing::new(vec![0.0; longest]);
            for (row, output) in range.zip(output.chunks_exact_mut(width)) {
                let (first, count) = texts[row];
                let scores = &mut room[..count];
                let across = &across[first * width..][..count * width];
                let values = &values[first * width..][..count * width];
                let query = &queries[row * width..][..width];
                let heads = query
                    .chunks_exact(head_width)
                    .zip(output.chunks_exact_mut(head_width));
                for (head, (query, output)) in heads.enumerate() {
                    scores.fill(0.0);
                    let keys = across[head * head_width * count..].chunks_exact(count);
                    for (number, keys) in query.iter().zip(keys) {
                        let number = number * scale;
                        scores
                            .iter_mut()
                            .zip(keys)
                            .for_each(|(score, key)| *score += number * key);
                    }
                    vector::softmax(machine.kernels, scores, count);
                    let values = values[head * head_width..].chunks(width);
                    for (share, value) in scores.iter().zip(values) {
                        output
                            .iter_mut()
                            .zip(value)
                            .for_each(|(sum, value)| *sum += share * value);
                    }
                }
            }
        });
        output
    }

    fn activate(&self, machine: &Machine, values: &mut [f32]) {
        match self.activation {
            Activation::Gelu => vector::gelu(machine.kernels, values),
            Activation::GeluTanh => vector::gelu_tanh(machine.kernels, values),
            Activation::Relu => values.iter_mut().for_each(|value| *value = value.max(0.0)),
        }
    }
}
