//! ChaCha's keystream with 12 rounds, sixteen blocks side by side.
//!
//! Why apart: it masks keys and values, and draws tokens; both want it between two loads of a kernel, for any place.
//!
//! It is not the cipher of sealed files, which `models` keeps: it authenticates nothing. ChaCha is plain arithmetic without
//! tables, so that one text serves every CPU in constant time; sixteen blocks go side by side, and stay that way: the words of
//! sixteen blocks are interleaved.
//!
//! # Invariants
//! The same on every CPU. Keys are wiped.

#![allow(unsafe_code)]
// Lanes go side by side through several rows.
#![allow(clippy::needless_range_loop)]

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::cpu::{KernelSet, Kernels};

/// Blocks side by side.
const LANES: usize = 16;
/// Units of 16 bits of a line: a word of each block.
const LINE: usize = 2 * LANES;
/// Units of sixteen blocks.
pub(crate) const UNITS: usize = 16 * LINE;
/// Words of sixteen blocks.
type Words = [[u32; LANES]; 16];

/// The first words of each block.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// The key of a keystream.
pub(crate) struct Key([u32; 8]);

impl Key {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(key.as_chunks::<4>().0) {
            *word = u32::from_le_bytes(*bytes);
        }
        Self(words)
    }

    /// `out = units ^ keystream`: of each word of [`LANES`] blocks the lower halves, then the upper ones.
    pub(crate) fn apply(&self, kernels: Kernels, nonce: [u32; 3], units: &[u16], out: &mut [u16]) {
        match kernels.set() {
            // SAFETY: a `Kernels` of these sets is possessed only where the CPU has AVX2.
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { by_avx2(&self.0, nonce, units, out) },
            // SAFETY: and of these only where it has AVX-512 F and BW.
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => unsafe {
                by_avx512(&self.0, nonce, units, out);
            },
            _ => by_any(&self.0, nonce, units, out),
        }
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ZeroizeOnDrop for Key {}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn by_avx2(key: &[u32; 8], nonce: [u32; 3], units: &[u16], out: &mut [u16]) {
    by_any(key, nonce, units, out);
}

/// As [`by_any`], a register for each word of sixteen blocks.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512vl")]
fn by_avx512(key: &[u32; 8], nonce: [u32; 3], units: &[u16], out: &mut [u16]) {
    use std::arch::x86_64::*;

    use crate::simd::{load_256, store_256};

    let mut start = [_mm512_setzero_si512(); 16];
    let words = CONSTANTS.iter().chain(key).chain(&[0]).chain(&nonce);
    for (register, word) in start.iter_mut().zip(words) {
        *register = _mm512_set1_epi32(word.cast_signed());
    }
    start[12] = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let groups = units.chunks(UNITS).zip(out.chunks_mut(UNITS));
    for (units, out) in groups {
        let mut s = start;
        macro_rules! quarter {
            ($a:literal, $b:literal, $c:literal, $d:literal) => {
                s[$a] = _mm512_add_epi32(s[$a], s[$b]);
                s[$d] = _mm512_rol_epi32::<16>(_mm512_xor_si512(s[$d], s[$a]));
                s[$c] = _mm512_add_epi32(s[$c], s[$d]);
                s[$b] = _mm512_rol_epi32::<12>(_mm512_xor_si512(s[$b], s[$c]));
                s[$a] = _mm512_add_epi32(s[$a], s[$b]);
                s[$d] = _mm512_rol_epi32::<8>(_mm512_xor_si512(s[$d], s[$a]));
                s[$c] = _mm512_add_epi32(s[$c], s[$d]);
                s[$b] = _mm512_rol_epi32::<7>(_mm512_xor_si512(s[$b], s[$c]));
            };
        }
        for _ in 0..6 {
            quarter!(0, 4, 8, 12);
            quarter!(1, 5, 9, 13);
            quarter!(2, 6, 10, 14);
            quarter!(3, 7, 11, 15);
            quarter!(0, 5, 10, 15);
            quarter!(1, 6, 11, 12);
            quarter!(2, 7, 8, 13);
            quarter!(3, 4, 9, 14);
        }
        let lines = units.as_chunks::<LANES>().0.as_chunks::<2>().0.iter();
        let outs = out.as_chunks_mut::<LANES>().0.as_chunks_mut::<2>().0;
        for (word, (units, out)) in lines.zip(outs).enumerate() {
            let word = _mm512_add_epi32(s[word], start[word]);
            let lower = _mm512_cvtepi32_epi16(word);
            let upper = _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(word));
            store_256(&mut out[0], _mm256_xor_si256(load_256(&units[0]), lower));
            store_256(&mut out[1], _mm256_xor_si256(load_256(&units[1]), upper));
        }
        start[12] = _mm512_add_epi32(start[12], _mm512_set1_epi32(LANES as i32));
    }
}

#[inline(always)]
fn by_any(key: &[u32; 8], nonce: [u32; 3], units: &[u16], out: &mut [u16]) {
    let groups = units.chunks(UNITS).zip(out.chunks_mut(UNITS));
    for (counter, (units, out)) in (0..).step_by(LANES).zip(groups) {
        let words = blocks(key, nonce, counter);
        let lines = units
            .as_chunks::<LINE>()
            .0
            .iter()
            .zip(out.as_chunks_mut::<LINE>().0);
        for ((units, out), words) in lines.zip(&words) {
            for lane in 0..LANES {
                out[lane] = units[lane] ^ words[lane] as u16;
                out[LANES + lane] = units[LANES + lane] ^ (words[lane] >> 16) as u16;
            }
        }
    }
}

