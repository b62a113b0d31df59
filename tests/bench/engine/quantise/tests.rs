//! Blocks read back, by readers written from the formats' descriptions alone.

use super::*;

fn half(bytes: &[u8]) -> f32 {
    from_f16(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// One block, read.
fn read(format: BlockFormat, block: &[u8]) -> Vec<f32> {
    assert_eq!(block.len(), format.block_bytes());
    match format {
        BlockFormat::F32 => vec![f32::from_le_bytes(block.try_into().unwrap())],
        BlockFormat::F16 => vec![half(block)],
        BlockFormat::Bf16 => vec![f32::from_bits(
            u32::from(u16::from_le_bytes([block[0], block[1]])) << 16,
        )],
        BlockFormat::Q8_0 => {
            let scale = half(block);
            block[2..]
                .iter()
                .map(|step| scale * f32::from(*step as i8))
                .collect()
        }
        BlockFormat::Q4_0 => {
            let scale = half(block);
            let value = |step: u8| scale * (f32::from(step) - 8.0);
            let low = block[2..].iter().map(|byte| value(byte & 15));
            low.chain(block[2..].iter().map(|byte| value(byte >> 4)))
                .collect()
        }
        BlockFormat::Q4K => {
            let (d, dmin, six, steps) = (half(block), half(&block[2..]), &block[4..16], &block[16..]);
            (0..256)
                .map(|at| {
                    let part = at / 32;
                    let (scale, minimum) = if part < 4 {
                        (six[part] & 63, six[part + 4] & 63)
                    } else {
                        (
                            six[part + 4] & 15 | (six[part - 4] >> 6) << 4,
                            six[part + 4] >> 4 | (six[part] >> 6) << 4,
                        )
                    };
                    let byte = steps[32 * (part / 2) + at % 32];
                    let step = if part % 2 == 0 { byte & 15 } else { byte >> 4 };
                    d * f32::from(scale) * f32::from(step) - dmin * f32::from(minimum)
                })
                .collect()
        }
        BlockFormat::Q6K => {
            let (low, high, scales, d) = (
                &block[..128],
                &block[128..192],
                &block[192..208],
                half(&block[208..]),
            );
            (0..256)
                .map(|at| {
                    let (part, within) = (at / 128, at % 128);
                    let (quarter, place) = (within / 32, within % 32);
                    let byte = low[64 * part + 32 * (quarter % 2) + place];
                    let lower = if quarter < 2 { byte & 15 } else { byte >> 4 };
                    let upper = high[32 * part + place] >> (2 * quarter) & 3;
                    let step = f32::from(lower | upper << 4) - 32.0;
                    d * f32::from(scales[at / 16] as i8) * step
                })
                .collect()
        }
        other => panic!("{other:?}"),
    }
}

/// Numbers of both signs, small and large, with parts of zeros.
fn numbers() -> Vec<f32> {
    let mut state = 1_u64;
    (0..1024)
        .map(|at| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let number = ((state >> 40) as f32 / 16_777_216.0 - 0.5) * [0.02, 1.0, 30.0][at / 7 % 3];
            if (256..288).contains(&at) || at >= 768 {
                0.0
            } else {
                number
            }
        })
        .collect()
}

#[test]
fn blocks_read_back_within_a_step() {
    let numbers = numbers();
    // Parts of a step of the largest number in a block: half of it, and what the rounding of scales adds.
    // A 16-bit number, as scales are, has no finer steps.
    let tiny = 2_f32.powi(-24);
    for (format, bound) in [
        (BlockFormat::F32, 0.0),
        (BlockFormat::F16, 0.0005),
        (BlockFormat::Bf16, 0.004),
        (BlockFormat::Q8_0, 0.5 / 127.0 + 0.0005),
        (BlockFormat::Q4_0, 1.0 / 8.0 + 0.001),
        (BlockFormat::Q4K, 0.12),
        (BlockFormat::Q6K, 0.5 / 31.0 + 0.01),
    ] {
        let mut bytes = Vec::new();
        row(format, &numbers, &mut bytes).unwrap();
        assert_eq!(Some(bytes.len()), format.row_bytes(numbers.len()), "{format:?}");
        for (block, wanted) in bytes
            .chunks_exact(format.block_bytes())
            .zip(numbers.chunks_exact(format.block_weights()))
        {
            let most = largest(wanted);
            for (found, wanted) in read(format, block).iter().zip(wanted) {
                assert!(
                    (found - wanted).abs() <= bound * most + tiny,
                    "{format:?}: {found} for {wanted} of {most}"
                );
            }
        }
    }
}

#[test]
fn halves_are_the_nearest() {
    for (value, bits) in [
        (0.0, 0),
        (-0.0, 0x8000),
        (1.0, 0x3c00),
        (-2.0, 0xc000),
        (65_504.0, 0x7bff),
        (65_519.0, 0x7bff),
        (65_520.0, 0x7c00),
        (f32::INFINITY, 0x7c00),
        // Halfway between two: to even.
        (1.0 + 1.0 / 2048.0, 0x3c00),
        (1.0 + 3.0 / 2048.0, 0x3c02),
        // The smallest normal, the largest and smallest below it, and half of that.
        (6.103_515_6e-5, 0x0400),
        (6.097_555e-5, 0x03ff),
        (5.960_464_5e-8, 1),
        (2.980_232_2e-8, 0),
    ] {
        assert_eq!(f16(value), bits, "{value}");
    }
    for bits in (0..0x7c00).chain(0x8000..0xfc00) {
        assert_eq!(f16(from_f16(bits)), bits);
    }
    assert_eq!(f16(f32::NAN) & 0x7c00, 0x7c00);
    assert_eq!(bf16(1.0), 0x3f80);
    assert_eq!(bf16(f32::from_bits(0x3f80_8000)), 0x3f80);
    assert_eq!(bf16(f32::from_bits(0x3f81_8000)), 0x3f82);
    assert!(f32::from_bits(u32::from(bf16(f32::NAN)) << 16).is_nan());
}

#[test]
fn formats_are_mixed_as_in_published_files() {
    assert_eq!(Mix::Q4_0.embedding(), BlockFormat::Q6K);
    assert_eq!(Mix::Q4_0Pure.embedding(), BlockFormat::Q4_0);
    assert_eq!(Mix::Q8_0.embedding(), BlockFormat::Q8_0);
    let careful: Vec<usize> = (0..28)
        .filter(|layer| Mix::Q4KM.careful(*layer, 28) == BlockFormat::Q6K)
        .collect();
    assert_eq!(careful, [0, 1, 2, 5, 8, 11, 14, 17, 20, 23, 24, 25, 26, 27]);
    assert!((0..28).all(|layer| Mix::Q4_0.careful(layer, 28) == BlockFormat::Q4_0));
    assert!(row(BlockFormat::Q5K, &[0.0; 256], &mut Vec::new()).is_err());
}
