//! Arithmetic of language models on CPUs: packed weights, products, attention, and the threads that share the work.
//!
//! Why apart: instructions that only some CPUs have are unsafe to write, and nothing else here is. One program must run
//! on every CPU a cloud has, so that each kernel exists several times and is chosen when the program starts.
//!
//! - [`cpu`]: which instructions there are, and which are used
//! - [`half`]: numbers of 16 bits
//! - [`packed`]: weights as the kernels read them
//! - [`matmul`]: products of packed weights with activations
//! - [`mod@format`]: how files hold weights
//! - [`vector`]: norms, softmax, activations, positions, precisions
//! - `keystream`: ChaCha, for masks and draws
//! - [`race`]: which output is drawn
//! - [`kv`]: keys and values of sequences, in pages
//! - [`attention`]: new rows over all that their sequences have said
//! - [`pool`]: threads that take part in one operation at a time
//! - [`memory`]: buffers in large pages, wiped when dropped
//!
//! # Invariants
//! No I/O, no clock, no randomness, no environment. A kernel runs only with a [`Kernels`] that says the CPU has its
//! instructions. Every kernel agrees with a plain one within a stated bound.

pub mod attention;
#[cfg(test)]
mod cases;
pub mod cpu;
mod disjoint;
pub mod format;
pub mod half;
mod keystream;
pub mod kv;
pub mod matmul;
pub mod memory;
pub mod packed;
pub mod pool;
pub mod race;
#[cfg(target_arch = "x86_64")]
mod simd;
pub mod vector;

pub use cpu::{KernelSet, Kernels};
pub use format::BlockFormat;
pub use matmul::{Activations, multiply};
pub use memory::Buffer;
pub use packed::{Matrix, PackError, Precision};
pub use pool::Pool;
