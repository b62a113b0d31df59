//! Blocks made by hand, bit by bit, against what they must mean.
//!
//! Why apart: the vectors are longer than the code.
//!
//! # Invariants
//! Each vector is put together here from numbers by the description of its format, never by the code under test.

use super::*;

const ONE: u16 = 0x3c00;
const HALF: u16 = 0x3800;
const QUARTER: u16 = 0x3400;

fn numbers(format: BlockFormat, row: &[u8]) -> Vec<f32> {
    let blocks = row.len() / format.block_bytes();
    let mut out = vec![f32::NAN; blocks * format.block_weights()];
    assert!(format.numbers(row, &mut out));
    out
}

/// Any numbers below `limit`, different for neighbours.
fn sample(count: usize, limit: usize) -> Vec<u8> {
    (0..count).map(|i| ((i * 7 + i / 5 + 3) % limit) as u8).collect()
}

/// 32 numbers below 16: the second half of them in upper halves of bytes.
fn folded(values: &[u8]) -> Vec<u8> {
    (0..16)
        .map(|i| values[i] & 15 | (values[i + 16] & 15) << 4)
        .collect()
}

fn upper_bits(values: &[u8]) -> [u8; 4] {
    let bits = values
        .iter()
        .enumerate()
        .fold(0u32, |bits, (i, value)| bits | u32::from(value >> 4 & 1) << i);
    bits.to_le_bytes()
}

#[test]
fn plain_numbers() {
    assert_eq!(numbers(BlockFormat::F32, &1.5f32.to_le_bytes()), [1.5]);
    assert_eq!(numbers(BlockFormat::F16, &[0x00, 0x3e, 0x00, 0xc0]), [1.5, -2.0]);
    assert_eq!(numbers(BlockFormat::Bf16, &[0xc0, 0x3f, 0x00, 0xc0]), [1.5, -2.0]);
}

#[test]
fn blocks_of_eight_bits() {
    let mut row = HALF.to_le_bytes().to_vec();
    row.extend((0..32).map(|i| (i * 8 - 128) as u8));
    let expected: Vec<f32> = (0..32).map(|i| 0.5 * (i as f32 * 8.0 - 128.0)).collect();
    assert_eq!(numbers(BlockFormat::Q8_0, &row), expected);
}

#[test]
fn blocks_of_four_and_five_bits() {
    let (four, five) = (sample(32, 16), sample(32, 32));
    let (scale, minimum) = (HALF.to_le_bytes(), 0xbc00u16.to_le_bytes());
    let cases = [
        (
            BlockFormat::Q4_0,
            &four,
            [&scale[..], &folded(&four)].concat(),
            -4.0,
        ),
        (
            BlockFormat::Q4_1,
            &four,
            [&scale[..], &minimum, &folded(&four)].concat(),
            -1.0,
        ),
        (
            BlockFormat::Q5_0,
            &five,
            [&scale[..], &upper_bits(&five), &folded(&five)].concat(),
            -8.0,
        ),
        (
            BlockFormat::Q5_1,
            &five,
            [&scale[..], &minimum, &upper_bits(&five), &folded(&five)].concat(),
            -1.0,
        ),
    ];
    for (format, values, row, offset) in cases {
        let expected: Vec<f32> = values
            .iter()
            .map(|value| 0.5 * f32::from(*value) + offset)
            .collect();
        assert_eq!(numbers(format, &row), expected, "{format:?}");
    }
}

/// Twelve bytes out of eight scales and eight minima of six bits.
fn packed_scales(scales: &[u8], minima: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 12];
    for i in 0..4 {
        bytes[i] = scales[i] | scales[i + 4] >> 4 << 6;
        bytes[i + 4] = minima[i] | minima[i + 4] >> 4 << 6;
        bytes[i + 8] = scales[i + 4] & 15 | minima[i + 4] << 4;
    }
    bytes
}

#[test]
fn large_blocks_of_four_and_five_bits() {
    let scales = [1, 63, 17, 40, 16, 33, 62, 15];
    let minima = [0, 5, 63, 31, 48, 2, 19, 63];
    for bits in [4, 5] {
        let values = sample(256, 1 << bits);
        let mut row = [HALF.to_le_bytes(), QUARTER.to_le_bytes()].concat();
        row.extend(packed_scales(&scales, &minima));
        if bits == 5 {
            row.extend(
                (0..32).map(|l| (0..8).fold(0, |byte, part| byte | (values[32 * part + l] >> 4) << part)),
            );
        }
        for pair in values.chunks(64) {
            row.extend((0..32).map(|l| pair[l] & 15 | (pair[l + 32] & 15) << 4));
        }
        let format = if bits == 4 {
            BlockFormat::Q4K
        } else {
            BlockFormat::Q5K
        };
        let expected: Vec<f32> = (0..256)
            .map(|i| {
                let (scale, minimum) = (f32::from(scales[i / 32]), f32::from(minima[i / 32]));
                0.5 * scale * f32::from(values[i]) - 0.25 * minimum
            })
            .collect();
        assert_eq!(numbers(format, &row), expected, "{format:?}");
    }
}

#[test]
fn large_blocks_of_six_bits() {
    let values = sample(256, 64);
    let scales: Vec<i8> = (0..16).map(|i| (i * 16 - 128 + i % 3) as i8).collect();
    let mut row = Vec::new();
    for half in values.chunks(128) {
        row.extend((0..64).map(|l| half[l] & 15 | (half[l + 64] & 15) << 4));
    }
    for half in values.chunks(128) {
        row.extend(
            (0..32).map(|l| (0..4).fold(0, |byte, part| byte | (half[32 * part + l] >> 4) << (2 * part))),
        );
    }
    row.extend(scales.iter().map(|scale| *scale as u8));
    row.extend(ONE.to_le_bytes());
    let expected: Vec<f32> = (0..256)
        .map(|i| f32::from(scales[i / 16]) * (f32::from(values[i]) - 32.0))
        .collect();
    assert_eq!(numbers(BlockFormat::Q6K, &row), expected);
}

#[test]
fn wrong_lengths_are_refused() {
    for format in BlockFormat::ALL {
        let mut out = vec![0.0; 2 * format.block_weights()];
        assert!(!format.numbers(&vec![0; 2 * format.block_bytes() - 1], &mut out));
        assert!(!format.numbers(&vec![0; format.block_bytes()], &mut out));
        assert!(format.numbers(&vec![0; 2 * format.block_bytes()], &mut out));
    }
}
