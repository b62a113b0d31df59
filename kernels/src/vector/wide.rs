//! Operations on rows, written once for vectors of any width.
//!
//! Why apart: sets of instructions differ in a dozen words, which [`super::avx2`] and [`super::avx512`] define.
//!
//! # Invariants
//! A number's result does not depend on its place in a vector, except in sums. `exp` is within 2e-7 of the true value,
//! relatively, from -87 to 88; below it is zero, above it stays at 2e38, and a NaN stays one.

/// Below this, `exp` is zero: the result would soon be subnormal.
pub(super) const EXP_LEAST: f32 = -87.0;
pub(super) const EXP_MOST: f32 = 88.0;
/// ln 2 in two parts, the first with few enough bits that its multiples are exact.
pub(super) const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
/// `(exp(r) - 1 - r) / r^2` by powers of r, interpolated at Chebyshev's nodes of |r| <= ln(2) / 2.
pub(super) const EXP: [f32; 5] = [0.5, 0.166_665_76, 0.041_666_556, 0.008_363_181, 0.001_392_618_6];

/// Sets each element of a slice, or of a slice and another beside it, vector by vector; the last may be filled up.
macro_rules! each {
    ($x:ident, |$a:ident| $result:expr) => {{
        let (chunks, rest) = $x.as_chunks_mut::<LANES>();
        for chunk in chunks {
            let $a = load(chunk);
            store(chunk, $result);
        }
        if !rest.is_empty() {
            let mut last = [0.0; LANES];
            last[..rest.len()].copy_from_slice(rest);
            let $a = load(&last);
            store(&mut last, $result);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }};
    ($x:ident, $y:ident, |$a:ident, $b:ident| $result:expr) => {{
        let (chunks, rest) = $x.as_chunks_mut::<LANES>();
        let (others, other_rest) = $y.as_chunks::<LANES>();
        for (chunk, other) in chunks.iter_mut().zip(others) {
            let ($a, $b) = (load(chunk), load(other));
            store(chunk, $result);
        }
        if !rest.is_empty() {
            let (mut last, mut other) = ([0.0; LANES], [0.0; LANES]);
            last[..rest.len()].copy_from_slice(rest);
            other[..rest.len()].copy_from_slice(other_rest);
            let ($a, $b) = (load(&last), load(&other));
            store(&mut last, $result);
            rest.copy_from_slice(&last[..rest.len()]);
        }
    }};
}

/// Folds a slice into four vectors, and these into one.
macro_rules! fold {
    ($x:ident, $start:expr, $filler:expr, |$sum:ident, $a:ident| $next:expr, |$c:ident, $d:ident| $join:expr) => {{
        let (chunks, rest) = $x.as_chunks::<LANES>();
        let mut sums = [$start; 4];
        for four in chunks.chunks(4) {
            for (sum, chunk) in sums.iter_mut().zip(four) {
                let ($sum, $a) = (*sum, load(chunk));
                *sum = $next;
            }
        }
        if !rest.is_empty() {
            let mut last = [$filler; LANES];
            last[..rest.len()].copy_from_slice(rest);
            let ($sum, $a) = (sums[3], load(&last));
            sums[3] = $next;
        }
        let join = |$c, $d| $join;
        join(join(sums[0], sums[1]), join(sums[2], sums[3]))
    }};
}

/// All operations, for a module that has the words `LANES`, `load`, `store`, `splat`, `add_`, `sub`, `mul`, `div`,
/// `mul_add`, `max`, `abs`, `exp`, `sum`, `largest`.
macro_rules! operations {
    ($features:literal) => {
        #[target_feature(enable = $features)]
        pub(crate) fn rms_norm(row: &mut [f32], weight: &[f32], epsilon: f32) {
            let squares = sum(fold!(
                row,
                splat(0.0),
                0.0,
                |sum, a| mul_add(a, a, sum),
                |a, b| add_(a, b)
            ));
            let factor = splat(1.0 / (squares / row.len() as f32 + epsilon).sqrt());
            each!(row, weight, |a, b| mul(mul(a, factor), b));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn layer_norm(row: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
            let count = row.len() as f32;
            let mean = sum(fold!(
                row,
                splat(0.0),
                0.0,
                |sum, a| add_(sum, a),
                |a, b| add_(a, b)
            )) / count;
            let middle = splat(mean);
            // What fills the last vector up is the mean, so that it adds nothing.
            let variance = sum(fold!(
                row,
                splat(0.0),
                mean,
                |sum, a| {
                    let distance = sub(a, middle);
                    mul_add(distance, distance, sum)
                },
                |a, b| add_(a, b)
            )) / count;
            let factor = splat(1.0 / (variance + epsilon).sqrt());
            each!(row, weight, |a, b| mul(mul(sub(a, middle), factor), b));
            each!(row, bias, |a, b| add_(a, b));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn softmax(row: &mut [f32]) {
            let top = splat(largest(fold!(
                row,
                splat(f32::NEG_INFINITY),
                f32::NEG_INFINITY,
                |sum, a| max(sum, a),
                |a, b| max(a, b)
            )));
            each!(row, |a| exp(sub(a, top)));
            let total = sum(fold!(
                row,
                splat(0.0),
                0.0,
                |sum, a| add_(sum, a),
                |a, b| add_(a, b)
            ));
            let factor = splat(1.0 / total);
            each!(row, |a| mul(a, factor));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn shares(row: &mut [f32], factor: f32) -> f32 {
            let top = splat(largest(fold!(
                row,
                splat(f32::NEG_INFINITY),
                f32::NEG_INFINITY,
                |sum, a| max(sum, a),
                |a, b| max(a, b)
            )));
            let factor = splat(factor);
            let (chunks, rest) = row.as_chunks_mut::<LANES>();
            let mut sums = [splat(0.0); 2];
            for (index, chunk) in chunks.iter_mut().enumerate() {
                let share = exp(mul(sub(load(chunk), top), factor));
                store(chunk, share);
                sums[index % 2] = add_(sums[index % 2], share);
            }
            if !rest.is_empty() {
                // What fills the last vector up has a share of zero.
                let mut last = [f32::NEG_INFINITY; LANES];
                last[..rest.len()].copy_from_slice(rest);
                let share = exp(mul(sub(load(&last), top), factor));
                store(&mut last, share);
                rest.copy_from_slice(&last[..rest.len()]);
                sums[0] = add_(sums[0], share);
            }
            sum(add_(sums[0], sums[1]))
        }

        #[target_feature(enable = $features)]
        pub(crate) fn silu_multiply(gate: &mut [f32], up: &[f32]) {
            let one = splat(1.0);
            each!(gate, up, |a, b| mul(
                div(a, add_(one, exp(sub(splat(0.0), a)))),
                b
            ));
        }

        /// `x / (1 + exp(-2 * inner))`.
        #[inline]
        #[target_feature(enable = $features)]
        fn gelu_tanh_of(x: Vector) -> Vector {
            let inner = mul(
                x,
                mul_add(
                    mul(x, x),
                    splat(scalar::GELU_SLOPE * scalar::GELU_CUBE),
                    splat(scalar::GELU_SLOPE),
                ),
            );
            div(x, add_(splat(1.0), exp(mul(inner, splat(-2.0)))))
        }

        #[target_feature(enable = $features)]
        pub(crate) fn gelu_tanh(x: &mut [f32]) {
            each!(x, |a| gelu_tanh_of(a));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn gelu_tanh_multiply(gate: &mut [f32], up: &[f32]) {
            each!(gate, up, |a, b| mul(gelu_tanh_of(a), b));
        }

        #[inline]
        #[target_feature(enable = $features)]
        fn gelu_of(x: Vector) -> Vector {
            let size = abs(x);
            let a = mul(size, splat(std::f32::consts::FRAC_1_SQRT_2));
            let t = div(splat(1.0), mul_add(a, splat(scalar::ERF_P), splat(1.0)));
            let [c1, c2, c3, c4, c5] = scalar::ERF;
            let mut polynomial = mul_add(splat(c5), t, splat(c4));
            polynomial = mul_add(polynomial, t, splat(c3));
            polynomial = mul_add(polynomial, t, splat(c2));
            polynomial = mul(mul_add(polynomial, t, splat(c1)), t);
            let complement = mul(polynomial, exp(sub(splat(0.0), mul(a, a))));
            mul_add(mul(size, splat(-0.5)), complement, max(splat(0.0), x))
        }

        #[target_feature(enable = $features)]
        pub(crate) fn gelu(x: &mut [f32]) {
            each!(x, |a| gelu_of(a));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn gelu_of_sum(x: &mut [f32], bias: &[f32]) {
            each!(x, bias, |a, b| gelu_of(add_(a, b)));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn soft_cap(x: &mut [f32], cap: f32) {
            let (twice, one) = (splat(2.0 / cap), splat(1.0));
            let (cap, cap_twice) = (splat(cap), splat(-2.0 * cap));
            each!(x, |a| add_(
                cap,
                div(cap_twice, add_(one, exp(mul(a, twice))))
            ));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn add(x: &mut [f32], y: &[f32]) {
            scalar::add(x, y);
        }

        #[target_feature(enable = $features)]
        pub(crate) fn add_both(x: &mut [f32], y: &[f32], z: &[f32]) {
            scalar::add_both(x, y, z);
        }

        #[target_feature(enable = $features)]
        pub(crate) fn scale(x: &mut [f32], factor: f32) {
            scalar::scale(x, factor);
        }

        #[target_feature(enable = $features)]
        pub(crate) fn rope(head: &mut [f32], cosines: &[f32], sines: &[f32]) {
            scalar::rope(head, cosines, sines);
        }

        /// `exp` of each number, for tests over its range.
        #[cfg(test)]
        #[target_feature(enable = $features)]
        pub(crate) fn exps(x: &mut [f32]) {
            each!(x, |a| exp(a));
        }

        #[target_feature(enable = $features)]
        pub(crate) fn to_f16(x: &[f32], out: &mut [u16]) {
            let (chunks, rest) = x.as_chunks::<LANES>();
            let (outs, out_rest) = out.as_chunks_mut::<LANES>();
            for (out, chunk) in outs.iter_mut().zip(chunks) {
                store_halves(out, narrow_f16(load(chunk)));
            }
            scalar::to_f16(rest, out_rest);
        }

        #[target_feature(enable = $features)]
        pub(crate) fn to_f16_saturating(x: &[f32], out: &mut [u16]) {
            let (most, least) = (splat(scalar::F16_MAX), splat(-scalar::F16_MAX));
            let (chunks, rest) = x.as_chunks::<LANES>();
            let (outs, out_rest) = out.as_chunks_mut::<LANES>();
            for (out, chunk) in outs.iter_mut().zip(chunks) {
                store_halves(out, narrow_f16(max(least, min(most, load(chunk)))));
            }
            scalar::to_f16_saturating(rest, out_rest);
        }

        #[target_feature(enable = $features)]
        pub(crate) fn from_f16(x: &[u16], out: &mut [f32]) {
            let (chunks, rest) = x.as_chunks::<LANES>();
            let (outs, out_rest) = out.as_chunks_mut::<LANES>();
            for (out, chunk) in outs.iter_mut().zip(chunks) {
                store(out, widen_f16(chunk));
            }
            scalar::from_f16(rest, out_rest);
        }

        #[target_feature(enable = $features)]
        pub(crate) fn to_bf16(x: &[f32], out: &mut [u16]) {
            scalar::to_bf16(x, out);
        }

        #[target_feature(enable = $features)]
        pub(crate) fn from_bf16(x: &[u16], out: &mut [f32]) {
            scalar::from_bf16(x, out);
        }
    };
}

pub(super) use {each, fold, operations};
