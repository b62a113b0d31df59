//! Rotary position embedding, half-split form (Su et al., arXiv:2104.09864, as Hugging Face lays it out).
//!
//! Why apart: angles depend on positions only and are made once for all layers and heads.
//!
//! # Invariants
//! Angles are computed in 32-bit floats, as the reference does. Those of a position depend on the position and the
//! prompt's length, never on how the prompt was cut.

use std::f64::consts::TAU;
use std::ops::Range;

use crate::config::rope::{RopeConfig, RopeScaling};

/// Angle steps of one head.
pub(super) struct Rope {
    /// Radians a position, one for each pair.
    steps: Vec<f32>,
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
        let step = |pair: usize| {
            let plain = 1.0 / config.theta.powf((2 * pair) as f64 / head_width as f64);
            scaled(plain, &config.scaling) as f32
        };
        Self {
            steps: (0..head_width / 2).map(step).collect(),
        }
    }

    /// Appends the angles of these positions of a sequence.
    pub(super) fn turn(&self, positions: Range<usize>, angles: &mut Angles) {
        angles.pairs = self.steps.len();
        for position in positions {
            for step in &self.steps {
                let (sine, cosine) = (step * position as f32).sin_cos();
                angles.cosines.push(cosine);
                angles.sines.push(sine);
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
    use anchorhold_kernels::{Kernels, vector};

    use super::*;

    #[test]
    fn a_turn_keeps_lengths_and_position_zero_changes_nothing() {
        let config = RopeConfig {
            theta: 10_000.0,
            scaling: RopeScaling::None,
        };
        let rope = Rope::new(&config, 4);
        let mut angles = Angles::default();
        rope.turn(0..3, &mut angles);
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
