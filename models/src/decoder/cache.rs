//! Keys and values of one sequence.
//!
//! Why apart: it is the state that grows with a prompt, and the plaintext that must not stay.
//!
//! # Invariants
//! Pages are allocated whole and never moved or copied; all are wiped when the cache is dropped.
//! Nothing is shared between sequences.

use zeroize::Zeroizing;

/// Positions in a page: at usual widths a page is some hundred KiB.
pub(super) const PAGE: usize = 64;

/// Keys and values of all layers.
pub(crate) struct Cache {
    pub(super) layers: Vec<LayerCache>,
    /// Positions that all layers hold.
    pub(super) length: usize,
}

/// Keys and values of one layer. A page is `[kv head][position][head width]`.
pub(super) struct LayerCache {
    keys: Vec<Zeroizing<Vec<f32>>>,
    values: Vec<Zeroizing<Vec<f32>>>,
    kv_heads: usize,
    head_width: usize,
}

impl Cache {
    pub(super) fn new(layers: usize, kv_heads: usize, head_width: usize) -> Self {
        let layer = || LayerCache {
            keys: Vec::new(),
            values: Vec::new(),
            kv_heads,
            head_width,
        };
        Self {
            layers: (0..layers).map(|_| layer()).collect(),
            length: 0,
        }
    }

    /// Positions computed.
    pub(crate) fn length(&self) -> usize {
        self.length
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
