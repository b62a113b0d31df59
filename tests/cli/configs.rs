//! Configurations of the enclave and of the broker, and policies: each with one thing wrong.
//!
//! Why apart: three files that people write by hand.
//!
//! # Invariants
//! The error names the place; it never repeats a value of the file.

use std::fs;

use anchorhold_tests::process::run;
use anchorhold_tests::world::{World, text};

use crate::{programs, refused, tiny_world};

/// A value that must not come back in any error.
const CANARY: &str = "canary-7f3a";

/// A text with one passage replaced, which must be there.
fn with(whole: &str, passage: &str, other: &str) -> String {
    assert!(whole.contains(passage), "{passage:?} is not in the text");
    whole.replacen(passage, other, 1)
}

#[test]
fn an_enclaves_configuration_is_refused_by_line_and_key() {
    let world = tiny_world();
    let good = world.config.clone();
    let weak = "dangerously_host_time = true";
    // Lines that this machine takes, after the 23 that each configuration here has.
    let more = good.lines().count() - 23;
    // What is wrong; the file; code, line and key of the error.
    let cases = [
        (
            "unknown key",
            with(&good, "attempts", "atempts"),
            "config_unknown_key",
            12,
            "",
        ),
        (
            "unknown table",
            format!("{good}\n[{CANARY}]\n"),
            "config_unknown_key",
            25 + more,
            "",
        ),
        (
            "a number in quotes",
            with(&good, "attempts = 2", "attempts = \"2\""),
            "config_wrong_type",
            12,
            "attempts",
        ),
        (
            "text as a number",
            with(&good, "name = \"demo\"", "name = 7"),
            "config_wrong_type",
            15,
            "name",
        ),
        (
            "missing key",
            with(&good, "resource = \"default/model/demo\"\n", ""),
            "config_missing_key",
            0,
            "resource",
        ),
        (
            "missing table",
            with(&good, "[listen]", "[limits]")
                .replace("api =", "queue = 3 #")
                .replace("metrics =", "#"),
            "config_missing_key",
            0,
            "listen",
        ),
        (
            "consent withheld",
            with(&good, weak, "dangerously_host_time = false"),
            "config_bad_value",
            5,
            "dangerously_host_time",
        ),
        (
            "consent not given",
            with(&good, &format!("{weak}\n"), ""),
            "config_missing_key",
            0,
            "dangerously_host_time",
        ),
        (
            "plain http",
            with(&good, "https://", "http://"),
            "config_bad_value",
            8,
            "url",
        ),
        (
            "a digest that is none",
            with(
                &good,
                "manifest_sha256 = \"",
                &format!("manifest_sha256 = \"{CANARY}"),
            ),
            "config_bad_value",
            19,
            "manifest_sha256",
        ),
        (
            "a limit out of reach",
            format!("{good}\n[limits]\nqueue = 100000000\n"),
            "config_bad_value",
            26 + more,
            "queue",
        ),
        (
            "not TOML",
            with(&good, "[broker]", &format!("= {CANARY}")),
            "config_syntax",
            7,
            "",
        ),
        ("nothing", String::new(), "config_missing_key", 0, "version"),
    ];
    for (what, config, code, line, key) in cases {
        let ended = world.start_enclave(&config).ends().expect(2);
        let events = ended.events();
        let last = events.last().unwrap();
        assert_eq!(
            (&last["event"], &last["stage"]),
            (&"error".into(), &"config".into()),
            "{what}: {ended:#?}"
        );
        assert_eq!(last["code"], code, "{what}: {ended:#?}");
        assert_eq!(
            (&last["line"], &last["key"]),
            (&line.into(), &key.into()),
            "{what}: {ended:#?}"
        );
        assert!(!last["hint"].as_str().unwrap().is_empty(), "{what}");
        assert!(!format!("{ended:?}").contains(CANARY), "{what}: {ended:#?}");
        assert!(!ended.told("key_requested"), "{what}");
    }
}

