//! An older version of the model, sealed under the same key by the same owner.
//!
//! Why apart: the key is right, the file is genuine, the broker's release names both versions: only the pinned
//! manifest tells them apart.
//!
//! # Invariants
//! The newer file is served by the same enclave configuration.

use std::fs;
use std::path::PathBuf;

use anchorhold_tests::process::Finished;
use anchorhold_tests::world::World;

use crate::demo_world;

/// A world that was sealed as one version (`model.sealed`) and is configured for a newer one (`newer.sealed`).
fn two_versions(more: &[&str]) -> World {
    let mut world = demo_world();
    let folder = newer_model(&world);
    if !more.is_empty() {
        // The older one again, its header without name and digest.
        let older = world.seal(&World::demo_model(), "private.sealed", more);
        assert_eq!(older["manifest_sha256"], world.sealed["manifest_sha256"]);
        fs::rename(world.path("private.sealed"), world.path("model.sealed")).unwrap();
    }
    let older = world.manifest();
    world.sealed = world.seal(&folder, "newer.sealed", more);
    let newer = world.manifest();
    assert_ne!(older, newer);
    world.configure(|config| config.replace(&older, &newer));
    world
}

fn newer_model(world: &World) -> PathBuf {
    let folder = world.path("newer");
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(World::demo_model()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    let card = folder.join("generation_config.json");
    let text = fs::read_to_string(&card).unwrap();
    fs::write(card, format!("{text}\n")).unwrap();
    folder
}

fn with_the_older_file(world: &World) -> Finished {
    world.start_enclave(&world.config).ends().expect(1)
}

#[test]
fn the_header_tells_and_nothing_is_decrypted() {
    let world = two_versions(&[]);
    let _broker = world.start_broker();
    let ended = with_the_older_file(&world);
    assert_eq!(ended.last_code(), "sealed_refused");
    assert!(ended.told("key_released"), "{ended:#?}");
    assert!(!ended.told("unsealing") && !ended.told("ready"), "{ended:#?}");
    fs::rename(world.path("newer.sealed"), world.path("model.sealed")).unwrap();
    let _serving = world.serve();
}

#[test]
fn with_a_private_header_the_manifest_inside_tells_before_any_file_is_parsed() {
    let world = two_versions(&["--private-name"]);
    let _broker = world.start_broker();
    let ended = with_the_older_file(&world);
    // Decryption began, with the manifest; `model_not_loaded` would say that a file was parsed.
    assert_eq!(ended.last_code(), "sealed_refused");
    assert!(ended.told("unsealing") && !ended.told("ready"), "{ended:#?}");
    fs::rename(world.path("newer.sealed"), world.path("model.sealed")).unwrap();
    let _serving = world.serve();
}

#[test]
fn an_older_manifest_in_the_configuration_is_denied_once_the_policy_moved_on() {
    let mut world = two_versions(&[]);
    let policy = world.working_policy();
    // The enclave is started as of old: old configuration, old file. The broker has the new policy.
    let newer = world.manifest();
    let old: serde_json::Value = world.seal(&World::demo_model(), "again.sealed", &[]);
    let older = old["manifest_sha256"].as_str().unwrap().to_owned();
    world.configure(|config| config.replace(&newer, &older));
    world.policy = policy;
    let _broker = world.start_broker();
    crate::got_no_key(world.start_enclave(&world.config).ends(), 3, "evidence_refused");
    assert_eq!(world.denied_rules(), ["config", "manifest"]);
}
