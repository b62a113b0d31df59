//! One encoder layer: attention in both directions and a feed-forward part, each added and normalised.
//!
//! Why apart: it is the unit that is repeated.
//!
//! # Invariants
//! All rows of a call are one text; there is no padding and so no mask.

use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::config::embedder::{Activation, EmbedderConfig};
use crate::decoder::{dot, softmax};
use crate::matrix::{ComputeError, Matrix, Rows};
use crate::model::error::LoadError;
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
        config: &EmbedderConfig,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            weight: weights.take(&format!("{name}.weight"), &[config.width])?,
            bias: weights.take(&format!("{name}.bias"), &[config.width])?,
            epsilon: config.norm_epsilon,
        })
    }

    pub(super) fn apply(&self, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.weight.len()) {
            let mean = row.iter().sum::<f32>() / row.len() as f32;
            row.iter_mut().for_each(|value| *value -= mean);
            let factor = 1.0 / (dot(row, row) / row.len() as f32 + self.epsilon).sqrt();
            for ((value, weight), bias) in row.iter_mut().zip(self.weight.iter()).zip(self.bias.iter()) {
                *value = *value * factor * weight + bias;
            }
        }
    }
}

pub(super) struct Layer {
    qkv: Matrix,
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
        config: &EmbedderConfig,
        index: usize,
    ) -> Result<Self, LoadError> {
        let layer = format!("encoder.layer.{index}");
        let width = config.width;
        let part = |name: &str, outputs: usize| (format!("{layer}.{name}"), outputs);
        let qkv = ["query", "key", "value"].map(|name| part(&format!("attention.self.{name}"), width));
        let output = [part("attention.output.dense", width)];
        let up = [part("intermediate.dense", config.feed_forward)];
        let down = [part("output.dense", width)];
        Ok(Self {
            qkv: Matrix::load(weights, &qkv, width, true)?,
            output: Matrix::load(weights, &output, width, true)?,
            attention_norm: LayerNorm::load(weights, &format!("{layer}.attention.output.LayerNorm"), config)?,
            up: Matrix::load(weights, &up, width, true)?,
            activation: config.activation,
            down: Matrix::load(weights, &down, config.feed_forward, true)?,
            output_norm: LayerNorm::load(weights, &format!("{layer}.output.LayerNorm"), config)?,
            width,
            head_width: width / config.heads,
        })
    }

    pub(super) fn apply(&self, rows: &mut [f32]) -> Result<(), ComputeError> {
        let attended = self.attend(&self.qkv.apply(rows)?);
        add(rows, &self.output.apply(&attended)?);
        self.attention_norm.apply(rows);
        let mut inner = self.up.apply(rows)?;
        inner
            .par_chunks_mut(4096)
            .for_each(|part| activate(self.activation, part));
        add(rows, &self.down.apply(&inner)?);
        self.output_norm.apply(rows);
        Ok(())
    }

    /// Every row attends to every row, head by head.
    fn attend(&self, qkv: &[f32]) -> Rows {
        let (width, head_width) = (self.width, self.head_width);
        let part = |row: usize, offset: usize| {
            let start = row * 3 * width + offset;
            qkv.get(start..start + head_width).unwrap_or_default()
        };
        let count = qkv.len() / (3 * width);
        let scale = 1.0 / (head_width as f32).sqrt();
        let mut output = Zeroizing::new(vec![0.0; count * width]);
        output
            .par_chunks_exact_mut(head_width)
            .enumerate()
            .for_each(|(index, output)| {
                let (row, head) = (
                    index / (width / head_width),
                    index % (width / head_width) * head_width,
                );
                let query = part(row, head);
                let mut scores: Rows = Zeroizing::new(Vec::with_capacity(count));
                scores.extend((0..count).map(|other| dot(query, part(other, width + head)) * scale));
                softmax(&mut scores);
                for (other, weight) in scores.iter().enumerate() {
                    let value = part(other, 2 * width + head);
                    output
                        .iter_mut()
                        .zip(value)
                        .for_each(|(sum, value)| *sum += weight * value);
                }
            });
        output
    }
}

fn activate(activation: Activation, values: &mut [f32]) {
    use std::f32::consts::{FRAC_1_SQRT_2, FRAC_2_SQRT_PI};
    let each: fn(f32) -> f32 = match activation {
        Activation::Gelu => |x| 0.5 * x * (1.0 + candle_core::cpu::erf::erf_f32(x * FRAC_1_SQRT_2)),
        // sqrt(2 / pi) = (2 / sqrt(pi)) / sqrt(2)
        Activation::GeluTanh => {
            |x| 0.5 * x * (1.0 + (FRAC_2_SQRT_PI * FRAC_1_SQRT_2 * (x + 0.044_715 * x * x * x)).tanh())
        }
        Activation::Relu => |x| x.max(0.0),
    };
    values.iter_mut().for_each(|value| *value = each(*value));
}

fn add(rows: &mut [f32], more: &[f32]) {
    rows.iter_mut().zip(more).for_each(|(value, more)| *value += more);
}
