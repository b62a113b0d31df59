//! The official OpenAI package, unchanged, against `anchorhold client proxy`.
//!
//! Why apart: what "any OpenAI program works" means is decided by a program that nobody here wrote.
//!
//! # Invariants
//! Both scripts say OK at their end; anything else, a traceback included, is a failure.

use std::path::PathBuf;
use std::process::Command;

use anchorhold_tests::testdata::skip;
use anchorhold_tests::tree::root;

use crate::served::{Listening, MODEL, Served};

/// A Python that has the package: `ANCHORHOLD_PYTHON`, else the one `tests/fetch.sh` makes. `None` after saying
/// loudly that `test` was skipped.
pub(crate) fn python(test: &str) -> Option<PathBuf> {
    let made = || target().join("testdata/venv/bin/python");
    let python = std::env::var_os("ANCHORHOLD_PYTHON").map_or_else(made, PathBuf::from);
    let has_package = Command::new(&python)
        .args(["-c", "import openai"])
        .output()
        .is_ok_and(|ran| ran.status.success());
    if !has_package {
        skip(
            test,
            "no Python with the package `openai`: run tests/fetch.sh, or set ANCHORHOLD_PYTHON",
        );
    }
    has_package.then_some(python)
}

/// The build folder, as `tests/fetch.sh` understands it.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Runs a script of the repository against a proxy; it must say OK.
fn drive(python: &PathBuf, script: &str, proxy: &Listening, kind: &str) {
    let output = Command::new(python)
        .arg(root().join(script))
        .args([&proxy.base_url, MODEL, kind])
        .env("OPENAI_API_KEY", &proxy.token)
        .output()
        .expect("Python starts");
    let (said, complained) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(
        output.status.success() && said.contains("OK"),
        "{script}:\n{said}{complained}"
    );
}

/// Both scripts against a proxy of `served`.
pub(crate) fn drive_all(python: &PathBuf, served: &Served, kind: &str) {
    let kept = served.world.path("receipts");
    let (proxy, listening) = served.proxy(&["--keep-receipts", kept.to_str().unwrap()]);
    drive(python, "tests/openai_package.py", &listening, kind);
    drive(python, "tests/api/openai_client.py", &listening, kind);
    // Each whole answer left its receipt with the person, and each is one.
    let receipts: Vec<_> = std::fs::read_dir(&kept)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(receipts.len() >= 3, "{receipts:?}");
    let verify = [
        "client",
        "receipt",
        "verify",
        receipts[0].to_str().unwrap(),
        "--json",
    ];
    let judged = anchorhold_tests::process::run(served.world.programs.host, &verify)
        .expect(0)
        .json();
    assert!(
        judged["proven"]
            .as_array()
            .is_some_and(|proven| !proven.is_empty()),
        "{judged}"
    );
    proxy.ask_to_end();
    assert_eq!(proxy.finish().code, 0);
}

#[test]
fn the_official_package_works_unchanged_through_the_proxy() {
    let Some(python) = python("the_official_package_works_unchanged_through_the_proxy") else {
        return;
    };
    let served = Served::demo("");
    drive_all(&python, &served, "structured");
    served.still_answers();
}
