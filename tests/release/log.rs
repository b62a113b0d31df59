//! The release log of a real broker: checked, altered in every way, and cut.
//!
//! Why apart: the owner's proof of what was given out must hold against whoever can write the file.
//!
//! # Invariants
//! Each alteration is made on a copy of a log that passes.

use std::fs;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use anchorhold_encoding::sha256;
use anchorhold_models::name::Class;
use anchorhold_tests::false_broker::{FalseBroker, Lies, Told, stolen_tls_key};
use anchorhold_tests::guest::Guest;
use anchorhold_tests::process::{Finished, run};
use anchorhold_tests::world::{World, text};
use rusqlite::Connection;
use serde_json::Value;

use crate::rogue::led_astray;
use crate::{got_no_key, tiny_world};

fn verify(world: &World, store: &str, more: &[&str]) -> Finished {
    let store = text(&world.path(store));
    run(
        world.programs.host,
        &[&["owner", "log", "verify", "--store", &store, "--json"], more].concat(),
    )
}

/// A copy of the store in which the log's guards are gone.
fn copy_to(world: &World, name: &str) -> Connection {
    let folder = world.path(name);
    fs::create_dir(&folder).unwrap();
    fs::copy(
        world.path("store").join("broker.sqlite"),
        folder.join("broker.sqlite"),
    )
    .unwrap();
    let database = Connection::open(folder.join("broker.sqlite")).unwrap();
    database
        .execute_batch(
            "DROP TRIGGER release_log_is_never_changed; DROP TRIGGER release_log_is_never_shortened",
        )
        .unwrap();
    database
}

/// Three releases and a denial between them.
fn world_with_a_log() -> World {
    let world = tiny_world();
    let _broker = world.start_broker();
    let mut guest = Guest::of(&world);
    assert_eq!(guest.obtain().status, 200);
    guest.platform.debug = true;
    let session = guest.begin();
    assert_eq!(guest.attest(&session.cookie, &session.nonce).refused(), "denied");
    guest.platform.debug = false;
    assert_eq!(guest.obtain().status, 200);
    assert_eq!(guest.obtain().status, 200);
    world
}

#[test]
fn every_alteration_removal_and_reordering_is_found() {
    let world = world_with_a_log();
    let whole = verify(&world, "store", &[]).expect(0).json();
    assert_eq!(whole["entries"], 4);
    let control = copy_to(&world, "untouched");
    drop(control);
    assert_eq!(
        verify(&world, "untouched", &[]).expect(0).json()["head"],
        whole["head"]
    );

    let alterations = [
        "UPDATE release_log SET entry = CAST(replace(CAST(entry AS TEXT), 'denied', 'granted') AS BLOB) WHERE sequence = 2",
        "UPDATE release_log SET entry = CAST(replace(CAST(entry AS TEXT), '\"debug\"', '\"other\"') AS BLOB)",
        "UPDATE release_log SET entry = CAST(CAST(entry AS TEXT) || ' ' AS BLOB) WHERE sequence = 4",
        "UPDATE release_log SET entry = (SELECT entry FROM release_log WHERE sequence = 1) WHERE sequence = 3",
        "UPDATE release_log SET entry = (SELECT entry FROM release_log WHERE sequence = 1), \
         signature = (SELECT signature FROM release_log WHERE sequence = 1), \
         hash = (SELECT hash FROM release_log WHERE sequence = 1) WHERE sequence = 3",
        "UPDATE release_log SET hash = (SELECT hash FROM release_log WHERE sequence = 1) WHERE sequence = 4",
        "UPDATE release_log SET signature = zeroblob(64) WHERE sequence = 3",
        "UPDATE release_log SET signature = (SELECT signature FROM release_log WHERE sequence = 1) WHERE sequence = 2",
        "DELETE FROM release_log WHERE sequence = 1",
        "DELETE FROM release_log WHERE sequence = 2",
        "DELETE FROM release_log WHERE sequence = 2; \
         UPDATE release_log SET sequence = sequence - 1 WHERE sequence > 2",
        "DELETE FROM release_log WHERE sequence = 1; \
         UPDATE release_log SET sequence = 1 WHERE sequence = 2; \
         UPDATE release_log SET sequence = 2 WHERE sequence = 3; \
         UPDATE release_log SET sequence = 3 WHERE sequence = 4",
        "UPDATE release_log SET sequence = 9 WHERE sequence = 2; \
         UPDATE release_log SET sequence = 2 WHERE sequence = 3; \
         UPDATE release_log SET sequence = 3 WHERE sequence = 9",
        "INSERT INTO release_log SELECT 5, entry, hash, signature FROM release_log WHERE sequence = 4",
        "UPDATE release_log SET sequence = sequence + 10",
    ];
    for (number, alteration) in alterations.into_iter().enumerate() {
        let name = format!("altered-{number}");
        let database = copy_to(&world, &name);
        database.execute_batch(alteration).unwrap();
        drop(database);
        let refused = verify(&world, &name, &[]).expect(1);
        assert_eq!(
            refused.json()["error"]["code"],
            "release_log_broken",
            "{alteration}: {refused:?}"
        );
    }
}

