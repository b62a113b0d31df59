//! What goes wrong for a publisher, a log and a witness.
//!
//! Why apart: their commands share keys, states and the log's folder, and tell errors to one person.
//!
//! # Invariants
//! No text of a file: our own words, and the check that failed.

use std::fmt;
use std::io;

use anchorhold_attestation::published::PublishedError;

use crate::error::{Exit, Explain};

/// A publisher's work could not be done.
#[derive(Debug, PartialEq, Eq)]
pub enum PublisherError {
    /// A file; which, and the kind of error.
    Io(&'static str, io::ErrorKind),
    /// Others than its owner may read the key's file.
    KeyReadable,
    /// The file is not a key that `publisher keygen` made, or not one of this kind.
    NotTheKey,
    /// No key could be made.
    KeyGeneration,
    /// A log's and a witness's key have a name, a publisher's has none.
    KeyNameNeeded,
    /// See above.
    KeyNameTooMany,
    /// The statement's file is not one.
    Statement,
    /// A file with other signatures is about another statement.
    OtherStatement,
    /// Signed by this key already.
    SignedAlready,
    /// A bundle, an entry or a checkpoint does not hold.
    Published(PublishedError),
    /// The log has a checkpoint, and the key's memory of it is gone.
    Forgotten,
    /// The key's memory is behind what it signed: it was restored from a backup.
    Behind,
    /// The folder's history is not the one that was signed.
    Fork,
    /// A file of the log is not what the checkpoint demands; which.
    Damaged(&'static str),
    /// No checkpoint in the folder.
    NoLog,
    /// The log takes no more entries.
    Full,
    /// A statement's serial is not above the last one of its line in the log.
    SerialInLog,
    /// The log has no statement of this line.
    NoSuchLine,
    /// The log has no earlier tree of this size.
    NoSuchSize,
    /// The line is not a cosignature of this checkpoint by this witness.
    NotACosignature,
    /// The bundle does not hold under the trust: a refusal.
    Refused(PublishedError),
}

impl PublisherError {
    /// Names the file an I/O error is about.
    pub(crate) fn io(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::Io(what, error.kind())
    }
}

impl From<PublishedError> for PublisherError {
    fn from(error: PublishedError) -> Self {
        Self::Published(error)
    }
}

impl fmt::Display for PublisherError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(what, kind) => write!(f, "{what}: {kind}"),
            Self::KeyReadable => f.write_str("the key's file can be read by others"),
            Self::NotTheKey => f.write_str("the file is not a key of this kind"),
            Self::KeyGeneration => f.write_str("no key could be made"),
            Self::KeyNameNeeded => f.write_str("the key of a log or a witness needs a name"),
            Self::KeyNameTooMany => f.write_str("a publisher's key has no name"),
            Self::Statement => f.write_str("the file is not a statement of reference values"),
            Self::OtherStatement => f.write_str("the signatures given are of another statement"),
            Self::SignedAlready => f.write_str("the statement is signed by this key already"),
            Self::Published(error) | Self::Refused(error) => error.fmt(f),
            Self::Forgotten => f.write_str("the log has a checkpoint, and the key does not remember it"),
            Self::Behind => f.write_str("the log is ahead of what the key remembers to have signed"),
            Self::Fork => f.write_str("the log's history is another than the one signed before"),
            Self::Damaged(what) => write!(f, "the log is damaged: {what}"),
            Self::NoLog => f.write_str("there is no log in this folder"),
            Self::Full => f.write_str("the log takes no more entries"),
            Self::SerialInLog => {
                f.write_str("the log has a statement of this line with this serial or a higher one")
            }
            Self::NoSuchLine => f.write_str("the log has no statement of this line"),
            Self::NoSuchSize => f.write_str("the log had no such size before"),
            Self::NotACosignature => {
                f.write_str("the file is not this witness's cosignature of the checkpoint")
            }
        }
    }
}

impl std::error::Error for PublisherError {}

impl Explain for PublisherError {
    fn code(&self) -> &'static str {
        match self {
            Self::Io(..) => "publisher_io",
            Self::KeyReadable => "key_readable",
            Self::NotTheKey => "not_the_key",
            Self::KeyGeneration => "key_generation",
            Self::KeyNameNeeded | Self::KeyNameTooMany => "key_name",
            Self::Statement => "statement",
            Self::OtherStatement => "other_statement",
            Self::SignedAlready => "signed_already",
            // The check's own name: scripts look for it.
            Self::Published(error) | Self::Refused(error) => error.id(),
            Self::Forgotten => "log_state_absent",
            Self::Behind => "log_state_behind",
            Self::Fork => "log_fork",
            Self::Damaged(_) => "log_damaged",
            Self::NoLog => "log_absent",
            Self::Full => "log_full",
            Self::SerialInLog => "log_serial",
            Self::NoSuchLine => "no_such_line",
            Self::NoSuchSize => "no_such_size",
            Self::NotACosignature => "not_a_cosignature",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Io(..) => "check the path, its permissions and the free space",
            Self::KeyReadable => "take the rights away: chmod 600 FILE; if others may have read it, make a new key",
            Self::NotTheKey => "give the key that `publisher keygen` made for this part: publisher, log or witness",
            Self::KeyGeneration => "the system's random generator failed: do not go on with this machine",
            Self::KeyNameNeeded => "say --name, a URL without its scheme, such as log.example/reference",
            Self::KeyNameTooMany => "leave --name out",
            Self::Statement => "docs/reference-values.md shows the file: TOML or JSON, times as 2026-12-01T00:00:00Z",
            Self::OtherStatement => "compare the files: all publishers must sign the same bytes",
            Self::SignedAlready => "sign with the key of another publisher",
            Self::Published(error) | Self::Refused(error) => error.hint(),
            Self::Forgotten => "put the file KEY.state back that belongs to the key; without it a second history could be signed",
            Self::Behind => "put the newest KEY.state back; a backup of it must never be used",
            Self::Fork => "use the folder that was signed before; keep both, a fork is proof against whoever signed it",
            Self::Damaged(_) => "restore the folder from a mirror; a log's files never change once they are signed",
            Self::NoLog => "name the folder that `publisher log append` made",
            Self::Full => "begin another log, under another name and key",
            Self::SerialInLog => "give the statement a higher serial and let the publishers sign it again",
            Self::NoSuchLine => "see what is in it: publisher log show DIR",
            Self::NoSuchSize => "sizes are 1 to one less than the log's",
            Self::NotACosignature => "cosign the checkpoint as it is now: a newer one needs a new cosignature",
        }
        .to_owned()
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::Denied,
            Self::KeyNameNeeded | Self::KeyNameTooMany => Exit::Usage,
            _ => Exit::Error,
        }
    }
}
