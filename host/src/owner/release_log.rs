//! The release log: what the broker decided, in a chain of signed entries that anyone can check offline.
//!
//! Why apart: whoever checks a log needs neither the store's secrets nor the broker.
//!
//! An entry is canonical JSON (RFC 8785). Over `LP("anchorhold release log v1") || LP(entry)` goes the
//! Ed25519 signature of the release key; the SHA-256 of the same bytes is the entry's hash, which the next
//! entry names as `previous`. The first names `SHA-256(LP("anchorhold release log genesis v1") ||
//! LP(release key))`.
//!
//! # Invariants
//! Alteration, reordering, removal at the start or in the middle are detected by the chain alone. Removal at
//! the end is detected only against a remembered head: the check prints the head, so remember it.

use std::fmt;

use anchorhold_attestation::{Denial, LeaseTerms, Timestamp};
use anchorhold_encoding::{Digest, Preimage, canonical};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use crate::error::Explain;
use crate::owner::error::StoreError;

/// What the broker decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// A key was released. The entry was durable before the key was sent.
    Granted,
    /// A policy denied, or the evidence did not verify.
    Denied,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
        })
    }
}

/// One reason of a denial, as logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedReason {
    /// The rule.
    pub rule: String,
    /// What the policy wanted.
    pub expected: String,
    /// What the evidence says.
    pub found: String,
}

/// What happened, before it has a place in the chain. `None` is what was not known: a denial at attestation
/// is about no resource yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// The broker's clock.
    pub time: Timestamp,
    /// Yes or no.
    pub decision: Decision,
    /// Path of the resource asked for.
    pub resource: Option<String>,
    /// The key behind it.
    pub key_id: Option<String>,
    /// SHA-256 of the policy file that decided.
    pub policy_sha256: Option<Digest<32>>,
    /// SHA-512 of the evidence.
    pub evidence_sha512: Option<Digest<64>>,
    /// SHA-512 of the identity document.
    pub identity_sha512: Option<Digest<64>>,
    /// The model the enclave says it will serve.
    pub manifest_sha256: Option<Digest<32>>,
    /// SHA-256 of the session's TEE key.
    pub tee_pubkey_sha256: Option<Digest<32>>,
    /// SHA-256 of the wrapped key that was sent.
    pub jwe_sha256: Option<Digest<32>>,
    /// The lease given.
    pub lease: Option<LoggedLease>,
    /// Every reason of a denial.
    pub reasons: Vec<LoggedReason>,
    /// Denials since the entry before that were counted instead of written.
    pub suppressed: u64,
}

/// A lease, as logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoggedLease {
    /// Its life in seconds.
    pub seconds: u64,
    /// Its tokens; 0 is no budget.
    pub tokens: u64,
}

impl From<LeaseTerms> for LoggedLease {
    fn from(terms: LeaseTerms) -> Self {
        Self {
            seconds: terms.seconds,
            tokens: terms.tokens,
        }
    }
}

/// Every reason of a denial, for the log.
#[must_use]
pub fn logged_reasons(denial: &Denial) -> Vec<LoggedReason> {
    crate::error::denied_rules(denial)
        .into_iter()
        .map(|rule| LoggedReason {
            rule: rule.rule,
            expected: rule.expected,
            found: rule.found,
        })
        .collect()
}

/// An entry: an event with its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    version: EntryVersion,
    /// From 1, without a gap.
    pub sequence: u64,
    /// Hash of the entry before.
    pub previous: Digest<32>,
    /// What happened.
    pub event: Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum EntryVersion {
    #[serde(rename = "anchorhold release log v1")]
    V1,
}

impl Entry {
    /// `event` at its place.
    #[must_use]
    pub fn new(sequence: u64, previous: Digest<32>, event: Event) -> Self {
        Self {
            version: EntryVersion::V1,
            sequence,
            previous,
            event,
        }
    }

    /// Canonical JSON: the bytes that are signed and stored.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }
}

/// An entry as the store has it: nothing checked.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// The row's number.
    pub sequence: u64,
    /// The entry's bytes.
    pub entry: Vec<u8>,
    /// The row's hash.
    pub hash: Digest<32>,
    /// The row's signature.
    pub signature: Digest<64>,
}

/// What the signature and the hash of an entry are over.
#[must_use]
pub fn preimage(entry: &[u8]) -> Preimage {
    Preimage::new("anchorhold release log v1").lp(entry)
}

/// What the first entry names as its previous: the log belongs to one release key.
#[must_use]
pub fn genesis(release_key: &Digest<32>) -> Digest<32> {
    Preimage::new("anchorhold release log genesis v1")
        .lp(release_key.as_bytes())
        .sha256()
}

