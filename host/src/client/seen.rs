//! The newest that was ever shown to this client, on disk.
//!
//! Why apart: it is the client's only memory, and whoever could turn it back could show old reference values and old
//! revocation lists.
//!
//! # Invariants
//! Mode 0600, replaced as a whole, durable when stored, one process at a time. A file that is not one is an error,
//! never a new beginning. Nothing in it decreases.

use std::fmt;
use std::io;
use std::path::Path;

use anchorhold_attestation::Timestamp;
use anchorhold_attestation::limits::SEEN;
use anchorhold_attestation::published::{
    self, Issuer, NotOlder, PublishedError, PublishedValues, PublisherTrust, Seen,
};

use crate::error::{Exit, Explain};
use crate::state_file::StateFile;

/// What was seen, locked until this is dropped.
pub struct SeenFile {
    file: StateFile,
    stored: Option<Seen>,
    seen: Seen,
}

/// What was accepted is remembered, durably: only [`SeenFile::store`] makes one.
#[must_use]
#[derive(Debug)]
pub struct Stored(());

impl SeenFile {
    /// Reads what was seen; an absent file has seen nothing, see [`SeenFile::is_first`].
    ///
    /// # Errors
    /// [`SeenError::File`] when the file is not one, [`SeenError::Io`].
    pub fn open(path: &Path) -> Result<Self, SeenError> {
        let io = |error: io::Error| SeenError::Io(error.kind());
        let file = StateFile::lock(path).map_err(io)?;
        let bytes = file.read(SEEN).map_err(io)?;
        let stored = bytes.map(|bytes| Seen::parse(&bytes)).transpose()?;
        let seen = stored.clone().unwrap_or_default();
        Ok(Self { file, stored, seen })
    }

    /// True when there was no file: what is shown first is taken as it comes, and a person should know.
    #[must_use]
    pub const fn is_first(&self) -> bool {
        self.stored.is_none()
    }

    /// What has been seen.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Checks a bundle against what was seen, and takes note of it.
    ///
    /// # Errors
    /// As [`published::verify`]; nothing is noted then.
    pub fn verify(
        &mut self,
        bundle: &[u8],
        trust: &PublisherTrust,
        now: Timestamp,
    ) -> Result<PublishedValues, SeenError> {
        let values = published::verify(bundle, trust, &self.seen, now)?;
        self.seen = values.seen().clone();
        Ok(values)
    }

    /// Takes note of an issuer's number, out of a document whose signature was checked.
    ///
    /// # Errors
    /// As [`Seen::observe`]; nothing is noted then.
    pub fn observe(&mut self, issuer: Issuer, number: &[u8]) -> Result<NotOlder, SeenError> {
        Ok(self.seen.observe(issuer, number)?)
    }

    /// Remembers what has been seen. To be called before anything that was shown is acted on.
    ///
    /// # Errors
    /// [`SeenError::Io`]; the old state is on disk then.
    pub fn store(&mut self) -> Result<Stored, SeenError> {
        if self.stored.as_ref() != Some(&self.seen) {
            self.file
                .replace(&self.seen.encode())
                .map_err(|error| SeenError::Io(error.kind()))?;
            self.stored = Some(self.seen.clone());
        }
        Ok(Stored(()))
    }
}

/// What was seen cannot be read or kept, or something older is shown.
#[derive(Debug, PartialEq, Eq)]
pub enum SeenError {
    /// The file is not one.
    File,
    /// The file cannot be read or written.
    Io(io::ErrorKind),
    /// What is shown is refused.
    Refused(PublishedError),
}

impl From<PublishedError> for SeenError {
    fn from(error: PublishedError) -> Self {
        if error.check() == published::PublishedCheck::SeenFile {
            Self::File
        } else {
            Self::Refused(error)
        }
    }
}

