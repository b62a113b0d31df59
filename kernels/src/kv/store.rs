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
    converted: Vec<u16>,
}

impl Writer {
    pub(crate) fn new(kernels: Kernels, layout: Layout) -> Self {
        Self {
            kernels,
            layout,
            converted: vec![0; layout.width],
        }
    }

    /// Puts the key of the page's position `at` into the head's keys.
    pub(crate) fn key(&mut self, row: &[f32], at: usize, keys: &mut [u16]) {
        match self.layout.precision {
            KvPrecision::F32 => {
                for (number, line) in row.iter().zip(keys.chunks_exact_mut(2 * POSITIONS)) {
                    put_f32(line, at, *number);
                }
            }
            KvPrecision::Q8 => eight::put_key(row, at, keys),
            KvPrecision::F16 | KvPrecision::Bf16 => {
                self.convert(row);
                for (unit, line) in self.converted.iter().zip(keys.chunks_exact_mut(POSITIONS)) {
                    line[at] ^= *unit;
                }
            }
        }
    }

    /// Puts the value of the page's position `at` into the head's values.
    pub(crate) fn value(&mut self, row: &[f32], at: usize, values: &mut [u16]) {
        match self.layout.precision {
            KvPrecision::F32 => {
                let panels = values.chunks_exact_mut(2 * POSITIONS * POSITIONS);
                for (numbers, panel) in row.chunks(POSITIONS).zip(panels) {
                    let line = &mut panel[at * 2 * POSITIONS..];
                    for (index, number) in numbers.iter().enumerate() {
                        put_f32(line, index, *number);
                    }
                }
            }
            KvPrecision::Q8 => eight::put_value(row, at, values),
            KvPrecision::F16 | KvPrecision::Bf16 => {
                self.convert(row);
                let panels = values.chunks_exact_mut(POSITIONS * POSITIONS);
                for (units, panel) in self.converted.chunks(POSITIONS).zip(panels) {
                    for (to, unit) in panel[at * POSITIONS..].iter_mut().zip(units) {
                        *to ^= *unit;
                    }
                }
            }
        }
    }

    fn convert(&mut self, row: &[f32]) {
        match self.layout.precision {
            KvPrecision::Bf16 => vector::to_bf16(self.kernels, row, &mut self.converted),
            _ => vector::to_f16_saturating(self.kernels, row, &mut self.converted),
        }
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
