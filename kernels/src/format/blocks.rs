//! What the bytes of each block mean.
//!
//! Why apart: packing needs the small integers of a block, everyone else the numbers; both come from here, so that they
//! cannot differ.
//!
//! # Invariants
//! Plain code from the public description of the formats, without a bound that a wrong length could pass: a block is
//! an array of its size.

use crate::format::BlockFormat;
use crate::half::{bf16_to_f32, f16_to_f32};

/// 32 small integers with their scale: the weight is `scale * quant + minimum`.
pub(crate) struct Block32 {
    /// A binary16.
    pub(crate) scale: u16,
    /// A binary16.
    pub(crate) minimum: u16,
    pub(crate) quants: [i8; 32],
}

/// 256 unsigned integers in eight parts: the weight is `scale * scales[part] * quant - minimum * minima[part]`.
pub(crate) struct Block256 {
    /// A binary16.
    pub(crate) scale: u16,
    /// A binary16.
    pub(crate) minimum: u16,
    pub(crate) scales: [u8; 8],
    pub(crate) minima: [u8; 8],
    pub(crate) quants: [u8; 256],
}

/// 256 signed integers in sixteen parts: the weight is `scale * scales[part] * quant`.
pub(crate) struct Block6 {
    /// A binary16.
    pub(crate) scale: u16,
    pub(crate) scales: [i8; 16],
    /// From -32 to 31.
    pub(crate) quants: [i8; 256],
}

fn half_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// Lower and upper halves of 16 bytes: 32 numbers below 16.
fn nibbles(bytes: &[u8]) -> [u8; 32] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
}

pub(crate) fn q8_0(block: &[u8; 34]) -> Block32 {
    Block32 {
        scale: half_at(block, 0),
        minimum: 0,
        quants: std::array::from_fn(|i| block[2 + i].cast_signed()),
    }
}

pub(crate) fn q4_0(block: &[u8; 18]) -> Block32 {
    Block32 {
        scale: half_at(block, 0),
        minimum: 0,
        quants: nibbles(&block[2..]).map(|quant| quant.cast_signed() - 8),
    }
}

pub(crate) fn q4_1(block: &[u8; 20]) -> Block32 {
    Block32 {
        scale: half_at(block, 0),
        minimum: half_at(block, 2),
        quants: nibbles(&block[4..]).map(u8::cast_signed),
    }
}

/// The fifth bit of each of 32 numbers.
fn fifth_bits(bytes: [u8; 4]) -> [i8; 32] {
    let bits = u32::from_le_bytes(bytes);
    std::array::from_fn(|i| if bits >> i & 1 == 1 { 16 } else { 0 })
}

pub(crate) fn q5_0(block: &[u8; 22]) -> Block32 {
    let upper = fifth_bits([block[2], block[3], block[4], block[5]]);
    let lower = nibbles(&block[6..]);
    Block32 {
        scale: half_at(block, 0),
        minimum: 0,
        quants: std::array::from_fn(|i| (lower[i].cast_signed() | upper[i]) - 16),
    }
}

pub(crate) fn q5_1(block: &[u8; 24]) -> Block32 {
    let upper = fifth_bits([block[4], block[5], block[6], block[7]]);
    let lower = nibbles(&block[8..]);
    Block32 {
        scale: half_at(block, 0),
        minimum: half_at(block, 2),
        quants: std::array::from_fn(|i| lower[i].cast_signed() | upper[i]),
    }
}

/// Six-bit scales and minima of eight parts, out of twelve bytes.
pub(crate) fn scales_and_minima(bytes: &[u8]) -> ([u8; 8], [u8; 8]) {
    let mut scales = [0; 8];
    let mut minima = [0; 8];
    for part in 0..4 {
        let (first, second, third) = (bytes[part], bytes[part + 4], bytes[part + 8]);
        scales[part] = first & 63;
        minima[part] = second & 63;
        scales[part + 4] = (third & 15) | (first >> 6) << 4;
        minima[part + 4] = (third >> 4) | (second >> 6) << 4;
    }
    (scales, minima)
}

/// 32 bytes hold two parts: the lower halves one, the upper halves the next.
fn nibble_of(bytes: &[u8], index: usize) -> u8 {
    let byte = bytes[index / 64 * 32 + index % 32];
    if index % 64 < 32 { byte & 15 } else { byte >> 4 }
}

pub(crate) fn q4_k(block: &[u8; 144]) -> Block256 {
    let (scales, minima) = scales_and_minima(&block[4..16]);
    Block256 {
        scale: half_at(block, 0),
        minimum: half_at(block, 2),
        scales,
        minima,
        quants: std::array::from_fn(|i| nibble_of(&block[16..], i)),
    }
}

