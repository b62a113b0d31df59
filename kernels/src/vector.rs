//! Operations on rows of numbers: norms, softmax, activations, positions, precisions.
//!
//! Why apart: between two products a model does these, and done one number at a time they take a third of its time.
//!
//! - [`scalar`]: what every other version is compared with
//! - [`wide`]: the same for vectors of any width
//! - [`avx2`], [`avx512`]: of these widths
//!
//! # Invariants
//! A row's result depends on that row alone, not on how many rows a call has or who else works. Lengths that do not
//! fit each other are the caller's mistake and panic.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
pub(crate) mod avx2;
#[cfg(target_arch = "x86_64")]
pub(crate) mod avx512;
pub(crate) mod scalar;
#[cfg(target_arch = "x86_64")]
mod wide;

use crate::cpu::{KernelSet, Kernels};

/// Calls an operation of the set in use.
macro_rules! by_set {
    ($kernels:expr, $name:ident($($argument:expr),*)) => {
        match $kernels.set() {
            // SAFETY: a `Kernels` of these sets is possessed only where the CPU has AVX2, FMA and F16C.
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { avx2::$name($($argument),*) },
            // SAFETY: and of these only where it has AVX-512 F, BW, DQ and VL besides.
            #[cfg(target_arch = "x86_64")]
            KernelSet::Avx512Vnni | KernelSet::Avx512Bf16 | KernelSet::Amx => unsafe { avx512::$name($($argument),*) },
            _ => scalar::$name($($argument),*),
        }
    };
}

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
pub fn rms_norm_in_place(kernels: Kernels, x: &mut [f32], weight: &[f32], epsilon: f32) {
    check_rows(x, weight.len());
    for row in x.chunks_exact_mut(weight.len()) {
        by_set!(kernels, rms_norm(row, weight, epsilon));
    }
}

/// Rows of `weight.len()` numbers: `(x - mean) / sqrt(variance + epsilon) * weight + bias`, where they lie.
///
/// # Panics
/// When `x` is no whole number of rows or `bias` is not as long as `weight`.
pub fn layer_norm(kernels: Kernels, x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    check_rows(x, weight.len());
    assert_eq!(weight.len(), bias.len(), "a bias for each weight");
    for row in x.chunks_exact_mut(weight.len()) {
        by_set!(kernels, layer_norm(row, weight, bias, epsilon));
    }
}

/// Rows of `weight.len()` numbers: [`layer_norm`] of `x + y + y_bias`, in the place of `x`.
///
/// # Panics
/// When `x` and `y` are not equally many whole rows, or a bias is not as long as `weight`.
pub fn add_layer_norm(
    kernels: Kernels,
    x: &mut [f32],
    (y, y_bias): (&[f32], &[f32]),
    (weight, bias): (&[f32], &[f32]),
    epsilon: f32,
) {
    check_rows(x, weight.len());
    assert_eq!(x.len(), y.len(), "as many numbers on both sides");
    assert!(
        weight.len() == bias.len() && weight.len() == y_bias.len(),
        "a bias for each weight"
    );
    for (row, more) in x.chunks_exact_mut(weight.len()).zip(y.chunks_exact(weight.len())) {
        by_set!(kernels, add_both(row, more, y_bias));
        by_set!(kernels, layer_norm(row, weight, bias, epsilon));
    }
}

/// Rows of `width` numbers become shares that add up to 1.
///
/// # Panics
/// When `x` is no whole number of rows.
pub fn softmax(kernels: Kernels, x: &mut [f32], width: usize) {
    check_rows(x, width);
    for row in x.chunks_exact_mut(width) {
        by_set!(kernels, softmax(row));
    }
}

/// A row becomes `exp(factor * (x - the largest))`, for a positive factor: what [`softmax`] divides by their sum, which
/// comes back.
pub(crate) fn shares(kernels: Kernels, row: &mut [f32], factor: f32) -> f32 {
    by_set!(kernels, shares(row, factor))
}

/// `gate = silu(gate) * up`, where `silu(x) = x / (1 + exp(-x))`.
///
/// # Panics
/// When the lengths differ.
pub fn silu_multiply(kernels: Kernels, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "as many gates as numbers");
    by_set!(kernels, silu_multiply(gate, up));
}

