//! One number after another: what every CPU does, and what the others are compared with.
//!
//! Why apart: its lines are the formulas themselves.
//!
//! # Invariants
//! No instruction that some CPUs lack.

use crate::half;

/// The largest binary16 number.
pub(crate) const F16_MAX: f32 = 65504.0;

pub(crate) fn rms_norm(row: &mut [f32], weight: &[f32], epsilon: f32) {
    let squares: f32 = row.iter().map(|x| x * x).sum();
    let factor = 1.0 / (squares / row.len() as f32 + epsilon).sqrt();
    for (x, weight) in row.iter_mut().zip(weight) {
        *x *= factor * weight;
    }
}

pub(crate) fn layer_norm(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let count = row.len() as f32;
    let mean = row.iter().sum::<f32>() / count;
    let variance = row.iter().map(|x| (x - mean) * (x - mean)).sum::<f32>() / count;
    let factor = 1.0 / (variance + epsilon).sqrt();
    for ((x, weight), bias) in row.iter_mut().zip(weight).zip(bias) {
        *x = (*x - mean) * factor * weight + bias;
    }
}

pub(crate) fn softmax(row: &mut [f32]) {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = (*x - largest).exp();
        sum += *x;
    }
    let factor = 1.0 / sum;
    for x in row {
        *x *= factor;
    }
}

pub(crate) fn shares(row: &mut [f32], factor: f32) -> f32 {
    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for x in row.iter_mut() {
        *x = ((*x - largest) * factor).exp();
        sum += *x;
    }
    sum
}

pub(crate) fn silu_multiply(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + (-*gate).exp()) * up;
    }
}

/// `sqrt(2 / pi)`.
pub(crate) const GELU_SLOPE: f32 = 0.797_884_6;
pub(crate) const GELU_CUBE: f32 = 0.044_715;

fn gelu_tanh_of(x: f32) -> f32 {
    let inner = GELU_SLOPE * (x + GELU_CUBE * x * x * x);
    0.5 * x * (1.0 + inner.tanh())
}

pub(crate) fn gelu_tanh(x: &mut [f32]) {
    for x in x {
        *x = gelu_tanh_of(*x);
    }
}

pub(crate) fn gelu_tanh_multiply(gate: &mut [f32], up: &[f32]) {
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = gelu_tanh_of(*gate) * up;
    }
}

/// By the complement of the error function of |x| / sqrt(2): Abramowitz and Stegun, 7.1.26, within 1.5e-7.
fn gelu_of(x: f32) -> f32 {
    let a = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / (1.0 + ERF_P * a);
    let polynomial = ERF.iter().rev().fold(0.0, |sum, factor| sum * t + factor) * t;
    let complement = polynomial * (-a * a).exp();
    x.max(0.0) - 0.5 * x.abs() * complement
}

pub(crate) fn gelu(x: &mut [f32]) {
    for x in x {
        *x = gelu_of(*x);
    }
}

pub(crate) fn gelu_of_sum(x: &mut [f32], bias: &[f32]) {
    for (x, bias) in x.iter_mut().zip(bias) {
        *x = gelu_of(*x + bias);
    }
}

pub(crate) const ERF_P: f32 = 0.327_591_1;
/// For t, t^2 and so on.
pub(crate) const ERF: [f32; 5] = [0.254_829_6, -0.284_496_74, 1.421_413_7, -1.453_152, 1.061_405_4];

pub(crate) fn soft_cap(x: &mut [f32], cap: f32) {
    for x in x {
        *x = cap * (*x / cap).tanh();
    }
}

#[inline(always)]
pub(crate) fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}

#[inline(always)]
pub(crate) fn add_both(x: &mut [f32], y: &[f32], z: &[f32]) {
    for ((x, y), z) in x.iter_mut().zip(y).zip(z) {
        *x += y + z;
    }
}

#[inline(always)]
pub(crate) fn scale(x: &mut [f32], factor: f32) {
    for x in x {
        *x *= factor;
    }
}

#[inline(always)]
pub(crate) fn rope(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
    let (first, second) = head.split_at_mut(cosines.len());
    for (((a, b), cosine), sine) in first.iter_mut().zip(second).zip(cosines).zip(sines) {
        (*a, *b) = (*a * cosine - *b * sine, *b * cosine + *a * sine);
    }
}

#[inline(always)]
pub(crate) fn to_f16(x: &[f32], out: &mut [u16]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f32_to_f16(*x);
    }
}

#[inline(always)]
pub(crate) fn to_f16_saturating(x: &[f32], out: &mut [u16]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f32_to_f16(x.clamp(-F16_MAX, F16_MAX));
    }
}

#[inline(always)]
pub(crate) fn from_f16(x: &[u16], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f16_to_f32(*x);
    }
}

#[inline(always)]
pub(crate) fn to_bf16(x: &[f32], out: &mut [u16]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::f32_to_bf16(*x);
    }
}

#[inline(always)]
pub(crate) fn from_bf16(x: &[u16], out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = half::bf16_to_f32(*x);
    }
}
