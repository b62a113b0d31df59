//! Operations on rows of numbers: norms, softmax, activations, positions, precisions.
//!
//! Why apart: between two products a model does these, and done one number at a time they take a third of its time.
//!
//! - [`scalar`]: what every other version is compared with
//!
//! # Invariants
//! A row's result depends on that row alone, not on how many rows a call has or who else works. Lengths that do not
//! fit each other are the caller's mistake and panic.

pub(crate) mod scalar;

use crate::cpu::Kernels;
use crate::half;

/// The largest binary16 number.
const F16_MAX: f32 = 65504.0;

/// Rows of `weight.len()` numbers: `x / sqrt(mean(x * x) + epsilon) * weight`.
///
/// # Panics
/// When `x` is no whole number of rows or `out` is not as long.
pub fn rms_norm(kernels: Kernels, x: &[f32], weight: &[f32], epsilon: f32, out: &mut [f32]) {
    check_rows(x, weight.len());
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    out.copy_from_slice(x);
    rms_norm_in_place(kernels, out, weight, epsilon);
}

/// [`rms_norm`] where the rows lie.
///
/// # Panics
/// When `x` is no whole number of rows.
pub fn rms_norm_in_place(_kernels: Kernels, x: &mut [f32], weight: &[f32], epsilon: f32) {
    check_rows(x, weight.len());
    for row in x.chunks_exact_mut(weight.len()) {
        scalar::rms_norm(row, weight, epsilon);
    }
}

/// Rows of `weight.len()` numbers: `(x - mean) / sqrt(variance + epsilon) * weight + bias`, where they lie.
///
/// # Panics
/// When `x` is no whole number of rows or `bias` is not as long as `weight`.
pub fn layer_norm(_kernels: Kernels, x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    check_rows(x, weight.len());
    assert_eq!(weight.len(), bias.len(), "a bias for each weight");
    for row in x.chunks_exact_mut(weight.len()) {
        scalar::layer_norm(row, weight, bias, epsilon);
    }
}

/// Rows of `width` numbers become shares that add up to 1.
///
/// # Panics
/// When `x` is no whole number of rows.
pub fn softmax(_kernels: Kernels, x: &mut [f32], width: usize) {
    check_rows(x, width);
    for row in x.chunks_exact_mut(width) {
        scalar::softmax(row);
    }
}

/// `gate = silu(gate) * up`, where `silu(x) = x / (1 + exp(-x))`.
///
/// # Panics
/// When the lengths differ.
pub fn silu_multiply(_kernels: Kernels, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "as many gates as numbers");
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = scalar::silu(*gate) * up;
    }
}

/// `gate = gelu_tanh(gate) * up`.
///
/// # Panics
/// When the lengths differ.
pub fn gelu_tanh_multiply(_kernels: Kernels, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "as many gates as numbers");
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = scalar::gelu_tanh(*gate) * up;
    }
}

/// `x / 2 * (1 + erf(x / sqrt(2)))`, within 2e-7 of `1 + |x|`.
pub fn gelu(_kernels: Kernels, x: &mut [f32]) {
    for x in x {
        *x = scalar::gelu(*x);
    }
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
pub fn gelu_tanh(_kernels: Kernels, x: &mut [f32]) {
    for x in x {
        *x = scalar::gelu_tanh(*x);
    }
}

/// `cap * tanh(x / cap)`: Gemma 2 bounds scores and logits so.
pub fn soft_cap(_kernels: Kernels, x: &mut [f32], cap: f32) {
    for x in x {
        *x = scalar::soft_cap(*x, cap);
    }
}

/// `x += y`.
///
/// # Panics
/// When the lengths differ.
pub fn add(_kernels: Kernels, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "as many numbers on both sides");
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

/// `x += bias` for each row of `bias.len()` numbers.
///
/// # Panics
/// When `x` is no whole number of rows.
pub fn add_bias(kernels: Kernels, x: &mut [f32], bias: &[f32]) {
    check_rows(x, bias.len());
    for row in x.chunks_exact_mut(bias.len()) {
        add(kernels, row, bias);
    }
}

/// `x *= factor`.
pub fn scale(_kernels: Kernels, x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

/// Turns the heads of one position: in each head of `width` numbers the pair `(i, i + n)` turns by the angle whose
/// cosine and sine are the `i`th of `n`. Numbers from `2 * n` on stay.
///
/// # Panics
/// When `heads` is no whole number of heads, or the cosines and sines do not fit each other or a head.
pub fn rope(_kernels: Kernels, heads: &mut [f32], width: usize, cosines: &[f32], sines: &[f32]) {
    check_rows(heads, width);
    assert!(
        cosines.len() == sines.len() && 2 * cosines.len() <= width,
        "the angles fit into a head"
    );
    for head in heads.chunks_exact_mut(width) {
        scalar::rope(head, cosines, sines);
    }
}

/// Nearest binary16 numbers, ties to even; too large ones become infinite.
///
/// # Panics
/// When the lengths differ.
pub fn to_f16(_kernels: Kernels, x: &[f32], out: &mut [u16]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f32_to_f16(*x);
    }
}

/// As [`to_f16`], but too large ones become the largest.
pub(crate) fn to_f16_saturating(_kernels: Kernels, x: &[f32], out: &mut [u16]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f32_to_f16(x.clamp(-F16_MAX, F16_MAX));
    }
}

/// Binary16 numbers as they are.
///
/// # Panics
/// When the lengths differ.
pub fn from_f16(_kernels: Kernels, x: &[u16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f16_to_f32(*x);
    }
}

/// Nearest bfloat16 numbers, ties to even.
///
/// # Panics
/// When the lengths differ.
pub fn to_bf16(_kernels: Kernels, x: &[f32], out: &mut [u16]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f32_to_bf16(*x);
    }
}

/// Bfloat16 numbers as they are.
///
/// # Panics
/// When the lengths differ.
pub fn from_bf16(_kernels: Kernels, x: &[u16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::bf16_to_f32(*x);
    }
}

fn check_rows(x: &[f32], width: usize) {
    assert!(width > 0 && x.len().is_multiple_of(width), "whole rows");
}

#[cfg(test)]
mod tests;
