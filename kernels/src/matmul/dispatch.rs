//! Which kernel multiplies a group of outputs with a panel of activations.
//!
//! Why apart: the one place where instructions that not every CPU has are called.
//!
//! # Invariants
//! A kernel is called for a set only if the set has all features that the kernel is compiled for.

#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use super::avx512;
use super::panel::{FloatPanel, IntegerPanel, PairPanel};
use super::{Block, scalar};
use crate::cpu::KernelSet;
use crate::packed::tile::{Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32};

macro_rules! kernels {
    ($($name:ident($tile:ty, $panel:ident): $($set:ident)|* => $module:ident);* $(;)?) => {$(
        pub(super) fn $name(set: KernelSet, tiles: &[$tile], panel: &$panel<'_>, out: &mut Block) {
            #[cfg(target_arch = "x86_64")]
            match set {
                // SAFETY: whoever has a `Kernels` of such a set has a CPU with all of the set's features, and each of
                // these kernels is compiled for features of its set alone.
                $(KernelSet::$set)|* => return unsafe { $module::$name(tiles, panel, out) },
                _ => {}
            }
            let _ = set;
            scalar::$name(tiles, panel, out);
        }
    )*};
}

kernels! {
    q8(Tile8, IntegerPanel): Avx512Vnni | Avx512Bf16 | Amx => avx512;
    q4(Tile4, IntegerPanel): Avx512Vnni | Avx512Bf16 | Amx => avx512;
    q4k(Tile4K, IntegerPanel): Avx512Vnni | Avx512Bf16 | Amx => avx512;
    q6k(Tile6K, IntegerPanel): Avx512Vnni | Avx512Bf16 | Amx => avx512;
    f32(TileF32, FloatPanel): Avx512Vnni | Avx512Bf16 | Amx => avx512;
    f16(TileF16, FloatPanel): Avx512Vnni | Avx512Bf16 | Amx => avx512;
    bf16(TileBf16, FloatPanel): Avx512Vnni => avx512;
    pairs(TileBf16, PairPanel): Avx512Bf16 => avx512;
}
