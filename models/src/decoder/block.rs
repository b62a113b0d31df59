//! One layer: attention and feed-forward part, each on a normalised copy and added to what came in.
//!
//! Why apart: it is the unit that families vary and that is repeated.
//!
//! # Invariants
//! All rows of a call are of one sequence, at consecutive positions.

use super::attention::Attention;
use super::cache::LayerCache;
use super::mlp::Mlp;
use super::norm::RmsNorm;
use super::rope::Angles;
use crate::config::decoder::DecoderConfig;
use crate::matrix::{ComputeError, Matrix, Rows};
use crate::model::error::LoadError;
use crate::weights::Weights;
use zeroize::Zeroizing;

pub(super) struct Block {
    attention_norm: RmsNorm,
    qkv: Matrix,
    /// Norms of queries and keys.
    head_norms: Option<(RmsNorm, RmsNorm)>,
    attention: Attention,
    output: Matrix,
    mlp_norm: RmsNorm,
    mlp: Mlp,
}

impl Block {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &DecoderConfig,
        index: usize,
    ) -> Result<Self, LoadError> {
        let layer = format!("model.layers.{index}");
        let (heads, kv_heads, head_width) = (config.heads, config.kv_heads, config.head_width);
        let norm = |weights: &mut Weights<'_>, name: &str, width: usize| {
            RmsNorm::load(
                weights,
                &format!("{layer}.{name}.weight"),
                width,
                config.norm_epsilon,
            )
        };
        let qkv = [
            (format!("{layer}.self_attn.q_proj"), heads * head_width),
            (format!("{layer}.self_attn.k_proj"), kv_heads * head_width),
            (format!("{layer}.self_attn.v_proj"), kv_heads * head_width),
        ];
        let output = [(format!("{layer}.self_attn.o_proj"), config.width)];
        let head_norms = if config.qk_norm {
            let queries = norm(weights, "self_attn.q_norm", head_width)?;
            Some((queries, norm(weights, "self_attn.k_norm", head_width)?))
        } else {
            None
        };
        Ok(Self {
            attention_norm: norm(weights, "input_layernorm", config.width)?,
            qkv: Matrix::load(weights, &qkv, config.width, config.qkv_bias)?,
            head_norms,
            attention: Attention {
                heads,
                kv_heads,
                head_width,
                window: config.windows.get(index).copied().flatten(),
            },
            output: Matrix::load(weights, &output, heads * head_width, config.output_bias)?,
            mlp_norm: norm(weights, "post_attention_layernorm", config.width)?,
            mlp: Mlp::load(weights, config, &layer)?,
        })
    }

    /// Changes `rows`, the first of which is at position `first`.
    pub(super) fn apply(
        &self,
        rows: &mut [f32],
        first: usize,
        angles: &Angles,
        cache: &mut LayerCache,
    ) -> Result<(), ComputeError> {
        let normed = self.attention_norm.apply(rows);
        let queries = self.project(&normed, first, angles, cache)?;
        let attended = self.attention.apply(cache, &queries, first);
        add(rows, &self.output.apply(&attended)?);
        let normed = self.mlp_norm.apply(rows);
        add(rows, &self.mlp.apply(&normed)?);
        Ok(())
    }

    /// Puts keys and values into the cache and returns the queries.
    fn project(
        &self,
        normed: &[f32],
        first: usize,
        angles: &Angles,
        cache: &mut LayerCache,
    ) -> Result<Rows, ComputeError> {
        let Attention {
            heads,
            kv_heads,
            head_width,
            ..
        } = self.attention;
        let mut qkv = self.qkv.apply(normed)?;
        let mut queries: Rows = Zeroizing::new(Vec::with_capacity(
            qkv.len() / self.qkv.outputs() * heads * head_width,
        ));
        for (row, qkv) in qkv.chunks_exact_mut(self.qkv.outputs()).enumerate() {
            let (query, rest) = qkv.split_at_mut(heads * head_width);
            let (key, value) = rest.split_at_mut(kv_heads * head_width);
            if let Some((query_norm, key_norm)) = &self.head_norms {
                query_norm.apply_in_place(query);
                key_norm.apply_in_place(key);
            }
            angles.turn(row, query);
            angles.turn(row, key);
            cache.store(first + row, key, value);
            queries.extend_from_slice(query);
        }
        Ok(queries)
    }
}

fn add(rows: &mut [f32], more: &[f32]) {
    rows.iter_mut().zip(more).for_each(|(value, more)| *value += more);
}
