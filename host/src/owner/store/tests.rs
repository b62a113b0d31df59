//! The store on disk: made once, opened with its own KEK, refused when it is another's or of another version.

use super::*;

fn key(text: &str) -> KeyId {
    text.parse().unwrap()
}

fn fresh(class: Class) -> (tempfile::TempDir, PathBuf, Store) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store");
    let store = Store::create(&path, &default_kek(&path), class).unwrap();
    (folder, path, store)
}

#[test]
fn a_store_is_made_privately_and_opens_again_with_the_same_keys() {
    let (_folder, path, store) = fresh(Class::Real);
    let identity = store.keys().identity();
    assert_eq!(stated_release_key(&path), Ok(identity.release_key));
    drop(store);
    let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode("."), mode("kek"), mode("broker.sqlite")),
        (0o700, 0o600, 0o600)
    );
    let again = Store::open(&path, &default_kek(&path)).unwrap();
    assert_eq!(again.keys().identity(), identity);
    assert_eq!(again.class(), Class::Real);
    let (certificate, _) = again.keys().certificate().unwrap();
    assert_eq!(
        crate::tls::spki_sha256(&certificate),
        Some(identity.tls_spki_sha256)
    );
    assert_eq!(
        Store::create(&path, &default_kek(&path), Class::Real).err(),
        Some(StoreError::Exists)
    );
}

/// Of several that make the store at once one does, and nobody's store is replaced or half there.
#[test]
fn a_store_made_by_several_at_once_is_made_by_one() {
    for _ in 0..5 {
        let folder = tempfile::tempdir().unwrap();
        let (path, kek) = (folder.path().join("store"), folder.path().join("kek"));
        secret_file::create(&kek, &Kek::generate().encode()).unwrap();
        let start = std::sync::Barrier::new(4);
        let make = || {
            start.wait();
            Store::create(&path, &kek, Class::Real).map(|store| store.keys().identity())
        };
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(make)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let identity = Store::open(&path, &kek).unwrap().keys().identity();
        let count = |expected| made.iter().filter(|result| **result == expected).count();
        assert_eq!(
            (count(Ok(identity)), count(Err(StoreError::Exists))),
            (1, 3),
            "{made:?}"
        );
    }
}

#[test]
fn the_kek_may_be_elsewhere_and_must_be_the_right_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, kek) = (folder.path().join("s"), folder.path().join("elsewhere"));
    drop(Store::create(&path, &kek, Class::Real).unwrap());
    assert!(!default_kek(&path).exists());
    assert!(Store::open(&path, &kek).is_ok());
    fs::set_permissions(&kek, fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(Store::open(&path, &kek).err(), Some(StoreError::KekReadable));
    fs::set_permissions(&kek, fs::Permissions::from_mode(0o600)).unwrap();
    let other = folder.path().join("other");
    secret_file::create(&other, &Kek::generate().encode()).unwrap();
    assert!(matches!(Store::open(&path, &other), Err(StoreError::Wrap(_))));
    assert!(matches!(
        Store::open(&path, &default_kek(&path)),
        Err(StoreError::Io(..))
    ));
}

#[test]
fn a_key_is_made_once_and_knows_its_manifests() {
    let (_folder, path, mut store) = fresh(Class::Insecure);
    assert_eq!(store.model_key(&key("demo")).err(), Some(StoreError::NoSuchKey));
    store.add_key(&key("demo")).unwrap();
    assert_eq!(store.add_key(&key("demo")), Err(StoreError::KeyExists));
    let (one, two) = (Digest::new([1; 32]), Digest::new([2; 32]));
    assert_eq!(
        store.register_manifest(&key("none"), &one),
        Err(StoreError::NoSuchKey)
    );
    for manifest in [&two, &one, &two] {
        store.register_manifest(&key("demo"), manifest).unwrap();
    }
    drop(store);
    let store = Store::open(&path, &default_kek(&path)).unwrap();
    assert_eq!(store.manifests(&key("demo")), Ok(vec![one, two]));
    assert!(store.model_key(&key("demo")).is_ok());
    assert!(store.has_key(&key("demo")).unwrap() && !store.has_key(&key("none")).unwrap());
}

/// A release names at most so many manifests: one more would make the key unreleasable.
#[test]
fn a_key_has_a_limited_number_of_manifests() {
    let (_folder, _path, mut store) = fresh(Class::Insecure);
    store.add_key(&key("demo")).unwrap();
    for number in 0..anchorhold_attestation::limits::RELEASE_MANIFESTS {
        let manifest = Digest::new([u8::try_from(number).unwrap(); 32]);
        store.register_manifest(&key("demo"), &manifest).unwrap();
    }
    let last = store.register_manifest(&key("demo"), &Digest::new([0xff; 32]));
    assert_eq!(last, Err(StoreError::TooManyManifests));
    assert_eq!(
        store.register_manifest(&key("demo"), &Digest::new([0; 32])),
        Ok(()),
        "known already"
    );
}

#[test]
fn keys_moved_between_rows_or_classes_do_not_open() {
    let (_folder, path, mut store) = fresh(Class::Insecure);
    store.add_key(&key("one")).unwrap();
    store.add_key(&key("two")).unwrap();
    let swap = "UPDATE model_key SET wrapped = (SELECT wrapped FROM model_key WHERE key_id = 'one')
                WHERE key_id = 'two'";
    store.connection.execute_batch(swap).unwrap();
    assert!(matches!(store.model_key(&key("two")), Err(StoreError::Wrap(_))));
    store
        .connection
        .execute_batch("UPDATE model_key SET class = 'real'")
        .unwrap();
    assert_eq!(
        store.model_key(&key("one")).err(),
        Some(StoreError::Corrupt("a key's class"))
    );
    store
        .connection
        .execute_batch("UPDATE store SET class = 'real'")
        .unwrap();
    drop(store);
    assert!(matches!(
        Store::open(&path, &default_kek(&path)),
        Err(StoreError::Wrap(_))
    ));
}

#[test]
fn another_version_and_another_file_are_refused() {
    let (_folder, path, store) = fresh(Class::Real);
    store
        .connection
        .execute_batch("UPDATE store SET schema_version = 2")
        .unwrap();
    drop(store);
    assert_eq!(
        Store::open(&path, &default_kek(&path)).err(),
        Some(StoreError::Version(2))
    );
    for bytes in [
        &b""[..],
        b"not a database, but long enough to be looked at as one: 0123456789",
    ] {
        fs::write(path.join(DATABASE), bytes).unwrap();
        assert_eq!(
            Store::open(&path, &default_kek(&path)).err(),
            Some(StoreError::NotAStore)
        );
    }
    fs::remove_file(path.join(DATABASE)).unwrap();
    assert_eq!(
        Store::open(&path, &default_kek(&path)).err(),
        Some(StoreError::Absent)
    );
}

/// Whoever can write the file cannot make `owner log verify` trust another key while the broker goes on.
#[test]
fn an_exchanged_public_key_stops_the_broker() {
    for column in ["release_public", "tls_spki_sha256"] {
        let (_folder, path, store) = fresh(Class::Real);
        let exchange = format!("UPDATE store SET {column} = '{}'", Digest::new([9; 32]));
        store.connection.execute_batch(&exchange).unwrap();
        drop(store);
        let opened = Store::open(&path, &default_kek(&path));
        assert_eq!(
            opened.err(),
            Some(StoreError::Corrupt("a public key")),
            "{column}"
        );
    }
}
