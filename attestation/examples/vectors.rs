//! Writes the published test vectors into `tests/vectors` of the repository:
//! `cargo run -p anchorhold-attestation --example vectors`.
//!
//! Why apart: changing a vector is a change of a published format, never a side effect of a test run.
//!
//! # Invariants
//! Writes what `tests/vectors.rs` of this crate compares.

#![allow(clippy::disallowed_methods)] // a developer's tool, not the verifier

use std::path::Path;

#[path = "../tests/vectors/generate.rs"]
mod generate;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors");
    for (name, content) in generate::all() {
        std::fs::write(folder.join(name), content)?;
    }
    Ok(())
}
