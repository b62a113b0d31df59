//! Up to six rows, two vectors of a line at a time: AVX2 and FMA.
//!
//! Why apart: compiled for instructions that only some CPUs have.
//!
//! # Invariants
//! Called only for sets that have them.

// Loops over indices keep all sums in registers.
#![allow(clippy::needless_range_loop)]

use super::super::tile::{EIGHT, LINE};
use super::Left;
use super::wide::products;
use crate::simd::{load_8 as load, store_8 as store};
use crate::vector::avx2::{LANES, mul_add, splat};

products!("avx2,fma,f16c", 6: 1 2 3 4 5);
