//! What the chain detects: every alteration, removal, reordering; and a cut end against a remembered head.

use super::*;
use crate::owner::store::{self, Store, default_kek};
use anchorhold_attestation::Class;
use std::path::PathBuf;

fn event(number: u64) -> Event {
    Event {
        time: Timestamp::from_unix(1000 + number),
        decision: if number.is_multiple_of(2) {
            Decision::Granted
        } else {
            Decision::Denied
        },
        resource: Some("default/model/demo".to_owned()),
        key_id: None,
        policy_sha256: None,
        evidence_sha512: Some(Digest::new([7; 64])),
        identity_sha512: None,
        manifest_sha256: None,
        tee_pubkey_sha256: None,
        jwe_sha256: None,
        lease: Some(LoggedLease {
            seconds: 60,
            tokens: 0,
        }),
        reasons: Vec::new(),
        suppressed: 0,
    }
}

/// A log of five entries by a real store, and its release key.
fn log() -> (tempfile::TempDir, PathBuf, Vec<StoredEntry>, Digest<32>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let mut store = Store::create(&path, &default_kek(&path), Class::Insecure).unwrap();
    for number in 1..=5 {
        assert_eq!(store.append(event(number)).unwrap().sequence, number);
    }
    let mut entries = Vec::new();
    store::log::read(&path, |entry| {
        entries.push(entry);
        Ok::<(), StoreError>(())
    })
    .unwrap();
    let key = store.keys().identity().release_key;
    (folder, path, entries, key)
}

fn check(entries: &[StoredEntry], key: Digest<32>, head: Option<Digest<32>>) -> Result<CheckedLog, LogError> {
    let mut check = Check::new(key, head);
    for entry in entries {
        check.take(entry)?;
    }
    check.finish()
}

#[test]
fn an_untouched_log_holds_together() {
    let (_folder, _path, entries, key) = log();
    let checked = check(&entries, key, None).unwrap();
    assert_eq!((checked.entries(), checked.head()), (5, entries[4].hash));
    for remembered in &entries {
        assert!(
            check(&entries, key, Some(remembered.hash)).is_ok(),
            "the log has grown since"
        );
    }
    let empty = check(&[], key, None).unwrap();
    assert_eq!((empty.entries(), empty.head()), (0, genesis(&key)));
    assert!(check(&entries, key, Some(genesis(&key))).is_ok());
}

#[test]
fn removal_and_reordering_are_detected() {
    let (_folder, _path, entries, key) = log();
    for removed in 0..4 {
        let mut entries = entries.clone();
        entries.remove(removed);
        let sequence = removed as u64 + 1;
        assert_eq!(check(&entries, key, None), Err(LogError::Gap { sequence }));
        // Renumbered rows do not help: the number is signed too.
        for (index, entry) in entries.iter_mut().enumerate() {
            entry.sequence = index as u64 + 1;
        }
        assert_eq!(check(&entries, key, None), Err(LogError::Gap { sequence }));
    }
    let mut swapped = entries.clone();
    swapped.swap(1, 2);
    assert_eq!(check(&swapped, key, None), Err(LogError::Gap { sequence: 2 }));
    let mut repeated = entries.clone();
    repeated.insert(1, entries[0].clone());
    assert_eq!(check(&repeated, key, None), Err(LogError::Gap { sequence: 2 }));
}

#[test]
fn a_cut_end_is_detected_against_a_remembered_head_only() {
    let (_folder, _path, entries, key) = log();
    let head = entries[4].hash;
    assert!(check(&entries[..4], key, None).is_ok());
    assert_eq!(check(&entries[..4], key, Some(head)), Err(LogError::Cut));
    assert_eq!(check(&[], key, Some(head)), Err(LogError::Cut));
}

#[test]
fn every_altered_byte_is_detected() {
    let (_folder, _path, entries, key) = log();
    for position in 0..entries[2].entry.len() {
        let mut entries = entries.clone();
        entries[2].entry[position] ^= 1;
        assert_eq!(
            check(&entries, key, None),
            Err(LogError::Signature { sequence: 3 })
        );
    }
    let mut other = entries.clone();
    other[2].hash = Digest::new([1; 32]);
    assert_eq!(check(&other, key, None), Err(LogError::Hash { sequence: 3 }));
    let mut other = entries.clone();
    other[2].signature = other[1].signature;
    assert_eq!(check(&other, key, None), Err(LogError::Signature { sequence: 3 }));
    assert_eq!(
        check(&entries, Digest::new([9; 32]), None),
        Err(LogError::Signature { sequence: 1 })
    );
}

#[test]
fn the_log_of_another_broker_is_not_this_one() {
    let (_one, _path, mut entries, key) = log();
    let (_two, _path, others, _) = log();
    entries.truncate(2);
    entries.push(others[2].clone());
    assert_eq!(
        check(&entries, key, None),
        Err(LogError::Signature { sequence: 3 })
    );
}

#[test]
fn the_store_itself_refuses_changes_by_mistake() {
    let (_folder, path, ..) = log();
    let connection = rusqlite::Connection::open(path.join("broker.sqlite")).unwrap();
    assert!(
        connection
            .execute("DELETE FROM release_log WHERE sequence = 5", [])
            .is_err()
    );
    assert!(
        connection
            .execute("UPDATE release_log SET hash = ''", [])
            .is_err()
    );
}

#[test]
fn two_brokers_on_one_store_do_not_fork_the_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let key = {
        let store = Store::create(&path, &default_kek(&path), Class::Insecure).unwrap();
        store.keys().identity().release_key
    };
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut store = Store::open(&path, &default_kek(&path)).unwrap();
                for number in 0..10 {
                    store.append(event(number)).unwrap();
                }
            });
        }
    });
    let mut check = Check::new(key, None);
    store::log::read(&path, |entry| check.take(&entry).map(|_| ())).unwrap();
    assert_eq!(check.finish().unwrap().entries(), 20);
}
