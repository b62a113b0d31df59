//! Plain numbers become 8 or 4 bits with a scale for 32 of them.
//!
//! Why apart: the one step of packing that loses something; how much is measured here.
//!
//! # Invariants
//! The largest of 32 weights is met to within the rounding of its scale. 8 bits: no weight is off by more than 1/250 of
//! the largest; 4 bits: 1/14, and 1/8 where the second largest has the other sign.

use crate::half::{f16_to_f32, f32_to_f16};

/// A binary16 scale by which no quotient goes past `limit`; `None` when there is none.
fn scale_for(largest: f32, limit: f32) -> Option<u16> {
    let exact = largest / limit;
    let scale = f32_to_f16(exact);
    // Subnormal scales are coarse, and one too small would cut weights off.
    let scale = if largest.abs() > f16_to_f32(scale).abs() * (limit.abs() + 0.5) {
        scale + 1
    } else {
        scale
    };
    f16_to_f32(scale).is_finite().then_some(scale)
}

fn rounded(block: &[f32; 32], scale: u16, least: f32, most: f32) -> [i8; 32] {
    let scale = f16_to_f32(scale);
    if scale == 0.0 {
        return [0; 32];
    }
    block.map(|number| (number / scale).round_ties_even().clamp(least, most) as i8)
}

/// 8 bits; `None` when the numbers are too large for a binary16 scale.
pub(crate) fn to_8(block: &[f32; 32]) -> Option<([i8; 32], u16)> {
    let largest = block
        .iter()
        .fold(0f32, |largest, number| largest.max(number.abs()));
    let scale = scale_for(largest, 127.0)?;
    Some((rounded(block, scale, -127.0, 127.0), scale))
}

/// 4 bits, from -8 to 7; the weight that is largest without its sign becomes -8.
pub(crate) fn to_4(block: &[f32; 32]) -> Option<([i8; 32], u16)> {
    let largest = block.iter().fold(0f32, |largest, number| {
        if number.abs() > largest.abs() {
            *number
        } else {
            largest
        }
    });
    let scale = scale_for(largest, -8.0)?;
    Some((rounded(block, scale, -8.0, 7.0), scale))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worst(block: &[f32; 32], quantise: impl Fn(&[f32; 32]) -> Option<([i8; 32], u16)>) -> f32 {
        let (quants, scale) = quantise(block).unwrap();
        block
            .iter()
            .zip(quants)
            .map(|(number, quant)| (number - f32::from(quant) * f16_to_f32(scale)).abs())
            .fold(0.0, f32::max)
    }

    #[test]
    fn errors_stay_within_what_is_said() {
        let mut state = 7u32;
        for exponent in [-20, -6, 0, 10, 18] {
            for _ in 0..200 {
                let block: [f32; 32] = std::array::from_fn(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((state >> 8) as f32 / 8_388_608.0 - 1.0) * 2f32.powi(exponent)
                });
                let largest = block
                    .iter()
                    .fold(0f32, |largest, number| largest.max(number.abs()));
                // Below 2^-14 a scale has fewer digits.
                let coarse = 2f32.powi(-24) * 128.0;
                assert!(
                    worst(&block, to_8) <= largest / 250.0 + coarse,
                    "8 bits, 2^{exponent}"
                );
                assert!(
                    worst(&block, to_4) <= largest / 8.0 + coarse / 8.0,
                    "4 bits, 2^{exponent}"
                );
            }
        }
    }

    #[test]
    fn zeros_tiny_and_huge_blocks() {
        assert_eq!(to_8(&[0.0; 32]), Some(([0; 32], 0)));
        assert_eq!(to_4(&[-0.0; 32]).map(|block| block.0), Some([0; 32]));
        let tiny = [1e-6f32; 32];
        assert!(worst(&tiny, to_8) <= 6e-8 * 64.0);
        assert!(to_8(&[65504.0 * 127.0; 32]).is_some());
        assert!(to_8(&[1e9; 32]).is_none());
        assert!(to_4(&[-1e9; 32]).is_none());
        assert!(to_8(&[f32::MAX; 32]).is_none());
    }

    #[test]
    fn what_is_exact_stays_exact() {
        let block: [f32; 32] = std::array::from_fn(|i| (i as f32 - 16.0) / 2.0 / 16.0 * 16.0);
        let fours = block.map(|number| number.trunc());
        assert_eq!(worst(&fours, to_4), 0.0);
        let eights: [f32; 32] = std::array::from_fn(|i| if i == 0 { 127.0 } else { i as f32 });
        assert_eq!(worst(&eights, to_8), 0.0);
    }
}