/// Checks a log entry by entry, in order.
pub struct Check {
    release_key: Digest<32>,
    remembered: Option<Digest<32>>,
    next: u64,
    head: Digest<32>,
}

/// A log that holds together up to [`Self::head`]. Only [`Check::finish`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct CheckedLog {
    entries: u64,
    head: Digest<32>,
}

impl CheckedLog {
    /// How many entries there are.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Hash of the last entry (of the empty log: its genesis). Remember it to detect a cut later.
    #[must_use]
    pub fn head(&self) -> Digest<32> {
        self.head
    }
}

impl Check {
    /// Starts a check under `release_key`; a head remembered from before must then appear in the chain.
    #[must_use]
    pub fn new(release_key: Digest<32>, remembered: Option<Digest<32>>) -> Self {
        let head = genesis(&release_key);
        Self {
            release_key,
            remembered: remembered.filter(|remembered| *remembered != head),
            next: 1,
            head,
        }
    }

    /// Takes the next entry and gives it back, read.
    ///
    /// # Errors
    /// What is wrong with it. The check cannot go on after an error.
    pub fn take(&mut self, stored: &StoredEntry) -> Result<Entry, LogError> {
        let sequence = self.next;
        let preimage = preimage(&stored.entry);
        UnparsedPublicKey::new(&ED25519, self.release_key.as_bytes())
            .verify(preimage.as_bytes(), stored.signature.as_bytes())
            .map_err(|_| LogError::Signature { sequence })?;
        let entry: Entry =
            canonical::from_slice(&stored.entry).map_err(|_| LogError::NotAnEntry { sequence })?;
        // The signature is good, so the entry is one of this log: any difference is its place.
        if stored.sequence != sequence || entry.sequence != sequence || entry.previous != self.head {
            return Err(LogError::Gap { sequence });
        }
        if stored.hash != preimage.sha256() {
            return Err(LogError::Hash { sequence });
        }
        self.head = stored.hash;
        self.next += 1;
        if self.remembered == Some(self.head) {
            self.remembered = None;
        }
        Ok(entry)
    }

    /// Ends the check.
    ///
    /// # Errors
    /// [`LogError::Cut`] when the remembered head did not appear.
    pub fn finish(self) -> Result<CheckedLog, LogError> {
        if self.remembered.is_some() {
            return Err(LogError::Cut);
        }
        Ok(CheckedLog {
            entries: self.next - 1,
            head: self.head,
        })
    }
}

/// Why a log does not hold together.
#[derive(Debug, PartialEq, Eq)]
pub enum LogError {
    /// The signature of the entry at this place is not the release key's: altered, or another broker's.
    Signature {
        /// Its place, from 1.
        sequence: u64,
    },
    /// Signed, but not an entry of this version.
    NotAnEntry {
        /// Its place, from 1.
        sequence: u64,
    },
    /// The entry at this place belongs elsewhere: entries were removed or reordered.
    Gap {
        /// The place, from 1.
        sequence: u64,
    },
    /// The hash beside the entry is not its hash.
    Hash {
        /// Its place, from 1.
        sequence: u64,
    },
    /// The remembered head is not in the log: its end was removed, or the log was replaced.
    Cut,
    /// The store could not be read.
    Store(StoreError),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature { sequence } => {
                write!(
                    f,
                    "release log: the signature of entry {sequence} does not verify"
                )
            }
            Self::NotAnEntry { sequence } => {
                write!(f, "release log: entry {sequence} is not of a known version")
            }
            Self::Gap { sequence } => {
                write!(f, "release log: entry {sequence} is missing or out of order")
            }
            Self::Hash { sequence } => write!(f, "release log: the hash of entry {sequence} is wrong"),
            Self::Cut => f.write_str("release log: the remembered head is not in it"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LogError {}

impl From<StoreError> for LogError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Explain for LogError {
    fn code(&self) -> &'static str {
        match self {
            Self::Store(error) => error.code(),
            _ => "release_log_broken",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Signature { .. } => {
                "the entry was altered, or the release key is another broker's".to_owned()
            }
            Self::NotAnEntry { .. } => "use the release of this program that wrote the log".to_owned(),
            Self::Gap { .. } | Self::Hash { .. } => {
                "someone with write access to the store changed it: compare with a backup".to_owned()
            }
            Self::Cut => {
                "entries at the end were removed, or this is another log: compare with a backup".to_owned()
            }
            Self::Store(error) => error.hint(),
        }
    }
}

#[cfg(test)]
mod tests;
