//! The pages of one sequence, filled from the front.
//!
//! Why apart: it knows how far each layer is written, so that no row is written twice or read before.
//!
//! # Invariants
//! Rows are appended in order, at most as many as its pages hold. Rows that were written never change.

use super::mask::Mask;
use super::{Layout, POSITIONS, Page};

/// Keys and values of one sequence. No `Clone` or `Debug`: they tell what was said.
pub struct Sequence {
    pages: Vec<Page>,
    layout: Layout,
    /// Positions written, by layer.
    written: Vec<usize>,
    mask: Option<Mask>,
}

impl Sequence {
    /// An empty sequence on these pages.
    ///
    /// # Panics
    /// When there is no page, or pages are of different pools.
    #[must_use]
    pub fn new(pages: Vec<Page>) -> Self {
        let first = pages.first().expect("a sequence has a page");
        assert!(
            pages.iter().all(|page| page.is_of_the_pool_of(first)),
            "the pages are of one pool"
        );
        let layout = first.layout();
        Self {
            layout,
            written: vec![0; layout.layers],
            mask: None,
            pages,
        }
    }

    /// The same with a keystream over all that its pages hold, so that equal rows of two sequences do not look equal in
    /// memory. No two sequences may have the same key.
    ///
    /// # Panics
    /// When there is no page, or pages are of different pools.
    #[must_use]
    pub fn masked(pages: Vec<Page>, key: &[u8; 32]) -> Self {
        Self {
            mask: Some(Mask::new(key)),
            ..Self::new(pages)
        }
    }

    /// What its pages hold.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Positions for which it has pages.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.pages.len() * POSITIONS
    }

    /// Positions written in a layer.
    ///
    /// # Panics
    /// When there is no such layer.
    #[must_use]
    pub fn written(&self, layer: usize) -> usize {
        self.written[layer]
    }

    /// Has a part of the memory found for the page after the one in which position `at` is: over a page's positions all of it.
    pub fn warm(&mut self, at: usize) {
        if let Some(next) = self.pages.get_mut(at / POSITIONS + 1) {
            next.warm(POSITIONS - at % POSITIONS);
        }
    }

    pub(crate) fn mask(&self) -> Option<&Mask> {
        self.mask.as_ref()
    }

    pub(crate) fn pages(&self) -> &[Page] {
        &self.pages
    }

    /// What its pages hold, as it lies in memory.
    #[cfg(feature = "trace")]
    #[must_use]
    pub fn stored(&mut self) -> Vec<u16> {
        self.pages
            .iter_mut()
            .flat_map(|page| page.units().to_vec())
            .collect()
    }

    #[cfg(test)]
    pub(crate) fn into_pages(self) -> Vec<Page> {
        self.pages
    }

    /// Counts `rows` more positions of a layer as written.
    pub(crate) fn grow(&mut self, layer: usize, rows: usize) {
        let end = self.written[layer] + rows;
        assert!(end <= self.capacity(), "the sequence has pages for its rows");
        self.written[layer] = end;
    }
}
