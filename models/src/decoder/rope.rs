//! Rotary position embedding, half-split form (Su et al., arXiv:2104.09864, as Hugging Face lays it out).
//!
//! Why apart: angles depend on positions only and are made once for all layers and heads.
//!
//! # Invariants
//! Angles are computed in 32-bit floats, as the reference does. Those of a position depend on the position and on how
//! long its sequence may become, never on how the prompt was cut.

use std::f64::consts::TAU;
use std::ops::Range;

use crate::config::rope::{RopeConfig, RopeScaling};

/// Angle steps of one head.
pub(super) struct Rope {
    /// Radians a position, one for each pair that turns.
    steps: Vec<f32>,
    /// Others for sequences with room for more positions than so many.
    long: Option<(usize, Vec<f32>)>,
    /// Cosines and sines are multiplied by it.
    scale: f32,
}

/// Cosines and sines, row by row.
#[derive(Default)]
pub(super) struct Angles {
    pairs: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    pub(super) fn new(config: &RopeConfig, head_width: usize) -> Self {
        let turned = config.turned(head_width);
        let plain = |pair: usize| 1.0 / config.theta.powf((2 * pair) as f64 / turned as f64);
        let step = |pair: usize| scaled(plain(pair), pair, config, turned) as f32;
        let long = match &config.scaling {
            RopeScaling::LongRope {
                long,
                original_context,
                ..
            } => {
                let steps = (0..turned / 2)
                    .zip(long)
                    .map(|(pair, factor)| (plain(pair) / factor) as f32);
                Some((*original_context, steps.collect()))
            }
            _ => None,
        };
        Self {
            steps: (0..turned / 2).map(step).collect(),
            long,
            scale: match config.scaling {
                RopeScaling::Yarn { attention_factor, .. }
                | RopeScaling::LongRope { attention_factor, .. } => attention_factor as f32,
                _ => 1.0,
            },
        }
    }

    /// Appends the angles of these positions of a sequence that has room for `room`: angles must not change while it grows.
    pub(super) fn turn(&self, positions: Range<usize>, room: usize, angles: &mut Angles) {
        let steps = match &self.long {
            Some((most, long)) if room > *most => long,
            _ => &self.steps,
        };
        angles.pairs = steps.len();
        for position in positions {
            for step in steps {
                let (sine, cosine) = (step * position as f32).sin_cos();
                angles.cosines.push(cosine * self.scale);
                angles.sines.push(sine * self.scale);
            }
        }
    }
}

impl Angles {
    pub(super) fn clear(&mut self) {
        self.cosines.clear();
        self.sines.clear();
    }

    /// Cosines and sines of a row.
    pub(super) fn of(&self, row: usize) -> (&[f32], &[f32]) {
        let range = row * self.pairs..(row + 1) * self.pairs;
        (&self.cosines[range.clone()], &self.sines[range])
    }
}

/// What the configuration makes of the plain step of a pair.
fn scaled(step: f64, pair: usize, config: &RopeConfig, turned: usize) -> f64 {
    match config.scaling {
        RopeScaling::None => step,
        RopeScaling::Linear { factor } => step / factor,
        RopeScaling::Llama3 {
            factor,
            low_frequency,
            high_frequency,
            original_context,
        } => {
            let turns = original_context * step / TAU;
            // How much of the plain step stays: none for slow turns, all for fast ones.
            let kept = ((turns - low_frequency) / (high_frequency - low_frequency)).clamp(0.0, 1.0);
            (1.0 - kept) * step / factor + kept * step
        }
        RopeScaling::Yarn {
            factor,
            original_context,
            beta_fast,
            beta_slow,
            truncate,
            ..
        } => {
            // The pair that turns so often within the original context.
            let pair_of = |turns: f64| {
                turned as f64 * (original_context / (turns * TAU)).ln() / (2.0 * config.theta.ln())
            };
            let (first, last) = (pair_of(beta_fast), pair_of(beta_slow));
            let (first, last) = if truncate {
                (first.floor(), last.ceil())
            } else {
                (first, last)
            };
            let first = first.max(0.0);
            let last = last.min(turned as f64 - 1.0);
            let length = if last == first { 0.001 } else { last - first };
            let stretched = ((pair as f64 - first) / length).clamp(0.0, 1.0);
            stretched * step / factor + (1.0 - stretched) * step
        }
        RopeScaling::Factors(ref factors)
        | RopeScaling::LongRope {
            short: ref factors, ..
        } => step / factors.get(pair).copied().unwrap_or(1.0),
    }
}

