//! Bad input to the real programs: for each, a one-line reason with a hint, the right exit status, nothing half
//! written, and a standard output that a script can read.
//!
//! - [`models`]: folders that are no models, files that are not sealed
//! - [`disk`]: no room for the sealed file
//! - [`configs`]: configurations of enclave and broker, and policies
//! - [`brokers`]: a broker that is down, slow or something else
//! - [`clocks`]: clocks an hour off
//! - [`words`]: what exactly is said; help, versions, completions
//!
//! # Invariants
//! Every refusal goes through [`refused`], in text and in JSON.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: a panic is a failure, stderr is read by people"
)]

mod brokers;
mod clocks;
mod configs;
mod disk;
mod models;
mod words;

use anchorhold_tests::process::{Finished, Programs, run};
use anchorhold_tests::world::World;
use serde_json::Value;

fn programs() -> Programs {
    anchorhold_tests::programs!()
}

/// A world whose model need not load.
fn tiny_world() -> World {
    World::new(programs(), &World::tiny_model())
}

/// A world whose enclave can come to serve.
fn demo_world() -> World {
    World::new(programs(), &World::demo_model())
}

/// Runs `anchorhold` twice, for a person and for a script, and demands the same refusal of both.
fn refused(arguments: &[&str], status: i32, code: &str) -> Value {
    let host = programs().host;
    let read = run(host, arguments).expect(status);
    assert_eq!(
        read.stdout, "",
        "a person finds the error on standard error: {read:#?}"
    );
    let error = refusal(
        &run(host, &[arguments, &["--json"]].concat()).expect(status),
        code,
    );
    let message = error["message"].as_str().unwrap();
    let said = reason(&read.stderr);
    assert_eq!(said, (message, error["hint"].as_str().unwrap()), "{read:#?}");
    error
}

/// The one JSON document of a refusal on standard output, with this code.
fn refusal(ended: &Finished, code: &str) -> Value {
    assert_eq!(ended.stdout.lines().count(), 1, "one document: {ended:#?}");
    let error = ended.json()["error"].clone();
    assert_eq!(error["code"], code, "{ended:#?}");
    for part in ["message", "hint"] {
        let text = error[part].as_str().unwrap();
        assert!(
            !text.is_empty() && !text.contains('\n'),
            "{part} is one line: {ended:#?}"
        );
    }
    error
}

/// The reason and the hint as a person reads them: `error: ...`, an empty line, `hint: ...` at the end.
fn reason(stderr: &str) -> (&str, &str) {
    let error = stderr.lines().find_map(|line| line.strip_prefix("error: "));
    let hint = stderr.lines().last().and_then(|line| line.strip_prefix("hint: "));
    let (Some(error), Some(hint)) = (error, hint) else {
        panic!("no reason with a hint: {stderr}")
    };
    assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
    assert!(
        !stderr.contains("panicked") && !stderr.contains("RUST_BACKTRACE"),
        "{stderr}"
    );
    (error, hint)
}