/// Sixteen blocks from `counter` on: RFC 8439, 2.3, with 12 rounds for 20; word by word, block by block.
#[inline(always)]
fn blocks(key: &[u32; 8], nonce: [u32; 3], counter: u32) -> Words {
    let mut start = [[0; LANES]; 16];
    let words = CONSTANTS.iter().chain(key).chain(&[0]).chain(&nonce);
    for (lanes, word) in start.iter_mut().zip(words) {
        *lanes = [*word; LANES];
    }
    for (lane, word) in start[12].iter_mut().enumerate() {
        *word = counter + lane as u32;
    }
    let mut state = start;
    for _ in 0..6 {
        for column in 0..4 {
            quarter(&mut state, [column, 4 + column, 8 + column, 12 + column]);
        }
        for column in 0..4 {
            let turned = |row: usize| 4 * row + (column + row) % 4;
            quarter(&mut state, [turned(0), turned(1), turned(2), turned(3)]);
        }
    }
    for (lanes, start) in state.iter_mut().zip(&start) {
        for (word, start) in lanes.iter_mut().zip(start) {
            *word = word.wrapping_add(*start);
        }
    }
    state
}

#[inline(always)]
fn quarter(state: &mut Words, [at_a, at_b, at_c, at_d]: [usize; 4]) {
    // Copies, of which the compiler knows that they do not overlap.
    let (mut a, mut b, mut c, mut d) = (state[at_a], state[at_b], state[at_c], state[at_d]);
    half_turn::<16>(&mut a, &b, &mut d);
    half_turn::<12>(&mut c, &d, &mut b);
    half_turn::<8>(&mut a, &b, &mut d);
    half_turn::<7>(&mut c, &d, &mut b);
    (state[at_a], state[at_b], state[at_c], state[at_d]) = (a, b, c, d);
}

#[inline(always)]
fn half_turn<const BY: u32>(sum: &mut [u32; LANES], add: &[u32; LANES], turn: &mut [u32; LANES]) {
    for lane in 0..LANES {
        sum[lane] = sum[lane].wrapping_add(add[lane]);
    }
    for lane in 0..LANES {
        turn[lane] = (turn[lane] ^ sum[lane]).rotate_left(BY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same rounds, written down once more for one block; with 20 of them they are those of RFC 8439, 2.3.2.
    fn block(key: &[u32; 8], counter: u32, nonce: [u32; 3], rounds: usize) -> [u32; 16] {
        let mut start = [
            0x6170_7865,
            0x3320_646e,
            0x7962_2d32,
            0x6b20_6574,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            0,
            counter,
            0,
            0,
            0,
        ];
        start[4..12].copy_from_slice(key);
        start[13..].copy_from_slice(&nonce);
        let mut s: [u32; 16] = start;
        for round in 0..rounds {
            for i in 0..4 {
                let at = |row: usize| 4 * row + (i + row * (round % 2)) % 4;
                let (a, b, c, d) = (at(0), at(1), at(2), at(3));
                s[a] = s[a].wrapping_add(s[b]);
                s[d] = (s[d] ^ s[a]).rotate_left(16);
                s[c] = s[c].wrapping_add(s[d]);
                s[b] = (s[b] ^ s[c]).rotate_left(12);
                s[a] = s[a].wrapping_add(s[b]);
                s[d] = (s[d] ^ s[a]).rotate_left(8);
                s[c] = s[c].wrapping_add(s[d]);
                s[b] = (s[b] ^ s[c]).rotate_left(7);
            }
        }
        std::array::from_fn(|i| s[i].wrapping_add(start[i]))
    }

    #[test]
    fn the_keystream_is_chacha() {
        let mut key = [0; 32];
        for (byte, value) in key.iter_mut().zip(0..) {
            *byte = value;
        }
        let key = Key::new(&key);
        // RFC 8439, 2.3.2.
        let known = block(&key.0, 1, [0x0900_0000, 0x4a00_0000, 0], 20);
        assert_eq!(known[..4], [0xe4e7_f110, 0x1559_3bd1, 0x1fdd_0f50, 0xc471_20a3]);
        let all = blocks(&key.0, [5, 6, 7], 32);
        for lane in 0..LANES {
            let expected = block(&key.0, 32 + lane as u32, [5, 6, 7], 12);
            assert!((0..16).all(|word| all[word][lane] == expected[word]));
        }
    }

    #[test]
    fn all_sets_agree() {
        let key = Key::new(&[3; 32]);
        let mut plain = vec![0; 3 * UNITS / 2];
        key.apply(
            Kernels::at_most(KernelSet::Scalar),
            [1, 2, 3],
            &vec![0; 3 * UNITS / 2],
            &mut plain,
        );
        for set in KernelSet::ALL {
            let mut out = vec![1; 3 * UNITS / 2];
            key.apply(
                Kernels::at_most(set),
                [1, 2, 3],
                &vec![0; 3 * UNITS / 2],
                &mut out,
            );
            assert!(out == plain);
        }
    }
}
