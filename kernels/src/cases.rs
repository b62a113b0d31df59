//! What tests of kernels share: every set of this CPU, and numbers without a pattern.
//!
//! Why apart: attention, products and operations on vectors are tested in the same way.
//!
//! # Invariants
//! Built for tests only. A set that this CPU lacks is named, past the capture of test output.

use std::io::Write as _;

use crate::cpu::{KernelSet, Kernels};

/// The sets of this CPU; the others are named.
pub(crate) fn sets(test: &str) -> Vec<Kernels> {
    let mut here = Vec::new();
    for set in KernelSet::ALL {
        match Kernels::exactly(set) {
            Some(kernels) => here.push(kernels),
            None => {
                let _ = writeln!(std::io::stderr(), "SKIPPED {test}: this CPU has no {set}");
            }
        }
    }
    here
}

/// Numbers without a pattern, from -size to size.
pub(crate) fn numbers(count: usize, size: f32, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    };
    (0..count)
        .map(|_| (next() as f32 / u32::MAX as f32 * 2.0 - 1.0) * size)
        .collect()
}