#[test]
fn the_log_of_another_key_is_found_when_the_key_is_pinned() {
    let (world, other) = (world_with_a_log(), world_with_a_log());
    let key = world.owner["release_key"].as_str().unwrap();
    assert_eq!(
        verify(&world, "store", &["--release-key", key]).expect(0).json()["entries"],
        4
    );
    let refused = verify(&other, "store", &["--release-key", key]).expect(1);
    assert_eq!(refused.json()["error"]["code"], "release_log_broken");
}

#[test]
fn a_cut_end_is_found_with_a_remembered_head() {
    let world = world_with_a_log();
    let head = verify(&world, "store", &[]).expect(0).json()["head"]
        .as_str()
        .unwrap()
        .to_owned();
    let database = copy_to(&world, "cut");
    database
        .execute_batch("DELETE FROM release_log WHERE sequence = 4")
        .unwrap();
    drop(database);
    let cut = verify(&world, "cut", &[]).expect(0);
    assert_eq!(
        cut.json()["end"],
        "not checked",
        "what cannot be known is not claimed"
    );
    assert!(cut.stderr.contains("--head"), "{cut:?}");
    let refused = verify(&world, "cut", &["--head", &head]).expect(1);
    assert_eq!(refused.json()["error"]["code"], "release_log_broken");
    let emptied = copy_to(&world, "emptied");
    emptied.execute_batch("DELETE FROM release_log").unwrap();
    drop(emptied);
    assert_eq!(
        verify(&world, "emptied", &["--head", &head]).expect(1).json()["error"]["code"],
        "release_log_broken"
    );
    // A log that went on since still has the head.
    let _broker = world.start_broker();
    assert_eq!(Guest::of(&world).obtain().status, 200);
    let grown = verify(&world, "store", &["--head", &head]).expect(0).json();
    assert_eq!(
        (&grown["entries"], &grown["end"]),
        (&5.into(), &"contains the remembered head".into())
    );
}

