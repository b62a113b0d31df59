//! One transformer block on a device: attention over pages, then the gated feed-forward part.
//!
//! Why apart: the order of operations, as [`super::super::block`] has it for a CPU.
//!
//! # Invariants
//! The residual stream, scales, angles, and the sums of attention are 32-bit floats; what is multiplied by weights, keys and
//! values has the device's precision. Each row is computed by itself: blocks that it does not see add exactly nothing.
//!
//! Attention goes block by block with a running maximum (Milakov and Gimelshein, arXiv:1805.02867).

use candle_core::{DType, Result as CandleResult, Tensor};

use super::group::{BLOCK, Block, Group};
use super::linear::{Linear, Loading, Norm};
use crate::config::decoder::DecoderConfig;
use crate::device::pages::DevicePages;
use crate::device::wiped::Wiped;
use crate::matrix::ComputeError;
use crate::model::error::LoadError;

pub(super) struct Layer {
    index: usize,
    heads: usize,
    kv_heads: usize,
    head_width: usize,
    feed_forward: usize,
    window: Option<usize>,
    attention_norm: Norm,
    /// Queries, keys and values.
    projection: Linear,
    /// Scales of each head of queries, then of keys.
    head_norm: Option<Norm>,
    output: Linear,
    mlp_norm: Norm,
    /// Gate, then up.
    gate_up: Linear,
    down: Linear,
}

/// What attention has found in the blocks so far, for each query.
struct Running {
    most: Wiped,
    weights: Wiped,
    sum: Wiped,
}

impl Layer {
    pub(super) fn load(
        loading: &mut Loading<'_, '_>,
        config: &DecoderConfig,
        index: usize,
    ) -> Result<Self, LoadError> {
        let layer = format!("model.layers.{index}");
        let (width, head_width) = (config.width, config.head_width);
        let (heads, kv_heads) = (config.heads * head_width, config.kv_heads * head_width);
        let of = |name: &str| format!("{layer}.{name}");
        let attention = ["q_proj", "k_proj", "v_proj"].map(|name| of(&format!("self_attn.{name}")));
        let [query, key, value] = &attention;
        let stack = [(query.as_str(), heads), (key, kv_heads), (value, kv_heads)];
        let epsilon = config.norm_epsilon;
        let head_norm = if config.qk_norm {
            let names = [of("self_attn.q_norm"), of("self_attn.k_norm")];
            let norms = [
                (names[0].as_str(), config.heads),
                (names[1].as_str(), config.kv_heads),
            ];
            Some(loading.norm(&norms, head_width, epsilon)?)
        } else {
            None
        };
        let inner = config.feed_forward;
        Ok(Self {
            index,
            heads: config.heads,
            kv_heads: config.kv_heads,
            head_width,
            feed_forward: inner,
            window: config.windows.get(index).copied().flatten(),
            attention_norm: loading.norm(&[(&of("input_layernorm"), 1)], width, epsilon)?,
            projection: loading.linear(&stack, width, config.qkv_bias)?,
            head_norm,
            output: loading.linear(&[(&of("self_attn.o_proj"), width)], heads, config.output_bias)?,
            mlp_norm: loading.norm(&[(&of("post_attention_layernorm"), 1)], width, epsilon)?,
            gate_up: loading.linear(
                &[(&of("mlp.gate_proj"), inner), (&of("mlp.up_proj"), inner)],
                width,
                config.mlp_bias,
            )?,
            down: loading.linear(&[(&of("mlp.down_proj"), width)], inner, config.mlp_bias)?,
        })
    }

    /// Makes of the hidden rows those of the next layer.
    pub(super) fn apply(
        &self,
        group: &Group,
        pages: &DevicePages,
        hidden: Wiped,
        precision: DType,
        swap: &Tensor,
    ) -> Result<Wiped, ComputeError> {
        let normed = self.attention_norm.apply(hidden.tensor())?.into(precision)?;
        let queries = self.project(group, pages, &normed, precision, swap)?;
        let attended = self.attend(group, pages, &queries, precision)?;
        let added = self.output.apply(&attended)?;
        let hidden = Wiped::of(hidden.tensor() + added.tensor())?;
        let normed = self.mlp_norm.apply(hidden.tensor())?.into(precision)?;
        let both = self.gate_up.apply(&normed)?;
        let half = |first: usize| both.tensor().narrow(1, first, self.feed_forward);
        let gate = Wiped::of(view(half(0))?.silu())?;
        let inner = Wiped::of(gate.tensor() * view(half(self.feed_forward))?)?.into(precision)?;
        let added = self.down.apply(&inner)?;
        Wiped::of(hidden.tensor() + added.tensor())
    }

