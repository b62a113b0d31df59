//! The settings in a model's JSON files, checked before anything is computed from them.
//!
//! Why apart: these files are data of the model's owner; the rest of the engine sees bounded numbers.
//!
//! - [`keys`]: typed, bounded access by name
//! - [`decoder`], [`rope`]: the decoder families
//! - [`embedder`]: the BERT family
//!
//! # Invariants
//! A setting that would change what is computed is honoured or refused, never passed over.

pub(crate) mod decoder;
pub(crate) mod embedder;
pub(crate) mod keys;
pub(crate) mod rope;

#[cfg(test)]
mod tests;
