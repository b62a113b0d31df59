//! Whom a reader trusts for reference values: publishers, a log, witnesses.
//!
//! Why apart: it is the reader's own file, like a policy; everything else here comes from outside.
//!
//! # Invariants
//! A [`PublisherTrust`] demands at least one witness or two publishers, whatever it was made from: one stolen key
//! that shows its work to nobody is never enough. No key has two parts in it.

use std::collections::BTreeSet;
use std::fmt;

use anchorhold_encoding::Digest;
use serde::{Deserialize, Serialize};

use super::note::{LogKey, WitnessKey};
use super::statement::Line;
use crate::limits;

/// What a [`PublisherTrust`] is made of; as TOML a table with the same keys, all of them required.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustSettings {
    /// The product line.
    pub line: Line,
    /// Ed25519 keys of publishers.
    pub publishers: Vec<Digest<32>>,
    /// How many of them must have signed, at least 1.
    pub publisher_threshold: usize,
    /// The log in which statements must be.
    pub log: LogKey,
    /// Keys of witnesses; may be empty when two publishers must sign.
    pub witnesses: Vec<WitnessKey>,
    /// How many of them must have cosigned; 0 only when two publishers must sign.
    pub witness_threshold: usize,
}

/// Whom a reader trusts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "TrustSettings", into = "TrustSettings")]
pub struct PublisherTrust(TrustSettings);

/// A trust cannot be used. Its author is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustError {
    /// Not UTF-8, not TOML, a key that is missing or does not exist, or a value it cannot have.
    File,
    /// No publisher, or more than [`limits::PUBLISHERS`].
    Publishers,
    /// Not 1 to the number of publishers.
    PublisherThreshold,
    /// More witnesses than [`limits::WITNESSES`].
    Witnesses,
    /// More than there are witnesses.
    WitnessThreshold,
    /// A key stands twice: as another's, or under another name. It would count twice.
    Repeated,
    /// Neither a witness nor a second publisher is needed.
    Alone,
}

impl TrustError {
    /// The stable identifier.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        match self {
            Self::File => "trust-file",
            Self::Publishers => "trust-publishers",
            Self::PublisherThreshold => "trust-publisher-threshold",
            Self::Witnesses => "trust-witnesses",
            Self::WitnessThreshold => "trust-witness-threshold",
            Self::Repeated => "trust-repeated",
            Self::Alone => "trust-alone",
        }
    }

    /// Each of them.
    pub const ALL: &[Self] = &[
        Self::File,
        Self::Publishers,
        Self::PublisherThreshold,
        Self::Witnesses,
        Self::WitnessThreshold,
        Self::Repeated,
        Self::Alone,
    ];

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::File => "docs/reference-values.md lists every key and its type",
            Self::Publishers => "name 1 to 16 publishers by their Ed25519 keys",
            Self::PublisherThreshold => "publisher_threshold is 1 to the number of publishers",
            Self::Witnesses => "name at most 16 witnesses",
            Self::WitnessThreshold => "witness_threshold is at most the number of witnesses",
            Self::Repeated => "publishers, log and witnesses must be different people with different keys",
            Self::Alone => "set witness_threshold to 1 or more, or publisher_threshold to 2 or more",
        }
    }
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "the trust is not a TOML table with exactly its keys",
            Self::Publishers => "the trust names no publisher, or too many",
            Self::PublisherThreshold => "publisher_threshold in the trust is out of range",
            Self::Witnesses => "the trust names too many witnesses",
            Self::WitnessThreshold => "witness_threshold in the trust is out of range",
            Self::Repeated => "a key stands twice in the trust",
            Self::Alone => "the trust is in one key that no witness watches",
        })
    }
}

impl std::error::Error for TrustError {}

impl PublisherTrust {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`TrustError`], the first that applies.
    pub fn new(settings: TrustSettings) -> Result<Self, TrustError> {
        let publishers = settings.publishers.len();
        if !(1..=limits::PUBLISHERS).contains(&publishers) {
            return Err(TrustError::Publishers);
        }
        if !(1..=publishers).contains(&settings.publisher_threshold) {
            return Err(TrustError::PublisherThreshold);
        }
        let witnesses = settings.witnesses.len();
        if witnesses > limits::WITNESSES {
            return Err(TrustError::Witnesses);
        }
        if settings.witness_threshold > witnesses {
            return Err(TrustError::WitnessThreshold);
        }
        let witness_keys = settings.witnesses.iter().map(WitnessKey::key);
        let mut keys: BTreeSet<&Digest<32>> = settings.publishers.iter().chain(witness_keys).collect();
        keys.insert(settings.log.key());
        if Some(keys.len())
            != publishers
                .checked_add(witnesses)
                .and_then(|sum| sum.checked_add(1))
        {
            return Err(TrustError::Repeated);
        }
        if settings.witness_threshold == 0 && settings.publisher_threshold < 2 {
            return Err(TrustError::Alone);
        }
        Ok(Self(settings))
    }

    /// Reads a TOML file.
    ///
    /// # Errors
    /// [`TrustError`], the first that applies.
    pub fn from_toml(bytes: &[u8]) -> Result<Self, TrustError> {
        if bytes.len() > limits::POLICY {
            return Err(TrustError::File);
        }
        let text = str::from_utf8(bytes).map_err(|_| TrustError::File)?;
        Self::new(toml::from_str(text).map_err(|_| TrustError::File)?)
    }

    /// What it was made of.
    #[must_use]
    pub const fn settings(&self) -> &TrustSettings {
        &self.0
    }
}

impl TryFrom<TrustSettings> for PublisherTrust {
    type Error = TrustError;

    fn try_from(settings: TrustSettings) -> Result<Self, TrustError> {
        Self::new(settings)
    }
}

impl From<PublisherTrust> for TrustSettings {
    fn from(trust: PublisherTrust) -> Self {
        trust.0
    }
}
