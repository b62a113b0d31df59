//! Each set of kernels against formulas in double precision, on random and extreme numbers.
//!
//! Why apart: one list of cases for all sets.
//!
//! # Invariants
//! A set that this CPU lacks says so.

use super::*;
use crate::cases::{numbers, sets};
use crate::half;

/// Lengths around every vector's.
const LENGTHS: [usize; 14] = [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100, 128, 1027];

fn each_set(name: &str, test: impl Fn(Kernels)) {
    sets(name).into_iter().for_each(test);
}

fn close(found: &[f32], expected: impl Iterator<Item = f64>, absolute: f64, relative: f64, what: &str) {
    let mut count = 0;
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let bound = absolute + relative * expected.abs();
        let error = (f64::from(*found) - expected).abs();
        assert!(
            error <= bound,
            "{what} [{index}]: found {found}, expected {expected}"
        );
        count += 1;
    }
    assert_eq!(count, found.len());
}

fn erf(x: f64) -> f64 {
    let root = std::f64::consts::PI.sqrt();
    if x.abs() > 2.5 {
        // The complement as a continued fraction.
        let fraction = (1..60)
            .rev()
            .fold(x.abs(), |rest, n| x.abs() + f64::from(n) / 2.0 / rest);
        return x.signum() * (1.0 - (-x * x).exp() / root / fraction);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / root
}

#[test]
fn norms() {
    each_set("vector::norms", |kernels| {
        for width in LENGTHS {
            for size in [1e-12, 1.0, 1e15] {
                let x = numbers(3 * width, size, 1);
                let weight = numbers(width, 2.0, 2);
                let bias = numbers(width, 2.0, 3);
                let mut out = vec![0.0; x.len()];
                rms_norm(kernels, &x, &weight, 1e-6, &mut out);
                for (row, out) in x.chunks(width).zip(out.chunks(width)) {
                    let squares: f64 = row.iter().map(|x| f64::from(*x).powi(2)).sum();
                    let factor = 1.0 / (squares / width as f64 + f64::from(1e-6f32)).sqrt();
                    let expected = row
                        .iter()
                        .zip(&weight)
                        .map(|(x, w)| f64::from(*x) * factor * f64::from(*w));
                    close(out, expected, 0.0, 2e-6, "rms_norm");
                }
                let mut out = x.clone();
                layer_norm(kernels, &mut out, &weight, &bias, 1e-5);
                for (row, out) in x.chunks(width).zip(out.chunks(width)) {
                    let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64;
                    let variance =
                        row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width as f64;
                    let factor = 1.0 / (variance + f64::from(1e-5f32)).sqrt();
                    let expected =
                        row.iter().zip(&weight).zip(&bias).map(|((x, w), b)| {
                            (f64::from(*x) - mean) * factor * f64::from(*w) + f64::from(*b)
                        });
                    if width > 1 {
                        close(out, expected, 1e-5, 1e-5, "layer_norm");
                    }
                }
                let more = numbers(3 * width, size, 4);
                let mut sums: Vec<f32> = x.iter().zip(&more).map(|(x, more)| x + more).collect();
                let mut out = x.clone();
                let nothing = vec![0.0; width];
                add_layer_norm(kernels, &mut out, (&more, &nothing), (&weight, &bias), 1e-5);
                layer_norm(kernels, &mut sums, &weight, &bias, 1e-5);
                assert!(out == sums);
                let mut twice = x.clone();
                add_layer_norm(
                    kernels,
                    &mut twice,
                    (&nothing.repeat(3), &more[..width]),
                    (&weight, &bias),
                    1e-5,
                );
                assert!(twice[..width] == sums[..width]);
            }
        }
    });
}

#[test]
fn softmax_of_any_width() {
    each_set("vector::softmax", |kernels| {
        for width in LENGTHS {
            for size in [1.0, 80.0, 1e30] {
                let mut x = numbers(3 * width, size, width as u32);
                x[width] = f32::NEG_INFINITY;
                if width == 1 {
                    x[width] = 5.0;
                }
                let mut out = x.clone();
                softmax(kernels, &mut out, width);
                for (row, out) in x.chunks(width).zip(out.chunks(width)) {
                    let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                    let exp = |x: &f32| f64::from(x - largest).exp();
                    let sum: f64 = row.iter().map(exp).sum();
                    close(out, row.iter().map(|x| exp(x) / sum), 1e-37, 1e-6, "softmax");
                }
                let row = &mut x[..width];
                let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let expected: Vec<f64> = row
                    .iter()
                    .map(|x| f64::from((x - largest) * 0.125).exp())
                    .collect();
                let sum = shares(kernels, row, 0.125);
                close(
                    &[sum],
                    [expected.iter().sum()].into_iter(),
                    0.0,
                    2e-6,
                    "sum of shares",
                );
                close(row, expected.into_iter(), 1e-37, 1e-6, "shares");
            }
        }
    });
}

#[test]
fn activations() {
    each_set("vector::activations", |kernels| {
        for length in LENGTHS {
            for size in [0.01, 3.0, 12.0, 1e4] {
                let mut x = numbers(length, size, length as u32);
                x[0] = 0.0;
                let up = numbers(length, 2.0, 9);
                let silu = |x: &f32| f64::from(*x) / (1.0 + (-f64::from(*x)).exp());
                let tanh = |x: &f32| {
                    let x = f64::from(*x);
                    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
                    x / (1.0 + (-2.0 * inner).exp())
                };

                let mut out = x.clone();
                silu_multiply(kernels, &mut out, &up);
                close(
                    &out,
                    x.iter().zip(&up).map(|(x, up)| silu(x) * f64::from(*up)),
                    1e-30,
                    2e-6,
                    "silu",
                );
                let mut out = x.clone();
                gelu_tanh(kernels, &mut out);
                close(&out, x.iter().map(tanh), 1e-6, 1e-6, "gelu_tanh");
                let mut out = x.clone();
                gelu_tanh_multiply(kernels, &mut out, &up);
                close(
                    &out,
                    x.iter().zip(&up).map(|(x, up)| tanh(x) * f64::from(*up)),
                    2e-6,
                    2e-6,
                    "gelu_tanh_multiply",
                );
                let mut out = x.clone();
                gelu(kernels, &mut out);
                let expected = x.iter().map(|x| {
                    let x = f64::from(*x);
                    0.5 * x * (1.0 + erf(x / 2f64.sqrt()))
                });
                close(&out, expected, 5e-7, 3e-7, "gelu");
                let mut sums = [&x[..], &x[..]].concat();
                let mut out = sums.clone();
                add_bias(kernels, &mut sums, &up);
                gelu(kernels, &mut sums);
                gelu_of_sum(kernels, &mut out, &up);
                close(
                    &out,
                    sums.iter().map(|x| f64::from(*x)),
                    1e-6,
                    1e-6,
                    "gelu_of_sum",
                );
                let mut out = x.clone();
                soft_cap(kernels, &mut out, 30.0);
                close(
                    &out,
                    x.iter().map(|x| 30.0 * (f64::from(*x) / 30.0).tanh()),
                    1e-5,
                    1e-6,
                    "soft_cap",
                );
            }
        }
    });
}

#[test]
fn sums_factors_and_turns() {
    each_set("vector::sums", |kernels| {
        for length in LENGTHS {
            let x = numbers(3 * length, 5.0, 4);
            let y = numbers(3 * length, 5.0, 5);
            let mut out = x.clone();
            add(kernels, &mut out, &y);
            assert!(
                out.iter()
                    .zip(x.iter().zip(&y))
                    .all(|(out, (x, y))| *out == x + y)
            );
            let mut out = x.clone();
            add_bias(kernels, &mut out, &y[..length]);
            assert!(
                out.iter()
                    .enumerate()
                    .all(|(i, out)| *out == x[i] + y[i % length])
            );
            let mut out = x.clone();
            scale(kernels, &mut out, -3.0);
            assert!(out.iter().zip(&x).all(|(out, x)| *out == x * -3.0));

            // The last number of each head stays.
            let width = 2 * length + 1;
            let heads = numbers(2 * width, 1.0, 6);
            let (cosines, sines): (Vec<f32>, Vec<f32>) =
                (0..length).map(|i| ((i as f32).cos(), (i as f32).sin())).unzip();
            let mut out = heads.clone();
            rope(kernels, &mut out, width, &cosines, &sines);
            let expected = (0..2 * width).map(|index| {
                let (head, i) = (index / width * width, index % width);
                let at = |i: usize| f64::from(heads[head + i]);
                let turn = |i: usize| (f64::from(cosines[i]), f64::from(sines[i]));
                if i < length {
                    at(i) * turn(i).0 - at(i + length) * turn(i).1
                } else if i < 2 * length {
                    at(i) * turn(i - length).0 + at(i - length) * turn(i - length).1
                } else {
                    at(i)
                }
            });
            close(&out, expected, 3e-7, 0.0, "rope");
        }
    });
}

#[test]
fn precisions_are_bit_for_bit_those_of_plain_arithmetic() {
    let mut x: Vec<f32> = (0..=u16::MAX).map(half::f16_to_f32).collect();
    x.extend((0..=u16::MAX).map(half::bf16_to_f32));
    x.extend(numbers(1001, 1e5, 7));
    x.extend(numbers(1001, 1e-7, 8));
    let every: Vec<u16> = (0..=u16::MAX).collect();
    each_set("vector::precisions", |kernels| {
        for length in [1, 7, 19, x.len()] {
            let x = &x[x.len() - length..];
            let mut out = vec![0; length];
            to_f16(kernels, x, &mut out);
            assert!(
                out.iter()
                    .zip(x)
                    .all(|(out, x)| *out == half::f32_to_f16(*x) || x.is_nan())
            );
            to_bf16(kernels, x, &mut out);
            assert!(out.iter().zip(x).all(|(out, x)| *out == half::f32_to_bf16(*x)));
            to_f16_saturating(kernels, x, &mut out);
            let held = |x: f32| half::f32_to_f16(x.clamp(-65504.0, 65504.0));
            assert!(out.iter().zip(x).all(|(out, x)| *out == held(*x) || x.is_nan()));
            let bits = &every[every.len() - length.min(every.len())..];
            let mut wide = vec![0.0; bits.len()];
            from_f16(kernels, bits, &mut wide);
            assert!(
                wide.iter()
                    .zip(bits)
                    .all(|(wide, x)| wide.to_bits() == half::f16_to_f32(*x).to_bits() || wide.is_nan())
            );
            from_bf16(kernels, bits, &mut wide);
            assert!(
                wide.iter()
                    .zip(bits)
                    .all(|(wide, x)| wide.to_bits() == half::bf16_to_f32(*x).to_bits())
            );
        }
    });
}

#[test]
#[cfg(target_arch = "x86_64")]
fn exp_over_its_whole_range() {
    let mut x: Vec<f32> = (-1_000_000..=1_000_000)
        .map(|i| i as f32 * 1.0e-4)
        .filter(|x| *x <= 88.0)
        .collect();
    x.extend([
        0.0,
        -0.0,
        1e-30,
        -1e-30,
        1e-7,
        f32::NEG_INFINITY,
        -1e30,
        -87.0,
        88.0,
    ]);
    each_set("vector::exp", |kernels| {
        let mut out = x.clone();
        match kernels.set() {
            KernelSet::Scalar => return,
            // SAFETY: the kernels are there.
            KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { avx2::exps(&mut out) },
            // SAFETY: the kernels are there.
            _ => unsafe { avx512::exps(&mut out) },
        }
        for (x, found) in x.iter().zip(&out) {
            let expected = f64::from(*x).exp();
            let error = (f64::from(*found) - expected).abs();
            let bound = if *x < -87.0 { 2e-38 } else { 2e-7 * expected };
            assert!(error <= bound, "exp({x}) is {found}, not {expected}");
        }
        let mut extremes = [0.0, 89.0, f32::INFINITY, f32::NAN, f32::NEG_INFINITY];
        match kernels.set() {
            // SAFETY: the kernels are there.
            KernelSet::Avx2 | KernelSet::AvxVnni => unsafe { avx2::exps(&mut extremes) },
            // SAFETY: the kernels are there.
            _ => unsafe { avx512::exps(&mut extremes) },
        }
        assert!(extremes[0] == 1.0 && extremes[1] > 1e38 && extremes[2] > 1e38 && extremes[3].is_nan());
        assert_eq!(extremes[4], 0.0);
    });
}