impl fmt::Display for SeenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("the file with what was seen before is damaged"),
            Self::Io(kind) => write!(f, "the file with what was seen before: {kind}"),
            Self::Refused(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SeenError {}

impl Explain for SeenError {
    fn code(&self) -> &'static str {
        match self {
            Self::File => published::PublishedCheck::SeenFile.id(),
            Self::Io(_) => "seen_io",
            // The check's own name: scripts look for it.
            Self::Refused(error) => error.id(),
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::File => {
                "restore it from a backup; removing it forgets what was seen, and old lists pass again"
            }
            Self::Io(_) => "check the path, its permissions and the free space",
            Self::Refused(error) => error.hint(),
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::Denied,
            Self::File | Self::Io(_) => Exit::Error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anchorhold_encoding::Digest;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn list() -> Issuer {
        Issuer::crl(&Digest::new([1; 32]))
    }

    #[test]
    fn what_was_seen_outlives_the_process_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        let mut file = SeenFile::open(&path).unwrap();
        assert!(file.is_first());
        let _ = file.observe(list(), &[7]).unwrap();
        let _stored = file.store().unwrap();
        assert!(!file.is_first());
        drop(file);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let mut file = SeenFile::open(&path).unwrap();
        assert!(!file.is_first());
        let older = file.observe(list(), &[6]).unwrap_err();
        assert_eq!((older.code(), older.exit()), ("seen-number", Exit::Denied));
        let _ = file.observe(list(), &[8]).unwrap();
        // Not stored: a process that ended here has not acted on it.
        drop(file);
        let mut file = SeenFile::open(&path).unwrap();
        assert!(file.observe(list(), &[7]).is_ok());
    }

    #[test]
    fn a_damaged_file_is_an_error_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        let mut file = SeenFile::open(&path).unwrap();
        let _ = file.observe(list(), &[7]).unwrap();
        let _stored = file.store().unwrap();
        drop(file);
        let good = fs::read(&path).unwrap();
        let cut = good[..good.len() - 1].to_vec();
        let longer = [&good[..], b"\n"].concat();
        for bad in [Vec::new(), cut, longer, vec![b' '; SEEN + 1]] {
            fs::write(&path, &bad).unwrap();
            assert!(SeenFile::open(&path).is_err());
            assert_eq!(fs::read(&path).unwrap(), bad, "never begun anew");
        }
    }

    /// The bundle, trust and time of the published vector.
    fn vector() -> (Vec<u8>, PublisherTrust, Timestamp) {
        let text = include_str!("../../../tests/vectors/published.json");
        let file: serde_json::Value = serde_json::from_str(text).unwrap();
        let trust = serde_json::from_value(file["trust"].clone()).unwrap();
        let bundle = file["bundle"].as_str().unwrap().as_bytes().to_vec();
        (bundle, trust, Timestamp::from_unix(file["now"].as_u64().unwrap()))
    }

    #[test]
    fn a_bundle_that_holds_is_remembered_with_the_numbers_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seen");
        let (bundle, trust, now) = vector();
        let mut file = SeenFile::open(&path).unwrap();
        let _ = file.observe(list(), &[7]).unwrap();
        let values = file.verify(&bundle, &trust, now).unwrap();
        let _ = file.observe(list(), &[8]).unwrap();
        let _stored = file.store().unwrap();
        drop(file);
        let mut file = SeenFile::open(&path).unwrap();
        let origin = &values.checkpoint().origin;
        assert_eq!(file.seen().log_size(origin), Some(values.checkpoint().size));
        assert_eq!(file.seen().serial(origin, &values.statement().line), Some(7));
        assert!(
            file.observe(list(), &[7]).is_err(),
            "the bundle did not turn it back"
        );
        assert!(file.verify(&bundle, &trust, now).is_ok(), "the same again");
        let expired = file.verify(&bundle, &trust, values.not_after()).unwrap_err();
        assert_eq!(
            (expired.code(), expired.exit()),
            ("published-expired", Exit::Denied)
        );
    }

    #[test]
    fn a_bundle_that_is_refused_is_not_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = SeenFile::open(&folder.path().join("seen")).unwrap();
        let trust = PublisherTrust::from_toml(
            format!(
                "line = \"enclave\"\npublishers = [\"{}\", \"{}\"]\npublisher_threshold = 2\nlog = \"{}\"\nwitnesses = []\nwitness_threshold = 0\n",
                Digest::new([1; 32]),
                Digest::new([2; 32]),
                published::LogKey::new("log.example".parse().unwrap(), Digest::new([3; 32])),
            )
            .as_bytes(),
        )
        .unwrap();
        let refused = file.verify(b"{}", &trust, Timestamp::from_unix(1)).unwrap_err();
        assert_eq!(refused.code(), "published-bundle-shape");
        assert_eq!(*file.seen(), Seen::nothing());
    }
}
