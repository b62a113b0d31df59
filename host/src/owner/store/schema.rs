//! Tables of the store, version 1.
//!
//! Why apart: whoever changes a table sees the version next to it.
//!
//! # Invariants
//! The version is in the file (`store.schema_version` and SQLite's `application_id`); another one is refused.
//! The release log has triggers against change and removal: no guard against who owns the file (that is the
//! chain's work), but against a mistake.

use std::path::Path;
use std::time::Duration;

use anchorhold_attestation::Class;
use anchorhold_encoding::Digest;
use anchorhold_models::wrap::Kek;
use rusqlite::{Connection, OpenFlags, TransactionBehavior, params};

use super::keys::{self, WrappedKeys};
use super::optional;
use crate::owner::error::StoreError;

/// Version of the tables below.
const VERSION: i64 = 1;
/// `ANCH`, SQLite's mark of whose file this is.
const APPLICATION: i64 = 0x414e_4348;

const TABLES: &str = "
CREATE TABLE store (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    schema_version  INTEGER NOT NULL,
    class           TEXT NOT NULL CHECK (class IN ('real', 'insecure')),
    tls_key         BLOB NOT NULL,
    tls_spki_sha256 TEXT NOT NULL,
    release_key     BLOB NOT NULL,
    release_public  TEXT NOT NULL,
    token_key       BLOB NOT NULL
) STRICT;
CREATE TABLE model_key (
    key_id  TEXT PRIMARY KEY,
    class   TEXT NOT NULL CHECK (class IN ('real', 'insecure')),
    wrapped BLOB NOT NULL
) STRICT;
CREATE TABLE manifest (
    key_id          TEXT NOT NULL REFERENCES model_key (key_id),
    manifest_sha256 TEXT NOT NULL,
    PRIMARY KEY (key_id, manifest_sha256)
) STRICT;
CREATE TABLE release_log (
    sequence  INTEGER PRIMARY KEY,
    entry     BLOB NOT NULL,
    hash      TEXT NOT NULL,
    signature BLOB NOT NULL
) STRICT;
CREATE TRIGGER release_log_is_never_changed BEFORE UPDATE ON release_log
BEGIN SELECT RAISE(ABORT, 'append only'); END;
CREATE TRIGGER release_log_is_never_shortened BEFORE DELETE ON release_log
BEGIN SELECT RAISE(ABORT, 'append only'); END;
";

/// Opens a database file that exists, with every commit synced to disk before it returns.
pub(super) fn connect(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    // Another process of the same owner (`owner seal` while the broker runs) holds the lock for milliseconds.
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // EXTRA is FULL and the folder synced after the journal is gone: a commit survives a power cut.
    connection.pragma_update(None, "synchronous", "EXTRA")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Makes the tables and the store's own keys.
pub(super) fn create(connection: &mut Connection, kek: &Kek, class: Class) -> Result<(), StoreError> {
    connection.pragma_update(None, "application_id", APPLICATION)?;
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    change.execute_batch(TABLES)?;
    let fresh = keys::WrappedKeys::generate(kek, class)?;
    change.execute(
        "INSERT INTO store (one, schema_version, class, tls_key, tls_spki_sha256, release_key, release_public,
         token_key) VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            VERSION,
            class.to_string(),
            fresh.tls,
            fresh.tls_spki_sha256.to_string(),
            fresh.release,
            fresh.release_public.to_string(),
            fresh.token,
        ],
    )?;
    change.commit()?;
    Ok(())
}

/// The store's class and wrapped keys, when it is a store of this version.
pub(super) fn read(connection: &Connection) -> Result<(Class, WrappedKeys), StoreError> {
    let application: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|_| StoreError::NotAStore)?;
    if application != APPLICATION {
        return Err(StoreError::NotAStore);
    }
    // First the version alone: another version may have other columns.
    let version: Option<i64> = optional(connection.query_row(
        "SELECT schema_version FROM store WHERE one = 1",
        [],
        |row| row.get(0),
    ))?;
    match version {
        Some(VERSION) => {}
        Some(other) => return Err(StoreError::Version(other)),
        None => return Err(StoreError::NotAStore),
    }
    let (class, keys) = connection.query_row(
        "SELECT class, tls_key, tls_spki_sha256, release_key, release_public, token_key FROM store WHERE one = 1",
        [],
        |row| {
            let spki: String = row.get(2)?;
            let public: String = row.get(4)?;
            Ok((
                row.get::<_, String>(0)?,
                (row.get::<_, Vec<u8>>(1)?, spki, row.get::<_, Vec<u8>>(3)?, public, row.get::<_, Vec<u8>>(5)?),
            ))
        },
    )?;
    let class = class_of(&class)?;
    let (tls, spki, release, public, token) = keys;
    let digest = |text: String| {
        text.parse::<Digest<32>>()
            .map_err(|_| StoreError::Corrupt("a public key"))
    };
    Ok((
        class,
        WrappedKeys {
            tls,
            tls_spki_sha256: digest(spki)?,
            release,
            release_public: digest(public)?,
            token,
        },
    ))
}

/// A class from its word in a table.
pub(super) fn class_of(word: &str) -> Result<Class, StoreError> {
    match word {
        "real" => Ok(Class::Real),
        "insecure" => Ok(Class::Insecure),
        _ => Err(StoreError::Corrupt("a class")),
    }
}
