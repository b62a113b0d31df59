//! The settings in a model's JSON files, checked before anything is computed from them.
//!
//! Why apart: these files are data of the model's owner; the rest of the engine sees bounded numbers.
//!
//! - [`keys`]: typed, bounded access by name
//! - [`family`]: the families of decoders, a file for each; [`decoder`], [`rope`]: what they have in common
//! - [`encoder`]: the BERT family
//! - [`sentence`]: how a network's output becomes one vector
//!
//! # Invariants
//! A setting that would change what is computed is honoured or refused, never passed over.

pub(crate) mod decoder;
pub(crate) mod encoder;
pub(crate) mod family;
pub(crate) mod keys;
pub(crate) mod rope;
pub(crate) mod sentence;

#[cfg(test)]
mod tests;