/// `gate = gelu_tanh(gate) * up`.
///
/// # Panics
/// When the lengths differ.
pub fn gelu_tanh_multiply(kernels: Kernels, gate: &mut [f32], up: &[f32]) {
    assert_eq!(gate.len(), up.len(), "as many gates as numbers");
    by_set!(kernels, gelu_tanh_multiply(gate, up));
}

/// `x / 2 * (1 + erf(x / sqrt(2)))`, within 2e-7 of `1 + |x|`.
pub fn gelu(kernels: Kernels, x: &mut [f32]) {
    by_set!(kernels, gelu(x));
}

/// [`gelu`] of rows of `bias.len()` numbers, to which `bias` is added first.
///
/// # Panics
/// When `x` is no whole number of rows.
pub fn gelu_of_sum(kernels: Kernels, x: &mut [f32], bias: &[f32]) {
    check_rows(x, bias.len());
    for row in x.chunks_exact_mut(bias.len()) {
        by_set!(kernels, gelu_of_sum(row, bias));
    }
}

/// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`.
pub fn gelu_tanh(kernels: Kernels, x: &mut [f32]) {
    by_set!(kernels, gelu_tanh(x));
}

/// `cap * tanh(x / cap)`: Gemma 2 bounds scores and logits so.
pub fn soft_cap(kernels: Kernels, x: &mut [f32], cap: f32) {
    by_set!(kernels, soft_cap(x, cap));
}

/// `x += y`.
///
/// # Panics
/// When the lengths differ.
pub fn add(kernels: Kernels, x: &mut [f32], y: &[f32]) {
    assert_eq!(x.len(), y.len(), "as many numbers on both sides");
    by_set!(kernels, add(x, y));
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
pub fn scale(kernels: Kernels, x: &mut [f32], factor: f32) {
    by_set!(kernels, scale(x, factor));
}

/// Turns the heads of one position: in each head of `width` numbers the pair `(i, i + n)` turns by the angle whose
/// cosine and sine are the `i`th of `n`. Numbers from `2 * n` on stay.
///
/// # Panics
/// When `heads` is no whole number of heads, or the cosines and sines do not fit each other or a head.
pub fn rope(kernels: Kernels, heads: &mut [f32], width: usize, cosines: &[f32], sines: &[f32]) {
    check_rows(heads, width);
    assert!(
        cosines.len() == sines.len() && 2 * cosines.len() <= width,
        "the angles fit into a head"
    );
    for head in heads.chunks_exact_mut(width) {
        by_set!(kernels, rope(head, cosines, sines));
    }
}

/// Nearest binary16 numbers, ties to even; too large ones become infinite.
///
/// # Panics
/// When the lengths differ.
pub fn to_f16(kernels: Kernels, x: &[f32], out: &mut [u16]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    by_set!(kernels, to_f16(x, out));
}

/// As [`to_f16`], but too large ones become the largest.
pub(crate) fn to_f16_saturating(kernels: Kernels, x: &[f32], out: &mut [u16]) {
    by_set!(kernels, to_f16_saturating(x, out));
}

/// Binary16 numbers as they are.
///
/// # Panics
/// When the lengths differ.
pub fn from_f16(kernels: Kernels, x: &[u16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    by_set!(kernels, from_f16(x, out));
}

/// Nearest bfloat16 numbers, ties to even.
///
/// # Panics
/// When the lengths differ.
pub fn to_bf16(kernels: Kernels, x: &[f32], out: &mut [u16]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    by_set!(kernels, to_bf16(x, out));
}

/// Bfloat16 numbers as they are.
///
/// # Panics
/// When the lengths differ.
pub fn from_bf16(kernels: Kernels, x: &[u16], out: &mut [f32]) {
    assert_eq!(x.len(), out.len(), "as many numbers as come in");
    by_set!(kernels, from_bf16(x, out));
}

fn check_rows(x: &[f32], width: usize) {
    assert!(width > 0 && x.len().is_multiple_of(width), "whole rows");
}

#[cfg(test)]
mod tests;
