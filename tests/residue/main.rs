//! What stays of requests in the memory of the enclave: nothing, and what would stay if a measure were left out.
//!
//! - `mixed`: requests of all kinds, on connections that stay and that go
//! - `planted`: what must not be found, in all forms
//! - `switches`: the enclave with measures that can be left out
//!
//! # Invariants
//! All memory of the real process is looked through, while connections that carried plaintext are open. Where that takes rights or tools that
//! are not there, the test says so loudly.

#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "test code: a panic is a failure, stderr is read by people"
)]

mod mixed;
mod planted;
#[allow(dead_code, reason = "the API's tests use more of it")]
#[path = "../api/served.rs"]
mod served;
mod switches;
#[allow(dead_code, reason = "the API's tests use more of it")]
#[path = "../api/wire.rs"]
mod wire;

use std::path::Path;
use std::process::{Command, Stdio};

use anchorhold::operator::scan::{Image, Report, ScanError, scan};
use anchorhold_memory::Measure;
use anchorhold_tests::process::Process;
use anchorhold_tests::testdata::{self, skip};
use anchorhold_tests::world::{Serving, World};

use self::planted::Planted;
use self::served::Served;

/// Requests of all kinds before a scan.
const REQUESTS: usize = 100;

/// All memory of a process, or `None` where it may not be read.
fn looked_through(test: &str, pid: u32, planted: &Planted) -> Option<Report> {
    match Image::of_process(pid).and_then(|image| scan(&image, planted.canaries(), false)) {
        Ok(report) => Some(report),
        Err(ScanError::Process(kind)) => {
            skip(
                test,
                &format!("another process's memory may not be read here ({kind}): run as root"),
            );
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn assert_clean(when: &str, report: &Report) {
    assert!(
        report.bytes > 10 << 20 && report.mappings > 20,
        "{when}: too little was read: {report:?}"
    );
    eprintln!("{when}: {}", report.text());
    assert!(
        report.unread.is_empty() && report.found == 0,
        "{when}: {}",
        report.text()
    );
}

/// Requests, a scan right after the last of them, one after another request, one after all connections are closed, and a core.
fn nothing_is_left(test: &str, served: Served, mut planted: Planted) {
    let mut kept = mixed::requests(&served, &mut planted, REQUESTS);
    let pid = served.process_id();
    let Some(report) = looked_through(test, pid, &planted) else {
        return;
    };
    assert_clean("right after", &report);
    mixed::unrelated(&served, &mut kept, &planted);
    assert_clean(
        "after an unrelated request",
        &looked_through(test, pid, &planted).unwrap(),
    );
    core(test, pid, &planted);
    drop(kept);
    assert_clean(
        "with connections closed",
        &looked_through(test, pid, &planted).unwrap(),
    );
    let (enclave, ..) = served.end();
    assert_eq!(enclave.code, 0, "{enclave:?}");
}

/// A core made on purpose, of all that the system can be made to write.
fn core(test: &str, pid: u32, planted: &Planted) {
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("core");
    let made = Command::new("gcore")
        .args(["-a", "-o", prefix.to_str().unwrap(), &pid.to_string()])
        .stdin(Stdio::null())
        .output();
    let core = folder.path().join(format!("core.{pid}"));
    if !made.is_ok_and(|made| made.status.success()) || !core.exists() {
        return skip(
            &format!("{test} (the core)"),
            "no gcore here, or it may not trace",
        );
    }
    let report = scan(&Image::of_core(&core).unwrap(), planted.canaries(), false).unwrap();
    assert_clean("in a core", &report);
}

#[test]
fn nothing_of_a_hundred_requests_is_left_in_memory() {
    let test = "nothing_of_a_hundred_requests_is_left_in_memory";
    nothing_is_left(test, Served::demo(""), Planted::new(&World::demo_model(), "demo"));
}

#[test]
fn nothing_is_left_of_a_gguf_models_requests() {
    let test = "nothing_is_left_of_a_gguf_models_requests";
    let Some(file) = testdata::find(test, "models/stories260k/stories260k-q8_0.gguf") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy(file, folder.path().join("model.gguf")).unwrap();
    let served = Served::new(folder.path(), "\n[anonymous]\nrequests_per_minute = 60000\n");
    nothing_is_left(test, served, Planted::new(folder.path(), "stories"));
}

#[test]
fn nothing_is_left_of_what_is_embedded() {
    let test = "nothing_is_left_of_what_is_embedded";
    let folder = planted::tiny_embedder();
    let served = Served::new(folder.path(), "\n[anonymous]\nrequests_per_minute = 60000\n");
    nothing_is_left(test, served, Planted::new(folder.path(), "embedder"));
}

#[test]
fn each_measure_left_out_brings_residue_back() {
    let test = "each_measure_left_out_brings_residue_back";
    let program = switches::program();
    for left_out in [None].into_iter().chain(Measure::ALL.map(Some)) {
        let mut world = World::new(anchorhold_tests::programs!(), &World::demo_model());
        world.configure(|config| config + "\n[anonymous]\nrequests_per_minute = 60000\n");
        let broker = world.start_broker();
        let name = left_out.map_or("", Measure::name);
        let arguments = if name.is_empty() {
            vec![]
        } else {
            vec!["--without", name]
        };
        let process = Process::start(&program, &arguments, Some(world.launch_input(&world.config)));
        let served = Served::around(Serving::once_listening(process), broker, world);
        let mut planted = Planted::new(&World::demo_model(), name);
        let kept = mixed::requests(&served, &mut planted, 12);
        let Some(report) = looked_through(test, served.process_id(), &planted) else {
            return;
        };
        eprintln!("without {name}: {}", report.text());
        assert_eq!(report.found > 0, left_out.is_some(), "without {name:?}");
        drop(kept);
    }
}

/// The command, on a process that has a canary in memory and on one that has not.
#[test]
fn the_command_tells_where_and_never_what() {
    let test = "the_command_tells_where_and_never_what";
    let canary: String = anchorhold_encoding::sha256(&[&std::process::id().to_be_bytes()]).to_string();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &canary).unwrap();
    let mut innocent = Command::new("sleep").arg("60").spawn().unwrap();
    for (pid, code) in [(std::process::id(), 3), (innocent.id(), 0)] {
        let (pid, path) = (pid.to_string(), file.path().to_str().unwrap());
        let scan = ["operator", "scan", "--json", "--pid", &pid, "--canary-file", path];
        let said = anchorhold_tests::process::run(anchorhold_tests::programs!().host, &scan);
        if said.code == 1 {
            skip(test, "another process's memory may not be read here: run as root");
            break;
        }
        assert_eq!(said.code, code, "{said:?}");
        assert_eq!(said.json()["found"].as_u64().unwrap() > 0, code == 3);
        assert!(!said.stdout.contains(&canary[..12]) && !said.stderr.contains(&canary[..12]));
    }
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[test]
fn no_ordinary_build_has_switches() {
    let programs = anchorhold_tests::programs!();
    let refused = anchorhold_tests::process::run(programs.enclave, &["--without", "allocator"]);
    assert_eq!(refused.code, 2, "{refused:?}");
    // Not as text either, which the build that has them shows.
    let has = |program: &Path| {
        let bytes = std::fs::read(program).unwrap();
        bytes.windows(9).any(|window| window == b"--without")
    };
    assert!(!has(Path::new(programs.enclave)));
    assert!(has(&switches::program()));
}