#[test]
fn two_histories_of_one_key_do_not_join() {
    let world = tiny_world();
    let broker = world.start_broker();
    let mut guest = Guest::of(&world);
    assert_eq!(guest.obtain().status, 200);
    drop(broker);
    // Someone keeps a copy of the store, lets a broker release from it, and puts the original back.
    let database = |folder: &str| world.path(folder).join("broker.sqlite");
    fs::create_dir(world.path("copy")).unwrap();
    fs::copy(database("store"), database("copy")).unwrap();
    let two_more = |guest: &Guest, world: &World| {
        let _broker = world.start_broker();
        assert_eq!(guest.obtain().status, 200);
        assert_eq!(guest.obtain().status, 200);
    };
    two_more(&guest, &world);
    fs::rename(world.path("store").join("broker.sqlite"), world.path("first")).unwrap();
    fs::rename(database("copy"), database("store")).unwrap();
    guest.pair = anchorhold_models::wrap::TeeKeyPair::generate();
    two_more(&guest, &world);
    fs::rename(world.path("first"), database("copy")).unwrap();
    assert_eq!(verify(&world, "store", &[]).expect(0).json()["entries"], 3);
    // The second history with the first one's second entry: every entry is signed and has its number.
    let spliced = copy_to(&world, "spliced");
    let other = text(&database("copy"));
    spliced.execute("ATTACH ?1 AS other", [other]).unwrap();
    spliced
        .execute_batch(
            "DELETE FROM release_log WHERE sequence = 2; INSERT INTO release_log SELECT * FROM other.release_log WHERE sequence = 2",
        )
        .unwrap();
    drop(spliced);
    let refused = verify(&world, "spliced", &[]).expect(1);
    assert_eq!(
        refused.json()["error"]["message"],
        "release log: entry 3 is missing or out of order"
    );
}

#[test]
fn a_guarded_log_refuses_mistakes() {
    let world = world_with_a_log();
    let database = Connection::open(world.path("store").join("broker.sqlite")).unwrap();
    assert!(
        database
            .execute("DELETE FROM release_log WHERE sequence = 4", [])
            .is_err()
    );
    assert!(database.execute("UPDATE release_log SET hash = ''", []).is_err());
}

#[test]
fn the_entry_outlives_a_broker_that_is_killed_before_its_key_arrives() {
    let mut world = tiny_world();
    let key = stolen_tls_key(&world.path("store"), Class::Insecure);
    static BROKER: AtomicU32 = AtomicU32::new(0);
    static WRAPPED: Mutex<Option<String>> = Mutex::new(None);
    // The wrapped key is held back until the broker is dead.
    let lies = Lies::about_the_key(|answer| {
        let broker = BROKER.load(Ordering::SeqCst).to_string();
        assert!(run("kill", &["-9", &broker]).code == 0);
        *WRAPPED.lock().unwrap() = Some(sha256(&[&answer.body]).to_string());
        Told::Half(answer)
    });
    let liar = FalseBroker::start(&key, &world.broker_address, lies);
    led_astray(&mut world, &liar);
    world.configure(|config| config.replace("attempts = 2", "attempts = 1"));
    let broker = world.start_broker();
    BROKER.store(broker.id(), Ordering::SeqCst);
    got_no_key(world.start_enclave(&world.config).ends(), 1, "broker_unreachable");
    let wrapped = WRAPPED.lock().unwrap().clone().expect("a key was on its way");
    assert_eq!(broker.finish().code, -1, "killed by a signal");
    let log = world.log();
    assert_eq!(
        (&log[0]["event"]["decision"], &log[0]["event"]["jwe_sha256"]),
        (&"granted".into(), &Value::from(wrapped))
    );
}

#[test]
fn without_an_entry_there_is_no_key() {
    let mut world = tiny_world();
    world.configure(|config| config.replace("attempts = 2", "attempts = 1\ntimeout_seconds = 20"));
    let mut broker = world.start_broker();
    let mut database = Connection::open(world.path("store").join("broker.sqlite")).unwrap();
    // Readers pass, writers wait: the broker can judge, and cannot log.
    let held = database
        .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
        .unwrap();
    got_no_key(world.start_enclave(&world.config).ends(), 1, "broker_failed");
    broker.says("error: the store's database failed");
    drop(held);
    assert!(world.log().is_empty());
    // The control: the same enclave gets its key once the log can be written.
    let ended = world.start_enclave(&world.config).ends().expect(1);
    assert!(ended.told("key_released"), "{ended:#?}");
    assert_eq!(
        ended.last_code(),
        "model_not_loaded",
        "the tiny model has no tokenizer"
    );
    assert_eq!(world.log().len(), 1);
}
