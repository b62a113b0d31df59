//! Missing, empty, huge, unreadable, pickled, half-written and never sealed: for `owner seal`, for
//! `owner inspect` and for an enclave that holds the key.
//!
//! Why apart: the same ten kinds of files, given to three programs.
//!
//! # Invariants
//! After a refusal the folder holds what it held before.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anchorhold_tests::process::run;
use anchorhold_tests::testdata::skip;
use anchorhold_tests::world::{KEY_ID, World, text};

use crate::{programs, refused, tiny_world};

/// What a pickled model begins with: a zip archive, as torch has written it since 1.6.
const TORCH_ZIP: &[u8] = b"PK\x03\x04\x00\x00\x08\x08\x00\x00archive/data.pkl";

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// A copy of the tiny model, with `edit` done to it.
fn model(world: &World, name: &str, edit: impl FnOnce(&Path)) -> String {
    let folder = world.path(name);
    fs::create_dir(&folder).unwrap();
    for entry in fs::read_dir(World::tiny_model()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    edit(&folder);
    text(&folder)
}

fn set_length(path: &Path, length: u64) {
    fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .unwrap()
        .set_len(length)
        .unwrap();
}

#[test]
fn a_folder_that_is_no_whole_model_is_not_sealed() {
    let world = tiny_world();
    let (store, out) = (text(&world.path("store")), text(&world.path("never.sealed")));
    let weights = "model.safetensors";
    let only = |folder: &Path, name: &str, bytes: &[u8]| {
        fs::remove_file(folder.join(weights)).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    };
    let cases = [
        (
            text(&world.path("missing")),
            "cannot read the model's folder: entity not found",
        ),
        (text(&world.path("model.sealed")), "the model is not a folder"),
        (
            model(&world, "empty", |f| {
                for name in names(f) {
                    fs::remove_file(f.join(name)).unwrap()
                }
            }),
            "there are no weights",
        ),
        (
            model(&world, "empty-file", |f| set_length(&f.join(weights), 0)),
            "model.safetensors is shorter or longer than its header says",
        ),
        (
            model(&world, "half", |f| set_length(&f.join(weights), 100_000)),
            "model.safetensors is shorter or longer than its header says",
        ),
        // Nine terabytes that take no room: refused by its header, not read.
        (
            model(&world, "huge", |f| set_length(&f.join(weights), 9 << 40)),
            "model.safetensors is shorter or longer than its header says",
        ),
        (
            model(&world, "pickle", |f| only(f, "pytorch_model.bin", TORCH_ZIP)),
            "pytorch_model.bin is pickle, which is refused",
        ),
        (
            model(&world, "torch", |f| only(f, "model.pt", TORCH_ZIP)),
            "model.pt is pickle, which is refused",
        ),
        (
            model(&world, "disguised", |f| only(f, weights, TORCH_ZIP)),
            "model.safetensors is pickle, which is refused",
        ),
        (
            model(&world, "pointer", |f| {
                only(f, weights, b"version https://git-lfs.github.com/spec/v1\n")
            }),
            "model.safetensors does not begin as its format does",
        ),
        (
            model(&world, "folder", |f| {
                fs::remove_file(f.join(weights)).unwrap();
                fs::create_dir(f.join(weights)).unwrap();
            }),
            "model.safetensors is not a regular file",
        ),
    ];
    let before = names(&world.path(""));
    for (folder, message) in cases {
        let seal = [
            "owner", "seal", "--store", &store, "--key-id", KEY_ID, "--model", &folder, "--out", &out,
            "--name", "m",
        ];
        let error = refused(&seal, 1, "seal");
        assert_eq!(error["message"], message, "{folder}");
        assert_eq!(
            names(&world.path("")),
            before,
            "{folder}: nothing was left behind"
        );
    }
}

#[test]
fn pickle_beside_real_weights_is_left_out_and_named() {
    let world = tiny_world();
    let folder = model(&world, "mixed", |f| {
        fs::write(f.join("pytorch_model.bin"), TORCH_ZIP).unwrap()
    });
    let (store, out) = (text(&world.path("store")), text(&world.path("mixed.sealed")));
    let seal = [
        "owner", "seal", "--store", &store, "--key-id", KEY_ID, "--model", &folder, "--out", &out, "--name",
        "m", "--json",
    ];
    let sealed = run(programs().host, &seal).expect(0);
    assert_eq!(
        sealed.json()["left_out"],
        serde_json::json!(["pytorch_model.bin"])
    );
    assert_eq!(
        sealed.json()["manifest_sha256"],
        world.manifest(),
        "it is no part of the model"
    );
    assert!(
        sealed
            .stderr
            .contains("left out, not part of a model: pytorch_model.bin"),
        "{sealed:?}"
    );
}

#[test]
fn an_existing_file_is_never_overwritten() {
    let world = tiny_world();
    let (store, out) = (text(&world.path("store")), text(&world.path("precious")));
    fs::write(&out, "precious").unwrap();
    let folder = text(&World::tiny_model());
    let seal = [
        "owner", "seal", "--store", &store, "--key-id", KEY_ID, "--model", &folder, "--out", &out, "--name",
        "m",
    ];
    assert_eq!(
        refused(&seal, 1, "seal")["message"],
        "the sealed file already exists"
    );
    assert_eq!(fs::read_to_string(&out).unwrap(), "precious");
}

/// Every way a sealed file can be bad: the name of the case, what makes it of a good one, what `owner inspect`
/// says (nothing: only a key can tell), and the code of an enclave that was given the key.
type Bad = (&'static str, fn(&Path), Option<&'static str>, &'static str);

const BAD_FILES: [Bad; 10] = [
    (
        "missing",
        |path| fs::remove_file(path).unwrap(),
        Some("cannot read the sealed model: entity not found"),
        "sealed_unreadable",
    ),
    (
        "empty",
        |path| fs::write(path, b"").unwrap(),
        Some("not a sealed model"),
        "not_sealed",
    ),
    (
        "a folder",
        |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        },
        Some("cannot read the sealed model: is a directory"),
        "sealed_unreadable",
    ),
    (
        "zeros without end",
        |path| {
            fs::write(path, b"").unwrap();
            set_length(path, 8 << 40);
        },
        Some("not a sealed model"),
        "not_sealed",
    ),
    (
        "plain weights",
        |path| {
            fs::copy(World::tiny_model().join("model.safetensors"), path).unwrap();
        },
        Some("not a sealed model"),
        "not_sealed",
    ),
    (
        "pickle",
        |path| fs::write(path, TORCH_ZIP).unwrap(),
        Some("not a sealed model"),
        "not_sealed",
    ),
    (
        "a header and no more",
        |path| set_length(path, 200),
        Some("the sealed model is cut short"),
        "sealed_truncated",
    ),
    (
        "half written",
        |path| set_length(path, 100_000),
        Some("the sealed model is cut short"),
        "sealed_truncated",
    ),
    (
        "grown to terabytes",
        |path| set_length(path, 8 << 40),
        Some("the sealed model has bytes after its end"),
        "sealed_trailing_bytes",
    ),
    ("one bit flipped", flip_last, None, "sealed_refused"),
];

fn flip_last(path: &Path) {
    let mut file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut last = [0];
    file.seek(SeekFrom::End(-1)).unwrap();
    file.read_exact(&mut last).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(&[last[0] ^ 1]).unwrap();
}

#[test]
fn inspect_says_what_is_wrong_with_a_file() {
    let world = tiny_world();
    let whole = text(&world.path("model.sealed"));
    let shown = run(programs().host, &["owner", "inspect", &whole, "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["header"]["manifest_sha256"], world.manifest());
    assert_eq!(shown["authentic"], "unknown until unsealed");
    for (number, (name, spoil, message, _)) in BAD_FILES.iter().enumerate() {
        let path = world.path(&format!("bad-{number}"));
        fs::copy(&whole, &path).unwrap();
        spoil(&path);
        match message {
            Some(message) => assert_eq!(
                refused(&["owner", "inspect", &text(&path)], 1, "sealed_file")["message"],
                *message,
                "{name}"
            ),
            None => assert_eq!(
                run(programs().host, &["owner", "inspect", &text(&path), "--json"])
                    .expect(0)
                    .json()["authentic"],
                "unknown until unsealed"
            ),
        }
    }
}

#[test]
fn an_enclave_with_the_key_refuses_every_bad_file() {
    let world = tiny_world();
    let _broker = world.start_broker();
    let path = world.path("model.sealed");
    let whole = fs::read(&path).unwrap();
    for (name, spoil, _, code) in BAD_FILES {
        spoil(&path);
        let ended = world.start_enclave(&world.config).ends().expect(1);
        assert_eq!(ended.last_code(), code, "{name}: {ended:#?}");
        assert!(
            ended.told("key_released") && !ended.told("ready"),
            "{name}: {ended:#?}"
        );
        let events = ended.events();
        let last = events.last().unwrap();
        assert_eq!(
            (&last["event"], &last["stage"]),
            (&"error".into(), &"unseal".into()),
            "{name}"
        );
        assert!(!last["hint"].as_str().unwrap().is_empty(), "{name}");
        assert_eq!(ended.stderr, "", "{name}");
        if path.is_dir() {
            fs::remove_dir(&path).unwrap();
        }
        fs::write(&path, &whole).unwrap();
    }
    // The control: the good file is decrypted to its end. (The tiny model has no tokenizer, so it is not served.)
    let ended = world.start_enclave(&world.config).ends().expect(1);
    assert!(ended.told("unsealing"), "{ended:#?}");
    assert_eq!(ended.last_code(), "model_not_loaded");
}

#[test]
fn what_may_not_be_read_is_refused_as_that() {
    let world = tiny_world();
    let folder = model(&world, "secret", |f| {
        fs::set_permissions(f.join("model.safetensors"), fs::Permissions::from_mode(0o000)).unwrap();
    });
    let sealed = text(&world.path("model.sealed"));
    fs::set_permissions(&sealed, fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser may read everything, unless it gives that right up first.
    let mut before: Vec<&str> = Vec::new();
    if fs::read(&sealed).is_ok() {
        before = vec!["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"];
        let able = std::process::Command::new("setpriv")
            .args([before[1], "--", "cat", &sealed])
            .output();
        if !able.is_ok_and(|output| String::from_utf8_lossy(&output.stderr).contains("denied")) {
            return skip(
                "what_may_not_be_read_is_refused_as_that",
                "this user may read everything and setpriv cannot change that",
            );
        }
    }
    let refused = |arguments: &[&str]| {
        let all = [&before[..], &[programs().host], arguments, &["--json"]].concat();
        crate::refusal(
            &run(all[0], &all[1..]).expect(1),
            if arguments[1] == "seal" {
                "seal"
            } else {
                "sealed_file"
            },
        )
    };
    assert_eq!(
        refused(&["owner", "inspect", &sealed])["message"],
        "cannot read the sealed model: permission denied"
    );
    let (store, out) = (text(&world.path("store")), text(&world.path("never.sealed")));
    let seal = [
        "owner", "seal", "--store", &store, "--key-id", KEY_ID, "--model", &folder, "--out", &out, "--name",
        "m",
    ];
    assert_eq!(
        refused(&seal)["message"],
        "cannot read model.safetensors: permission denied"
    );
    assert!(!Path::new(&out).exists());
}
