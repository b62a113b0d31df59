//! A disk that is full before the sealed file is whole.
//!
//! Why apart: the test makes its own small disk, in a mount namespace that ends with the program.
//!
//! # Invariants
//! Under the final name there is nothing, and the store does not say that a model was sealed.

use std::fs;
use std::process::Command;

use anchorhold_tests::process::{Finished, run};
use anchorhold_tests::testdata::skip;
use anchorhold_tests::world::{KEY_ID, World, text};

use crate::{programs, refusal, tiny_world};

/// The command that seals another model than the world has into `out`, as one line of shell.
fn seal(world: &World, out: &str) -> String {
    let model = anchorhold_tests::tree::root().join("tests/tiny-models/mistral");
    let (host, store, model) = (programs().host, text(&world.path("store")), text(&model));
    format!(
        "'{host}' owner seal --store '{store}' --key-id {KEY_ID} --model '{model}' --out '{out}' --name m --json"
    )
}

fn manifests(world: &World) -> u32 {
    let database = rusqlite::Connection::open(world.path("store").join("broker.sqlite")).unwrap();
    database
        .query_row("SELECT count(*) FROM manifest", [], |row| row.get(0))
        .unwrap()
}

fn no_room(ended: &Finished, kind: &str) {
    let error = refusal(ended, "seal");
    assert_eq!(error["message"], format!("cannot write the sealed file: {kind}"));
    assert_eq!(
        error["hint"],
        "make room: the sealed file is about as large as the model"
    );
}

#[test]
fn a_full_disk_leaves_nothing_under_the_final_name() {
    let world = tiny_world();
    let disk = world.path("disk");
    fs::create_dir(&disk).unwrap();
    let mount = |size: &str| format!("mount -t tmpfs -o size={size} none '{}'", text(&disk));
    let able = Command::new("unshare")
        .args(["-rm", "sh", "-c", &mount("1m")])
        .output();
    if !able.is_ok_and(|output| output.status.success()) {
        return skip(
            "a_full_disk_leaves_nothing_under_the_final_name",
            "no mount namespace can be made here",
        );
    }
    let (sealed, listed) = (text(&disk.join("model.sealed")), text(&world.path("listed")));
    let script = |size: &str| {
        format!(
            "{} || exit 99; {}; status=$?; ls -A '{}' > '{listed}'; exit $status",
            mount(size),
            seal(&world, &sealed),
            text(&disk)
        )
    };
    no_room(
        &run("unshare", &["-rm", "sh", "-c", &script("64k")]).expect(1),
        "no storage space",
    );
    assert_eq!(
        fs::read_to_string(&listed).unwrap(),
        "",
        "not even a partial file"
    );
    assert_eq!(
        manifests(&world),
        1,
        "the key does not name a model that was not sealed"
    );
    // The control: with room enough the same command seals.
    let _ = run("unshare", &["-rm", "sh", "-c", &script("16m")])
        .expect(0)
        .json();
    assert_eq!(fs::read_to_string(&listed).unwrap(), "model.sealed\n");
    assert_eq!(manifests(&world), 2);
}

#[test]
fn a_limit_on_file_sizes_leaves_nothing_under_the_final_name() {
    let world = tiny_world();
    let folder = world.path("limited");
    fs::create_dir(&folder).unwrap();
    let sealed = text(&folder.join("model.sealed"));
    // 64 blocks of 512 bytes; the store's own journal stays below that. Without the signal, writing fails.
    let script = format!("trap '' XFSZ; ulimit -f 64; exec {}", seal(&world, &sealed));
    no_room(&run("sh", &["-c", &script]).expect(1), "file too large");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(manifests(&world), 1);
    // Killed in the middle by the same limit: a partial file may stay, never under the final name.
    let killed = run(
        "sh",
        &["-c", &format!("ulimit -f 64; exec {}", seal(&world, &sealed))],
    );
    assert_eq!(killed.code, -1, "{killed:?}");
    assert!(!folder.join("model.sealed").exists());
    let _ = run("sh", &["-c", &seal(&world, &sealed)]).expect(0).json();
}

#[test]
fn a_folder_that_is_not_there_is_not_made() {
    let world = tiny_world();
    let sealed = text(&world.path("nowhere/model.sealed"));
    let ended = run("sh", &["-c", &seal(&world, &sealed)]).expect(1);
    assert_eq!(
        refusal(&ended, "seal")["message"],
        "cannot write the sealed file: entity not found"
    );
    assert!(!world.path("nowhere").exists());
}

#[test]
fn a_store_on_a_full_disk_is_not_half_made() {
    let world = tiny_world();
    let store = text(&world.path("second"));
    let keygen = format!(
        "'{}' owner keygen --store '{store}' --key-id {KEY_ID} --class insecure --json",
        programs().host
    );
    let refused = run(
        "sh",
        &["-c", &format!("trap '' XFSZ; ulimit -f 8; exec {keygen}")],
    )
    .expect(1);
    assert_eq!(
        refusal(&refused, "store_database")["hint"],
        "check free space and permissions, and that no other program holds the file"
    );
    // With room, the same command makes it: what was left does not stand in the way.
    let made = run("sh", &["-c", &keygen]).expect(0).json();
    assert_eq!(made["key_id"], KEY_ID);
}
