//! The sealed-model format, version 1: `docs/sealed-model.md` has it byte for byte.
//!
//! Why apart: it is the only form in which weights lie on a disk or pass through hands that are not trusted.
//!
//! - [`header`]: what a sealed file says about itself, readable without a key
//! - `stream`: chunk numbering, nonces, and the keys derived for one file
//! - [`error`]: why either was refused
//! - [`seal`]: a folder becomes a sealed file
//! - [`unseal`]: a sealed file becomes an [`UnsealedModel`](crate::unsealed::UnsealedModel)
//!
//! # Invariants
//! The order of checks is fixed: header equals what was expected, then the key commitment, then the
//! manifest's digest, then the manifest, then each file's digest. No later step runs when an earlier failed.

pub mod error;
pub mod header;
pub mod seal;
pub(crate) mod stream;
pub mod unseal;

pub use error::{Field, SealError, UnsealError};
pub use header::Header;
pub use seal::{SealOptions, SealedSummary, seal_dir};
pub use unseal::{Expected, SealedModel};

#[cfg(test)]
mod tests;
