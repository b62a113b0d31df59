//! From logits to the next token.
//!
//! Why apart: it is arithmetic on one row of numbers, and easy to get subtly wrong.
//!
//! Order: repetition penalty, presence and frequency penalties, temperature, top-k, top-p, min-p, draw. The draw is a
//! [`Race`], which has softmax's probabilities and can be held while the logits are computed.
//! Log probabilities are reported of the model's own distribution, before all of these.
//!
//! # Invariants
//! The same seed and logits give the same draws on every machine. Ties go to the lower id.

pub(crate) mod logprobs;
pub mod params;

use std::cmp::Ordering;

use anchorhold_kernels::Kernels;
use anchorhold_kernels::race::{Lead, Race};
use zeroize::{DefaultIsZeroes, Zeroizing};

use crate::secret::random_public;
use params::{Sampling, SamplingParams};

/// The logits hold a NaN or an infinity: the weights do not compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotFinite;

pub(crate) struct Sampler {
    sampling: Sampling,
    /// Of its races.
    key: Zeroizing<[u8; 32]>,
    /// Tokens drawn so far.
    drawn: u64,
    seen: Option<Seen>,
}

/// How often each id was seen; kept only when a penalty asks for it.
struct Seen {
    in_prompt: Zeroizing<Vec<bool>>,
    in_answer: Zeroizing<Vec<u32>>,
}

/// A token that may be drawn, and its weight.
#[derive(Clone, Copy, Default)]
struct Candidate {
    id: u32,
    weight: f64,
}

impl DefaultIsZeroes for Candidate {}

impl Sampler {
    pub(crate) fn new(sampling: Sampling, prompt: &[u32], vocabulary: usize) -> Self {
        let params = sampling.params();
        let key = Zeroizing::new(match params.seed {
            Some(seed) => {
                let mut key = [0; 32];
                key[..8].copy_from_slice(&seed.to_le_bytes());
                key
            }
            None => random_public(),
        });
        let penalised = params.repetition_penalty != 1.0
            || params.presence_penalty != 0.0
            || params.frequency_penalty != 0.0;
        let seen = penalised.then(|| {
            let mut in_prompt = Zeroizing::new(vec![false; vocabulary]);
            for id in prompt {
                if let Some(seen) = in_prompt.get_mut(*id as usize) {
                    *seen = true;
                }
            }
            Seen {
                in_prompt,
                in_answer: Zeroizing::new(vec![0; vocabulary]),
            }
        });
        Self {
            sampling,
            key,
            drawn: 0,
            seen,
        }
    }

    pub(crate) fn params(&self) -> &SamplingParams {
        self.sampling.params()
    }

    /// Whether a model computed numbers.
    pub(crate) fn check(logits: &[f32]) -> Result<(), NotFinite> {
        if logits.iter().all(|logit| logit.is_finite()) {
            Ok(())
        } else {
            Err(NotFinite)
        }
    }

    /// The race by which the next token is drawn; `None` when not all tokens run, or not by the model's own logits.
    pub(crate) fn race(&self) -> Option<Race> {
        (self.seen.is_none() && !self.filters()).then(|| self.next_race())
    }

    fn next_race(&self) -> Race {
        Race::new(&self.key, self.drawn, self.params().temperature)
    }

    /// Whether fewer than all tokens may be drawn.
    fn filters(&self) -> bool {
        let params = self.params();
        let all = params.top_k.is_none() && params.top_p >= 1.0 && params.min_p <= 0.0;
        params.temperature != 0.0 && !all
    }

    /// Draws the next token; if [`Self::race`] has been held, its `winner`. Changes the logits. A negative infinity is a token that
    /// may not be drawn; at least one may.
    pub(crate) fn draw(&mut self, kernels: Kernels, logits: &mut [f32], winner: Option<u32>) -> u32 {
        let id = winner.unwrap_or_else(|| {
            self.penalise(logits);
            let kept = self.filters().then(|| filter(logits, self.params()));
            self.next_race().score(kernels, logits);
            let lead = match kept {
                Some(kept) => Lead::of_some(kept.iter().map(|candidate| {
                    let score = logits.get(candidate.id as usize);
                    (candidate.id, score.copied().unwrap_or(f32::NEG_INFINITY))
                })),
                None => Lead::of(kernels, 0, logits),
            };
            lead.output()
        });
        self.drawn += 1;
        if let Some(count) = self
            .seen
            .as_mut()
            .and_then(|seen| seen.in_answer.get_mut(id as usize))
        {
            *count = count.saturating_add(1);
        }
        id
    }

    fn penalise(&self, logits: &mut [f32]) {
        let Some(seen) = &self.seen else {
            return;
        };
        let params = self.params();
        for ((logit, in_prompt), count) in logits
            .iter_mut()
            .zip(seen.in_prompt.iter())
            .zip(seen.in_answer.iter())
        {
            if *in_prompt || *count > 0 {
                let penalty = params.repetition_penalty;
                *logit = if *logit > 0.0 {
                    *logit / penalty
                } else {
                    *logit * penalty
                };
            }
            if *count > 0 {
                *logit -= params.presence_penalty + params.frequency_penalty * *count as f32;
            }
        }
    }
}

fn likelier(left: &Candidate, right: &Candidate) -> Ordering {
    right.weight.total_cmp(&left.weight).then(left.id.cmp(&right.id))
}

/// The tokens that may be drawn. Weights are relative to the likeliest, which has 1.
fn filter(logits: &[f32], params: &SamplingParams) -> Zeroizing<Vec<Candidate>> {
    let temperature = f64::from(params.temperature);
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| (f64::from(logit - top) / temperature).exp();
    let mut kept = Zeroizing::new(Vec::with_capacity(logits.len()));
    kept.extend((0u32..).zip(logits).map(|(id, logit)| Candidate {
        id,
        weight: weight(*logit),
    }));
    if let Some(most) = params.top_k
        && most < kept.len()
    {
        kept.select_nth_unstable_by(most, likelier);
        kept.truncate(most);
    }
    if params.top_p < 1.0 {
        let wanted = f64::from(params.top_p);
        let total: f64 = kept.iter().map(|candidate| candidate.weight).sum();
        // Tokens this unlikely cannot reach the rest of the probability even together.
        let negligible = (1.0 - wanted) * total / kept.len() as f64;
        kept.retain(|candidate| candidate.weight >= negligible);
        kept.sort_unstable_by(likelier);
        let mut reached = 0.0;
        let enough = kept.iter().position(|candidate| {
            reached += candidate.weight;
            reached >= wanted * total
        });
        if let Some(last) = enough {
            kept.truncate(last + 1);
        }
    }
    kept.retain(|candidate| candidate.weight >= f64::from(params.min_p));
    kept
}

#[cfg(test)]
mod tests;
