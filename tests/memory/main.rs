//! How much memory the engine takes, as the system counts it, beside what was promised.
//!
//! Why apart: a peak is a process's, so that each model here has a process of its own (`anchorhold-bench memory`).
//!
//! # Invariants
//! Bounds are those of ARCHITECTURE.md. The model's weights and its keys and values are each about a hundred MiB, so that a
//! twentieth of them is more than what a program takes anyway.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "test code: a panic is a failure")]

use std::process::{Command, Stdio};

use serde_json::Value;

/// What loading may take beside what it leaves.
const BEYOND_MIB: f64 = 64.0;

/// The one line of `anchorhold-bench memory`.
fn measure(arguments: &[&str]) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_anchorhold-bench"))
        .args(["memory", "--json", "--models-folder"])
        .arg(folder.path())
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "anchorhold-bench memory fails");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    report["rows"][0].clone()
}

fn figure(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} of {row:#}"))
}

/// Whatever is loaded, the file's copy is gone before the packed one is whole.
fn assert_loaded_in_place(row: &Value) {
    assert!(figure(row, "packed MiB") > 64.0, "too small to tell: {row:#}");
    assert!(figure(row, "beyond MiB") < BEYOND_MIB, "{row:#}");
}

#[test]
fn thirty_two_streams_take_what_was_computed_and_loading_little_more_than_it_leaves() {
    let row = measure(&[
        "--models",
        "small",
        "--formats",
        "bf16",
        "--streams",
        "32",
        "--positions",
        "256",
    ]);
    assert_loaded_in_place(&row);
    let ratio = figure(&row, "peak/computed");
    assert!((0.95..=1.05).contains(&ratio), "{row:#}");
}

/// A GGUF file of plain weights, too, which become half as large.
#[test]
fn plain_weights_of_a_gguf_file_that_become_smaller_are_never_all_there() {
    let row = measure(&[
        "--models",
        "small",
        "--formats",
        "bf16",
        "--quantise",
        "q8",
        "--gguf",
        "--streams",
        "2",
        "--positions",
        "64",
    ]);
    assert!(
        figure(&row, "file MiB") > 1.5 * figure(&row, "packed MiB"),
        "{row:#}"
    );
    assert_loaded_in_place(&row);
}

/// A vocabulary as large as Qwen's, with as many merges, of which forty MiB stay: in the file, beside one that is kept and one
/// that is not, and as a `tokenizer.json`.
#[test]
fn a_large_vocabulary_takes_little_beside_the_weights() {
    let words = ["--models", "words", "--formats", "bf16", "--positions", "64"];
    for (more, least) in [
        (&["--streams", "1"][..], 64.0),
        (&["--streams", "1", "--tokenizer-json"], 64.0),
        (&["--streams", "1", "--gguf", "--quantise", "q8"], 32.0),
    ] {
        let row = measure(&[&words, more].concat());
        assert!(figure(&row, "packed MiB") > least, "too small to tell: {row:#}");
        assert!(figure(&row, "beyond MiB") < BEYOND_MIB, "{row:#}");
    }
}

/// The file is twice and nearly four times what is left of it.
#[test]
fn weights_that_become_smaller_are_never_all_there_as_they_were() {
    for (to, times) in [("q8", 1.8), ("q4", 3.0)] {
        let row = measure(&["--quantise", to]);
        assert!(
            figure(&row, "file MiB") > times * figure(&row, "packed MiB"),
            "{row:#}"
        );
        assert_loaded_in_place(&row);
    }
}
