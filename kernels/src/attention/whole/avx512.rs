//! Up to twelve rows, two vectors a line: AVX-512.
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
use crate::simd::{load_16 as load, store_16 as store};
use crate::vector::avx512::{LANES, mul_add, splat};

products!("avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl", 12: 1 2 3 4 5 6 7 8 9 10 11);
