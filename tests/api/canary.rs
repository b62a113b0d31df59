//! A prompt that must be found nowhere: no output, no file, no error, no metric, no system call in clear.
//!
//! Why apart: this is what the product promises to whoever asks.
//!
//! - `search`: in which forms it is looked for, and that it would be found
//! - `torment`: every way to hand it in
//!
//! # Invariants
//! The same canary goes through every endpoint and error before anything is searched.

mod search;
mod torment;

use std::path::Path;
use std::process::{Command, Stdio};

use anchorhold_tests::process::Process;
use anchorhold_tests::testdata::skip;
use anchorhold_tests::world::{Serving, World};
use serde_json::json;

use self::search::Canary;
use crate::served::{MODEL, Served, completion, endless};

/// Few seconds for a request and a short queue, so that both limits can be met.
const TIGHT: &str =
    "\n[limits]\nqueue = 1\nrequest_seconds = 5\n\n[anonymous]\nrequests_per_minute = 60000\n";

#[test]
fn a_prompt_is_found_in_no_output_file_error_or_metric() {
    let canary = Canary::new(&World::demo_model());
    let served = Served::new(&World::demo_model(), TIGHT);
    torment::directly(&canary, &served);
    let kept = served.world.path("receipts");
    let (proxy, listening) = served.proxy(&["--keep-receipts", kept.to_str().unwrap()]);
    torment::through_the_proxy(&canary, &listening);
    assert!(
        std::fs::read_dir(&kept).unwrap().count() >= 2,
        "receipts are kept, and searched"
    );
    let asked = torment::on_the_command_line(&canary, &served);
    torment::the_metrics(&canary, &served);
    // What is in the middle of an answer when the end comes.
    let mut wire = served.bound();
    let more = format!(r#","stream":true,"max_tokens":400,"stop":"{}""#, canary.word());
    wire.ask(
        "/v1/completions",
        "",
        completion(&canary.text(), &more).as_bytes(),
    )
    .unwrap();
    wire.head().unwrap();
    proxy.ask_to_end();
    let proxy = proxy.finish();
    let (enclave, broker, world) = served.end();
    for (name, finished) in [("enclave", &enclave), ("broker", &broker), ("proxy", &proxy)] {
        assert_eq!(finished.code, 0, "{name}: {finished:#?}");
        assert!(
            !finished.stdout.is_empty(),
            "{name} said something that could be searched"
        );
        canary.is_not_in(
            &format!("standard output of the {name}"),
            finished.stdout.as_bytes(),
        );
        canary.is_not_in(
            &format!("standard error of the {name}"),
            finished.stderr.as_bytes(),
        );
    }
    assert!(
        asked > 0 && canary.is_in_no_file(&world.path("")) >= 8,
        "store, sealed model, policies, receipts"
    );
}

/// What an embedder was given is found nowhere either. Ends the enclave.
pub(crate) fn nothing_of_what_is_embedded_is_left(served: Served, model: &Path) {
    let canary = Canary::new(model);
    for format in ["float", "base64"] {
        let body = json!({"model": MODEL, "encoding_format": format, "input": [canary.text(), "and more"]});
        let answer = served.post("/v1/embeddings", body.to_string());
        assert_eq!(answer.status, 200);
        // Not in the answer either: an embedding has no words.
        canary.is_not_in("an embedding", &answer.body);
    }
    let long = canary.text().repeat(200);
    for body in [
        json!({"model": MODEL, "input": long}),
        json!({"model": MODEL, "input": [canary.text(), ""]}),
        json!({"model": MODEL, "input": canary.text(), "dimensions": 7}),
        json!({"model": MODEL, "input": canary.text(), "encoding_format": canary.text()}),
        json!({"model": canary.text(), "input": "x"}),
    ] {
        let answer = served.post("/v1/embeddings", body.to_string());
        assert!(matches!(answer.status, 400 | 404), "{}", answer.text());
        canary.is_not_in("an error", &answer.body);
    }
    torment::the_metrics(&canary, &served);
    let (enclave, broker, world) = served.end();
    for finished in [enclave, broker] {
        canary.is_not_in(
            "an output",
            format!("{}{}", finished.stdout, finished.stderr).as_bytes(),
        );
    }
    assert!(canary.is_in_no_file(&world.path("")) >= 5);
}

#[test]
fn no_system_call_carries_a_prompt_in_clear() {
    let test = "no_system_call_carries_a_prompt_in_clear";
    if !Command::new("strace")
        .args(["-qq", "-e", "trace=write", "true"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
    {
        return skip(test, "no strace here, or it may not trace");
    }
    let canary = Canary::new(&World::demo_model());
    let mut world = World::new(anchorhold_tests::programs!(), &World::demo_model());
    world.configure(|config| config + TIGHT);
    let broker = world.start_broker();
    let trace = tempfile::NamedTempFile::new().unwrap();
    // Everything that names a file or hands bytes over, in full, escaped; the tracer is a child of the enclave.
    let calls = "trace=%file,%process,write,writev,pwrite64,pwritev,pwritev2,sendto,sendmsg,sendmmsg,prctl,memfd_create";
    let path = trace.path().to_str().unwrap();
    let arguments = [
        "-D",
        "-f",
        "-qq",
        "-xx",
        "-s",
        "1000000",
        "-e",
        calls,
        "-o",
        path,
        world.programs.enclave,
    ];
    let process = Process::start(
        Path::new("strace"),
        &arguments,
        Some(world.launch_input(&world.config)),
    );
    let served = Served::around(Serving::once_listening(process), broker, world);
    torment::directly(&canary, &served);
    let (enclave, ..) = served.end();
    assert_eq!(enclave.code, 0, "{enclave:?}");
    let trace = std::fs::read(trace.path()).unwrap();
    // It did see what the enclave wrote: each event, and each record of TLS.
    let escaped = |text: &str| {
        text.bytes()
            .map(|byte| format!("\\x{byte:02x}"))
            .collect::<String>()
    };
    let text = String::from_utf8_lossy(&trace);
    assert!(
        text.contains(&escaped(r#"{"event":"drained"}"#)),
        "the trace has {} bytes",
        trace.len()
    );
    assert!(text.matches("sendto(").count() + text.matches("writev(").count() > 20);
    canary.is_not_in("a system call", &trace);
}

#[test]
fn a_panic_in_the_models_thread_says_nothing() {
    let canary = Canary::new(&World::demo_model());
    let run = |arguments: &[&str]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_engine-that-panics"))
            .args(arguments)
            .env("RUST_BACKTRACE", "full")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), canary.text().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = run(&[]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [r#"{"event":"panicked"}"#, r#"{"event":"model_thread_failed"}"#]
    );
    assert!(output.stderr.is_empty(), "nothing but events");
    canary.is_not_in("what a panic says", &output.stdout);
    // The same without what the enclave does first: the panic's message has the prompt, and it is found.
    let loud = run(&["loud"]);
    assert!(
        loud.status.success() && !canary.forms_in(&loud.stderr).is_empty(),
        "{loud:?}"
    );
}

/// A long answer to the canary.
fn long(canary: &Canary, more: &str) -> String {
    let prompt = serde_json::to_string(&canary.text()).unwrap();
    endless(400, more).replace("\"one two three\"", &prompt)
}
