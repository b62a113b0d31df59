//! The client's, the broker's and the enclave's wall clock, each an hour off, in the real programs.
//!
//! Why apart: it needs a library of its own making (`wrong_clock.c`) that stands before the system's.
//!
//! # Invariants
//! Only one of the three is wrong at a time. That it is wrong is shown, not assumed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use anchorhold_tests::process::{Environment, run};
use anchorhold_tests::testdata::skip;
use anchorhold_tests::world::{World, text};
use serde_json::Value;

use crate::demo_world;

const HOUR: i64 = 3600;

/// The library, compiled once; `None` without a C compiler, which building this workspace needs anyway.
fn library(test: &str) -> Option<PathBuf> {
    static BUILT: OnceLock<Option<(tempfile::TempDir, PathBuf)>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("wrong_clock.so");
        let source = anchorhold_tests::tree::root().join("tests/cli/wrong_clock.c");
        let made = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .status();
        made.is_ok_and(|status| status.success())
            .then_some((folder, library))
    });
    if built.is_none() {
        skip(test, "no C compiler named cc");
    }
    built.as_ref().map(|(_, library)| library.clone())
}

/// Variables that make a program's wall clock wrong, and the file that witnesses it.
fn wrong_by(library: &std::path::Path, seconds: i64, world: &World) -> (Environment, PathBuf) {
    let witness = world.path("witness");
    let variables = vec![
        ("LD_PRELOAD", text(library)),
        ("ANCHORHOLD_WRONG_BY", seconds.to_string()),
        ("ANCHORHOLD_WRONG_WITNESS", text(&witness)),
    ];
    (variables, witness)
}

fn now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .try_into()
        .unwrap()
}

/// A world whose configuration ends in half an hour: whoever judges that with a clock an hour fast says no.
fn world_ending_soon() -> World {
    let mut world = demo_world();
    let end = now() + HOUR / 2;
    world.configure(|config| config.replace("not_after = 4000000000", &format!("not_after = {end}")));
    world
}

/// Asks, and gives how many seconds the time in the receipt is off.
fn answered(world: &World, port: u16) -> i64 {
    let folder = text(&world.path("receipts"));
    let ask = [
        "ask",
        "What is the capital of France?",
        "--json",
        "--keep-receipts",
        &folder,
    ];
    let answer = world.client(port, &ask).expect(0).json();
    assert!(!answer["answer"].as_str().unwrap().is_empty(), "{answer}");
    let kept = answer["kept"].as_str().unwrap();
    let judged = run(
        world.programs.host,
        &["client", "receipt", "verify", kept, "--json"],
    )
    .expect(0)
    .json();
    assert_eq!(judged["receipt"]["time_source"], "broker", "{judged:#}");
    judged["receipt"]["time"].as_i64().unwrap() - now()
}

fn rules(error: &Value) -> Vec<&str> {
    let denied = error["error"]["denied"]
        .as_array()
        .unwrap_or_else(|| panic!("no denial: {error:#}"));
    denied.iter().map(|rule| rule["rule"].as_str().unwrap()).collect()
}

#[test]
fn the_enclaves_clock_does_not_matter() {
    let Some(library) = library("the_enclaves_clock_does_not_matter") else {
        return;
    };
    let mut world = world_ending_soon();
    let _broker = world.start_broker();
    for seconds in [HOUR, -HOUR, 50 * 365 * 24 * HOUR] {
        let (variables, witness) = wrong_by(&library, seconds, &world);
        world.environments.enclave = variables;
        let serving = world.serve();
        assert!(
            std::fs::read_to_string(&witness).unwrap().starts_with('L'),
            "the wrong clock was in the enclave"
        );
        let off = answered(&world, serving.port);
        assert!(
            off.abs() < 300,
            "the receipt's time is the broker's, not the host's: {off} s off"
        );
        assert_eq!(
            world.client(serving.port, &["verify", "--json"]).expect(0).json()["verdict"],
            "affirmed"
        );
        serving.process.ask_to_end();
        assert_eq!(serving.process.finish().code, 0);
        std::fs::remove_file(witness).unwrap();
    }
}

#[test]
fn a_slow_client_is_served_and_a_fast_one_is_told_to_look_at_its_clock() {
    let Some(library) = library("a_slow_client_is_served_and_a_fast_one_is_told_to_look_at_its_clock") else {
        return;
    };
    let mut world = world_ending_soon();
    let _broker = world.start_broker();
    let serving = world.serve();
    let (slow, witness) = wrong_by(&library, -HOUR, &world);
    world.environments.client = slow;
    answered(&world, serving.port);
    assert!(
        std::fs::read_to_string(&witness).unwrap().contains('r'),
        "the client did read the wrong clock"
    );
    world.environments.client = wrong_by(&library, HOUR, &world).0;
    let refused = world
        .client(serving.port, &["ask", "What is the capital of France?", "--json"])
        .expect(3);
    assert_eq!(rules(&refused.json()), ["not-after"]);
    let hint = &refused.json()["error"]["denied"][0]["hint"];
    assert_eq!(hint, "restart the enclave, or check this machine's clock");
    assert!(!refused.stdout.contains("Paris"), "{refused:#?}");
    // The control: the same client with the right clock.
    world.environments.client.clear();
    answered(&world, serving.port);
}

#[test]
fn a_client_an_hour_off_is_served_while_the_configuration_lasts() {
    let Some(library) = library("a_client_an_hour_off_is_served_while_the_configuration_lasts") else {
        return;
    };
    let mut world = demo_world();
    let _broker = world.start_broker();
    let serving = world.serve();
    for seconds in [HOUR, -HOUR] {
        world.environments.client = wrong_by(&library, seconds, &world).0;
        answered(&world, serving.port);
    }
}

#[test]
fn a_broker_an_hour_slow_releases_and_its_time_is_what_receipts_say() {
    let Some(library) = library("a_broker_an_hour_slow_releases_and_its_time_is_what_receipts_say") else {
        return;
    };
    let mut world = world_ending_soon();
    world.environments.broker = wrong_by(&library, -HOUR, &world).0;
    let _broker = world.start_broker();
    let serving = world.serve();
    let off = answered(&world, serving.port);
    assert!((off + HOUR).abs() < 300, "it is the broker's time: {off} s off");
    let logged = world.log()[0]["event"]["time"].as_i64().unwrap() - now();
    assert!(
        (logged + HOUR).abs() < 300,
        "the control: the broker's clock is an hour slow, {logged} s"
    );
}

#[test]
fn a_broker_an_hour_fast_denies_what_has_ended_by_its_clock_and_says_so() {
    let Some(library) = library("a_broker_an_hour_fast_denies_what_has_ended_by_its_clock_and_says_so")
    else {
        return;
    };
    let mut world = world_ending_soon();
    world.environments.broker = wrong_by(&library, HOUR, &world).0;
    let mut broker = world.start_broker();
    let ended = world.start_enclave(&world.config).ends().expect(3);
    assert_eq!(ended.last_code(), "evidence_refused");
    let line = broker.says("not-after");
    assert!(line.contains("check this machine's clock"), "{line}");
    assert_eq!(world.denied_rules(), ["not-after"]);
    drop(broker);
    // The control: with the right clock the same configuration is released.
    world.environments.broker.clear();
    let _broker = world.start_broker();
    let _serving = world.serve();
}
