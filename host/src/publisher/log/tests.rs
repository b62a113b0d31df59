//! A log from its first entry on: what it signs, what it refuses, and what is left after a crash.

use std::fs;

use anchorhold_attestation::published::statement::{RevokedList, StatementVersion};
use anchorhold_attestation::published::{
    PublishedCheck, PublisherTrust, Seen, Statement, TrustSettings, verify,
};

use super::*;
use crate::publisher::key::{self, Kind, state_of};
use crate::publisher::reference;

const NOW: Timestamp = Timestamp::from_unix(1_800_000_000);

/// Keys of everybody, and a folder for the log.
struct Stage {
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stage = Self { folder };
        for (kind, file) in [
            (Kind::Publisher, "alice"),
            (Kind::Publisher, "bob"),
            (Kind::Log, "log"),
            (Kind::Witness, "witness"),
        ] {
            let name = format!("{file}.example").parse().unwrap();
            let name = (kind != Kind::Publisher).then_some(&name);
            key::generate(kind, name, &stage.path(file)).unwrap();
        }
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn statement(&self, serial: u64) -> Statement {
        Statement {
            line: "enclave".parse().unwrap(),
            not_after: NOW.plus(1000),
            not_before: NOW,
            reference_values: Vec::new(),
            revoked: RevokedList::default(),
            serial,
            version: StatementVersion::V1,
        }
    }

    fn signed(&self, serial: u64) -> SignedStatement {
        let key = |name| SigningKey::publisher(&self.path(name)).unwrap();
        let alice = reference::sign(self.statement(serial), &key("alice"), &[]).unwrap();
        reference::sign(self.statement(serial), &key("bob"), &[alice]).unwrap()
    }

    fn log_key(&self) -> LogKey {
        SigningKey::log(&self.path("log")).unwrap().1
    }

    fn folder(&self) -> LogFolder {
        LogFolder::create(&self.path("dir")).unwrap()
    }

    fn append(&self, serials: &[u64]) -> Result<Appended, PublisherError> {
        let (key, log) = SigningKey::log(&self.path("log")).unwrap();
        let mut state = SignedState::open(&state_of(&self.path("log"))).unwrap();
        let entries: Vec<SignedStatement> = serials.iter().map(|serial| self.signed(*serial)).collect();
        self.folder().append(&key, &log, &mut state, &entries)
    }

    fn cosign(&self) -> Result<String, PublisherError> {
        let (key, witness) = SigningKey::witness(&self.path("witness")).unwrap();
        let mut state = SignedState::open(&state_of(&self.path("witness"))).unwrap();
        let log = self.log_key();
        let folder = self.folder();
        let (_, line) = folder.cosign(&log, &key, &witness, &mut state, NOW)?;
        folder.attach(&log, &witness, &line, NOW)?;
        Ok(line)
    }

    fn trust(&self) -> PublisherTrust {
        let key = |name| *SigningKey::publisher(&self.path(name)).unwrap().public();
        PublisherTrust::new(TrustSettings {
            line: "enclave".parse().unwrap(),
            publishers: vec![key("alice"), key("bob")],
            publisher_threshold: 2,
            log: self.log_key(),
            witnesses: vec![SigningKey::witness(&self.path("witness")).unwrap().1],
            witness_threshold: 1,
        })
        .unwrap()
    }

    fn bundle(&self, since: &[u64]) -> Vec<u8> {
        let line = "enclave".parse().unwrap();
        self.folder()
            .bundle(&self.log_key(), &line, since)
            .unwrap()
            .encode()
    }

    /// The log's folder and the key's memory as they are now, to be put back.
    fn keep(&self, what: &str) -> impl Fn() {
        let path = self.path(what);
        let kept = files(&path);
        move || {
            if path.is_dir() {
                fs::remove_dir_all(&path).unwrap();
            }
            for (name, bytes) in &kept {
                fs::create_dir_all(name.parent().unwrap()).unwrap();
                fs::write(name, bytes).unwrap();
            }
        }
    }
}

fn files(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    if path.is_dir() {
        let below = fs::read_dir(path).unwrap();
        return below.flat_map(|entry| files(&entry.unwrap().path())).collect();
    }
    fs::read(path)
        .map(|bytes| vec![(path.to_owned(), bytes)])
        .unwrap_or_default()
}

#[test]
fn what_is_logged_and_watched_is_proven_offline_and_only_grows() {
    let stage = Stage::new();
    let first = stage.append(&[1]).unwrap();
    assert_eq!((first.checkpoint.size, first.places), (1, vec![0]));
    assert_eq!(
        stage.append(&[1]).unwrap().checkpoint,
        first.checkpoint,
        "twice is once"
    );
    assert_eq!(stage.append(&[1]).unwrap().places, [0]);
    let error = verify(&stage.bundle(&[]), &stage.trust(), &Seen::nothing(), NOW).unwrap_err();
    assert_eq!(error.check(), PublishedCheck::Witnesses);
    stage.cosign().unwrap();
    stage.cosign().unwrap();
    let one = verify(&stage.bundle(&[]), &stage.trust(), &Seen::nothing(), NOW).unwrap();

    assert_eq!(stage.append(&[2, 3]).unwrap().places, [1, 2]);
    stage.cosign().unwrap();
    let bundle = stage.bundle(&[1]);
    let three = verify(&bundle, &stage.trust(), one.seen(), NOW).unwrap();
    assert_eq!(
        (three.serial(), three.checkpoint().size, three.index()),
        (3, 3, 2)
    );
    let line = "enclave".parse().unwrap();
    let beyond = stage.folder().bundle(&stage.log_key(), &line, &[3]);
    assert_eq!(beyond.err(), Some(PublisherError::NoSuchSize));
    let other = stage
        .folder()
        .bundle(&stage.log_key(), &"other".parse().unwrap(), &[]);
    assert_eq!(other.err(), Some(PublisherError::NoSuchLine));
}

