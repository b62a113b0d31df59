//! Numbers into the blocks of GGUF.
//!
//! Why apart: a benchmark needs files of every format, and no numbers worth a careful search for the best scale: each
//! block gets the plainest scale that fits.
//!
//! # Invariants
//! What is written reads back within half a step of its block's scale (a whole one where scales themselves are rounded).

use std::str::FromStr;

use anchorhold_kernels::BlockFormat;

use crate::Failure;

/// Which format each matrix of a file has, as llama-quantize mixes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mix {
    F32,
    F16,
    Bf16,
    Q8_0,
    /// Q4_0 with the table in Q6_K.
    Q4_0,
    /// Q4_0 throughout.
    Q4_0Pure,
    /// Q4_K with the table and half of the values and down projections in Q6_K.
    Q4KM,
}

impl Mix {
    pub(crate) const ALL: [Self; 7] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_0Pure,
        Self::Q4KM,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
            Self::Q4_0Pure => "q4_0-pure",
            Self::Q4KM => "q4_k_m",
        }
    }

    /// `general.file_type` of GGUF.
    pub(crate) fn file_type(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 | Self::Q4_0Pure => 2,
            Self::Q8_0 => 7,
            Self::Q4KM => 15,
            Self::Bf16 => 32,
        }
    }

    /// Of most matrices.
    pub(crate) fn usual(self) -> BlockFormat {
        match self {
            Self::F32 => BlockFormat::F32,
            Self::F16 => BlockFormat::F16,
            Self::Bf16 => BlockFormat::Bf16,
            Self::Q8_0 => BlockFormat::Q8_0,
            Self::Q4_0 | Self::Q4_0Pure => BlockFormat::Q4_0,
            Self::Q4KM => BlockFormat::Q4K,
        }
    }

    /// Of the table that is embedding and output in one.
    pub(crate) fn embedding(self) -> BlockFormat {
        match self {
            Self::Q4_0 | Self::Q4KM => BlockFormat::Q6K,
            other => other.usual(),
        }
    }

    /// Of values and down projections, which lose most: the first and last eighth of the layers and every third between.
    pub(crate) fn careful(self, layer: usize, layers: usize) -> BlockFormat {
        let eighth = layers / 8;
        let more = layer < eighth || layer >= 7 * layers / 8 || (layer - eighth) % 3 == 2;
        if self == Self::Q4KM && more {
            BlockFormat::Q6K
        } else {
            self.usual()
        }
    }
}

impl FromStr for Mix {
    type Err = ();

    fn from_str(name: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|mix| mix.name() == name).ok_or(())
    }
}

/// The number of a format in GGUF (`ggml_type`).
pub(crate) fn number(format: BlockFormat) -> u32 {
    match format {
        BlockFormat::F32 => 0,
        BlockFormat::F16 => 1,
        BlockFormat::Q4_0 => 2,
        BlockFormat::Q4_1 => 3,
        BlockFormat::Q5_0 => 6,
        BlockFormat::Q5_1 => 7,
        BlockFormat::Q8_0 => 8,
        BlockFormat::Q4K => 12,
        BlockFormat::Q5K => 13,
        BlockFormat::Q6K => 14,
        BlockFormat::Bf16 => 30,
    }
}

/// Appends a row.
pub(crate) fn row(format: BlockFormat, values: &[f32], out: &mut Vec<u8>) -> Result<(), Failure> {
    let block = values.chunks_exact(format.block_weights());
    match format {
        BlockFormat::F32 => out.extend(values.iter().flat_map(|value| value.to_le_bytes())),
        BlockFormat::F16 => out.extend(values.iter().flat_map(|value| f16(*value).to_le_bytes())),
        BlockFormat::Bf16 => out.extend(values.iter().flat_map(|value| bf16(*value).to_le_bytes())),
        BlockFormat::Q8_0 => block.for_each(|block| q8_0(block, out)),
        BlockFormat::Q4_0 => block.for_each(|block| q4_0(block, out)),
        BlockFormat::Q4K => block.for_each(|block| q4_k(block, out)),
        BlockFormat::Q6K => block.for_each(|block| q6_k(block, out)),
        other => return Err(format!("{other:?} is not written here").into()),
    }
    Ok(())
}

/// The nearest binary16, to even between two.
fn f16(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude >= 0x4780_0000 {
        // 65536 and more, infinities and NaN.
        return sign | if magnitude > 0x7f80_0000 { 0x7e00 } else { 0x7c00 };
    }
    if magnitude < 0x3880_0000 {
        // Below 2^-14: a multiple of 2^-24.
        let steps = f32::from_bits(magnitude) * 16_777_216.0;
        return sign | steps.round_ties_even() as u16;
    }
    let even = (magnitude >> 13) & 1;
    sign | ((magnitude - 0x3800_0000 + 0xfff + even) >> 13) as u16
}

/// What a binary16 without infinities stands for.
fn from_f16(bits: u16) -> f32 {
    let sign = if bits & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f32::from(bits & 0x3ff));
    sign * match exponent {
        0 => mantissa * 2_f32.powi(-24),
        _ => (1024.0 + mantissa) * 2_f32.powi(exponent - 25),
    }
}

