//! A policy, how evidence is proven for it, and what was seen before.
//!
//! Why apart: every command that judges an enclave needs the three together, and each comes from a file of its own.
//!
//! # Invariants
//! A policy that names publishers has their values, verified and remembered, before anything is judged by it. What was
//! seen is stored before it is acted upon.

use std::fmt;
use std::path::PathBuf;

use anchorhold_attestation::{Claims, Policy, PolicyError, Timestamp};

use super::seen::{SeenError, SeenFile, Stored};
use crate::error::{Exit, Explain};
use crate::trust::Verifier;

/// What a client demands of an enclave.
pub struct Trust {
    /// What is demanded.
    pub policy: Policy,
    /// How evidence is proven.
    pub verifier: Verifier,
    /// Where what was seen is kept, if it is.
    seen: Option<PathBuf>,
}

/// Published reference values cannot be used.
#[derive(Debug)]
pub enum PublishedFault {
    /// The policy names no publishers.
    NoPublishers,
    /// They do not verify, or something newer was seen before.
    Seen(SeenError),
    /// A value is none of its platform.
    Value(PolicyError),
}

impl fmt::Display for PublishedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPublishers => {
                f.write_str("the policy names no publishers, so it takes no published values")
            }
            Self::Seen(error) => error.fmt(f),
            Self::Value(error) => write!(f, "a published reference value: {error}"),
        }
    }
}

impl std::error::Error for PublishedFault {}

impl Explain for PublishedFault {
    fn code(&self) -> &'static str {
        match self {
            Self::NoPublishers => "publishers",
            Self::Seen(error) => error.code(),
            Self::Value(_) => "reference_value",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::NoPublishers => {
                "add a table [publishers] to the policy: docs/reference-values.md".to_owned()
            }
            Self::Seen(error) => error.hint(),
            Self::Value(error) => error.hint().to_owned(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoPublishers => Exit::Usage,
            Self::Seen(error) => error.exit(),
            Self::Value(_) => Exit::Error,
        }
    }
}

impl Trust {
    /// A policy and a verifier; `seen` is the file that remembers the newest of everything.
    #[must_use]
    pub const fn new(policy: Policy, verifier: Verifier, seen: Option<PathBuf>) -> Self {
        Self {
            policy,
            verifier,
            seen,
        }
    }

    /// Takes the publishers' reference values out of `bundle`, which must not be older than any seen before; the file
    /// `seen` remembers them.
    ///
    /// # Errors
    /// [`PublishedFault`].
    pub fn take(&mut self, bundle: &[u8], seen: PathBuf, now: Timestamp) -> Result<Stored, PublishedFault> {
        let publishers = self.policy.publishers().ok_or(PublishedFault::NoPublishers)?;
        let mut file = SeenFile::open(&seen).map_err(PublishedFault::Seen)?;
        let values = file
            .verify(bundle, publishers, now)
            .map_err(PublishedFault::Seen)?;
        let stored = file.store().map_err(PublishedFault::Seen)?;
        self.policy.take(&values).map_err(PublishedFault::Value)?;
        self.seen = Some(seen);
        Ok(stored)
    }

    /// Refuses evidence that was proven with an older list or document than was ever seen, and remembers the newest.
    ///
    /// # Errors
    /// [`SeenError`].
    pub fn remember(&self, claims: &Claims) -> Result<Option<Stored>, SeenError> {
        let Some(path) = &self.seen else {
            return Ok(None);
        };
        let mut seen = SeenFile::open(path)?;
        for (issuer, number) in claims.issuer_numbers() {
            let _not_older = seen.observe(issuer, &number)?;
        }
        seen.store().map(Some)
    }
}

impl From<Policy> for Trust {
    /// Under the vendors' own roots, without a memory.
    fn from(policy: Policy) -> Self {
        Self::new(policy, Verifier::compiled(), None)
    }
}
