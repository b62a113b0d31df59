//! How well a model foretells a text.
//!
//! Why apart: nothing that answers needs it; whoever compares engines does.
//!
//! # Invariants
//! Tokens go through the same passes as those of answers.

use super::network::{Logits, Part};
use super::{Decoder, Prompt};
use crate::generation::GenerateError;
use std::sync::PoisonError;

impl Decoder {
    /// Perplexity of a text: of windows of so many tokens, without overlap, each beginning with the token for a begin in
    /// place of its first one, the second half. `None` for a text shorter than a window. Windows go token by token.
    ///
    /// # Errors
    /// As those of answers.
    pub fn perplexity(&self, text: &Prompt, window: usize) -> Result<Option<f64>, GenerateError> {
        // An empty text gives what is put before every text.
        let begin = self.text_prompt("").ok();
        let begin = begin.as_ref().and_then(|prompt| prompt.ids().first());
        let mut scratch = self.scratch.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut sum, mut count) = (0.0, 0);
        for ids in text.ids().chunks_exact(window.max(4)) {
            let mut cache = self.network.new_cache(ids.len())?;
            for (position, (id, next)) in ids.iter().zip(&ids[1..]).enumerate() {
                let id = if position == 0 { begin.unwrap_or(id) } else { id };
                let wanted = position >= ids.len() / 2;
                let part = Part {
                    ids: &[*id],
                    cache: &mut cache,
                    logits: if wanted { Logits::Last } else { Logits::None },
                    row: None,
                    drawn: true,
                };
                self.network.forward(&mut scratch, &mut [part])?;
                if wanted {
                    sum -= log_probability(self.network.logits(&mut scratch, 0, 1)?, *next)?;
                    count += 1;
                }
            }
        }
        Ok((count > 0).then(|| (sum / f64::from(count)).exp()))
    }
}

fn log_probability(logits: &[f32], id: u32) -> Result<f64, GenerateError> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let chosen = logits.get(id as usize).copied().ok_or(GenerateError::Compute)?;
    if !most.is_finite() || !chosen.is_finite() {
        return Err(GenerateError::NotFinite);
    }
    let total: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    Ok(f64::from(chosen - most) - total.ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_are_of_all_logits() {
        let half = log_probability(&[1.0, 1.0], 1).unwrap();
        assert!((half - 0.5_f64.ln()).abs() < 1e-12);
        let sure = log_probability(&[100.0, 0.0], 0).unwrap();
        assert!(sure.abs() < 1e-12);
        assert_eq!(log_probability(&[1.0], 1), Err(GenerateError::Compute));
        assert_eq!(
            log_probability(&[f32::NAN, 1.0], 0),
            Err(GenerateError::NotFinite)
        );
        assert_eq!(
            log_probability(&[f32::INFINITY, 1.0], 1),
            Err(GenerateError::NotFinite)
        );
    }
}
