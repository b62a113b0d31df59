//! Tokens as they are reported, with their log probabilities.
//!
//! Why apart: only requests that ask for them pay for them.
//!
//! # Invariants
//! They are parts of an answer: no `Clone` or `Debug`, wiped when dropped.

use zeroize::{Zeroize, Zeroizing};

use crate::sampler::logprobs;
use crate::tokenizer::Pieces;

/// A token of the answer.
pub struct TokenInfo {
    /// The token and its log probability.
    pub token: TokenLogprob,
    /// The likeliest tokens at this place, the likeliest first; so many as were asked for.
    pub top: Vec<TokenLogprob>,
}

/// A token and how likely the model found it.
pub struct TokenLogprob {
    /// Its id.
    pub id: u32,
    /// Natural logarithm of its probability, by the model's own distribution.
    pub logprob: f32,
    /// The bytes it stands for; they need not be whole characters. None for a control token.
    pub bytes: Zeroizing<Vec<u8>>,
}

impl Drop for TokenLogprob {
    fn drop(&mut self) {
        self.id.zeroize();
        self.logprob.zeroize();
    }
}

/// What must be kept of the logits before the sampler changes them.
pub(super) struct Likelihoods {
    logits: Zeroizing<Vec<f32>>,
    top: usize,
}

impl Likelihoods {
    pub(super) fn of(logits: &[f32], top: usize) -> Self {
        Self {
            logits: Zeroizing::new(logits.to_vec()),
            top,
        }
    }

    pub(super) fn report(&self, id: u32, pieces: &Pieces) -> TokenInfo {
        let normaliser = logprobs::normaliser(&self.logits);
        let one = |id: u32| TokenLogprob {
            id,
            logprob: self
                .logits
                .get(id as usize)
                .map_or(f32::NEG_INFINITY, |logit| (f64::from(*logit) - normaliser) as f32),
            bytes: Zeroizing::new(pieces.bytes(id).to_vec()),
        };
        let top = logprobs::likeliest(&self.logits, self.top);
        TokenInfo {
            token: one(id),
            top: top.iter().map(|id| one(*id)).collect(),
        }
    }
}
