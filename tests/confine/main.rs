//! What a confined process cannot do, tried from inside, and what an operator is told of a machine.
//!
//! Why apart: a filter that was installed says nothing; an act that fails does. Each act is tried in a process of its own, under each
//! measure alone and under none, so that it is known which measure stops it and that nothing else did.
//!
//! - `acts`: the table of acts and what must come of them
//!
//! # Invariants
//! The program that tries shares the enclave's two steps ([`anchorhold_enclave::confine`]) and nothing of it is in the enclave.

#![allow(clippy::unwrap_used, reason = "test code: a panic is a failure")]

mod acts;

use std::path::Path;
use std::process::{Command, Stdio};

use anchorhold_tests::process::run;
use anchorhold_tests::programs;
use anchorhold_tests::testdata::skip;
use anchorhold_tests::world::World;
use serde_json::Value;

/// The enclave's own answer, run with a limit of locked memory where one is given.
fn self_check(limit: Option<&str>) -> (i32, Value) {
    let program = programs!().enclave;
    let output = match limit {
        None => Command::new(program).args(["self-check", "--json"]).output(),
        Some(limit) => Command::new("sh")
            .args([
                "-c",
                &format!("ulimit -l {limit} && exec \"$0\" self-check --json"),
                program,
            ])
            .output(),
    };
    let output = output.expect("it starts");
    let report = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code().unwrap_or(-1), report)
}

/// The line of a measure.
fn measure<'a>(report: &'a Value, name: &str) -> &'a Value {
    let measures = report["measures"].as_array().unwrap();
    measures.iter().find(|line| line["measure"] == name).unwrap()
}

#[test]
fn a_machine_is_told_measure_by_measure_and_the_exit_status_says_the_same() {
    let (code, report) = self_check(None);
    let names: Vec<_> = report["measures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| &line["measure"])
        .collect();
    assert_eq!(
        names,
        [
            "no_new_privs",
            "capabilities",
            "no_dumps",
            "locked_memory",
            "landlock",
            "seccomp"
        ]
    );
    for always in ["no_new_privs", "capabilities", "no_dumps"] {
        assert_eq!(measure(&report, always)["holds"], true, "{report:#}");
    }
    let all = report["measures"]
        .as_array()
        .unwrap()
        .iter()
        .all(|line| line["holds"] == true);
    assert_eq!(report["holds"], all);
    assert_eq!(code, if all { 0 } else { 3 });
    assert_eq!(report["threads"], 2, "one that was there before, and itself");
    let text = run(programs!().enclave, &["self-check"]);
    assert_eq!(text.code, code);
    assert_eq!(
        text.stdout.lines().filter(|line| !line.starts_with(' ')).count(),
        6
    );
    assert_eq!(run(programs!().enclave, &["self-check", "--xml"]).code, 2);
}

#[test]
fn a_low_limit_of_locked_memory_is_refused_with_both_numbers() {
    let (code, report) = self_check(Some("64"));
    let locked = measure(&report, "locked_memory");
    if locked["holds"] == true {
        return skip(
            "a_low_limit_of_locked_memory_is_refused_with_both_numbers",
            "this process may raise the limit again",
        );
    }
    assert_eq!((code, &locked["code"]), (3, &"memory_limit_low".into()));
    assert_eq!(locked["allowed_bytes"], 64 << 10);
    assert!(locked["needed_bytes"].as_u64().unwrap() > 64 << 10);
    assert_eq!(locked["setting"], "dangerously_without_locked_memory");
}

/// What a machine cannot do is refused at the start, before any key is asked for, in words that say what to do.
#[test]
fn an_enclave_does_not_start_where_a_measure_is_missing_that_it_does_not_do_without() {
    let test = "an_enclave_does_not_start_where_a_measure_is_missing_that_it_does_not_do_without";
    let world = World::new(programs!(), &World::tiny_model());
    if !world.config.contains("dangerously_without_locked_memory") {
        return skip(test, "this machine lets an enclave lock its memory");
    }
    let strict = world
        .config
        .replace("dangerously_without_locked_memory = true\n", "");
    let ended = world.start_enclave(&strict).ends().expect(1);
    assert_eq!(ended.last_code(), "memory_limit_low");
    assert!(
        ended.told("memory_limit") && !ended.told("attesting"),
        "{ended:#?}"
    );
    assert!(ended.stdout.contains("ulimit -l unlimited"), "{ended:#?}");
}

/// The running enclave, asked from outside: what it said of itself, the kernel says too, of every thread.
#[test]
fn the_kernel_says_of_every_thread_of_a_serving_enclave_what_it_said_itself() {
    let world = World::new(programs!(), &World::demo_model());
    let _broker = world.start_broker();
    let mut process = world.start_enclave(&world.config);
    let said = process.event("confined").expect("it confines itself");
    process.event("listening").expect("it serves");
    let tasks = format!("/proc/{}/task", process.id());
    let mut threads = 0;
    for task in std::fs::read_dir(tasks).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let field = |name: &str| {
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(&format!("{name}:")));
            line.unwrap().trim().to_owned()
        };
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            assert_eq!(field(set), "0000000000000000", "{set}");
        }
        assert_eq!(field("NoNewPrivs"), "1");
        assert_eq!(field("Seccomp") == "2", said["seccomp"] == true);
        threads += 1;
    }
    assert!(threads >= 2);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", process.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().filter(|word| *word == "0").count(),
        2,
        "{core}"
    );
    process.ask_to_end();
    assert_eq!(process.finish().code, 0);
}

/// What tries is not in what ships: neither its code nor a feature that could bring it.
#[test]
fn nothing_that_tries_is_in_the_enclave() {
    let enclave = std::fs::read(programs!().enclave).unwrap();
    let tries = std::fs::read(env!("CARGO_BIN_EXE_forbidden-acts")).unwrap();
    let has = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    for act in [
        "memory-made-executable",
        "anchorhold-forbidden",
        "thread-by-clone3",
    ] {
        assert!(has(&tries, act) && !has(&enclave, act), "{act}");
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../enclave/Cargo.toml");
    let manifest: toml::Table = std::fs::read_to_string(manifest).unwrap().parse().unwrap();
    let features: Vec<_> = manifest["features"].as_table().unwrap().keys().collect();
    assert_eq!(
        features,
        // `residue-switches` leaves wiping out, and is looked for by tests/residue.
        ["cuda", "insecure-simulated", "residue-switches"],
        "a feature more: what does it let a process do?"
    );
}

/// Runs the program that tries.
fn tries(mode: &str, act: &str, port: u16) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_forbidden-acts"))
        .args([mode, act, &port.to_string()])
        .stdin(Stdio::null())
        .output()
        .expect("it starts")
}
