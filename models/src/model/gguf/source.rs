//! What a family may look at in its GGUF files.
//!
//! Why apart: families are configuration and know nothing of the file's tables.
//!
//! # Invariants
//! Numbers that leave are finite and within their bounds.

use std::collections::BTreeMap;

use anchorhold_kernels::BlockFormat;
use zeroize::Zeroizing;

use super::settings::Settings;
use crate::config::rope::FACTOR;
use crate::gguf::Gguf;
use crate::limits::inference as limits;
use crate::model::error::{LoadError, TensorProblem};
use crate::shown::ShownName;

/// A tensor by whose numbers the wavelengths of positions are stretched: what Llama 3.1's configuration gives.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";
/// The same of LongRoPE.
pub(crate) const SHORT_FACTORS: &str = "rope_factors_short.weight";
pub(crate) const LONG_FACTORS: &str = "rope_factors_long.weight";

/// All of them.
pub(super) const FACTORS: [&str; 3] = [ROPE_FACTORS, SHORT_FACTORS, LONG_FACTORS];

/// The bytes of those that a file has.
pub(super) type Numbers = BTreeMap<&'static str, Zeroizing<Vec<u8>>>;

/// One file, its keys and its tensors.
pub(crate) struct Source<'a> {
    pub(crate) settings: &'a Settings<'a>,
    pub(super) gguf: &'a Gguf<'a>,
    pub(super) numbers: &'a Numbers,
}

impl Source<'_> {
    /// Whether there is a tensor of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.gguf.tensors().iter().any(|tensor| tensor.name == name)
    }

    /// How many positions are seen, when not all are.
    pub(crate) fn window(&self) -> Result<Option<usize>, LoadError> {
        let window = self
            .settings
            .count(".attention.sliding_window", 0..=limits::CONTEXT)?;
        Ok(window.filter(|window| *window > 0))
    }

    /// The numbers of a tensor that stretches wavelengths, one for each pair.
    pub(crate) fn factors(&self, name: &str, pairs: usize) -> Result<Option<Vec<f64>>, LoadError> {
        let Some(tensor) = self.gguf.tensors().iter().find(|tensor| tensor.name == name) else {
            return Ok(None);
        };
        let refuse = |problem| LoadError::Tensor {
            name: ShownName::new(name),
            problem,
        };
        let (_, format, shape, _) = tensor.listed();
        if shape != [pairs] {
            return Err(refuse(TensorProblem::Shape {
                expected: vec![pairs],
                found: shape,
            }));
        }
        let mut numbers = vec![0.0; pairs];
        let read = format
            .filter(|format| *format == BlockFormat::F32)
            .zip(self.numbers.get(name))
            .is_some_and(|(format, bytes)| format.numbers(bytes, &mut numbers));
        if !read {
            return Err(refuse(TensorProblem::Type));
        }
        let numbers: Vec<f64> = numbers.into_iter().map(f64::from).collect();
        if !numbers.iter().all(|factor| FACTOR.contains(factor)) {
            return Err(refuse(TensorProblem::NotFinite));
        }
        Ok(Some(numbers))
    }
}
