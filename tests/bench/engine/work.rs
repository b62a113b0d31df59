//! What is measured: pieces of work, and which of them share a process.
//!
//! Why apart: both sides are given the same work and know nothing of each other.
//!
//! # Invariants
//! A unit's works differ: each is found again by its value.

use serde::{Deserialize, Serialize};

use super::quantise::Mix;
use super::shape::Shape;
use anchorhold_kernels::KernelSet;

/// A piece of work with one figure: tokens a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "work")]
pub(crate) enum Work {
    /// A prompt of so many tokens.
    Prefill { tokens: usize },
    /// One stream: so many tokens, one after the other, after `depth` others.
    Decode { depth: usize, tokens: usize },
    /// So many streams at one time: each has a prompt, then the tokens that are counted.
    Batch {
        streams: usize,
        prompt: usize,
        tokens: usize,
    },
}

impl Work {
    /// For a table.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Prefill { tokens } => format!("prefill {tokens}"),
            Self::Decode { depth: 0, .. } => "decode".to_owned(),
            Self::Decode { depth, .. } => format!("decode at {depth}"),
            Self::Batch { streams, .. } => format!("{streams} streams"),
        }
    }
}

/// Works of one model with the same threads and instructions: each side does them in one process a round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unit {
    pub(crate) shape: Shape,
    pub(crate) mix: Mix,
    pub(crate) threads: usize,
    /// Our side uses no later set, and llama.cpp's build is one for AVX2 where that is below AVX-512.
    pub(crate) kernels: Option<KernelSet>,
    pub(crate) works: Vec<Work>,
}

impl Unit {
    /// For a line of progress.
    pub(crate) fn name(&self) -> String {
        let kernels = self.kernels.map_or_else(String::new, |set| format!(" {set}"));
        format!(
            "{} {} {}T{kernels}",
            self.shape.name,
            self.mix.name(),
            self.threads
        )
    }
}
