//! Limits of GGUF files' tables.
//!
//! Why apart: whoever seals reads them too, without the engine.
//!
//! # Invariants
//! As those of [`super`].

use std::ops::RangeInclusive;

/// Most tensors: 512 layers of 16, and room.
pub(crate) const TENSORS: u64 = 16_384;
/// Most settings: published files have about 50.
pub(crate) const SETTINGS: u64 = 4_096;
/// Longest key, by the format.
pub(crate) const KEY_BYTES: u64 = 65_535;
/// Longest name of a tensor, by the format.
pub(crate) const TENSOR_NAME_BYTES: u64 = 64;
/// Most dimensions of a tensor, by the format.
pub(crate) const DIMENSIONS: usize = 4;
/// Elements of a list: vocabularies have up to 262,144, and lists of merges twice as many.
pub(crate) const ELEMENTS: u64 = 1 << 22;
/// How deep lists may lie in lists: published files have none in another.
pub(crate) const DEPTH: usize = 4;
/// Alignment of a file that names none, by the format.
pub(crate) const ALIGNMENT: u64 = 32;
/// Alignments that may be named: multiples of 8 by the format, and no file is aligned to more than a large page of a CPU.
pub(crate) const ALIGNMENTS: RangeInclusive<u32> = 8..=65_536;
/// Bytes of the tables that are read of a file before it is sealed: the largest vocabularies take 30 MB.
pub(crate) const TABLES: u64 = 256 << 20;
