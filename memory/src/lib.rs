//! What stays in a process's memory after it was used, and how it goes.
//!
//! Why apart: the enclave, the broker, the client and the arithmetic below them share one process's memory each, and plaintext stays where
//! nobody owns it any more: in blocks that were freed, below the live frame of a stack, in buffers that are kept.
//!
//! - [`allocator`]: what is freed is zero
//! - [`stack`]: what a thread left below its live frame is zero
//! - [`locked`]: keys in pages that are not swapped, dumped or inherited
//! - [`measures`]: each measure by its name; tests alone can switch one off
//!
//! # Invariants
//! Nothing here asks what it wipes. Wiping is a `memset` behind a barrier that the compiler must not look through.

pub mod allocator;
pub mod locked;
pub mod measures;
pub mod stack;

pub use allocator::Wiping;
pub use locked::Locked;
pub use measures::Measure;
