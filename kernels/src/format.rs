//! The forms in which files hold weights.
//!
//! Why apart: whoever reads files needs the sizes, whoever packs weights needs the meaning.
//!
//! # Invariants
//! A row of a matrix is a whole number of blocks.

pub(crate) mod blocks;

/// How numbers lie in a file: plain, or in blocks of ggml (`ggml-common.h` of llama.cpp describes them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BlockFormat {
    /// IEEE 754 binary32, little endian.
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of binary32.
    Bf16,
    /// 32 weights: f16 scale, 32 signed bytes.
    Q8_0,
    /// 32 weights: f16 scale, 16 bytes of two 4-bit numbers, less 8.
    Q4_0,
    /// 32 weights: f16 scale and minimum, 16 bytes.
    Q4_1,
    /// 32 weights: f16 scale, 4 bytes of fifth bits, 16 bytes, less 16.
    Q5_0,
    /// 32 weights: f16 scale and minimum, 4 bytes of fifth bits, 16 bytes.
    Q5_1,
    /// 256 weights: two f16 super-scales, 12 bytes of 6-bit scales and minima for eight parts, 128 bytes.
    Q4K,
    /// 256 weights: as [`Self::Q4K`] with 32 bytes of fifth bits.
    Q5K,
    /// 256 weights: 128 bytes of lower and 64 of upper bits, 16 signed scales, f16 super-scale.
    Q6K,
}

impl BlockFormat {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
    ];

    /// Weights in a block.
    #[must_use]
    pub const fn block_weights(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 => 32,
            Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of a block.
    #[must_use]
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Bytes of a row of `weights` numbers; `None` when that is no whole number of blocks, or overflows.
    #[must_use]
    pub const fn row_bytes(self, weights: usize) -> Option<usize> {
        if weights.is_multiple_of(self.block_weights()) {
            (weights / self.block_weights()).checked_mul(self.block_bytes())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_whole_blocks() {
        for format in BlockFormat::ALL {
            let block = format.block_weights();
            assert_eq!(format.row_bytes(3 * block), Some(3 * format.block_bytes()));
            assert_eq!(
                format.row_bytes(block + 1),
                (block == 1).then(|| 2 * format.block_bytes())
            );
        }
        assert_eq!(BlockFormat::F32.row_bytes(usize::MAX), None);
    }
}
