//! Numbers of 16 bits: binary16 and the upper half of binary32.
//!
//! Why apart: whoever reads, packs or multiplies such numbers must round them alike.
//!
//! # Invariants
//! Rounds to the nearest, ties to even, subnormal numbers included; a NaN stays one.

/// The number that a binary16 stands for.
#[inline(always)]
#[must_use]
pub fn f16_to_f32(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let bits = if magnitude >= 0x7c00 {
        0x7f80_0000 | (magnitude & 0x3ff) << 13
    } else {
        // 2^112 moves the exponent from one bias to the other, and is exact for subnormal numbers too.
        (f32::from_bits(magnitude << 13) * f32::from_bits(0x7780_0000)).to_bits()
    };
    f32::from_bits(sign | bits)
}

/// The binary16 nearest to a number; infinite above 65519.
#[inline(always)]
#[must_use]
pub fn f32_to_f16(number: f32) -> u16 {
    let bits = number.to_bits();
    let sign = ((bits >> 16) & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    let half = if magnitude > 0x7f80_0000 {
        0x7e00
    } else if magnitude >= 0x477f_f000 {
        0x7c00
    } else if magnitude < 0x3880_0000 {
        // The unit of the last place at 0.5 is that of subnormal halves: adding rounds.
        ((f32::from_bits(magnitude) + 0.5).to_bits() - 0x3f00_0000) as u16
    } else {
        let rebased = magnitude - (112 << 23);
        ((rebased + 0xfff + ((rebased >> 13) & 1)) >> 13) as u16
    };
    sign | half
}

/// The number that the upper half of a binary32 stands for.
#[inline(always)]
#[must_use]
pub fn bf16_to_f32(half: u16) -> f32 {
    f32::from_bits(u32::from(half) << 16)
}

/// The upper half of a binary32 nearest to a number.
#[inline(always)]
#[must_use]
pub fn f32_to_bf16(number: f32) -> u16 {
    let bits = number.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    // Chosen, not branched upon: so the compiler makes vectors of it.
    let half = if number.is_nan() {
        bits | 0x0040_0000
    } else {
        rounded
    };
    (half >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_comes_back() {
        for half in 0..=u16::MAX {
            let number = f16_to_f32(half);
            if number.is_nan() {
                assert!(f16_to_f32(f32_to_f16(number)).is_nan());
            } else {
                assert_eq!(f32_to_f16(number), half);
            }
            let number = bf16_to_f32(half);
            if number.is_nan() {
                assert!(bf16_to_f32(f32_to_bf16(number)).is_nan());
            } else {
                assert_eq!(f32_to_bf16(number), half);
            }
        }
    }

    #[test]
    fn known_numbers_and_ties() {
        assert_eq!(f16_to_f32(0x3c00), 1.0);
        assert_eq!(f16_to_f32(0x0001), 2f32.powi(-24));
        assert_eq!(f16_to_f32(0xfbff), -65504.0);
        assert_eq!(f32_to_f16(65519.0), 0x7bff);
        assert_eq!(f32_to_f16(65520.0), 0x7c00);
        // Between 1 and the next: the even one.
        assert_eq!(f32_to_f16(1.0 + 2f32.powi(-11)), 0x3c00);
        assert_eq!(f32_to_f16(1.0 + 3.0 * 2f32.powi(-11)), 0x3c02);
        assert_eq!(f32_to_f16(2f32.powi(-25)), 0);
        assert_eq!(f32_to_f16(1.5 * 2f32.powi(-24)), 2);
        assert_eq!(f32_to_bf16(1.0 + 2f32.powi(-8)), 0x3f80);
        assert_eq!(f32_to_bf16(1.0 + 3.0 * 2f32.powi(-8)), 0x3f82);
        assert_eq!(f32_to_bf16(f32::MAX), 0x7f80);
    }

    #[test]
    fn the_nearest_half_is_chosen() {
        let mut bits = 1u32;
        for _ in 0..200_000 {
            bits = bits.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = f32::from_bits((bits & 0x8fff_ffff) | 0x3000_0000);
            let half = f32_to_f16(number);
            let error = (f16_to_f32(half) - number).abs();
            for other in [half.wrapping_sub(1), half.wrapping_add(1)] {
                let other = f16_to_f32(other);
                assert!(!other.is_finite() || (other - number).abs() >= error);
            }
        }
    }
}