#[cfg(test)]
mod tests {
    use anchorhold_kernels::{Kernels, vector};

    use super::*;

    #[test]
    fn a_turn_keeps_lengths_and_position_zero_changes_nothing() {
        let config = RopeConfig {
            theta: 10_000.0,
            part: 1.0,
            scaling: RopeScaling::None,
        };
        let rope = Rope::new(&config, 4);
        let mut angles = Angles::default();
        rope.turn(0..3, 3, &mut angles);
        let mut head = [1.0, 2.0, 3.0, 4.0];
        let turn = |row: usize, head: &mut [f32]| {
            let (cosines, sines) = angles.of(row);
            vector::rope(Kernels::detect(), head, 4, cosines, sines);
        };
        turn(0, &mut head);
        assert_eq!(head, [1.0, 2.0, 3.0, 4.0]);
        turn(2, &mut head);
        // The first pair (1, 3) turns by two radians.
        let (sine, cosine) = 2.0f32.sin_cos();
        assert!((head[0] - (cosine - 3.0 * sine)).abs() < 1e-6);
        assert!((head[2] - (3.0 * cosine + sine)).abs() < 1e-6);
        let square: f32 = head.iter().map(|x| x * x).sum();
        assert!((square - 30.0).abs() < 1e-4);
    }

    #[test]
    fn llama3_scaling_stretches_only_slow_turns() {
        let config = RopeConfig {
            theta: 10_000.0,
            part: 1.0,
            scaling: RopeScaling::Llama3 {
                factor: 8.0,
                low_frequency: 1.0,
                high_frequency: 4.0,
                original_context: 8192.0,
            },
        };
        assert_eq!(scaled(1.0, 0, &config, 64), 1.0);
        let slow = TAU / 10_000.0;
        assert!((scaled(slow, 0, &config, 64) - slow / 8.0).abs() < 1e-12);
    }

    #[test]
    fn each_pair_is_stretched_by_its_own_factor() {
        let config = RopeConfig {
            theta: 10_000.0,
            part: 1.0,
            scaling: RopeScaling::Factors(vec![1.0, 8.0]),
        };
        assert_eq!(Rope::new(&config, 4).steps, [1.0, 0.01 / 8.0]);
    }

    #[test]
    fn yarn_stretches_slow_turns_and_scales_angles() {
        // Heads of 16: with 32 original positions no pair turns 32 times, and pair 1.4 turns once.
        let config = RopeConfig {
            theta: 10_000.0,
            part: 1.0,
            scaling: RopeScaling::Yarn {
                factor: 4.0,
                original_context: 32.0,
                beta_fast: 32.0,
                beta_slow: 1.0,
                attention_factor: 0.1 * 4.0f64.ln() + 1.0,
                truncate: true,
            },
        };
        let rope = Rope::new(&config, 16);
        let plain = |pair: i32| 10_000.0f64.powf(-f64::from(pair) / 8.0);
        // The ramp goes from pair 0 to pair 2: half of the first step's stretch at pair 1.
        let expected = [
            plain(0),
            plain(1) * 0.5 + plain(1) / 8.0,
            plain(2) / 4.0,
            plain(3) / 4.0,
        ];
        for (step, expected) in rope.steps.iter().zip(expected) {
            assert!((f64::from(*step) - expected).abs() < 1e-7, "{step} {expected}");
        }
        let mut angles = Angles::default();
        rope.turn(0..1, 1, &mut angles);
        assert!((angles.cosines[0] - 1.138_629_4).abs() < 1e-6);
    }
}
