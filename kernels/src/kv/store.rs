//! How a row of numbers becomes part of a page.
//!
//! Why apart: the layout of a block is written here and read in `attention`.
//!
//! # Invariants
//! Padding stays zero. A finite number is stored as a finite one. A row is written once, over zeros or the keystream
//! that stands for them: so writing is an exclusive or, whether the page is masked or not.

use super::{KvPrecision, Layout, POSITIONS, eight};
use crate::cpu::Kernels;
use crate::vector;

/// Converts rows and puts them where they belong.
pub(crate) struct Writer {
    kernels: Kernels,
    layout: Layout,
    /// Rows of a page, one after another.
    converted: Vec<u16>,
}

impl Writer {
    /// For at most so many rows of a page at a time.
    pub(crate) fn new(kernels: Kernels, layout: Layout, rows: usize) -> Self {
        Self {
            kernels,
            layout,
            converted: vec![0; layout.width * rows.min(POSITIONS)],
        }
    }

    /// Puts the keys of the page's positions from `first` on into the head's keys.
    pub(crate) fn keys<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>, first: usize, keys: &mut [u16]) {
        match self.layout.precision {
            KvPrecision::F32 => {
                for (row, at) in rows.zip(first..) {
                    for (number, line) in row.iter().zip(keys.chunks_exact_mut(2 * POSITIONS)) {
                        put_f32(line, at, *number);
                    }
                }
            }
            KvPrecision::Q8 => {
                for (row, at) in rows.zip(first..) {
                    eight::put_key(row, at, keys);
                }
            }
            KvPrecision::F16 | KvPrecision::Bf16 => {
                let width = self.layout.width;
                let converted = self.convert(rows);
                let lines = keys.chunks_exact_mut(POSITIONS);
                if converted.len() == width {
                    for (unit, line) in converted.iter().zip(lines) {
                        line[first] ^= *unit;
                    }
                    return;
                }
                // Line by line, because a key's numbers are one to a line.
                for (number, line) in lines.take(width).enumerate() {
                    for (to, key) in line[first..].iter_mut().zip(converted.chunks_exact(width)) {
                        *to ^= key[number];
                    }
                }
            }
        }
    }

    /// Puts the values of the page's positions from `first` on into the head's values.
    pub(crate) fn values<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a [f32]>,
        first: usize,
        values: &mut [u16],
    ) {
        match self.layout.precision {
            KvPrecision::F32 => {
                for (row, at) in rows.zip(first..) {
                    let panels = values.chunks_exact_mut(2 * POSITIONS * POSITIONS);
                    for (numbers, panel) in row.chunks(POSITIONS).zip(panels) {
                        let line = &mut panel[at * 2 * POSITIONS..];
                        for (index, number) in numbers.iter().enumerate() {
                            put_f32(line, index, *number);
                        }
                    }
                }
            }
            KvPrecision::Q8 => {
                for (row, at) in rows.zip(first..) {
                    eight::put_value(row, at, values);
                }
            }
            KvPrecision::F16 | KvPrecision::Bf16 => {
                let width = self.layout.width;
                for (row, at) in self.convert(rows).chunks_exact(width).zip(first..) {
                    let panels = values.chunks_exact_mut(POSITIONS * POSITIONS);
                    for (units, panel) in row.chunks(POSITIONS).zip(panels) {
                        for (to, unit) in panel[at * POSITIONS..].iter_mut().zip(units) {
                            *to ^= *unit;
                        }
                    }
                }
            }
        }
    }

    /// The rows as units of 16 bits.
    fn convert<'a>(&mut self, rows: impl Iterator<Item = &'a [f32]>) -> &[u16] {
        let width = self.layout.width;
        let mut count = 0;
        for (row, converted) in rows.zip(self.converted.chunks_exact_mut(width)) {
            match self.layout.precision {
                KvPrecision::Bf16 => vector::to_bf16(self.kernels, row, converted),
                _ => vector::to_f16_saturating(self.kernels, row, converted),
            }
            count += width;
        }
        &self.converted[..count]
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.converted);
    }
}

/// Lower half, then upper half, as the memory of a little-endian machine has them.
pub(super) fn put_f32(line: &mut [u16], index: usize, number: f32) {
    let bits = number.to_bits();
    line[2 * index] ^= bits as u16;
    line[2 * index + 1] ^= (bits >> 16) as u16;
}

/// What [`put_f32`] wrote, line by line.
#[inline(always)]
pub(crate) fn read_f32(units: &[u16], numbers: &mut [f32]) {
    for (pair, number) in units.chunks_exact(2).zip(numbers) {
        *number = f32::from_bits(u32::from(pair[0]) | u32::from(pair[1]) << 16);
    }
}
