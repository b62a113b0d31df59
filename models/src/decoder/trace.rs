//! What computing a prompt leaves in memory, so that a test knows what to look for in another process.
//!
//! Why apart: it hands out what nothing else may. Compiled for tests alone.
//!
//! # Invariants
//! The numbers are those of any other run of the same prompt on the same CPU with the same options.

use std::sync::PoisonError;

use super::engine::Workspace;
use super::network::{Logits, Part};
use super::{Decoder, Prompt};
use crate::generation::GenerateError;

/// Numbers of a prompt.
pub struct Trace {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// What logits are made of.
    pub hidden: Vec<f32>,
    /// Logits after its last token.
    pub logits: Vec<f32>,
    /// Keys and values, as they are stored.
    pub pages: Vec<u8>,
}

impl Decoder {
    /// Computes a prompt that fits into one pass.
    ///
    /// # Errors
    /// As those of answers.
    pub fn trace(&self, prompt: &Prompt) -> Result<Trace, GenerateError> {
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cache = self.network.new_cache(prompt.len())?;
        let part = Part {
            ids: prompt.ids(),
            cache: &mut cache,
            logits: Logits::Last,
            row: None,
            drawn: false,
        };
        self.network.forward(&mut scratch, &mut [part])?;
        let hidden = match &*scratch {
            Workspace::Cpu(scratch) => scratch.wanted(self.network.config().width).to_vec(),
            #[cfg(any(test, feature = "device"))]
            Workspace::Device(_) => return Err(GenerateError::Compute),
        };
        let logits = self.network.logits(&mut scratch, 0, 1)?.to_vec();
        let stored = cache.sequence().ok_or(GenerateError::Compute)?.stored();
        Ok(Trace {
            ids: prompt.ids().to_vec(),
            hidden,
            logits,
            pages: stored.into_iter().flat_map(u16::to_le_bytes).collect(),
        })
    }
}
