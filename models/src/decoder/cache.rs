//! Keys and values of one sequence.
//!
//! Why apart: it is the state that grows with a prompt, and the plaintext that must not stay.
//!
//! # Invariants
//! Pages are allocated whole and never moved or copied; all are wiped when the cache is dropped.
//! Nothing is shared between sequences.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::Zeroizing;

use crate::config::decoder::DecoderConfig;
use crate::limits::inference as limits;

/// Positions in a page: at usual widths a page is some hundred KiB.
pub(super) const PAGE: usize = 32;

/// Pages are not to be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPages {
    Now { needed: usize, free: usize },
    Ever { needed: usize, total: usize },
}

/// How many pages there are and how many are taken.
pub(super) struct Pages {
    total: usize,
    taken: AtomicUsize,
    page_bytes: u64,
}

/// Pages of one sequence, given back when dropped.
struct Reserved {
    pages: Arc<Pages>,
    count: usize,
}

/// Keys and values of all layers.
pub(crate) struct Cache {
    pub(super) layers: Vec<LayerCache>,
    /// Positions that all layers hold.
    pub(super) length: usize,
    reserved: Option<Reserved>,
}

/// Keys and values of one layer. A page is `[kv head][position][head width]`.
pub(super) struct LayerCache {
    keys: Vec<Zeroizing<Vec<f32>>>,
    values: Vec<Zeroizing<Vec<f32>>>,
    kv_heads: usize,
    head_width: usize,
}

impl Pages {
    pub(super) fn new(config: &DecoderConfig, bytes: Option<u64>) -> Self {
        let position =
            (2 * size_of::<f32>() * config.windows.len() * config.kv_heads * config.head_width) as u64;
        let page_bytes = position * PAGE as u64;
        let contexts = config.context.div_ceil(PAGE).saturating_mul(limits::KV_CONTEXTS);
        let affordable =
            usize::try_from(bytes.unwrap_or(limits::KV_BYTES) / page_bytes).unwrap_or(usize::MAX);
        Self {
            total: if bytes.is_some() {
                affordable
            } else {
                affordable.min(contexts)
            }
            .max(1),
            taken: AtomicUsize::new(0),
            page_bytes,
        }
    }

    pub(super) fn total(&self) -> usize {
        self.total
    }

    pub(super) fn free(&self) -> usize {
        self.total.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    pub(super) fn bytes(&self) -> u64 {
        self.page_bytes * self.total as u64
    }

    fn reserve(self: &Arc<Self>, needed: usize) -> Result<Reserved, NoPages> {
        let total = self.total;
        if needed > total {
            return Err(NoPages::Ever { needed, total });
        }
        let take = |taken: usize| (needed <= total - taken).then_some(taken + needed);
        match self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
        {
            Ok(_) => Ok(Reserved {
                pages: Arc::clone(self),
                count: needed,
            }),
            Err(taken) => Err(NoPages::Now {
                needed,
                free: total - taken,
            }),
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.pages.taken.fetch_sub(self.count, Ordering::Relaxed);
    }
}

impl Cache {
    /// Reserves pages for so many positions.
    pub(super) fn new(config: &DecoderConfig, pages: &Arc<Pages>, positions: usize) -> Result<Self, NoPages> {
        let reserved = Some(pages.reserve(positions.div_ceil(PAGE))?);
        let layer = |_| LayerCache {
            keys: Vec::new(),
            values: Vec::new(),
            kv_heads: config.kv_heads,
            head_width: config.head_width,
        };
        Ok(Self {
            layers: (0..config.windows.len()).map(layer).collect(),
            length: 0,
            reserved,
        })
    }

    /// Positions computed.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Wipes and gives back all pages: nothing more is computed for this sequence.
    pub(crate) fn release(&mut self) {
        self.layers.clear();
        self.reserved = None;
    }
}

impl LayerCache {
    /// Stores the rows of one position. Positions come in order.
    pub(super) fn store(&mut self, position: usize, key: &[f32], value: &[f32]) {
        while self.keys.len() <= position / PAGE {
            let page = || Zeroizing::new(vec![0.0; self.kv_heads * PAGE * self.head_width]);
            self.keys.push(page());
            self.values.push(page());
        }
        let heads = key
            .chunks_exact(self.head_width)
            .zip(value.chunks_exact(self.head_width));
        for (head, (key, value)) in heads.enumerate() {
            let start = (head * PAGE + position % PAGE) * self.head_width;
            let range = start..start + self.head_width;
            if let Some(place) = self.keys[position / PAGE].get_mut(range.clone()) {
                place.copy_from_slice(key);
            }
            if let Some(place) = self.values[position / PAGE].get_mut(range) {
                place.copy_from_slice(value);
            }
        }
    }

    /// Keys of one head, from position `from` up to and without `to`.
    pub(super) fn keys(&self, head: usize, from: usize, to: usize) -> impl Iterator<Item = &[f32]> {
        self.rows(&self.keys, head, from, to)
    }

    /// Values, as [`Self::keys`].
    pub(super) fn values(&self, head: usize, from: usize, to: usize) -> impl Iterator<Item = &[f32]> {
        self.rows(&self.values, head, from, to)
    }

    fn rows<'a>(
        &'a self,
        pages: &'a [Zeroizing<Vec<f32>>],
        head: usize,
        from: usize,
        to: usize,
    ) -> impl Iterator<Item = &'a [f32]> {
        let width = self.head_width;
        (from / PAGE..to.div_ceil(PAGE)).flat_map(move |page| {
            let first = from.max(page * PAGE) - page * PAGE;
            let last = to.min((page + 1) * PAGE) - page * PAGE;
            let start = (head * PAGE + first) * width;
            let end = (head * PAGE + last) * width;
            pages
                .get(page)
                .and_then(|page| page.get(start..end))
                .unwrap_or_default()
                .chunks_exact(width)
        })
    }
}
