//! Log probabilities of the model's own distribution.
//!
//! Why apart: they are reported, not used.
//!
//! # Invariants
//! Natural logarithms of softmax(logits), before any setting of the request changes the logits.

use zeroize::Zeroizing;

/// log(sum(exp(logits))), in 64 bits.
pub(crate) fn normaliser(logits: &[f32]) -> f64 {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - top).exp()).sum();
    f64::from(top) + sum.ln()
}

/// The ids of the `most` highest logits, highest first, the lower id first among equals.
pub(crate) fn likeliest(logits: &[f32], most: usize) -> Zeroizing<Vec<u32>> {
    let logit = |id: &u32| logits.get(*id as usize).copied().unwrap_or(f32::NEG_INFINITY);
    let order = |left: &u32, right: &u32| logit(right).total_cmp(&logit(left)).then(left.cmp(right));
    let mut ids: Zeroizing<Vec<u32>> = Zeroizing::new((0u32..).take(logits.len()).collect());
    if most < ids.len() {
        ids.select_nth_unstable_by(most, order);
        ids.truncate(most);
    }
    ids.sort_unstable_by(order);
    ids
}
