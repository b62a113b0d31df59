//! Panels: as many rows of activations as a kernel multiplies at a time.
//!
//! Why apart: preparing writes and kernels read by the same arithmetic.
//!
//! # Invariants
//! Panels follow one another, of as equal a height as can be, so that the last one is not a thin one.

use crate::cpu::KernelSet;

/// Rows of a panel at most, of any kernel.
pub(crate) const TALLEST: usize = 16;

/// How rows are grouped.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    /// Rows of a panel at most.
    height: usize,
    /// Whether the inputs of a row follow one another in a block, as tiles of AMX want; else the rows do.
    pub(crate) by_row: bool,
}

impl Layout {
    pub(crate) const fn interleaved(height: usize) -> Self {
        Self {
            height,
            by_row: false,
        }
    }

    const fn by_row() -> Self {
        Self {
            height: 16,
            by_row: true,
        }
    }

    /// For integer kernels. Their sums are exact, so that the layout may depend on the number of rows.
    pub(crate) fn of_integers(set: KernelSet, rows: usize) -> Self {
        match set {
            KernelSet::Avx2 | KernelSet::AvxVnni => Self::interleaved(4),
            KernelSet::Amx if rows >= 16 => Self::by_row(),
            _ => Self::interleaved(12),
        }
    }

    pub(crate) fn of_floats(set: KernelSet) -> Self {
        match set {
            KernelSet::Avx2 | KernelSet::AvxVnni => Self::interleaved(6),
            _ => Self::interleaved(12),
        }
    }

    /// For bf16 that is multiplied as binary32: the weights need registers more.
    pub(crate) fn of_rounded(set: KernelSet) -> Self {
        match set {
            KernelSet::Avx2 | KernelSet::AvxVnni => Self::interleaved(4),
            _ => Self::interleaved(12),
        }
    }

    pub(crate) fn of_pairs(set: KernelSet) -> Self {
        match set {
            KernelSet::Amx => Self::by_row(),
            _ => Self::interleaved(12),
        }
    }

    pub(crate) fn spans(self, rows: usize) -> Spans {
        Spans {
            rows,
            panels: rows.div_ceil(self.height),
            next: 0,
        }
    }
}

/// Rows of one panel.
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) first: usize,
    pub(crate) rows: usize,
}

/// All panels in turn.
#[derive(Clone, Copy)]
pub(crate) struct Spans {
    rows: usize,
    panels: usize,
    next: usize,
}

impl Spans {
    pub(crate) fn at(self, index: usize) -> Span {
        // The first `taller` panels have a row more.
        let (rows, taller) = (self.rows / self.panels, self.rows % self.panels);
        Span {
            first: index * rows + index.min(taller),
            rows: rows + usize::from(index < taller),
        }
    }
}

impl Iterator for Spans {
    type Item = Span;

    fn next(&mut self) -> Option<Span> {
        let index = self.next;
        self.next += 1;
        (index < self.panels).then(|| self.at(index))
    }
}

/// Calls a kernel made for the height of the panel, one of those named.
#[cfg(target_arch = "x86_64")]
macro_rules! by_height {
    ($kernel:ident($tiles:expr, $panel:expr, $out:expr), $($height:literal)*) => {
        match $panel.rows {
            $($height => $kernel::<$height>($tiles, $panel, $out),)*
            _ => unreachable!("a panel is as high as its layout allows"),
        }
    };
    ($kernel:ident[$unit:ident]($tiles:expr, $panel:expr, $out:expr), $($height:literal)*) => {
        match $panel.rows {
            $($height => $kernel::<$unit, $height>($tiles, $panel, $out),)*
            _ => unreachable!("a panel is as high as its layout allows"),
        }
    };
}
#[cfg(target_arch = "x86_64")]
pub(super) use by_height;

/// 8-bit activations of one panel. `M` rows; a block is 32 inputs.
pub(crate) struct IntegerPanel<'a> {
    pub(crate) rows: usize,
    pub(crate) by_row: bool,
    /// Four inputs in a number: `[block][8][M]`, by row `[block][M][8]`.
    pub(crate) quants: &'a [i32],
    /// `[block][M]`.
    pub(crate) scales: &'a [f32],
    /// The two powers of two of which each scale is made: `[block][2][M]`.
    pub(crate) powers: &'a [f32],
    /// -128 times the sum of the block's integers: what unsigned 8-bit weights are too much by.
    pub(crate) starts_8: &'a [i32],
    /// -8 times the sum.
    pub(crate) starts_4: &'a [i32],
    /// -32 times the sums of both halves of the block: `[block][2][M]`.
    pub(crate) halves: &'a [i32],
    /// Scale times sum.
    pub(crate) sums: &'a [f32],
}

/// Plain numbers of one panel: `[row][input]`, in whole blocks of 32 inputs.
pub(crate) struct FloatPanel<'a> {
    pub(crate) rows: usize,
    /// From one row to the next: see [`stride`].
    pub(crate) stride: usize,
    pub(crate) values: &'a [f32],
}

impl<'a> FloatPanel<'a> {
    /// A row's blocks.
    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> &'a [[f32; 32]] {
        self.values[row * self.stride..][..self.stride].as_chunks().0
    }
}

/// How far rows of so many blocks lie apart: by an odd number of lines of the cache, so that the same inputs of rows
/// beside each other lie in different sets of it.
pub(crate) const fn stride(blocks: usize) -> usize {
    32 * blocks + 16
}

/// Each row's inputs of a block.
#[cfg(target_arch = "x86_64")]
pub(super) type Inputs<'a, const M: usize> = [&'a [f32; 32]; M];

/// Each row's blocks. By loops, here and below: a closure that the library calls is not compiled into a kernel, whose
/// instructions the library has not.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn blocks<'a, const M: usize>(panel: &FloatPanel<'a>) -> [&'a [[f32; 32]]; M] {
    let mut rows: [&[[f32; 32]]; M] = [&[]; M];
    for (row, blocks) in rows.iter_mut().enumerate() {
        *blocks = panel.row(row);
    }
    rows
}

/// Each row's inputs of one of them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn inputs<'a, const M: usize>(rows: &[&'a [[f32; 32]]; M], block: usize) -> Inputs<'a, M> {
    let mut inputs: Inputs<'a, M> = [&[0.0; 32]; M];
    for (inputs, blocks) in inputs.iter_mut().zip(rows) {
        *inputs = &blocks[block];
    }
    inputs
}

/// Pairs of bf16: `[input / 2][M]`, or `[block][M][16]` for AMX.
pub(crate) struct PairPanel<'a> {
    pub(crate) rows: usize,
    pub(crate) pairs: &'a [u32],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panels_cover_all_rows_once_and_evenly() {
        for height in [4, 6, 12, 16] {
            for rows in 0..100 {
                let spans = Layout::interleaved(height).spans(rows);
                let mut next = 0;
                for (index, span) in spans.enumerate() {
                    assert_eq!(span.first, next);
                    assert!(span.rows > 0 && span.rows <= height && span.rows <= TALLEST);
                    assert!(span.rows + 1 >= rows.div_ceil(spans.panels));
                    assert_eq!(spans.at(index).first, next);
                    next += span.rows;
                }
                assert_eq!(next, rows);
            }
        }
    }
}
