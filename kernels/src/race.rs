//! Drawing an output as a race: whichever has the highest score is drawn.
//!
//! Why apart: the one score can be had while the outputs are being computed, so that the winner's own row is known at the
//! end of the same reading of the weights.
//!
//! A logit `l` scores `l + T g`, where `T` is the temperature and `g` a number of its own from Gumbel's distribution. The highest
//! of these is output `i` with the probability of softmax, `exp(l_i / T)` of the sum of all (Gumbel 1954; Maddison, Tarlow and
//! Minka, arXiv:1411.0030, section 2). At temperature 0 the score is the logit, and the highest wins. Where only some outputs
//! may be drawn, the highest of those has the probability that softmax gives it among them.
//!
//! `g = -ln(-ln(1 - v))`, with `v` from 32 bits of ChaCha's keystream for the request's key, the draw's number and the output: it
//! needs no other output's number before it, and is the same alone and in any batch.
//!
//! - `lead`: who leads among scores
//!
//! # Invariants
//! Scores are the same for every set of instructions: no operation is fused.

#![allow(unsafe_code)]

mod lead;

pub use lead::Lead;

use zeroize::Zeroize;

#[cfg(target_arch = "x86_64")]
use crate::cpu::KernelSet;
use crate::cpu::Kernels;
use crate::keystream::{Key, UNITS};

/// Outputs whose numbers are made together.
pub const TOGETHER: usize = UNITS / 2;
/// Numbers that go side by side.
const LANES: usize = 16;
/// `v` is at most this, so that `1 - v` is above zero.
const MOST: f32 = 1.0 - f32::EPSILON / 2.0;

/// One draw of one request. No `Clone` or `Debug`.
pub struct Race {
    key: Key,
    draw: u64,
    temperature: f32,
}

impl Race {
    /// The draw of number `draw` with a request's key.
    #[must_use]
    pub fn new(key: &[u8; 32], draw: u64, temperature: f32) -> Self {
        Self {
            key: Key::new(key),
            draw,
            temperature,
        }
    }

    /// Makes scores of all logits, or of those from output 0 on.
    pub fn score(&self, kernels: Kernels, scores: &mut [f32]) {
        if self.temperature == 0.0 {
            return;
        }
        let mut chances = [0.0; TOGETHER];
        for (window, scores) in scores.chunks_mut(TOGETHER).enumerate() {
            self.chances(kernels, window, &mut chances);
            self.add(&chances, scores);
        }
        chances.zeroize();
    }

    /// What chance adds to the logits of a window's outputs, [`TOGETHER`] of them. At temperature 0 there is none, and nothing is
    /// written.
    pub(crate) fn chances(&self, kernels: Kernels, window: usize, chances: &mut [f32]) {
        if self.temperature != 0.0 {
            let mut bits = [0; TOGETHER];
            self.bits(kernels, window, &mut bits);
            made(kernels, &bits, self.temperature, chances);
            bits.zeroize();
        }
    }

    /// Makes scores of logits by the chances of the same outputs.
    #[inline]
    pub(crate) fn add(&self, chances: &[f32], scores: &mut [f32]) {
        if self.temperature != 0.0 {
            for (score, chance) in scores.iter_mut().zip(chances) {
                *score += chance;
            }
        }
    }

    /// 32 bits for each output of a window.
    fn bits(&self, kernels: Kernels, window: usize, bits: &mut [u32; TOGETHER]) {
        let mut units = [0u16; UNITS];
        let nonce = [window as u32, self.draw as u32, (self.draw >> 32) as u32];
        self.key.apply(kernels, nonce, &[0; UNITS], &mut units);
        let lines = units.as_chunks::<LANES>().0.as_chunks::<2>().0;
        for (bits, [lower, upper]) in bits.as_chunks_mut::<LANES>().0.iter_mut().zip(lines) {
            for lane in 0..LANES {
                bits[lane] = u32::from(lower[lane]) | u32::from(upper[lane]) << 16;
            }
        }
        units.zeroize();
    }
}

