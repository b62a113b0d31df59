//! Which kernel multiplies a group of outputs with a panel of activations.
//!
//! Why apart: the one place where instructions that not every CPU has are called.
//!
//! # Invariants
//! A kernel is called for a set only if the set has all features that the kernel is compiled for.

use super::panel::{FloatPanel, IntegerPanel, PairPanel};
use super::{Block, scalar};
use crate::cpu::KernelSet;
use crate::packed::tile::{Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32};

pub(super) fn q8(set: KernelSet, tiles: &[Tile8], panel: &IntegerPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::q8(tiles, panel, out);
}

pub(super) fn q4(set: KernelSet, tiles: &[Tile4], panel: &IntegerPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::q4(tiles, panel, out);
}

pub(super) fn q4k(set: KernelSet, tiles: &[Tile4K], panel: &IntegerPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::q4k(tiles, panel, out);
}

pub(super) fn q6k(set: KernelSet, tiles: &[Tile6K], panel: &IntegerPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::q6k(tiles, panel, out);
}

pub(super) fn f32(set: KernelSet, tiles: &[TileF32], panel: &FloatPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::f32(tiles, panel, out);
}

pub(super) fn f16(set: KernelSet, tiles: &[TileF16], panel: &FloatPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::f16(tiles, panel, out);
}

pub(super) fn bf16(set: KernelSet, tiles: &[TileBf16], panel: &FloatPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::bf16(tiles, panel, out);
}

pub(super) fn pairs(set: KernelSet, tiles: &[TileBf16], panel: &PairPanel<'_>, out: &mut Block) {
    let _ = set;
    scalar::pairs(tiles, panel, out);
}