    /// Turns queries and keys by their positions, writes keys and values to the pages, and returns the queries as
    /// `(sequence and head of keys, position and head of queries, head width)`.
    fn project(
        &self,
        group: &Group,
        pages: &DevicePages,
        normed: &Wiped,
        precision: DType,
        swap: &Tensor,
    ) -> Result<Wiped, ComputeError> {
        let (heads, kv_heads, width) = (self.heads, self.kv_heads, self.head_width);
        let rows = group.form.rows();
        let made = self.projection.apply(normed)?;
        let made = made.reshaped((rows, heads + 2 * kv_heads, width))?;
        let turned = Wiped::copy(&view(made.tensor().narrow(1, 0, heads + kv_heads))?)?;
        let turned = match &self.head_norm {
            Some(norm) => norm.apply(turned.tensor())?,
            None => turned,
        };
        let turned = turn(&turned, group, swap)?;
        let (keys, values) = pages.layer(self.index)?;
        let new_keys = view(turned.tensor().narrow(1, heads, kv_heads))?;
        let new_values = view(made.tensor().narrow(1, heads + kv_heads, kv_heads))?;
        for (all, new) in [(keys, new_keys), (values, new_values)] {
            let new = Wiped::cast(&view(new.narrow(0, 0, group.real))?, precision)?;
            let new = new.reshaped((group.real * kv_heads, width))?;
            let lines = view(all.reshape(((), width)))?;
            lines
                .scatter_set(group.places.tensor(), new.tensor(), 0)
                .map_err(|_| ComputeError)?;
        }
        let queries = view(turned.tensor().narrow(1, 0, heads))?;
        let scaled = Wiped::of(queries.affine(1.0 / (width as f64).sqrt(), 0.0))?.into(precision)?;
        let (sequences, positions, each) = (group.form.sequences, group.form.positions, heads / kv_heads);
        let grouped = scaled.reshaped((sequences, positions, kv_heads, each, width))?;
        let by_head = Wiped::copy(&view(grouped.tensor().transpose(1, 2))?)?;
        by_head.reshaped((sequences * kv_heads, positions * each, width))
    }

    /// What each row's queries see, one behind the other.
    fn attend(
        &self,
        group: &Group,
        pages: &DevicePages,
        queries: &Wiped,
        precision: DType,
    ) -> Result<Wiped, ComputeError> {
        let mut running = None;
        for block in &group.blocks {
            running = Some(self.see(group, pages, queries, precision, block, running)?);
        }
        let Running { weights, sum, .. } = running.ok_or(ComputeError)?;
        let seen = Wiped::of(sum.tensor().broadcast_div(weights.tensor()))?;
        let by_row = Wiped::cast(&view(seen.tensor().transpose(1, 2))?, precision)?;
        by_row.reshaped((group.form.rows(), self.heads * self.head_width))
    }

    fn see(
        &self,
        group: &Group,
        pages: &DevicePages,
        queries: &Wiped,
        precision: DType,
        block: &Block,
        before: Option<Running>,
    ) -> Result<Running, ComputeError> {
        let form = group.form;
        let (kv_heads, each) = (self.kv_heads, self.heads / self.kv_heads);
        let fetch = |all: &Tensor| {
            Wiped::of(all.index_select(block.pages.tensor(), 0))?.reshaped((
                form.sequences * kv_heads,
                BLOCK,
                self.head_width,
            ))
        };
        let (keys, values) = pages.layer(self.index)?;
        let keys = fetch(keys)?;
        let scores = Wiped::of(queries.tensor().matmul(&view(keys.tensor().t())?))?.into(DType::F32)?;
        let shape = (form.sequences, kv_heads, form.positions, each, BLOCK);
        let scores = scores.reshaped(shape)?;
        let scores = Wiped::of(scores.tensor().broadcast_add(block.mask(self.window)?))?;
        let top = Wiped::of(scores.tensor().max_keepdim(4))?;
        let most = match &before {
            Some(before) => Wiped::of(before.most.tensor().maximum(top.tensor()))?,
            None => top,
        };
        let below = Wiped::of(scores.tensor().broadcast_sub(most.tensor()))?;
        let shares = Wiped::of(below.tensor().exp())?;
        let total = Wiped::of(shares.tensor().sum_keepdim(4))?;
        let rows =
            shares
                .into(precision)?
                .reshaped((form.sequences * kv_heads, form.positions * each, BLOCK))?;
        let values = fetch(values)?;
        let part = Wiped::of(rows.tensor().matmul(values.tensor()))?.into(DType::F32)?;
        let part = part.reshaped((form.sequences, kv_heads, form.positions, each, self.head_width))?;
        let Some(before) = before else {
            return Ok(Running {
                most,
                weights: total,
                sum: part,
            });
        };
        let fallen = Wiped::of(before.most.tensor() - most.tensor())?;
        let kept = Wiped::of(fallen.tensor().exp())?;
        let weights = Wiped::of(before.weights.tensor() * kept.tensor())?;
        let sum = Wiped::of(before.sum.tensor().broadcast_mul(kept.tensor()))?;
        Ok(Running {
            most,
            weights: Wiped::of(weights.tensor() + total.tensor())?,
            sum: Wiped::of(sum.tensor() + part.tensor())?,
        })
    }
}

/// Turns each head's pairs: the halves change places, one with its sign.
fn turn(heads: &Wiped, group: &Group, swap: &Tensor) -> Result<Wiped, ComputeError> {
    let straight = Wiped::of(heads.tensor().broadcast_mul(group.cosines.tensor()))?;
    let swapped = Wiped::of(heads.tensor().index_select(swap, 2))?;
    let across = Wiped::of(swapped.tensor().broadcast_mul(group.sines.tensor()))?;
    Wiped::of(straight.tensor() + across.tensor())
}

/// A view of a tensor that something else owns.
fn view(made: CandleResult<Tensor>) -> Result<Tensor, ComputeError> {
    made.map_err(|_| ComputeError)
}