/// `temperature * g` for each.
fn made(kernels: Kernels, bits: &[u32], temperature: f32, chances: &mut [f32]) {
    match kernels.set() {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: a `Kernels` of these sets is possessed only where the CPU has AVX2.
        KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { made_avx2(bits, temperature, chances) },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: and of these only where it has AVX-512 F, BW, DQ and VL.
        KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => unsafe {
            made_avx512(bits, temperature, chances);
        },
        _ => made_any(bits, temperature, chances),
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn made_avx2(bits: &[u32], temperature: f32, chances: &mut [f32]) {
    made_any(bits, temperature, chances);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,avx512f,avx512bw,avx512dq,avx512vl")]
fn made_avx512(bits: &[u32], temperature: f32, chances: &mut [f32]) {
    made_any(bits, temperature, chances);
}

#[inline(always)]
fn made_any(bits: &[u32], temperature: f32, chances: &mut [f32]) {
    for (chance, bits) in chances.iter_mut().zip(bits) {
        *chance = temperature * gumbel(*bits);
    }
}

/// `-ln(-ln(1 - v))`, where `v` is the middle of the interval of 2^-32 that the bits name, rounded to a number.
#[inline(always)]
fn gumbel(bits: u32) -> f32 {
    let v = ((bits as f32 + 0.5) * (1.0 / 4_294_967_296.0)).min(MOST);
    let rest = 1.0 - v;
    // What rounding took off `v` is put back: ln(1 - v) = ln(rest) v / (1 - rest), as near as numbers go.
    let taken = 1.0 - rest;
    let waited = -ln(rest) * v / if taken == 0.0 { 1.0 } else { taken };
    let waited = if taken == 0.0 { v } else { waited };
    -ln(waited)
}

/// The natural logarithm of a normal number above zero, within 1e-6, relatively or absolutely.
#[inline(always)]
fn ln(x: f32) -> f32 {
    /// The bits of the square root of a half.
    const ROOT: u32 = 0x3f35_04f3;
    let power = x.to_bits().wrapping_sub(ROOT).cast_signed() >> 23;
    let m = f32::from_bits(x.to_bits().wrapping_sub((power << 23).cast_unsigned()));
    // m is from the root of a half to the root of two; ln(m) = 2 artanh((m - 1) / (m + 1)), by its series.
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = 2.0 + z * (2.0 / 3.0 + z * (2.0 / 5.0 + z * (2.0 / 7.0 + z * (2.0 / 9.0))));
    s * series + power as f32 * std::f32::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::sets;

    #[test]
    fn the_numbers_are_gumbels() {
        let check = |bits: u32| {
            let exact = (f64::from(bits) + 0.5) / 4_294_967_296.0;
            // Rounded to 24 bits, as `v` is.
            let v = f64::from((exact as f32).min(MOST));
            assert!((v - exact).abs() <= f64::from(f32::EPSILON) / 2.0);
            let expected = -(-(-v).ln_1p()).ln();
            let near = 4e-6 * expected.abs().max(1.0);
            assert!((f64::from(gumbel(bits)) - expected).abs() < near, "{bits}");
        };
        for bits in [0, 1, 2, 1000, 1 << 20, 1 << 24, 1 << 31, u32::MAX - 1, u32::MAX] {
            check(bits);
        }
        let mut state = 1u32;
        for _ in 0..100_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            check(state);
        }
    }

    #[test]
    fn scores_are_the_same_for_all_sets() {
        let logits: Vec<f32> = (0..1000)
            .map(|i| (i * 7919 % 1000) as f32 / 100.0 - 5.0)
            .collect();
        let scored = |race: Race, kernels| {
            let mut scores = logits.clone();
            race.score(kernels, &mut scores);
            scores
        };
        let race = |temperature| Race::new(&[7; 32], 1 << 33 | 5, temperature);
        let expected = scored(race(0.7), Kernels::at_most(KernelSet::Scalar));
        for kernels in sets("scores_are_the_same_for_all_sets") {
            assert_eq!(scored(race(0.7), kernels), expected, "{}", kernels.set());
            assert_eq!(scored(race(0.0), kernels), logits);
            let mut window = [0.0; TOGETHER];
            race(0.7).chances(kernels, 2, &mut window);
            let mut third = logits[2 * TOGETHER..3 * TOGETHER].to_vec();
            race(0.7).add(&window, &mut third);
            assert_eq!(third, expected[2 * TOGETHER..3 * TOGETHER]);
        }
        for other in [
            Race::new(&[8; 32], 1 << 33 | 5, 0.7),
            Race::new(&[7; 32], 5, 0.7),
            Race::new(&[7; 32], 6, 0.7),
        ] {
            let other = scored(other, Kernels::detect());
            assert!(other.iter().zip(&expected).filter(|(a, b)| a == b).count() < 5);
        }
    }

    /// Draws by the thousand have the shares that softmax gives: of all, and of those that may be drawn.
    #[test]
    fn shares_are_those_of_softmax() {
        let shares = [0.15f32, 0.5, 0.05, 0.3];
        for temperature in [1.0f32, 0.5, 2.0] {
            let logits = shares.map(|share| share.ln() + 3.0);
            let weights = shares.map(|share| f64::from(share).powf(1.0 / f64::from(temperature)));
            for allowed in [&[0usize, 1, 2, 3][..], &[0, 3], &[2, 3]] {
                let mut counts = [0.0; 4];
                for draw in 0..20_000 {
                    let mut scores = logits;
                    Race::new(&[1; 32], draw, temperature).score(Kernels::detect(), &mut scores);
                    let lead = Lead::of_some(allowed.iter().map(|id| (*id as u32, scores[*id])));
                    counts[lead.output() as usize] += 1.0 / 20_000.0;
                }
                let total: f64 = allowed.iter().map(|id| weights[*id]).sum();
                for id in 0..4 {
                    let expected = if allowed.contains(&id) {
                        weights[id] / total
                    } else {
                        0.0
                    };
                    // Four standard deviations at most.
                    assert!(
                        (counts[id] - expected).abs() < 0.0142,
                        "{temperature} {allowed:?} {counts:?}"
                    );
                }
            }
        }
    }
}