#[test]
fn the_launcher_passes_the_enclaves_verdict_on_or_says_why_it_cannot_launch() {
    let world = tiny_world();
    world.write_policies();
    let (config, enclave) = (text(&world.path("enclave.toml")), programs().enclave);
    let launch = |config: &str, enclave: &str| {
        ["operator", "launch", "--config", config, "--enclave", enclave].map(str::to_owned)
    };
    let refused = |config: &str, enclave: &str, code: &str| {
        let arguments = launch(config, enclave);
        refused(&arguments.each_ref().map(String::as_str), 1, code)["message"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let missing = text(&world.path("missing"));
    assert_eq!(
        refused(&missing, enclave, "file"),
        "the configuration: entity not found"
    );
    assert_eq!(
        refused("/dev/zero", enclave, "file"),
        "the configuration: file too large"
    );
    assert_eq!(
        refused(&config, &missing, "file"),
        "the enclave: entity not found"
    );
    let broken = text(&world.path("broken.toml"));
    fs::write(&broken, "= =").unwrap();
    assert_eq!(
        refused(&broken, enclave, "enclave_config"),
        "the configuration is not TOML"
    );
    fs::write(
        &broken,
        with(&world.config, "\"insecure-simulated\"", "\"sev-snp\""),
    )
    .unwrap();
    assert_eq!(
        refused(&broken, enclave, "enclave_config"),
        "the configuration's platform is not insecure-simulated"
    );
    // What only the enclave can judge ends with the enclave's status and its events.
    fs::write(&broken, format!("{}\n[surprise]\n", world.config)).unwrap();
    let arguments = launch(&broken, enclave);
    let ended = run(programs().host, &arguments.each_ref().map(String::as_str)).expect(2);
    assert_eq!(ended.last_code(), "config_unknown_key");
}

#[test]
fn a_brokers_configuration_is_refused_by_line() {
    let mut world = tiny_world();
    world.write_policies();
    let (store, config) = (text(&world.path("store")), text(&world.path("broker.toml")));
    let command = ["owner", "broker", "--store", &store, "--config", &config];
    let good = world.broker.clone();
    let line = |line: u8| {
        format!(
            "the broker's configuration: line {line}: a syntax error, an unknown or missing key, or a wrong value"
        )
    };
    let listen = good.lines().next().unwrap().to_owned();
    let cases = [
        (with(&good, "listen", "lissen"), "broker_config", line(1)),
        (
            with(&good, "key_id = \"demo\"", "key_id = 3"),
            "broker_config",
            line(5),
        ),
        (
            with(&good, "policy = \"policy.toml\"\n", ""),
            "broker_config",
            line(3),
        ),
        (format!("{good}{CANARY} = 1\n"), "broker_config", line(7)),
        (
            format!("{listen}\nresource = []\n"),
            "broker_config",
            "the broker's configuration: 1 to 64 [[resource]] tables are needed".into(),
        ),
        (
            format!("{good}lease_seconds = 0\n"),
            "broker_config",
            "the broker's configuration: resource default/model/demo: lease_seconds out of range".into(),
        ),
        (
            with(&good, "policy.toml", "absent.toml"),
            "policy_file",
            "the policy file of resource default/model/demo: entity not found".into(),
        ),
        (
            with(&good, "\"demo\"", "\"other\""),
            "no_such_key",
            "the store has no key other".into(),
        ),
        (
            with(&good, &world.broker_address, "192.0.2.1:1"),
            "listen",
            "cannot listen: address not available".into(),
        ),
    ];
    for (text, code, message) in cases {
        world.broker = text;
        world.write_policies();
        let error = refused(&command, 1, code);
        assert_eq!(error["message"], message);
        assert!(!error.to_string().contains(CANARY), "{error}");
    }
    world.broker = good;
    world.write_policies();
    let taken = std::net::TcpListener::bind(&world.broker_address).unwrap();
    assert_eq!(
        refused(&command, 1, "listen")["message"],
        "cannot listen: address in use"
    );
    drop(taken);
    // The control.
    drop(world.start_broker());
    fs::remove_file(world.path("broker.toml")).unwrap();
    assert_eq!(
        refused(&command, 1, "broker_config")["message"],
        "the broker's configuration: entity not found"
    );
}

#[test]
fn a_policy_is_refused_by_owner_and_client_alike() {
    let mut world = tiny_world();
    let good = world.policy.clone();
    let key = |line: u8| format!("line {line} of the policy: an unknown key or a value it cannot have");
    let unset = |key: &str| format!("the policy does not set {key}");
    let line_of = |start: &str| format!("{}\n", good.lines().find(|line| line.starts_with(start)).unwrap());
    let cases = [
        (with(&good, "any_chip_of", "any_chop_of"), key(4)),
        (with(&good, "version = 1", "version = \"1\""), key(1)),
        (
            with(
                &good,
                "dangerously_accept_simulated = true",
                "dangerously_accept_everything = true",
            ),
            key(5),
        ),
        (
            with(
                &good,
                "dangerously_accept_simulated = true",
                "dangerously_accept_simulated = \"yes\"",
            ),
            key(5),
        ),
        (
            with(&good, "[\"dangerously_host_time\"", "[\"dangerously_anything\""),
            key(6),
        ),
        (
            with(
                &good,
                "manifest_sha256 = \"",
                &format!("manifest_sha256 = \"{CANARY}"),
            ),
            key(2),
        ),
        (
            with(&good, "version = 1\n", "= =\n"),
            "line 1 of the policy is not TOML".into(),
        ),
        (
            with(&good, "version = 1", "version = 2"),
            "version in the policy is out of range".into(),
        ),
        (with(&good, "version = 1\n", ""), unset("version")),
        // Without one of these three a client would believe any enclave.
        (
            with(&good, &line_of("manifest_sha256"), ""),
            unset("manifest_sha256"),
        ),
        (with(&good, &line_of("config_sha256"), ""), unset("config_sha256")),
        (
            good.split_once("[[reference_values]]").unwrap().0.to_owned(),
            unset("reference_values"),
        ),
        (
            with(&good, &line_of("any_chip_of"), ""),
            "the policy must set exactly one of chips and any_chip_of".into(),
        ),
        (
            with(&good, &line_of("manifest_sha256"), "manifest_sha256 = []\n"),
            "manifest_sha256 in the policy is empty".into(),
        ),
    ];
    let (store, config) = (text(&world.path("store")), text(&world.path("broker.toml")));
    let policy = text(&world.path("policy.toml"));
    let broker = ["owner", "broker", "--store", &store, "--config", &config];
    let client = [
        "client",
        "verify",
        "--url",
        "https://127.0.0.1:1",
        "--policy",
        &policy,
    ];
    for (text, message) in cases {
        world.policy = text;
        world.write_policies();
        let error = refused(&broker, 1, "policy");
        assert_eq!(
            error["message"],
            format!("the policy of resource default/model/demo: {message}")
        );
        assert!(!error.to_string().contains(CANARY), "{error}");
        let error = refused(&client, 1, "policy");
        assert_eq!(error["message"], format!("{policy}: {message}"));
        assert!(!error.to_string().contains(CANARY), "{error}");
    }
    // The control: the good policy gets the client as far as the network.
    world.policy = good;
    world.write_policies();
    let _ = refused(&client, 1, "enclave_unreachable");
}

#[test]
fn a_store_that_is_none_is_refused_as_that() {
    let world = tiny_world();
    world.write_policies();
    let (config, nowhere) = (text(&world.path("broker.toml")), text(&world.path("nowhere")));
    let broker = |store: &str| {
        refused(
            &["owner", "broker", "--store", store, "--config", &config],
            1,
            "store_absent",
        )
    };
    assert_eq!(broker(&nowhere)["message"], "there is no store in this folder");
    assert!(!world.path("nowhere").exists(), "looking for it does not make it");
    let store = text(&world.path("store"));
    let with_kek = |kek: &str, code: &str| {
        refused(
            &[
                "owner", "broker", "--store", &store, "--config", &config, "--kek", kek,
            ],
            1,
            code,
        )["message"]
            .clone()
    };
    let kek = world.path("other-kek");
    let other = World::new(programs(), &World::tiny_model());
    fs::copy(other.path("store").join("kek"), &kek).unwrap();
    let message = with_kek(&text(&kek), "store_locked");
    assert!(
        message
            .as_str()
            .unwrap()
            .starts_with("the store's secrets do not open: "),
        "{message}"
    );
    fs::write(&kek, "short").unwrap();
    assert_eq!(
        with_kek(&text(&kek), "store_locked"),
        "the store's secrets do not open: the file is not a key-encryption key"
    );
    fs::copy(world.path("store").join("kek"), &kek).unwrap();
    fs::set_permissions(&kek, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(
        with_kek(&text(&kek), "kek_readable"),
        "the KEK file can be read by others"
    );
    fs::write(
        world.path("store").join("broker.sqlite"),
        "not a database, but long enough to be looked at",
    )
    .unwrap();
    assert_eq!(
        refused(&["owner", "log", "verify", "--store", &store], 1, "not_a_store")["message"],
        "the file is not an Anchorhold store"
    );
}
