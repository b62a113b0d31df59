//! Which kernel multiplies a group of outputs with a panel of activations.
//!
//! Why apart: the one place where instructions that not every CPU has are called.
//!
//! # Invariants
//! A kernel is called for a set only if the set has all features that the kernel is compiled for.

#![allow(unsafe_code)]

use super::panel::{FloatPanel, IntegerPanel, PairPanel};
use super::{Block, scalar};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx_vnni, avx2, avx512};
use crate::cpu::KernelSet;
use crate::packed::tile::{Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32};

macro_rules! kernels {
    ($($name:ident($tile:ty, $panel:ident): $($($set:ident)|* => $module:ident),*);* $(;)?) => {$(
        pub(super) fn $name(set: KernelSet, tiles: &[$tile], panel: &$panel<'_>, out: &mut Block) {
            #[cfg(target_arch = "x86_64")]
            match set {
                $(
                    // SAFETY: whoever has a `Kernels` of such a set has a CPU with all of the set's features, and each
                    // of these kernels is compiled for features of its set alone.
                    $(KernelSet::$set)|* => return unsafe { $module::$name(tiles, panel, out) },
                )*
                _ => {}
            }
            let _ = set;
            scalar::$name(tiles, panel, out);
        }
    )*};
}

kernels! {
    q8(Tile8, IntegerPanel): Avx2 => avx2, AvxVnni => avx_vnni, Avx512Vnni | Avx512Bf16 => avx512, Amx => amx;
    q4(Tile4, IntegerPanel): Avx2 => avx2, AvxVnni => avx_vnni, Avx512Vnni | Avx512Bf16 => avx512, Amx => amx;
    q4k(Tile4K, IntegerPanel): Avx2 => avx2, AvxVnni => avx_vnni, Avx512Vnni | Avx512Bf16 => avx512, Amx => amx;
    q6k(Tile6K, IntegerPanel): Avx2 => avx2, AvxVnni => avx_vnni, Avx512Vnni | Avx512Bf16 => avx512, Amx => amx;
    f32(TileF32, FloatPanel): Avx2 | AvxVnni => avx2, Avx512Vnni | Avx512Bf16 | Amx => avx512;
    f16(TileF16, FloatPanel): Avx2 | AvxVnni => avx2, Avx512Vnni | Avx512Bf16 | Amx => avx512;
    bf16(TileBf16, FloatPanel): Avx2 | AvxVnni => avx2, Avx512Vnni => avx512;
    pairs(TileBf16, PairPanel): Avx512Bf16 => avx512, Amx => amx;
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::super::avx_vnni::by_avx512;
    use super::*;
    use crate::cpu::Kernels;
    use crate::matmul::Activations;
    use crate::packed::tests::random_matrix;
    use crate::packed::{Precision, Tiles};
    use crate::pool::Pool;
    use crate::{BlockFormat, KernelSet};

    /// The loops of AVX-VNNI are the same with either instruction; only the encoding is left untested where a CPU has
    /// none.
    #[test]
    #[expect(clippy::print_stderr, reason = "a test that is left out must say so")]
    fn loops_of_avx_vnni_agree_with_plain_ones() {
        let here = Kernels::exactly(KernelSet::Avx512Vnni).and(Kernels::exactly(KernelSet::Avx2));
        let Some(kernels) = here else {
            eprintln!("SKIPPED loops_of_avx_vnni_agree_with_plain_ones: this CPU has no avx512-vnni");
            return;
        };
        for format in [
            BlockFormat::Q8_0,
            BlockFormat::Q4_0,
            BlockFormat::Q4K,
            BlockFormat::Q6K,
        ] {
            let (_, matrix) = random_matrix(format, Precision::of(format), 16, 768, 21);
            for rows in 1..=4 {
                let values: Vec<f32> = (0..rows * 768)
                    .map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0)
                    .collect();
                let mut activations = Activations::new(kernels);
                activations.prepare(&Pool::new(1), &[matrix.precision()], 768, &values);
                let (_, panel) = activations.integer_panels();
                let panel = panel(0);
                let (mut expected, mut found) = ([1.0; 512], [2.0; 512]);
                // SAFETY: this CPU was seen to have AVX-512 VNNI and AVX2.
                unsafe {
                    match matrix.tiles() {
                        Tiles::Q8(tiles) => {
                            scalar::q8(tiles, &panel, &mut expected);
                            by_avx512::q8(tiles, &panel, &mut found);
                        }
                        Tiles::Q4(tiles) => {
                            scalar::q4(tiles, &panel, &mut expected);
                            by_avx512::q4(tiles, &panel, &mut found);
                        }
                        Tiles::Q4K(tiles) => {
                            scalar::q4k(tiles, &panel, &mut expected);
                            by_avx512::q4k(tiles, &panel, &mut found);
                        }
                        Tiles::Q6K(tiles) => {
                            scalar::q6k(tiles, &panel, &mut expected);
                            by_avx512::q6k(tiles, &panel, &mut found);
                        }
                        _ => unreachable!("integers only"),
                    }
                }
                let count = rows * 16;
                for (expected, found) in expected[..count].iter().zip(&found[..count]) {
                    assert_eq!(expected.to_bits(), found.to_bits(), "{format:?} {rows}");
                }
            }
        }
    }
}
