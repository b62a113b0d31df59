//! Other people's data: real models and evidence that are never part of the project.
//!
//! Why apart: one place decides where they lie, and how loudly their absence is told.

use std::io::Write as _;
use std::path::PathBuf;

/// The folder with test data: `ANCHORHOLD_TESTDATA`, else `shared` beside the repository.
#[must_use]
pub fn folder() -> Option<PathBuf> {
    let folder = match std::env::var_os("ANCHORHOLD_TESTDATA") {
        Some(named) => PathBuf::from(named),
        None => crate::tree::root().parent()?.join("shared"),
    };
    folder.is_dir().then_some(folder)
}

/// A file or folder of the test data, or `None` after saying loudly that `test` was skipped.
#[must_use]
pub fn find(test: &str, path: &str) -> Option<PathBuf> {
    let found = folder()
        .map(|folder| folder.join(path))
        .filter(|path| path.exists());
    if found.is_none() {
        skip(
            test,
            &format!(
                "no {path} in ../shared or ANCHORHOLD_TESTDATA (tests/testdata.lock says where to get it)"
            ),
        );
    }
    found
}

/// Says that a test did not run, and why; past the test runner's capture, which would keep it from people.
pub fn skip(test: &str, why: &str) {
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
