//! Bytes that two sides must agree on, in one place so that they cannot drift apart.
//!
//! Why apart: the verifier, the sealed format, the enclave and the broker hash and sign the same
//! structures, and the verifier may depend on none of the others.
//!
//! - [`digest`]: SHA-2 values as types that know their length
//! - [`preimage`]: length-prefixed preimages under a label
//! - [`bounded`]: JSON of any shape, with a bound on its values
//! - [`canonical`]: RFC 8785 JSON, refused unless it is already canonical
//! - [`tree`]: RFC 9162 hash trees and inclusion proofs
//!
//! # Invariants
//! No I/O, no clock, no randomness. Nothing here pads or truncates.

#![forbid(unsafe_code)]

pub mod bounded;
pub mod canonical;
pub mod digest;
pub mod preimage;
pub mod tree;

pub use digest::{Digest, sha256, sha384, sha512};
pub use preimage::Preimage;