pub(crate) fn q5_k(block: &[u8; 176]) -> Block256 {
    let (scales, minima) = scales_and_minima(&block[4..16]);
    let upper = &block[16..48];
    Block256 {
        scale: half_at(block, 0),
        minimum: half_at(block, 2),
        scales,
        minima,
        quants: std::array::from_fn(|i| nibble_of(&block[48..], i) | (upper[i % 32] >> (i / 32) & 1) << 4),
    }
}

pub(crate) fn q6_k(block: &[u8; 210]) -> Block6 {
    let quants = std::array::from_fn(|i| {
        // Halves of 128; in each, four parts of 32 share 64 bytes of lower and 32 of upper bits.
        let (half, part, column) = (i / 128, i % 128 / 32, i % 32);
        let lower = block[half * 64 + part % 2 * 32 + column];
        let lower = if part < 2 { lower & 15 } else { lower >> 4 };
        let upper = block[128 + half * 32 + column] >> (2 * part) & 3;
        (lower | upper << 4).cast_signed() - 32
    });
    Block6 {
        scale: half_at(block, 208),
        scales: std::array::from_fn(|i| block[192 + i].cast_signed()),
        quants,
    }
}

impl Block32 {
    pub(crate) fn numbers(&self, out: &mut [f32]) {
        let (scale, minimum) = (f16_to_f32(self.scale), f16_to_f32(self.minimum));
        for (number, quant) in out.iter_mut().zip(self.quants) {
            *number = scale * f32::from(quant) + minimum;
        }
    }
}

impl Block256 {
    pub(crate) fn numbers(&self, out: &mut [f32]) {
        let (scale, minimum) = (f16_to_f32(self.scale), f16_to_f32(self.minimum));
        for (part, out) in out.chunks_mut(32).enumerate() {
            let scale = scale * f32::from(self.scales[part]);
            let minimum = minimum * f32::from(self.minima[part]);
            for (number, quant) in out.iter_mut().zip(&self.quants[32 * part..]) {
                *number = scale * f32::from(*quant) - minimum;
            }
        }
    }
}

impl Block6 {
    pub(crate) fn numbers(&self, out: &mut [f32]) {
        let scale = f16_to_f32(self.scale);
        for (part, out) in out.chunks_mut(16).enumerate() {
            let scale = scale * f32::from(self.scales[part]);
            for (number, quant) in out.iter_mut().zip(&self.quants[16 * part..]) {
                *number = scale * f32::from(*quant);
            }
        }
    }
}

impl BlockFormat {
    /// The numbers that a row of blocks stands for; `false` when the lengths do not agree.
    #[must_use]
    pub fn numbers(self, row: &[u8], out: &mut [f32]) -> bool {
        if self.row_bytes(out.len()) != Some(row.len()) {
            return false;
        }
        match self {
            Self::F32 => each(row, out, 1, |block: &[u8; 4], out| {
                out[0] = f32::from_le_bytes(*block);
            }),
            Self::F16 => each(row, out, 1, |block: &[u8; 2], out| {
                out[0] = f16_to_f32(u16::from_le_bytes(*block));
            }),
            Self::Bf16 => each(row, out, 1, |block: &[u8; 2], out| {
                out[0] = bf16_to_f32(u16::from_le_bytes(*block));
            }),
            Self::Q8_0 => each(row, out, 32, |block, out| q8_0(block).numbers(out)),
            Self::Q4_0 => each(row, out, 32, |block, out| q4_0(block).numbers(out)),
            Self::Q4_1 => each(row, out, 32, |block, out| q4_1(block).numbers(out)),
            Self::Q5_0 => each(row, out, 32, |block, out| q5_0(block).numbers(out)),
            Self::Q5_1 => each(row, out, 32, |block, out| q5_1(block).numbers(out)),
            Self::Q4K => each(row, out, 256, |block, out| q4_k(block).numbers(out)),
            Self::Q5K => each(row, out, 256, |block, out| q5_k(block).numbers(out)),
            Self::Q6K => each(row, out, 256, |block, out| q6_k(block).numbers(out)),
        }
        true
    }
}

fn each<const BYTES: usize>(
    row: &[u8],
    out: &mut [f32],
    weights: usize,
    read: impl Fn(&[u8; BYTES], &mut [f32]),
) {
    for (block, out) in row
        .as_chunks::<BYTES>()
        .0
        .iter()
        .zip(out.chunks_exact_mut(weights))
    {
        read(block, out);
    }
}

#[cfg(test)]
mod tests;
