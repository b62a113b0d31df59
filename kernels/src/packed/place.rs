//! Blocks of a file go into tiles as they are: their integers are moved, never computed anew.
//!
//! Why apart: a model's load is to cost little more than reading it, so that bits are moved four bytes and more at a
//! time; what the bits mean is in `format::blocks`, and a test holds the two together.
//!
//! # Invariants
//! A block with a scale, or a number, that is infinite or none is not taken: `false`.

use super::tile::{LANES, Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32, WIDE};

/// Lower halves of sixteen bytes.
const LOW: u128 = 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f;

fn half_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// Whether a binary16 is a number.
fn is_finite(half: u16) -> bool {
    half & 0x7c00 != 0x7c00
}

fn sixteen(bytes: &[u8]) -> u128 {
    bytes.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes))
}

/// Sixteen bytes of a lane, four for each row of bytes.
fn put_fours(rows: &mut [[u8; 64]; 4], lane: usize, bytes: u128) {
    for (row, four) in rows.iter_mut().zip(bytes.to_le_bytes().as_chunks::<4>().0) {
        row.as_chunks_mut::<4>().0[lane] = *four;
    }
}

/// Two parts of 32 numbers share 32 bytes: all lower halves are one part, all upper ones the next. In a tile the first
/// sixteen numbers of a part are lower halves and the others upper ones.
fn regrouped(bytes: &[u8; 32]) -> [u128; 2] {
    let (first, second) = (sixteen(&bytes[..16]), sixteen(&bytes[16..]));
    [
        first & LOW | (second & LOW) << 4,
        first >> 4 & LOW | second & LOW << 4,
    ]
}

impl Tile8 {
    pub(super) fn put_q8_0(&mut self, lane: usize, block: &[u8; 34]) -> bool {
        assert!(lane < LANES);
        let scale = half_at(block, 0);
        for (row, four) in self.quants.iter_mut().zip(block[2..].as_chunks::<4>().0) {
            row.as_chunks_mut::<4>().0[lane] = (u32::from_ne_bytes(*four) ^ 0x8080_8080).to_ne_bytes();
        }
        self.scales[lane] = scale;
        is_finite(scale)
    }
}

impl Tile4 {
    pub(super) fn put_q4_0(&mut self, lane: usize, block: &[u8; 18]) -> bool {
        assert!(lane < LANES);
        let scale = half_at(block, 0);
        put_fours(&mut self.quants, lane, sixteen(&block[2..]));
        self.scales[lane] = scale;
        is_finite(scale)
    }
}

impl Tile4K {
    pub(super) fn put_q4_k(&mut self, lane: usize, block: &[u8; 144]) -> bool {
        assert!(lane < LANES);
        self.scale[lane] = half_at(block, 0);
        self.minimum[lane] = half_at(block, 2);
        let (scales, minima) = crate::format::blocks::scales_and_minima(&block[4..16]);
        for part in 0..8 {
            self.scales[part][lane] = scales[part];
            self.minima[part][lane] = minima[part];
        }
        let pairs = self.quants.as_chunks_mut::<2>().0;
        for (parts, bytes) in pairs.iter_mut().zip(block[16..].as_chunks::<32>().0) {
            for (part, bytes) in parts.iter_mut().zip(regrouped(bytes)) {
                put_fours(part, lane, bytes);
            }
        }
        is_finite(self.scale[lane]) && is_finite(self.minimum[lane])
    }
}

impl Tile6K {
    pub(super) fn put_q6_k(&mut self, lane: usize, block: &[u8; 210]) -> bool {
        assert!(lane < LANES);
        self.scale[lane] = half_at(block, 208);
        for (scales, scale) in self.scales.iter_mut().zip(&block[192..208]) {
            scales[lane] = scale.cast_signed();
        }
        // Halves of 128 numbers; in each, parts 0 and 2 share 32 bytes of lower bits, and so do 1 and 3.
        for half in 0..2 {
            let low = block[64 * half..].as_chunks::<32>().0;
            for (pair, bytes) in low.iter().take(2).enumerate() {
                for (part, bytes) in [pair, pair + 2].into_iter().zip(regrouped(bytes)) {
                    put_fours(&mut self.lower[4 * half + part], lane, bytes);
                }
            }
            let high = block[128 + 32 * half..].as_chunks::<16>().0;
            for part in 0..4 {
                for (row, bytes) in self.upper[4 * half + part].iter_mut().zip(high) {
                    let mut all = 0;
                    for (place, four) in bytes.as_chunks::<4>().0.iter().enumerate() {
                        all |= (u32::from_le_bytes(*four) >> (2 * part) & 0x0303_0303) << (2 * place);
                    }
                    row.as_chunks_mut::<4>().0[lane] = all.to_le_bytes();
                }
            }
        }
        is_finite(self.scale[lane])
    }
}

impl TileF32 {
    pub(super) fn put_f32(&mut self, lane: usize, numbers: &[u8; 128]) -> bool {
        assert!(lane < WIDE);
        let mut known = true;
        for (values, number) in self.0.iter_mut().zip(numbers.as_chunks::<4>().0) {
            values[lane] = f32::from_le_bytes(*number);
            known &= values[lane].is_finite();
        }
        known
    }
}

impl TileF16 {
    pub(super) fn put_f16(&mut self, lane: usize, numbers: &[u8; 64]) -> bool {
        assert!(lane < WIDE);
        let mut known = true;
        for (values, number) in self.0.iter_mut().zip(numbers.as_chunks::<2>().0) {
            values[lane] = u16::from_le_bytes(*number);
            known &= is_finite(values[lane]);
        }
        known
    }
}

impl TileBf16 {
    pub(super) fn put_bf16(&mut self, lane: usize, numbers: &[u8; 64]) -> bool {
        assert!(lane < WIDE);
        let mut known = true;
        for (values, pair) in self.0.iter_mut().zip(numbers.as_chunks::<4>().0) {
            values[lane] = [
                u16::from_le_bytes([pair[0], pair[1]]),
                u16::from_le_bytes([pair[2], pair[3]]),
            ];
            known &= values[lane].iter().all(|half| half & 0x7f80 != 0x7f80);
        }
        known
    }
}
