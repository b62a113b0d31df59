//! Endorsements on disk.
//!
//! Why apart: what lies on a disk is as untrusted as what came over a network, and lies there longer.
//!
//! # Invariants
//! One file an item, at `DIR/KIND/SHA-256 of its name.json`: canonical JSON with the item's name, when it was fetched,
//! and the endorsement, under a SHA-256 that finds damage (it stops nobody who can write here: signatures do, when the
//! item is used). Files are replaced whole, never written in place. A file that is not what its name says is reported
//! as [`CacheError::Poisoned`] and never used.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anchorhold_attestation::endorsements::Said;
use anchorhold_attestation::{Endorsement, EndorsementKind, Timestamp};
use anchorhold_encoding::{Digest, canonical, sha256};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::item::Item;
use crate::error::Explain;
use crate::limits;

/// A folder of endorsements.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
}

/// What lies in the cache for an item. Of the right kind and name, and proven by nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cached {
    /// The name of the item.
    pub name: String,
    /// When it was fetched, by this machine's clock.
    pub fetched: Timestamp,
    /// What it says of itself.
    pub said: Said,
    /// The item.
    pub endorsement: Endorsement,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    body: String,
    fetched: Timestamp,
    item: String,
    kind: EndorsementKind,
    sha256: Digest<32>,
    version: Version,
}

#[derive(Serialize, Deserialize)]
enum Version {
    #[serde(rename = "anchorhold endorsement cache v1")]
    One,
}

/// What the SHA-256 is over: kind and name, each after its length, the time, the body.
fn digest(kind: EndorsementKind, item: &str, fetched: Timestamp, body: &[u8]) -> Digest<32> {
    let length = |text: &str| u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes();
    sha256(&[
        &length(kind.name()),
        kind.name().as_bytes(),
        &length(item),
        item.as_bytes(),
        &fetched.unix().to_be_bytes(),
        body,
    ])
}

/// The cache cannot be used.
#[derive(Debug)]
pub enum CacheError {
    /// A file or folder cannot be read or written.
    Io(PathBuf, io::ErrorKind),
    /// A file is not what its name says: damaged, exchanged, or not ours.
    Poisoned(PathBuf),
    /// More files than a cache has.
    TooMany(PathBuf),
}

impl fmt::Display for CacheError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(path, kind) => write!(f, "cannot use {}: {kind}", path.display()),
            Self::Poisoned(path) => write!(f, "{} is not the item its name says", path.display()),
            Self::TooMany(path) => write!(
                f,
                "{} holds more than {} files",
                path.display(),
                limits::CACHE_FILES
            ),
        }
    }
}

impl std::error::Error for CacheError {}

impl Explain for CacheError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io(..) => "endorsement-cache",
            Self::Poisoned(_) => "endorsement-cache-poisoned",
            Self::TooMany(_) => "endorsement-cache-full",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Io(..) => "check the folder and its permissions",
            Self::Poisoned(_) => {
                "it is never used; the next fetch replaces it. If the disk is sound, find out who writes there"
            }
            Self::TooMany(_) => "remove what is expired, or name another folder with --cache",
        }
        .to_owned()
    }
}

