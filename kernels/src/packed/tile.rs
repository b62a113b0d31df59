//! Tiles: the unit in which packed weights lie, some outputs wide and 32 or 256 inputs deep.
//!
//! Why apart: kernels, packing and reading a row back must agree on where each weight is.
//!
//! # Invariants
//! Plain numbers without padding. A weight of a lane (an output) is at one place only.

#![allow(unsafe_code)]

use crate::half::{bf16_to_f32, f16_to_f32};
use crate::memory::Number;

/// Outputs of a tile of integers.
pub(crate) const LANES: usize = 16;
/// Outputs of a tile of plain numbers.
pub(crate) const WIDE: usize = 32;

/// Lines that follow one another in a tile. A line is one element for each output.
pub(crate) struct Lines {
    pub(crate) count: usize,
    /// Bytes of an element.
    pub(crate) bytes: usize,
}

const fn lines(count: usize, bytes: usize) -> Lines {
    Lines { count, bytes }
}

/// Whether lines are all there is of a tile.
const fn whole<T: Tile>() -> bool {
    let (mut bytes, mut at) = (0, 0);
    while at < T::LINES.len() {
        bytes += T::LINES[at].count * T::LINES[at].bytes * T::OUTPUTS;
        at += 1;
    }
    bytes == size_of::<T>()
}

const _: () = assert!(whole::<TileF32>() && whole::<TileF16>() && whole::<TileBf16>());
const _: () = assert!(whole::<Tile8>() && whole::<Tile4>() && whole::<Tile4K>() && whole::<Tile6K>());

/// What all tiles can do.
pub(crate) trait Tile: Number {
    /// Outputs.
    const OUTPUTS: usize;
    /// Inputs.
    const INPUTS: usize;
    /// A tile's memory from its start to its end.
    const LINES: &'static [Lines];

    /// The weights of one output, as numbers; `out` has [`Self::INPUTS`].
    fn read(&self, lane: usize, out: &mut [f32]);
}

/// `values[input][output]`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct TileF32(pub(crate) [[f32; WIDE]; 32]);

/// `values[input][output]`, binary16.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct TileF16(pub(crate) [[u16; WIDE]; 32]);

/// `values[input / 2][output][input % 2]`.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub(crate) struct TileBf16(pub(crate) [[[u16; 2]; WIDE]; 16]);

/// 8 bits a weight: `quants[input / 4][4 * output + input % 4]` plus 128, and a binary16 for each output.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Tile8 {
    pub(crate) quants: [[u8; 64]; 8],
    pub(crate) scales: [u16; LANES],
}

/// 4 bits a weight, plus 8: lower halves hold inputs 0 to 15 as [`Tile8`] does, upper halves 16 to 31.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Tile4 {
    pub(crate) quants: [[u8; 64]; 4],
    pub(crate) scales: [u16; LANES],
}

/// 4 bits a weight in eight parts of 32 inputs, each as in [`Tile4`] but unsigned, with small scales and minima.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Tile4K {
    pub(crate) scale: [u16; LANES],
    pub(crate) minimum: [u16; LANES],
    pub(crate) scales: [[u8; LANES]; 8],
    pub(crate) minima: [[u8; LANES]; 8],
    pub(crate) quants: [[[u8; 64]; 4]; 8],
}

/// 6 bits a weight, plus 32, in eight parts of 32 inputs: lower bits as in [`Tile4`]; of the upper ones, bits `2 j` of
/// `upper[h]` belong to inputs `16 h + 4 j` and the three after it. A scale for 16 inputs each.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Tile6K {
    pub(crate) scale: [u16; LANES],
    pub(crate) scales: [[i8; LANES]; 16],
    pub(crate) lower: [[[u8; 64]; 4]; 8],
    pub(crate) upper: [[[u8; 64]; 2]; 8],
}

macro_rules! plain_numbers {
    ($($tile:ident $zero:expr),*) => {$(
        impl Default for $tile {
            fn default() -> Self {
                $zero
            }
        }
    )*};
}
plain_numbers! {
    Tile8 Self { quants: [[0; 64]; 8], scales: [0; LANES] },
    Tile4 Self { quants: [[0; 64]; 4], scales: [0; LANES] },
    Tile4K Self {
        scale: [0; LANES], minimum: [0; LANES], scales: [[0; LANES]; 8], minima: [[0; LANES]; 8], quants: [[[0; 64]; 4]; 8]
    },
    Tile6K Self { scale: [0; LANES], scales: [[0; LANES]; 16], lower: [[[0; 64]; 4]; 8], upper: [[[0; 64]; 2]; 8] }
}

// SAFETY: arrays of numbers of one size.
unsafe impl Number for TileF32 {}
// SAFETY: as above.
unsafe impl Number for TileF16 {}
// SAFETY: as above.
unsafe impl Number for TileBf16 {}
// SAFETY: `repr(C)`, bytes before 16-bit numbers at an even offset, an even size: no padding.
unsafe impl Number for Tile8 {}
// SAFETY: as above.
unsafe impl Number for Tile4 {}
// SAFETY: `repr(C)`, 16-bit numbers before bytes, an even size: no padding.
unsafe impl Number for Tile4K {}
// SAFETY: as above.
unsafe impl Number for Tile6K {}

// Padding would be memory that nobody wrote.
const _: () = assert!(size_of::<Tile8>() == 544 && size_of::<Tile4>() == 288);
const _: () =
    assert!(size_of::<Tile4K>() == 64 + 256 + 2048 && size_of::<Tile6K>() == 32 + 256 + 2048 + 1024);

