//! How a released key ends: renewed while the broker says yes, gone when it does not.
//!
//! Why apart: these tests live as long as leases do, ten seconds at least.
//!
//! # Invariants
//! An enclave whose lease ended has drained and ended with status 3.

use std::time::{Duration, Instant};

use anchorhold_models::name::Class;
use anchorhold_tests::false_broker::{Answer, FalseBroker, Lies, Step, Told, stolen_tls_key};
use anchorhold_tests::process::{Finished, run};
use anchorhold_tests::world::{Serving, World};
use std::sync::{Arc, Mutex};

use crate::demo_world;
use crate::rogue::led_astray;

/// The shortest lease there is.
const LEASE: Duration = Duration::from_secs(10);

fn world_of_short_leases() -> World {
    let mut world = demo_world();
    world.broker.push_str("lease_seconds = 10\n");
    world
}

fn drained_for_its_lease(ended: Finished) {
    let ended = ended.expect(3);
    let events: Vec<(String, String)> = ended
        .events()
        .iter()
        .map(|event| {
            (
                event["event"].as_str().unwrap().to_owned(),
                event["cause"].to_string(),
            )
        })
        .collect();
    let place = |name: &str| {
        events
            .iter()
            .position(|(event, _)| event == name)
            .unwrap_or_else(|| panic!("{ended:#?}"))
    };
    assert!(
        place("lease_ended") < place("draining") && place("draining") < place("drained"),
        "{ended:#?}"
    );
    assert_eq!(events[place("draining")].1, "\"lease_ended\"");
}

#[test]
fn a_lease_is_renewed_while_the_broker_lives_and_ends_without_it() {
    let world = world_of_short_leases();
    let broker = world.start_broker();
    let mut serving = world.serve();
    let renewed = serving.process.event("lease_renewed").expect("a renewal");
    assert_eq!(renewed["lease_seconds"], 10);
    let at = Instant::now();
    let log = world.log();
    assert_eq!(
        log.len(),
        2,
        "a renewal is a whole session, with an entry of its own: {log:#?}"
    );
    assert_ne!(
        log[0]["event"]["tee_pubkey_sha256"],
        log[1]["event"]["tee_pubkey_sha256"]
    );
    assert_ne!(
        log[0]["event"]["evidence_sha512"],
        log[1]["event"]["evidence_sha512"]
    );
    // Still up: the lease it has does not depend on the broker.
    broker.ask_to_end();
    assert_eq!(broker.finish().code, 0);
    assert_eq!(
        world
            .client(serving.port, &["ask", "What is the capital of France?"])
            .code,
        0
    );
    let missed = serving.process.event("lease_not_renewed").expect("an attempt");
    assert_eq!(missed["code"], "broker_unreachable");
    drained_for_its_lease(serving.process.finish());
    let lasted = at.elapsed();
    assert!(
        lasted < LEASE + Duration::from_secs(8),
        "it served for {lasted:?} on a lease of {LEASE:?}"
    );
    assert!(
        lasted > LEASE - Duration::from_secs(3),
        "it ended early, after {lasted:?}"
    );
}

#[test]
fn a_renewal_is_no_easier_to_forge_than_a_release() {
    let mut world = world_of_short_leases();
    let key = stolen_tls_key(&world.path("store"), Class::Insecure);
    let first: Arc<Mutex<Option<Answer>>> = Arc::default();
    // The first release passes; every later one is replaced by it.
    let lies = Lies::telling(move |step, answer| {
        if step != Step::Resource {
            return Told::Answer(answer);
        }
        let mut first = first.lock().unwrap();
        Told::Answer(first.get_or_insert(answer).clone())
    });
    let liar = FalseBroker::start(&key, &world.broker_address, lies);
    led_astray(&mut world, &liar);
    let _broker = world.start_broker();
    let mut serving = world.serve();
    let missed = serving.process.event("lease_not_renewed").expect("an attempt");
    assert_eq!(missed["code"], "release_signature");
    drained_for_its_lease(serving.process.finish());
}

#[test]
fn a_policy_that_moved_on_ends_the_lease_of_who_runs_already() {
    let mut world = world_of_short_leases();
    let broker = world.start_broker();
    let mut serving = world.serve();
    broker.ask_to_end();
    assert_eq!(broker.finish().code, 0);
    world.policy = world
        .policy
        .replace(&world.config_sha256().to_string(), &"ab".repeat(32));
    let _broker = world.start_broker();
    let missed = serving.process.event("lease_not_renewed").expect("an attempt");
    assert_eq!(missed["code"], "evidence_refused");
    assert_eq!(world.denied_rules(), ["config"]);
    drained_for_its_lease(serving.process.finish());
}

/// Serves under a budget from a broker that is gone then, and asks one question.
fn asked_once(lease_tokens: u64, more: &[&str]) -> (Serving, Finished, World) {
    let mut world = demo_world();
    world.broker.push_str(&format!("lease_tokens = {lease_tokens}\n"));
    let broker = world.start_broker();
    let serving = world.serve();
    broker.ask_to_end();
    assert_eq!(broker.finish().code, 0);
    let question = ["ask", "What is the capital of France?", "--json"];
    let asked = world.client(serving.port, &[&question[..], more].concat());
    (serving, asked, world)
}

#[test]
fn a_token_budget_refuses_what_it_does_not_cover_and_ends_the_lease_when_it_is_used_up() {
    let kept = tempfile::tempdir().unwrap();
    let keep = ["--keep-receipts", kept.path().to_str().unwrap()];
    let (_serving, answered, _world) = asked_once(1000, &keep);
    assert_eq!(answered.code, 0, "{answered:?}");
    let receipt = std::fs::read_dir(kept.path()).unwrap().next().unwrap().unwrap();
    let receipt = receipt.path();
    let verify = ["client", "receipt", "verify", receipt.to_str().unwrap(), "--json"];
    let judged = run(anchorhold_tests::programs!().host, &verify).expect(0).json();
    let prompt = judged["receipt"]["prompt_tokens"].as_u64().unwrap();

    // A prompt that is too long is refused by itself: the enclave goes on.
    let (serving, refused, world) = asked_once(prompt - 1, &[]);
    let refused = refused.expect(1).json();
    assert!(refused.to_string().contains("lease_budget"), "{refused}");
    assert_eq!(world.client(serving.port, &["verify"]).code, 0);

    // The same prompt under a budget that ends within the answer: the lease does too.
    let asked = Instant::now();
    let (serving, ended, _world) = asked_once(prompt + 1, &[]);
    assert_ne!(ended.code, 0, "half an answer is none: {ended:?}");
    drained_for_its_lease(serving.process.finish());
    assert!(
        asked.elapsed() < Duration::from_secs(60),
        "the lease had an hour of time left"
    );
}
