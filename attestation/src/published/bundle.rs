//! The bundle: a signed statement with all that is needed to check it offline.
//!
//! Why apart: the publisher writes it and everybody reads it.
//!
//! # Invariants
//! Canonical JSON. Untrusted until [`verify`](super::verify).

use anchorhold_encoding::canonical::{self, CanonicalError};
use anchorhold_encoding::{Digest, tree};
use serde::{Deserialize, Serialize};

use super::checkpoint::Checkpoint;
use super::error::{Place, PublishedCheck, PublishedError, hold};
use super::statement::{SignedStatement, WireEntry};
use crate::limits;

/// The bundle's version, the only one there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum BundleVersion {
    /// `anchorhold reference bundle v1`
    #[serde(rename = "anchorhold reference bundle v1")]
    V1,
}

/// A proof that the checkpoint's tree begins with an earlier one (RFC 9162 section 2.1.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consistency {
    /// Hashes in the order of the section.
    pub path: Vec<Digest<32>>,
    /// Root of the earlier tree.
    pub root: Digest<32>,
    /// Entries of the earlier tree, at least 1.
    pub size: u64,
}

/// A bundle, read but not proven.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bundle {
    consistency: Vec<Consistency>,
    proof: String,
    signed: WireEntry,
    version: BundleVersion,
}

impl Bundle {
    /// A bundle of an entry, its proof as C2SP tlog-proof text, and proofs of growth from earlier sizes, ascending.
    #[must_use]
    pub fn new(signed: &SignedStatement, proof: String, consistency: Vec<Consistency>) -> Self {
        Self {
            consistency,
            proof,
            signed: signed.wire().clone(),
            version: BundleVersion::V1,
        }
    }

    /// Reads a bundle. Nothing is proven by it.
    ///
    /// # Errors
    /// [`PublishedCheck::BundleLength`], [`PublishedCheck::BundleShape`] or [`PublishedCheck::BundleCanonical`].
    pub fn parse(bytes: &[u8]) -> Result<Self, PublishedError> {
        hold(
            bytes.len() <= limits::PUBLISHED_BUNDLE,
            PublishedCheck::BundleLength,
            Place::Bundle,
        )?;
        canonical::from_slice(bytes).map_err(|error| {
            let check = match error {
                CanonicalError::Shape => PublishedCheck::BundleShape,
                CanonicalError::NotCanonical => PublishedCheck::BundleCanonical,
            };
            PublishedError::new(check, Place::Bundle)
        })
    }

    /// Its bytes: canonical JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }

    /// The signed statement, its signatures checked: whose they are is not.
    ///
    /// # Errors
    /// The first check of [`PublishedCheck`] that fails.
    pub fn signed(&self) -> Result<SignedStatement, PublishedError> {
        SignedStatement::check(self.signed.clone())
    }

    /// The proof of inclusion as text (C2SP tlog-proof).
    #[must_use]
    pub fn proof(&self) -> &str {
        &self.proof
    }

    /// The proofs of growth.
    #[must_use]
    pub fn consistency(&self) -> &[Consistency] {
        &self.consistency
    }

    /// Checks every proof of growth against `checkpoint`, also those the reader has no use for.
    pub(super) fn grown(&self, checkpoint: &Checkpoint) -> Result<Grown<'_>, PublishedError> {
        let mut before = 0;
        for (index, item) in self.consistency.iter().enumerate() {
            let ascends = item.size > before && index < limits::CONSISTENCY_PROOFS;
            let root = tree::root_from_consistency(item.root, item.size, checkpoint.size, &item.path);
            hold(
                ascends && root == Some(checkpoint.root),
                PublishedCheck::Consistency,
                Place::Consistency(index),
            )?;
            before = item.size;
        }
        Ok(Grown(&self.consistency))
    }
}

/// Earlier trees with which the checkpoint's tree begins: each was checked.
pub(super) struct Grown<'a>(&'a [Consistency]);

impl Grown<'_> {
    /// The root that the tree had at this size, if there is a proof of it.
    pub(super) fn root_at(&self, size: u64) -> Option<Digest<32>> {
        self.0.iter().find(|item| item.size == size).map(|item| item.root)
    }
}