/// Where input `k` of a lane lies among the bytes of [`Tile8::quants`].
const fn place(lane: usize, k: usize) -> (usize, usize) {
    (k / 4, 4 * lane + k % 4)
}

/// Writes 32 numbers below 16 into the halves of bytes.
fn put_nibbles(quants: &mut [[u8; 64]; 4], lane: usize, values: &[u8; 32]) {
    for k in 0..16 {
        let (group, byte) = place(lane, k);
        quants[group][byte] = values[k] | values[k + 16] << 4;
    }
}

fn nibble(quants: &[[u8; 64]; 4], lane: usize, k: usize) -> u8 {
    let (group, byte) = place(lane, k % 16);
    let both = quants[group][byte];
    if k < 16 { both & 15 } else { both >> 4 }
}

impl Tile8 {
    pub(crate) fn put(&mut self, lane: usize, quants: &[i8; 32], scale: u16) {
        for (group, four) in quants.as_chunks::<4>().0.iter().enumerate() {
            self.quants[group][4 * lane..4 * lane + 4]
                .copy_from_slice(&four.map(|quant| quant.cast_unsigned() ^ 0x80));
        }
        self.scales[lane] = scale;
    }
}

impl Tile4 {
    /// `quants` are from -8 to 7.
    pub(crate) fn put(&mut self, lane: usize, quants: &[i8; 32], scale: u16) {
        put_nibbles(
            &mut self.quants,
            lane,
            &quants.map(|quant| (quant + 8).cast_unsigned()),
        );
        self.scales[lane] = scale;
    }
}

impl Tile6K {
    fn quant(&self, part: usize, lane: usize, k: usize) -> i8 {
        let upper = self.upper[part][k / 16][4 * lane + k % 4] >> (2 * (k % 16 / 4)) & 3;
        (nibble(&self.lower[part], lane, k) | upper << 4).cast_signed() - 32
    }
}

impl Tile for TileF32 {
    const OUTPUTS: usize = WIDE;
    const INPUTS: usize = 32;
    const LINES: &'static [Lines] = &[lines(32, 4)];

    fn read(&self, lane: usize, out: &mut [f32]) {
        for (out, values) in out.iter_mut().zip(&self.0) {
            *out = values[lane];
        }
    }
}

impl Tile for TileF16 {
    const OUTPUTS: usize = WIDE;
    const INPUTS: usize = 32;
    const LINES: &'static [Lines] = &[lines(32, 2)];

    fn read(&self, lane: usize, out: &mut [f32]) {
        for (out, values) in out.iter_mut().zip(&self.0) {
            *out = f16_to_f32(values[lane]);
        }
    }
}

impl Tile for TileBf16 {
    const OUTPUTS: usize = WIDE;
    const INPUTS: usize = 32;
    const LINES: &'static [Lines] = &[lines(16, 4)];

    fn read(&self, lane: usize, out: &mut [f32]) {
        for (out, values) in out.chunks_mut(2).zip(&self.0) {
            for (out, value) in out.iter_mut().zip(values[lane]) {
                *out = bf16_to_f32(value);
            }
        }
    }
}

impl Tile for Tile8 {
    const OUTPUTS: usize = LANES;
    const INPUTS: usize = 32;
    const LINES: &'static [Lines] = &[lines(8, 4), lines(1, 2)];

    fn read(&self, lane: usize, out: &mut [f32]) {
        let scale = f16_to_f32(self.scales[lane]);
        for (k, out) in out.iter_mut().enumerate() {
            let (group, byte) = place(lane, k);
            *out = scale * f32::from((self.quants[group][byte] ^ 0x80).cast_signed());
        }
    }
}

impl Tile for Tile4 {
    const OUTPUTS: usize = LANES;
    const INPUTS: usize = 32;
    const LINES: &'static [Lines] = &[lines(4, 4), lines(1, 2)];

    fn read(&self, lane: usize, out: &mut [f32]) {
        let scale = f16_to_f32(self.scales[lane]);
        for (k, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(nibble(&self.quants, lane, k).cast_signed() - 8);
        }
    }
}

impl Tile for Tile4K {
    const OUTPUTS: usize = LANES;
    const INPUTS: usize = 256;
    const LINES: &'static [Lines] = &[lines(2, 2), lines(16, 1), lines(32, 4)];

    fn read(&self, lane: usize, out: &mut [f32]) {
        let (scale, minimum) = (f16_to_f32(self.scale[lane]), f16_to_f32(self.minimum[lane]));
        for (part, out) in out.chunks_mut(32).enumerate() {
            let scale = scale * f32::from(self.scales[part][lane]);
            let minimum = minimum * f32::from(self.minima[part][lane]);
            for (k, out) in out.iter_mut().enumerate() {
                *out = scale * f32::from(nibble(&self.quants[part], lane, k)) - minimum;
            }
        }
    }
}

impl Tile for Tile6K {
    const OUTPUTS: usize = LANES;
    const INPUTS: usize = 256;
    const LINES: &'static [Lines] = &[lines(1, 2), lines(16, 1), lines(48, 4)];

    fn read(&self, lane: usize, out: &mut [f32]) {
        let scale = f16_to_f32(self.scale[lane]);
        for (k, out) in out.iter_mut().enumerate() {
            let scale = scale * f32::from(self.scales[k / 16][lane]);
            *out = scale * f32::from(self.quant(k / 32, lane, k % 32));
        }
    }
}
