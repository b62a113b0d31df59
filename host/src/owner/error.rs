//! What goes wrong with the owner's store, and with making a broker of it.
//!
//! Why apart: commands, broker and log share the store, and each tells its errors to the same person.
//!
//! # Invariants
//! No text of SQLite, the system or a peer: codes and our own words.

use std::fmt;
use std::io;

use anchorhold_models::wrap::WrapError;

use crate::error::Explain;

/// The store could not do what was asked.
#[derive(Debug, PartialEq, Eq)]
pub enum StoreError {
    /// There is no store in the folder.
    Absent,
    /// There is one already.
    Exists,
    /// The file is not a store.
    NotAStore,
    /// A store of another version of the tables.
    Version(i64),
    /// The store has another class than was asked for.
    Class {
        /// The class asked for.
        asked: anchorhold_attestation::Class,
        /// The store's.
        found: anchorhold_attestation::Class,
    },
    /// A key of that name exists.
    KeyExists,
    /// No key of that name.
    NoSuchKey,
    /// A release cannot name more manifests of the key.
    TooManyManifests,
    /// Others than its owner may read the KEK file.
    KekReadable,
    /// A wrapped secret does not open.
    Wrap(WrapError),
    /// A row that this program never writes; what it should be.
    Corrupt(&'static str),
    /// The cryptographic library made no key.
    KeyGeneration,
    /// SQLite's primary result code.
    Database(i32),
    /// A file; which, and the kind of error.
    Io(&'static str, io::ErrorKind),
}

impl StoreError {
    /// Names the file an I/O error is about.
    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io(what, error.kind())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(error) if error.code == rusqlite::ErrorCode::NotADatabase => Self::NotAStore,
            Some(error) => Self::Database(error.extended_code & 0xff),
            None => Self::Corrupt("a row"),
        }
    }
}

impl From<WrapError> for StoreError {
    fn from(error: WrapError) -> Self {
        Self::Wrap(error)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("there is no store in this folder"),
            Self::Exists => f.write_str("there is a store in this folder already"),
            Self::NotAStore => f.write_str("the file is not an Anchorhold store"),
            Self::Version(version) => write!(f, "the store has version {version}, this program knows 1"),
            Self::Class { asked, found } => write!(f, "the store's class is {found}, not {asked}"),
            Self::KeyExists => f.write_str("the store has a key of that id"),
            Self::NoSuchKey => f.write_str("the store has no key of that id"),
            Self::TooManyManifests => f.write_str("the key has as many models as a release can name"),
            Self::KekReadable => f.write_str("the KEK file can be read by others"),
            Self::Wrap(error) => write!(f, "the store's secrets do not open: {error}"),
            Self::Corrupt(what) => write!(f, "the store is damaged: {what} is not readable"),
            Self::KeyGeneration => f.write_str("no key could be made"),
            Self::Database(code) => write!(f, "the store's database failed (SQLite code {code})"),
            Self::Io(what, kind) => write!(f, "{what}: {kind}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl Explain for StoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::Absent => "store_absent",
            Self::Exists => "store_exists",
            Self::NotAStore => "not_a_store",
            Self::Version(_) => "store_version",
            Self::Class { .. } => "store_class",
            Self::KeyExists => "key_exists",
            Self::NoSuchKey => "no_such_key",
            Self::TooManyManifests => "too_many_models",
            Self::KekReadable => "kek_readable",
            Self::Wrap(_) => "store_locked",
            Self::Corrupt(_) => "store_damaged",
            Self::KeyGeneration => "key_generation",
            Self::Database(_) => "store_database",
            Self::Io(..) => "store_io",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Absent => "make one: anchorhold owner keygen --store DIR --key-id ID",
            Self::Exists => "use another folder, or this store as it is",
            Self::NotAStore => "point --store to the folder that `owner keygen` made",
            Self::Version(_) => "use the release of this program that made the store, or a newer one",
            Self::Class { .. } => {
                "classes never mix: say --class as the store has it, or make another store for the other class"
            }
            Self::KeyExists => "choose another --key-id: a key is never replaced, files are sealed under it",
            Self::NoSuchKey => "make it first: anchorhold owner keygen --store DIR --key-id ID",
            Self::TooManyManifests => "make another key for further models",
            Self::KekReadable => "take the rights away: chmod 600 FILE; if others may have read it, make a new store",
            Self::Wrap(error) => error.hint(),
            Self::Corrupt(_) => "restore the store from a backup, then check: anchorhold owner log verify",
            Self::KeyGeneration => "the system's random generator failed: do not go on with this machine",
            Self::Database(_) => "check free space and permissions, and that no other program holds the file",
            Self::Io(..) => "check the path, its permissions and the free space",
        }
        .to_owned()
    }
}