impl Cache {
    /// Uses `folder`, which is made when it is not there.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn open(folder: &Path) -> Result<Self, CacheError> {
        make_folder(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Where the items of one kind are.
    fn kind_folder(&self, kind: EndorsementKind) -> PathBuf {
        self.folder.join(kind.name())
    }

    /// Where an item is.
    #[must_use]
    pub fn path(&self, item: &Item) -> PathBuf {
        self.kind_folder(item.kind())
            .join(format!("{}.json", item.digest()))
    }

    /// What is kept for `item`; `None` when nothing is.
    ///
    /// # Errors
    /// [`CacheError::Poisoned`] when there is something else in its place.
    pub fn read(&self, item: &Item) -> Result<Option<Cached>, CacheError> {
        let path = self.path(item);
        let Some(bytes) = read_file(&path)? else {
            return Ok(None);
        };
        match parse(&bytes) {
            Some(cached)
                if cached.name == item.name()
                    && cached.endorsement.kind() == item.kind()
                    && item.is_answered_by(&cached.said) =>
            {
                Ok(Some(cached))
            }
            _ => Err(CacheError::Poisoned(path)),
        }
    }

    /// Keeps `endorsement` as the answer to `item`, in the place of what was there.
    ///
    /// # Errors
    /// [`CacheError::Io`].
    pub fn write(
        &self,
        item: &Item,
        endorsement: &Endorsement,
        fetched: Timestamp,
    ) -> Result<(), CacheError> {
        let (kind, name) = (item.kind(), item.name());
        let bytes = canonical::to_vec(&Wire {
            sha256: digest(kind, &name, fetched, endorsement.body()),
            body: STANDARD.encode(endorsement.body()),
            fetched,
            item: name,
            kind,
            version: Version::One,
        });
        let folder = self.kind_folder(item.kind());
        make_folder(&folder)?;
        let path = self.path(item);
        replace(&path, &bytes).map_err(|error| CacheError::Io(path, error.kind()))
    }

    /// Everything that is kept, by name; files that are not what their names say apart.
    ///
    /// # Errors
    /// [`CacheError`] when a folder cannot be read.
    pub fn all(&self) -> Result<(Vec<Cached>, Vec<PathBuf>), CacheError> {
        let (mut found, mut poisoned) = (Vec::new(), Vec::new());
        for kind in EndorsementKind::ALL {
            for path in files(&self.kind_folder(kind))? {
                let stem = path.file_stem().and_then(|stem| stem.to_str());
                let cached = read_file(&path)?
                    .and_then(|bytes| parse(&bytes))
                    .filter(|cached| {
                        let named = sha256(&[cached.name.as_bytes()]).to_string();
                        cached.endorsement.kind() == kind && stem == Some(named.as_str())
                    });
                match cached {
                    Some(cached) => found.push(cached),
                    None => poisoned.push(path),
                }
            }
        }
        found.sort_by(|left, right| left.name.cmp(&right.name));
        Ok((found, poisoned))
    }
}

fn parse(bytes: &[u8]) -> Option<Cached> {
    let wire: Wire = canonical::from_slice(bytes).ok()?;
    let body = STANDARD.decode(&wire.body).ok()?;
    if digest(wire.kind, &wire.item, wire.fetched, &body) != wire.sha256 {
        return None;
    }
    let endorsement = Endorsement::new(wire.kind, body).ok()?;
    Some(Cached {
        said: endorsement.said().ok()?,
        name: wire.item,
        fetched: wire.fetched,
        endorsement,
    })
}

/// The whole of a file; `None` when there is none. One that is too large is cut, and then no item.
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, CacheError> {
    let io = |error: io::Error| CacheError::Io(path.to_owned(), error.kind());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mut bytes = Vec::new();
    file.take(limits::CACHE_FILE_BYTES)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    Ok(Some(bytes))
}

/// Items in a folder, by name; files on their way to a name are not there yet.
fn files(folder: &Path) -> Result<Vec<PathBuf>, CacheError> {
    let io = |error: io::Error| CacheError::Io(folder.to_owned(), error.kind());
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            found.push(path);
        }
        if found.len() > limits::CACHE_FILES {
            return Err(CacheError::TooMany(folder.to_owned()));
        }
    }
    found.sort();
    Ok(found)
}

fn make_folder(folder: &Path) -> Result<(), CacheError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| CacheError::Io(folder.to_owned(), error.kind()))
}

/// Writes beside, then renames: a reader sees the old file or the new one, whoever else writes.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unique = [0; 8];
    rand::fill(&mut unique).map_err(|_| io::ErrorKind::Other)?;
    let beside = path.with_extension(format!("{}.new", Digest::new(unique)));
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&beside)?;
    let written = file
        .write_all(bytes)
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        // The error counts, not whether its remains could be removed.
        let _ = fs::remove_file(&beside);
    }
    written
}
