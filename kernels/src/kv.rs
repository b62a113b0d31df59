//! Keys and values of running sequences, in pages of [`POSITIONS`] positions.
//!
//! Why apart: pages are given out before a sequence starts and come back wiped when it ends, whatever happens between.
//!
//! - [`pages`]: a fixed number of pages in one allocation
//! - [`sequence`]: the pages of one sequence, filled from the front
//! - [`eight`]: 8 bits a number
//! - [`mask`]: a keystream over a sequence's pages, if it wants one
//! - [`store`]: how a row of numbers becomes part of a page
//!
//! A page holds all layers of its positions: `[layer][kv head]`, then the head's keys, then its values. Keys lie across
//! (`[number of the head][position]`) and values along (`[32 numbers of the head][position][number]`), so that both
//! products of attention read lines of 32 stored numbers from end to end, and neither needs a horizontal sum.
//!
//! # Invariants
//! A page belongs to one sequence at a time. A row is written once, before it is read.

pub(crate) mod eight;
mod mask;
pub mod pages;
pub mod sequence;
mod store;

pub(crate) use mask::Place;
pub use pages::{OutOfPages, Page, PagePool};
pub use sequence::Sequence;
pub(crate) use store::{Writer, read_f32};

/// Positions in a page, and numbers in a line of one.
pub const POSITIONS: usize = 32;

/// How keys and values are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KvPrecision {
    /// As computed: for comparisons, twice the memory of [`Self::F16`].
    F32,
    /// IEEE 754 binary16; what does not fit becomes its largest number.
    F16,
    /// The upper half of binary32.
    Bf16,
    /// Signed bytes with a scale for 32 numbers of a row: half the memory of [`Self::F16`] and an eighth more. What
    /// comes out of attention over random rows is off by 0.48 % of its size, where [`Self::F16`]'s is by 0.024 % and
    /// [`Self::Bf16`]'s by 0.19 %.
    Q8,
}

impl KvPrecision {
    /// Units of 16 bits in which `numbers` numbers of each of [`POSITIONS`] positions are stored.
    const fn units(self, numbers: usize) -> usize {
        match self {
            Self::F32 => 2 * POSITIONS * numbers,
            Self::F16 | Self::Bf16 => POSITIONS * numbers,
            Self::Q8 => eight::units(numbers),
        }
    }
}

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Layout {
    /// Layers of the model.
    pub layers: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers in a head's key and in its value.
    pub width: usize,
    /// How they are stored.
    pub precision: KvPrecision,
}

impl Layout {
    /// Numbers of a key with its padding: a multiple of 8.
    pub(crate) const fn depth(&self) -> usize {
        self.width.next_multiple_of(8)
    }

    /// Numbers of a value with its padding: whole lines.
    pub(crate) const fn columns(&self) -> usize {
        self.width.next_multiple_of(POSITIONS)
    }

    pub(crate) const fn key_units(&self) -> usize {
        self.precision.units(self.depth())
    }

    pub(crate) const fn value_units(&self) -> usize {
        self.precision.units(self.columns())
    }

    /// Units of a page.
    pub(crate) const fn page_units(&self) -> usize {
        self.layers * self.kv_heads * (self.key_units() + self.value_units())
    }

    /// Where a head's keys begin in a page; its values follow them.
    pub(crate) const fn start(&self, layer: usize, kv_head: usize) -> usize {
        (layer * self.kv_heads + kv_head) * (self.key_units() + self.value_units())
    }

    /// Bytes of a page.
    #[must_use]
    pub const fn page_bytes(&self) -> usize {
        self.page_units() * size_of::<u16>()
    }

    /// Pages that `positions` positions need.
    #[must_use]
    pub const fn pages(&self, positions: usize) -> usize {
        positions.div_ceil(POSITIONS)
    }
}
