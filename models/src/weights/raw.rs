//! A tensor as its file has it, row by row.
//!
//! Why apart: whoever packs weights reads them without a copy as numbers.
//!
//! # Invariants
//! The rows are in Hugging Face's order, whatever the file's is. That their numbers are finite is not checked yet.

use std::ops::Range;

use anchorhold_kernels::BlockFormat;

/// A tensor that was taken and not read yet. Its bytes stay in the file until it is given to [`super::Weights::done`].
pub(crate) struct RawTensor {
    pub(super) name: String,
    pub(super) file: usize,
    pub(super) place: Range<usize>,
    /// What of the place was not used up yet, and what is between it and the next tensor.
    pub(super) span: Range<usize>,
    pub(super) format: BlockFormat,
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) row_bytes: usize,
    pub(super) interleaved: Option<usize>,
}

impl RawTensor {
    /// How the numbers of a row lie.
    pub(crate) fn format(&self) -> BlockFormat {
        self.format
    }

    /// All lengths but the last, multiplied.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Numbers in a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// Where a row lies in the file.
    pub(super) fn row(&self, index: usize) -> Range<usize> {
        let index = match self.interleaved {
            Some(head_width) if self.rows > 1 => interleaved(index, head_width),
            _ => index,
        };
        let start = self
            .place
            .start
            .saturating_add(index.saturating_mul(self.row_bytes));
        start..start.saturating_add(self.row_bytes).min(self.place.end)
    }
}

/// Where a file that turns neighbours has what Hugging Face has at `index` of heads of this width: there, the halves
/// lie behind each other.
pub(super) fn interleaved(index: usize, head_width: usize) -> usize {
    let (head, inside) = (index / head_width, index % head_width);
    let (half, pair) = (inside / (head_width / 2), inside % (head_width / 2));
    head * head_width + 2 * pair + half
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_found_between_each_other() {
        let order: Vec<usize> = (0..12).map(|index| interleaved(index, 6)).collect();
        assert_eq!(order, [0, 2, 4, 1, 3, 5, 6, 8, 10, 7, 9, 11]);
    }
}
