//! Rotary position embedding, half-split form (Su et al., arXiv:2104.09864, as Hugging Face lays it out).
//!
//! Why apart: angles depend on positions only and are made once for all layers and heads.
//!
//! # Invariants
//! Angles are computed in 32-bit floats, as the reference does.

use std::f64::consts::TAU;

use crate::config::rope::{RopeConfig, RopeScaling};

/// Angle steps of one head.
pub(super) struct Rope {
    /// Radians a position, one for each pair.
    steps: Vec<f32>,
}

/// Cosines and sines for a run of positions.
pub(super) struct Angles {
    pairs: usize,
    cosines: Vec<f32>,
    sines: Vec<f32>,
}

impl Rope {
    pub(super) fn new(config: &RopeConfig, head_width: usize) -> Self {
        let step = |pair: usize| {
            let plain = 1.0 / config.theta.powf((2 * pair) as f64 / head_width as f64);
            scaled(plain, &config.scaling) as f32
        };
        Self {
            steps: (0..head_width / 2).map(step).collect(),
        }
    }

    pub(super) fn angles(&self, first: usize, count: usize) -> Angles {
        let mut angles = Angles {
            pairs: self.steps.len(),
            cosines: Vec::with_capacity(count * self.steps.len()),
            sines: Vec::with_capacity(count * self.steps.len()),
        };
        for position in first..first + count {
            for step in &self.steps {
                let (sine, cosine) = (step * position as f32).sin_cos();
                angles.cosines.push(cosine);
                angles.sines.push(sine);
            }
        }
        angles
    }
}

impl Angles {
    /// Turns the heads of row `row`, counted from the first position.
    pub(super) fn turn(&self, row: usize, heads: &mut [f32]) {
        let range = row * self.pairs..(row + 1) * self.pairs;
        let cosines = self.cosines.get(range.clone()).unwrap_or_default();
        let sines = self.sines.get(range).unwrap_or_default();
        for head in heads.chunks_exact_mut(2 * self.pairs) {
            let (left, right) = head.split_at_mut(self.pairs);
            for (((x, y), cosine), sine) in left.iter_mut().zip(right).zip(cosines).zip(sines) {
                (*x, *y) = (*x * cosine - *y * sine, *y * cosine + *x * sine);
            }
        }
    }
}

fn scaled(step: f64, scaling: &RopeScaling) -> f64 {
    match *scaling {
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_keeps_lengths_and_position_zero_changes_nothing() {
        let config = RopeConfig {
            theta: 10_000.0,
            scaling: RopeScaling::None,
        };
        let rope = Rope::new(&config, 4);
        let angles = rope.angles(0, 3);
        let mut head = [1.0, 2.0, 3.0, 4.0];
        angles.turn(0, &mut head);
        assert_eq!(head, [1.0, 2.0, 3.0, 4.0]);
        angles.turn(2, &mut head);
        // The first pair (1, 3) turns by two radians.
        let (sine, cosine) = 2.0f32.sin_cos();
        assert!((head[0] - (cosine - 3.0 * sine)).abs() < 1e-6);
        assert!((head[2] - (3.0 * cosine + sine)).abs() < 1e-6);
        let square: f32 = head.iter().map(|x| x * x).sum();
        assert!((square - 30.0).abs() < 1e-4);
    }

    #[test]
    fn llama3_scaling_stretches_only_slow_turns() {
        let scaling = RopeScaling::Llama3 {
            factor: 8.0,
            low_frequency: 1.0,
            high_frequency: 4.0,
            original_context: 8192.0,
        };
        assert_eq!(scaled(1.0, &scaling), 1.0);
        let slow = TAU / 10_000.0;
        assert!((scaled(slow, &scaling) - slow / 8.0).abs() < 1e-12);
    }
}
