//! The genuine enclave under a configuration, a measurement or a class that the owner did not approve.
//!
//! Why apart: here the broker decides, and its owner must be told by which rule.
//!
//! # Invariants
//! The launch is honest: the platform's field holds the digest of the configuration that is used.

use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_encoding::{Digest, sha256};
use anchorhold_models::name::Class;
use anchorhold_tests::false_broker::{FalseBroker, Lies, own_tls_key};
use anchorhold_tests::process::Process;
use anchorhold_tests::testdata::skip;
use anchorhold_tests::world::{World, free_address, text};

use crate::{demo_world, got_no_key, tiny_world};

/// Starts the enclave with `config` against a broker of the working policy; gives the rules that denied.
fn denied(world: &World, broker: &mut Process, config: &str) -> Vec<String> {
    got_no_key(world.start_enclave(config).ends(), 3, "evidence_refused");
    broker.says("denied: default/model/demo");
    world.denied_rules()
}

#[test]
fn the_approved_configuration_gets_the_key_and_the_log_says_so() {
    let world = demo_world();
    let mut broker = world.start_broker();
    let serving = world.serve();
    broker.says("granted: key demo for default/model/demo");
    let log = world.log();
    assert_eq!(log.len(), 1, "{log:#?}");
    assert_eq!(log[0]["event"]["decision"], "granted");
    assert_eq!(log[0]["event"]["manifest_sha256"], world.manifest());
    serving.process.ask_to_end();
    let ended = serving.process.finish().expect(0);
    assert!(ended.told("warning_simulated"), "{ended:#?}");
}

#[test]
fn each_other_configuration_is_denied_by_its_rule() {
    let world = tiny_world();
    let mut broker = world.start_broker();
    let working = &world.config;
    let owners_key = world.owner["release_key"].as_str().unwrap();
    let others = [
        (
            "a release key of someone else",
            working.replace(owners_key, &"ab".repeat(32)),
        ),
        (
            "a weaker limit",
            format!("{working}\n[anonymous]\nrequests_per_minute = 10000\n"),
        ),
        ("someone else's API key", {
            let (salt, hash) = ("5a".repeat(32), "a5".repeat(32));
            format!("{working}\n[[api_key]]\nname = \"eve\"\nsalt = \"{salt}\"\nsha256 = \"{hash}\"\n")
        }),
        (
            "another end",
            working.replace("not_after = 4000000000", "not_after = 4100000000"),
        ),
        ("one byte that means nothing", format!("{working}\n")),
    ];
    for (what, config) in others {
        assert_ne!(*working, config, "{what}");
        assert_eq!(denied(&world, &mut broker, &config), ["config"], "{what}");
    }
}

#[test]
fn a_configuration_that_trusts_another_broker_gets_nothing_from_the_true_one() {
    let world = tiny_world();
    let mut broker = world.start_broker();
    // The other broker passes on what the enclave shows it, to get the owner's key.
    let other = FalseBroker::start(&own_tls_key(), &world.broker_address, Lies::none());
    let config = world
        .config
        .replace(&world.broker_address, &other.address.to_string())
        .replace(
            world.owner["tls_spki_sha256"].as_str().unwrap(),
            &other.tls_spki_sha256.to_string(),
        );
    assert_eq!(denied(&world, &mut broker, &config), ["config"]);
    assert_eq!(
        other.heard().len(),
        2,
        "the enclave did come: auth and attest, no resource"
    );
}

#[test]
fn another_model_is_denied_by_configuration_and_manifest() {
    let world = tiny_world();
    let mut broker = world.start_broker();
    let config = world.config.replace(&world.manifest(), &"cd".repeat(32));
    assert_eq!(denied(&world, &mut broker, &config), ["config", "manifest"]);
}

#[test]
fn a_model_the_key_was_not_sealed_for_is_denied_even_when_the_policy_lists_it() {
    let mut world = tiny_world();
    let other = "cd".repeat(32);
    let mine = world.manifest();
    world.configure(|config| config.replace(&mine, &other));
    world.policy = world.policy.replace(&mine, &other);
    let mut broker = world.start_broker();
    assert_eq!(denied(&world, &mut broker, &world.config), ["key-manifest"]);
}

#[test]
fn a_dangerous_setting_is_denied_unless_the_policy_accepts_it_by_name() {
    let mut world = tiny_world();
    let line = world.accepted();
    assert!(world.policy.contains(&line));
    world.policy = world.policy.replace(&line, "");
    let mut broker = world.start_broker();
    assert_eq!(denied(&world, &mut broker, &world.config), ["weakened"]);
}

#[test]
fn addresses_that_depend_on_tokens_are_named_and_denied_unless_the_policy_accepts_them() {
    let mut world = tiny_world();
    world.configure(|config| config + "\n[engine]\ndangerously_token_dependent_addresses = true\n");
    let mut broker = world.start_broker();
    assert_eq!(denied(&world, &mut broker, &world.config), ["weakened"]);
}

#[test]
fn every_measure_that_is_done_without_is_named_and_denied_unless_the_policy_accepts_it() {
    for setting in ["landlock", "locked_memory", "seccomp"] {
        let setting = format!("dangerously_without_{setting}");
        let mut world = tiny_world();
        if world.config.contains(&setting) {
            skip(
                "every_measure_that_is_done_without_is_named_and_denied_unless_the_policy_accepts_it",
                &format!("{setting} is what this machine takes, and accepted"),
            );
            continue;
        }
        world.configure(|config| match config.contains("[confine]") {
            true => config.replace("[confine]", &format!("[confine]\n{setting} = true")),
            false => config + &format!("\n[confine]\n{setting} = true\n"),
        });
        let mut broker = world.start_broker();
        assert_eq!(
            denied(&world, &mut broker, &world.config),
            ["weakened"],
            "{setting}"
        );
    }
}

