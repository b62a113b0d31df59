//! Real evidence for tests: where it lies, and what to say when it does not.
//!
//! Why apart: evidence is never part of the project, and one place may read files.
//!
//! # Invariants
//! Built for tests only. Looks in `ANCHORHOLD_TESTDATA`, else in `shared` beside the repository.

#![allow(clippy::disallowed_methods)] // a test reads its files

use std::io::Write as _;
use std::path::Path;

/// A file below `evidence`, or `None` after saying loudly that `test` was skipped.
pub(crate) fn evidence(test: &str, path: &str) -> Option<Vec<u8>> {
    let root = std::env::var_os("ANCHORHOLD_TESTDATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        Into::into,
    );
    let found = std::fs::read(root.join("evidence").join(path)).ok();
    if found.is_none() {
        // Past the capture of test output: nobody is left to tell when standard error is gone.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED {test}: no evidence/{path} in ../shared or ANCHORHOLD_TESTDATA"
        );
    }
    found
}

/// True where `ANCHORHOLD_THOROUGH` is set: tests that spoil evidence bit by bit then leave no bit out, and take
/// minutes.
pub(crate) fn thorough() -> bool {
    std::env::var_os("ANCHORHOLD_THOROUGH").is_some()
}