/// The nearest bfloat16, to even between two.
fn bf16(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return 0x7fc0;
    }
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// A scale as the file has it, and the number to multiply by.
fn scale(of: f32) -> (u16, f32) {
    let bits = f16(of);
    let kept = from_f16(bits);
    (bits, if kept == 0.0 { 0.0 } else { kept.recip() })
}

fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

fn q8_0(block: &[f32], out: &mut Vec<u8>) {
    let (bits, inverse) = scale(largest(block) / 127.0);
    out.extend(bits.to_le_bytes());
    out.extend(block.iter().map(|value| {
        let step = (value * inverse).round_ties_even().clamp(-127.0, 127.0);
        (step as i8).cast_unsigned()
    }));
}

/// The largest magnitude becomes -8, the one step that only one sign has.
fn q4_0(block: &[f32], out: &mut Vec<u8>) {
    let extreme = block.iter().copied().fold(
        0.0,
        |most: f32, value| if value.abs() > most.abs() { value } else { most },
    );
    let (bits, inverse) = scale(extreme / -8.0);
    out.extend(bits.to_le_bytes());
    let step = |value: f32| (value * inverse + 8.0).round_ties_even().clamp(0.0, 15.0) as u8;
    let (low, high) = block.split_at(16);
    out.extend(
        low.iter()
            .zip(high)
            .map(|(low, high)| step(*low) | step(*high) << 4),
    );
}

/// Eight parts of 32, each `d * scale * step - dmin * minimum` with steps up to 15 and 6-bit scale and minimum.
fn q4_k(block: &[f32], out: &mut Vec<u8>) {
    let (mut scales, mut minima) = ([0.0; 8], [0.0; 8]);
    for (part, values) in block.chunks_exact(32).enumerate() {
        let low = values.iter().fold(0.0, |least: f32, value| least.min(*value));
        let high = values.iter().fold(0.0, |most: f32, value| most.max(*value));
        scales[part] = (high - low) / 15.0;
        minima[part] = -low;
    }
    let (d_bits, d_inverse) = scale(largest(&scales) / 63.0);
    let (dmin_bits, dmin_inverse) = scale(largest(&minima) / 63.0);
    let six = |value: f32| value.round_ties_even().clamp(0.0, 63.0) as u8;
    let s = scales.map(|value| six(value * d_inverse));
    let m = minima.map(|value| six(value * dmin_inverse));
    out.extend(d_bits.to_le_bytes());
    out.extend(dmin_bits.to_le_bytes());
    // Parts 0 to 3 in the lower six bits of eight bytes; 4 to 7 in four bytes and the two bits left in each of the eight.
    for part in 0..4 {
        out.push(s[part] | (s[part + 4] >> 4) << 6);
    }
    for part in 0..4 {
        out.push(m[part] | (m[part + 4] >> 4) << 6);
    }
    for part in 4..8 {
        out.push(s[part] & 15 | (m[part] & 15) << 4);
    }
    let (d, dmin) = (from_f16(d_bits), from_f16(dmin_bits));
    let mut steps = [0_u8; 256];
    for (part, (values, steps)) in block.chunks_exact(32).zip(steps.chunks_exact_mut(32)).enumerate() {
        let unit = d * f32::from(s[part]);
        let inverse = if unit == 0.0 { 0.0 } else { unit.recip() };
        let minimum = dmin * f32::from(m[part]);
        for (value, step) in values.iter().zip(steps) {
            *step = ((value + minimum) * inverse).round_ties_even().clamp(0.0, 15.0) as u8;
        }
    }
    for pair in steps.chunks_exact(64) {
        let (low, high) = pair.split_at(32);
        out.extend(low.iter().zip(high).map(|(low, high)| low | high << 4));
    }
}

/// Sixteen parts of 16, each `d * scale * (step - 32)` with steps up to 63 and signed 8-bit scales.
fn q6_k(block: &[f32], out: &mut Vec<u8>) {
    let mut scales = [0.0; 16];
    for (scale, values) in scales.iter_mut().zip(block.chunks_exact(16)) {
        *scale = largest(values) / 31.0;
    }
    let (d_bits, d_inverse) = scale(largest(&scales) / 127.0);
    let d = from_f16(d_bits);
    let s = scales.map(|value| (value * d_inverse).round_ties_even().clamp(0.0, 127.0));
    let mut steps = [0_u8; 256];
    for ((values, steps), s) in block.chunks_exact(16).zip(steps.chunks_exact_mut(16)).zip(s) {
        let unit = d * s;
        let inverse = if unit == 0.0 { 0.0 } else { unit.recip() };
        for (value, step) in values.iter().zip(steps) {
            *step = (value * inverse + 32.0).round_ties_even().clamp(0.0, 63.0) as u8;
        }
    }
    for half in steps.chunks_exact(128) {
        for at in 0..64 {
            out.push(half[at] & 15 | (half[at + 64] & 15) << 4);
        }
    }
    for half in steps.chunks_exact(128) {
        for at in 0..32 {
            let upper = |quarter: usize| half[at + 32 * quarter] >> 4;
            out.push(upper(0) | upper(1) << 2 | upper(2) << 4 | upper(3) << 6);
        }
    }
    out.extend(s.map(|scale| scale as u8));
    out.extend(d_bits.to_le_bytes());
}

#[cfg(test)]
mod tests;