#[test]
fn an_unknown_dangerous_setting_stops_the_enclave_itself() {
    let world = tiny_world();
    let config = world.config.replace(
        "dangerously_host_time",
        "dangerously_skip_broker = true\ndangerously_host_time",
    );
    got_no_key(world.start_enclave(&config).ends(), 2, "config_unknown_key");
}

#[test]
fn simulated_evidence_is_denied_unless_the_policy_accepts_it_by_name() {
    let mut world = tiny_world();
    world.policy = world.policy.replace("dangerously_accept_simulated = true\n", "");
    let mut broker = world.start_broker();
    assert_eq!(denied(&world, &mut broker, &world.config), ["simulated"]);
}

#[test]
fn another_measurement_is_denied() {
    let world = tiny_world();
    let mut broker = world.start_broker();
    let record = LaunchRecord {
        measurement: Digest::new([7; 48]),
        host_data: world.config_sha256(),
    };
    let input = [record.encode().as_slice(), world.config.as_bytes()].concat();
    got_no_key(world.start_enclave_with(input).ends(), 3, "evidence_refused");
    broker.says("denied: default/model/demo");
    assert_eq!(world.denied_rules(), ["measurement"]);
}

#[test]
fn a_configuration_other_than_the_fixed_one_is_not_even_parsed() {
    let world = tiny_world();
    let launched = |host_data: Digest<32>, config: &[u8]| {
        let record = LaunchRecord {
            measurement: world.measurement(),
            host_data,
        };
        world
            .start_enclave_with([record.encode().as_slice(), config].concat())
            .ends()
    };
    let digest = sha256(&[world.config.as_bytes()]);
    got_no_key(
        launched(Digest::new([0; 32]), world.config.as_bytes()),
        2,
        "config_unbound",
    );
    got_no_key(
        launched(digest, format!("{}\n", world.config).as_bytes()),
        2,
        "config_differs",
    );
    // What cannot be parsed is refused for its digest: the parser never saw it.
    let garbage = b"= not toml \xff";
    let ended = launched(digest, garbage);
    assert!(!ended.told("config_accepted"), "{ended:#?}");
    got_no_key(ended, 2, "config_differs");
    // The control: with its own digest fixed, the parser does see it.
    got_no_key(launched(sha256(&[garbage]), garbage), 2, "config_not_text");
}

#[test]
fn a_demo_policy_opens_nothing_of_a_real_store() {
    let world = World::of_class(anchorhold_tests::programs!(), &World::tiny_model(), "real");
    assert!(
        world.policy.contains("dangerously_accept_simulated = true"),
        "the demo's line, copied"
    );
    let mut broker = world.start_broker();
    broker.says("warning: ");
    assert_eq!(denied(&world, &mut broker, &world.config), ["key-class"]);
    // Nor can the configuration say that a simulated platform is real.
    let config = world.config.replace("class = \"insecure\"", "class = \"real\"");
    got_no_key(world.start_enclave(&config).ends(), 2, "config_bad_value");
}

#[test]
fn a_real_sealed_file_is_not_opened_under_an_insecure_key() {
    let real = World::of_class(anchorhold_tests::programs!(), &World::tiny_model(), "real");
    let world = tiny_world();
    std::fs::copy(real.path("model.sealed"), world.path("model.sealed")).unwrap();
    let _broker = world.start_broker();
    let ended = world.start_enclave(&world.config).ends().expect(1);
    assert_eq!(ended.last_code(), "sealed_refused");
    assert!(
        ended.told("key_released") && !ended.told("unsealing"),
        "{ended:#?}"
    );
}

#[test]
fn a_resource_that_is_not_there_looks_like_one_that_is_denied() {
    let mut world = tiny_world();
    world.configure(|config| config.replace("default/model/demo", "default/model/absent"));
    let _broker = world.start_broker();
    got_no_key(world.start_enclave(&world.config).ends(), 3, "release_refused");
}

#[test]
fn a_rightly_signed_release_of_another_key_is_refused() {
    let mut world = tiny_world();
    // The owner's own mistake: the resource names one key, the enclave's configuration another.
    world.configure(|config| config.replace("key_id = \"demo\"", "key_id = \"other\""));
    let _broker = world.start_broker();
    got_no_key(world.start_enclave(&world.config).ends(), 1, "release_other_key");
    assert_eq!(world.log().last().unwrap()["event"]["decision"], "granted");
}

#[test]
fn a_broker_that_is_not_there_is_asked_as_often_as_configured() {
    let mut world = tiny_world();
    let nobody = free_address();
    let address = world.broker_address.clone();
    world.configure(|config| config.replace(&address, &nobody));
    let ended = world.start_enclave(&world.config).ends();
    let attempts = ended
        .events()
        .iter()
        .filter(|event| event["event"] == "key_requested")
        .count();
    assert_eq!(attempts, 2, "{ended:#?}");
    got_no_key(ended, 1, "broker_unreachable");
}

#[test]
fn the_class_of_a_store_never_changes() {
    let world = World::of_class(anchorhold_tests::programs!(), &World::tiny_model(), "real");
    let store = text(&world.path("store"));
    let more = [
        "owner", "keygen", "--store", &store, "--key-id", "second", "--class", "insecure", "--json",
    ];
    let refused = anchorhold_tests::process::run(world.programs.host, &more).expect(1);
    assert_eq!(refused.json()["error"]["code"], "store_class");
    let key = std::panic::catch_unwind(|| {
        anchorhold_tests::false_broker::stolen_tls_key(&world.path("store"), Class::Insecure)
    });
    assert!(
        key.is_err(),
        "what is wrapped in a real store does not open as insecure"
    );
}
