//! A decoder's network as an embedder: each token sees what came before it, and nothing is drawn.
//!
//! Why apart: it has pages of keys and values, which an encoder has not.
//!
//! # Invariants
//! Texts share passes and nothing else. Pages come back, and rows are wiped, before a vector leaves.

use std::sync::{Mutex, PoisonError};

use super::pooling::Pool;
use crate::config::decoder::DecoderConfig;
use crate::config::sentence::{Pooling, SentenceConfig};
use crate::decoder::cache::{Cache, NoPages};
use crate::decoder::network::{Logits, Network, Part};
use crate::decoder::scratch::Scratch;
use crate::limits::inference as limits;
use crate::matrix::{ComputeError, Rows};
use crate::model::error::LoadError;
use crate::model::options::LoadOptions;
use crate::tokenizer::Ids;
use crate::weights::Weights;

pub(super) struct Causal {
    network: Network,
    scratch: Mutex<Scratch>,
}

/// A text of which a part is computed.
struct Running<'a> {
    ids: &'a [u32],
    cache: Cache,
    pool: Pool,
}

impl Causal {
    pub(super) fn load(
        weights: Weights<'_>,
        mut config: DecoderConfig,
        options: &LoadOptions,
    ) -> Result<Self, LoadError> {
        // No token is drawn, so that a matrix for that is left aside, if the file has one.
        config.tied = true;
        let network = Network::load(weights, config, options)?;
        Ok(Self {
            scratch: Mutex::new(network.new_scratch()),
            network,
        })
    }

    pub(super) fn config(&self) -> &DecoderConfig {
        self.network.config()
    }

    pub(super) fn parameters(&self) -> u64 {
        self.network.parameters()
    }

    /// Most tokens of a text that there are pages for.
    pub(super) fn room(&self) -> usize {
        let (_, pages) = self.network.pages();
        pages.saturating_mul(anchorhold_kernels::kv::POSITIONS)
    }

    /// As that of [`super::Embedder`].
    pub(super) fn forget(&self) {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        scratch.forget();
        self.network.machine().pool.scrub();
    }

    /// The vectors of the texts, in order.
    pub(super) fn embed(
        &self,
        texts: &[Ids],
        sentence: &SentenceConfig,
        pooling: Pooling,
    ) -> Result<Vec<Rows>, ComputeError> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = texts.iter();
        let mut next = waiting.next();
        let mut running: Vec<Running<'_>> = Vec::new();
        let mut vectors = Vec::with_capacity(texts.len());
        while next.is_some() || !running.is_empty() {
            let mut tokens: usize = running
                .iter()
                .map(|text| text.ids.len() - text.cache.length())
                .sum();
            while let Some(ids) = next.filter(|_| tokens < limits::PASS_ROWS) {
                match self.network.new_cache(ids.len()) {
                    Ok(cache) => {
                        let pool = Pool::new(pooling, self.config().width);
                        running.push(Running { ids, cache, pool });
                        tokens += ids.len();
                        next = waiting.next();
                    }
                    // The pages of those before are to come back first.
                    Err(NoPages::Now { .. }) if !running.is_empty() => break,
                    Err(_) => return Err(ComputeError),
                }
            }
            self.pass(&mut scratch, &mut running, pooling)?;
            // They end in the order in which they came, since each pass takes the first ones' tokens first.
            while running
                .first()
                .is_some_and(|text| text.cache.length() == text.ids.len())
            {
                vectors.push(running.remove(0).pool.finish(sentence));
            }
        }
        Ok(vectors)
    }

    /// Computes as many tokens of the first texts as a pass has rows.
    fn pass(
        &self,
        scratch: &mut Scratch,
        running: &mut [Running<'_>],
        pooling: Pooling,
    ) -> Result<(), ComputeError> {
        let mut room = limits::PASS_ROWS;
        let mut parts = Vec::with_capacity(running.len());
        let mut pools = Vec::with_capacity(running.len());
        for text in running {
            let done = text.cache.length();
            let ids = text.ids.get(done..).unwrap_or_default();
            let ids = ids.get(..room.min(ids.len())).unwrap_or_default();
            if ids.is_empty() {
                break;
            }
            room -= ids.len();
            let ends = done + ids.len() == text.ids.len();
            let (logits, rows) = match pooling {
                Pooling::Last if ends => (Logits::Last, 1),
                Pooling::Last => (Logits::None, 0),
                Pooling::First | Pooling::Mean => (Logits::All, ids.len()),
            };
            pools.push((&mut text.pool, rows));
            parts.push(Part {
                ids,
                cache: &mut text.cache,
                logits,
                row: None,
                drawn: false,
            });
        }
        let computed = self.network.forward(scratch, &mut parts);
        if let Ok(wanted) = computed {
            let width = self.config().width;
            let mut rows = scratch.wanted(wanted * width);
            for (pool, count) in pools {
                let (own, rest) = rows.split_at(count * width);
                pool.push(own);
                rows = rest;
            }
        }
        scratch.wipe(limits::PASS_ROWS - room);
        computed.map(|_| ())
    }
}
