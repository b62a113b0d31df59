//! What follows attention in a layer: one gated part for all rows, or experts.
//!
//! Why apart: layers of one model may have either.
//!
//! # Invariants
//! Takes normalised rows and leaves the result in their place.

use super::experts::Experts;
use super::mlp::Mlp;
use super::scratch::Scratch;
use crate::config::decoder::DecoderConfig;
use crate::machine::Machine;
use crate::model::error::LoadError;
use crate::model::options::LoadOptions;
use crate::weights::Weights;

pub(super) enum FeedForward {
    One(Box<Mlp>),
    Many(Box<Experts>),
}

impl FeedForward {
    pub(super) fn load(
        weights: &mut Weights<'_>,
        config: &DecoderConfig,
        index: usize,
        layer: &str,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        if let Some(experts) = &config.experts
            && config.sparse.get(index).copied().unwrap_or(false)
        {
            let experts = Experts::load(weights, config, experts, layer, options)?;
            return Ok(Self::Many(Box::new(experts)));
        }
        let (name, inner) = (format!("{layer}.mlp"), config.feed_forward);
        let mlp = Mlp::load(weights, config, &name, inner, options.quantise)?;
        Ok(Self::One(Box::new(mlp)))
    }

    pub(super) fn apply(&self, machine: &Machine, scratch: &mut Scratch, count: usize) {
        match self {
            Self::One(mlp) => mlp.apply(machine, scratch, count),
            Self::Many(experts) => experts.apply(machine, scratch, count),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::One(mlp) => mlp.bytes(),
            Self::Many(experts) => experts.bytes(),
        }
    }
}
