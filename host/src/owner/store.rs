//! The owner's store: one folder with one SQLite file, and a key-encryption key beside it.
//!
//! Why apart: every secret the broker has lives here, and the release log beside what it is about, so that
//! one transaction covers both.
//!
//! - `schema`: tables and the version
//! - [`keys`]: the broker's own keys and the models' keys, always wrapped
//! - [`log`]: appending to and reading the release log
//!
//! # Invariants
//! Nothing secret is in the database but under the KEK. The class is fixed when the store is made; a key has
//! the class of its store. A store of an unknown version is refused, not guessed at. Every change is one
//! transaction, durable when it returns.

pub mod keys;
pub mod log;
mod schema;

use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anchorhold_attestation::limits::RELEASE_MANIFESTS;
use anchorhold_attestation::{Class, KeyId};
use anchorhold_encoding::Digest;
use anchorhold_models::wrap::Kek;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use zeroize::Zeroizing;

use crate::limits;
use crate::owner::error::StoreError;
use crate::secret_file;
use keys::BrokerKeys;

const DATABASE: &str = "broker.sqlite";
const KEK: &str = "kek";

/// An open store, with the KEK in memory.
pub struct Store {
    connection: Connection,
    kek: Kek,
    class: Class,
    keys: BrokerKeys,
}

/// The public halves of a store's own keys: what an enclave's configuration pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct BrokerIdentity {
    /// SHA-256 of the SubjectPublicKeyInfo of the broker's TLS key.
    pub tls_spki_sha256: Digest<32>,
    /// Ed25519 key under which releases and the release log are signed.
    pub release_key: Digest<32>,
}

/// Where the KEK of the store in `folder` is, unless it was put elsewhere.
#[must_use]
pub fn default_kek(folder: &Path) -> PathBuf {
    folder.join(KEK)
}

impl Store {
    /// True when there is a database in `folder`.
    #[must_use]
    pub fn exists(folder: &Path) -> bool {
        folder.join(DATABASE).exists()
    }

    /// Makes a store of `class` in `folder` (made too, mode 0700, when absent) with fresh keys of its own.
    /// The KEK file is made unless it exists: an existing one is used.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when there is a store; what the file system or the database says.
    pub fn create(folder: &Path, kek: &Path, class: Class) -> Result<Self, StoreError> {
        secret_file::create_folder(folder).map_err(StoreError::io("the store's folder"))?;
        // One at a time: of two that make it at once, the second finds the store of the first. Released when
        // this returns, or when the process ends.
        let alone = fs::File::open(folder).map_err(StoreError::io("the store's folder"))?;
        alone.lock().map_err(StoreError::io("the store's folder"))?;
        if Self::exists(folder) {
            return Err(StoreError::Exists);
        }
        if !kek.exists() {
            secret_file::create(kek, &Kek::generate().encode()).map_err(StoreError::io("the KEK file"))?;
        }
        let key = read_kek(kek)?;
        // Under a name that is not the store's until it is complete: a power cut leaves no half store.
        let partial = folder.join(format!("{DATABASE}.partial"));
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io("the store's database")(error));
            }
            _ => {}
        }
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)
            .map_err(StoreError::io("the store's database"))?;
        let mut connection = schema::connect(&partial)?;
        schema::create(&mut connection, &key, class)?;
        connection.close().map_err(|(_, error)| StoreError::from(error))?;
        fs::rename(&partial, folder.join(DATABASE)).map_err(StoreError::io("the store's database"))?;
        alone.sync_all().map_err(StoreError::io("the store's folder"))?;
        Self::open(folder, kek)
    }

    /// Opens the store in `folder` with its KEK.
    ///
    /// # Errors
    /// [`StoreError::Absent`], [`StoreError::NotAStore`], [`StoreError::Version`], and
    /// [`StoreError::Wrap`] when the KEK is another's.
    pub fn open(folder: &Path, kek: &Path) -> Result<Self, StoreError> {
        let connection = connect_existing(folder)?;
        let (class, rows) = schema::read(&connection)?;
        let kek = read_kek(kek)?;
        let keys = BrokerKeys::unwrap(&rows, &kek, class)?;
        Ok(Self {
            connection,
            kek,
            class,
            keys,
        })
    }

    /// The class of every key in here.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// The broker's own keys.
    #[must_use]
    pub fn keys(&self) -> &BrokerKeys {
        &self.keys
    }

    /// Says that a model with this manifest was sealed under a key: releases of the key name it.
    /// Saying it twice is no error.
    ///
    /// # Errors
    /// [`StoreError::NoSuchKey`]; [`StoreError::TooManyManifests`] above [`RELEASE_MANIFESTS`].
    pub fn register_manifest(&mut self, key_id: &KeyId, manifest: &Digest<32>) -> Result<(), StoreError> {
        let change = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        if !keys::exists(&change, key_id)? {
            return Err(StoreError::NoSuchKey);
        }
        change.execute(
            "INSERT OR IGNORE INTO manifest (key_id, manifest_sha256) VALUES (?1, ?2)",
            params![key_id.as_str(), manifest.to_string()],
        )?;
        let count: i64 = change.query_row(
            "SELECT count(*) FROM manifest WHERE key_id = ?1",
            [key_id.as_str()],
            |row| row.get(0),
        )?;
        // A release names every manifest of its key: one too many, and the key could not be released at all.
        if usize::try_from(count).is_ok_and(|count| count > RELEASE_MANIFESTS) {
            return Err(StoreError::TooManyManifests);
        }
        change.commit()?;
        Ok(())
    }

    /// The manifests registered for a key, ascending.
    ///
    /// # Errors
    /// What the database says; [`StoreError::Corrupt`] for a row that is not a digest.
    pub fn manifests(&self, key_id: &KeyId) -> Result<Vec<Digest<32>>, StoreError> {
        let mut statement = self
            .connection
            .prepare("SELECT manifest_sha256 FROM manifest WHERE key_id = ?1 ORDER BY manifest_sha256")?;
        let rows = statement.query_map([key_id.as_str()], |row| row.get::<_, String>(0))?;
        rows.map(|row| row?.parse().map_err(|_| StoreError::Corrupt("a manifest digest")))
            .collect()
    }
}

fn connect_existing(folder: &Path) -> Result<Connection, StoreError> {
    let path = folder.join(DATABASE);
    if !path.exists() {
        return Err(StoreError::Absent);
    }
    schema::connect(&path)
}

fn read_kek(path: &Path) -> Result<Kek, StoreError> {
    let file = fs::File::open(path).map_err(StoreError::io("the KEK file"))?;
    let metadata = file.metadata().map_err(StoreError::io("the KEK file"))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(StoreError::KekReadable);
    }
    let mut text = Zeroizing::new(Vec::with_capacity(limits::KEK_FILE_BYTES as usize + 1));
    file.take(limits::KEK_FILE_BYTES + 1)
        .read_to_end(&mut text)
        .map_err(StoreError::io("the KEK file"))?;
    Ok(Kek::parse(&text)?)
}

/// The release key as the store states it, without the KEK: for checking the log offline.
///
/// # Errors
/// As [`Store::open`], less the KEK.
pub fn stated_release_key(folder: &Path) -> Result<Digest<32>, StoreError> {
    let connection = connect_existing(folder)?;
    let (_, rows) = schema::read(&connection)?;
    Ok(rows.release_public)
}

fn optional<T>(result: rusqlite::Result<T>) -> Result<Option<T>, StoreError> {
    Ok(result.optional()?)
}

#[cfg(test)]
mod tests;