#[test]
fn serials_of_a_line_only_rise() {
    let stage = Stage::new();
    stage.append(&[5]).unwrap();
    for serial in [1, 4] {
        assert_eq!(stage.append(&[serial]), Err(PublisherError::SerialInLog));
    }
    assert_eq!(stage.append(&[6, 6]).unwrap().places, [1, 1]);
}

#[test]
fn a_crash_at_any_step_is_finished_by_the_next_append() {
    let stage = Stage::new();
    stage.append(&[1]).unwrap();
    let (folder_before, state_before) = (stage.keep("dir"), stage.keep("log.state"));
    let two = stage.append(&[2]).unwrap();
    let checkpoint = stage.path("dir/checkpoint");
    let new = fs::read(&checkpoint).unwrap();

    // Entries and tiles written, nothing remembered: another statement may take the place.
    state_before();
    let old = {
        folder_before();
        fs::read(&checkpoint).unwrap()
    };
    stage.append(&[3]).unwrap();
    folder_before();
    state_before();

    // Remembered, not signed: the same tree is signed.
    let again = stage.append(&[2]).unwrap();
    assert_eq!(again.checkpoint, two.checkpoint);
    fs::write(&checkpoint, &old).unwrap();
    let resumed = stage.append(&[]).unwrap();
    assert_eq!(resumed.checkpoint, two.checkpoint);
    assert_eq!(fs::read(&checkpoint).unwrap(), new, "Ed25519 is deterministic");
    // And with no checkpoint at all.
    fs::remove_file(&checkpoint).unwrap();
    assert_eq!(stage.append(&[]).unwrap().checkpoint, two.checkpoint);
}

#[test]
fn no_second_history_is_signed() {
    let stage = Stage::new();
    stage.append(&[1]).unwrap();
    stage.cosign().unwrap();
    let (folder_before, state_before) = (stage.keep("dir"), stage.keep("log.state"));
    let witness_before = stage.keep("witness.state");
    stage.append(&[2]).unwrap();
    stage.cosign().unwrap();
    let after = stage.keep("dir");

    // The folder from a backup.
    folder_before();
    assert_eq!(stage.append(&[3]), Err(PublisherError::Fork));
    assert_eq!(stage.cosign(), Err(PublisherError::Fork), "the witness saw more");
    // The key's memory from a backup.
    after();
    state_before();
    assert_eq!(stage.append(&[3]), Err(PublisherError::Behind));
    // Neither: the log forks, as a dishonest one would. Its witness does not follow.
    folder_before();
    stage.append(&[3]).unwrap();
    assert_eq!(stage.cosign(), Err(PublisherError::Fork));
    stage.append(&[4]).unwrap();
    assert_eq!(stage.cosign(), Err(PublisherError::Fork), "nor when it is larger");
    witness_before();
    stage.cosign().unwrap();
    // The key's memory is lost.
    fs::remove_file(stage.path("log.state")).unwrap();
    assert_eq!(stage.append(&[9]), Err(PublisherError::Forgotten));
}

#[test]
fn a_damaged_folder_or_memory_signs_nothing() {
    let stage = Stage::new();
    stage.append(&[1, 2]).unwrap();
    let before = stage.keep("dir");
    for (path, bytes) in files(&stage.path("dir")) {
        let mut spoilt = bytes.clone();
        *spoilt.last_mut().unwrap() ^= 1;
        fs::write(&path, spoilt).unwrap();
        assert!(stage.append(&[3]).is_err(), "{}", path.display());
        assert!(stage.cosign().is_err(), "{}", path.display());
        before();
    }
    fs::write(stage.path("log.state"), b"{}").unwrap();
    let open = SignedState::open(&stage.path("log.state"));
    assert_eq!(open.err(), Some(PublisherError::Damaged("the key's state file")));
}

#[test]
fn cosignatures_of_others_and_of_other_checkpoints_are_not_attached() {
    let stage = Stage::new();
    stage.append(&[1]).unwrap();
    let old = stage.cosign().unwrap();
    stage.append(&[2]).unwrap();
    let (_, witness) = SigningKey::witness(&stage.path("witness")).unwrap();
    let attach = |line: &str| stage.folder().attach(&stage.log_key(), &witness, line, NOW);
    for bad in [old.as_str(), "", "— witness.example AAAA\n"] {
        assert_eq!(attach(bad), Err(PublisherError::NotACosignature));
    }
    let new = stage.cosign().unwrap();
    assert_eq!(attach(&new).unwrap().size, 2);
}

#[test]
fn signatures_are_merged_only_of_the_very_same_statement() {
    let stage = Stage::new();
    let alice = SigningKey::publisher(&stage.path("alice")).unwrap();
    let bob = SigningKey::publisher(&stage.path("bob")).unwrap();
    let one = reference::sign(stage.statement(1), &alice, &[]).unwrap();
    let two = reference::sign(stage.statement(2), &bob, &[one]);
    assert_eq!(two.err(), Some(PublisherError::OtherStatement));
    let both = stage.signed(1);
    let again = reference::sign(stage.statement(1), &bob, &[both]);
    assert_eq!(again.err(), Some(PublisherError::SignedAlready));
}
