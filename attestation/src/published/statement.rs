//! A statement of reference values, and the publishers' signatures of it: the entry of a log.
//!
//! Why apart: publishers sign it and a log shows it, both without knowing whom a reader trusts.
//!
//! The entry is canonical JSON of `signatures` and `statement`. The statement's own bytes, over which publishers
//! sign, are its canonical encoding: in canonical JSON a member's encoding is a part of the whole's. The leaf of the
//! log is the entry with all its signatures, so what a reader counts is what the log shows to everybody.
//!
//! # Invariants
//! A [`SignedStatement`] exists only when every signature in it holds, also those of publishers nobody here knows:
//! that a signature holds says nothing about whose it is. Each list has one order.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anchorhold_encoding::canonical::{self, CanonicalError};
use anchorhold_encoding::{Digest, Preimage, sha256, tree};
use serde::{Deserialize, Serialize};

use super::error::{Place, PublishedCheck, PublishedError, hold};
use crate::limits;
use crate::reference::ReferenceValue;
use crate::signature::ed25519;
use crate::time::Timestamp;

/// The statement's version, the only one there is; also the label of its signatures.
pub const LABEL: &str = "anchorhold reference values v1";

/// The version as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StatementVersion {
    /// `anchorhold reference values v1`
    #[serde(rename = "anchorhold reference values v1")]
    V1,
}

/// The name of a product line: 1 to 64 lower-case letters, digits, `.` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Line(String);

/// A text is not the name of a product line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotALine;

impl fmt::Display for NotALine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("use 1 to 64 lower-case letters, digits, '.' and '-'")
    }
}

impl std::error::Error for NotALine {}

impl Line {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Line {
    type Err = NotALine;

    fn from_str(text: &str) -> Result<Self, NotALine> {
        let plain = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'.' | b'-');
        if text.is_empty() || text.len() > limits::LINE_NAME || !text.bytes().all(plain) {
            return Err(NotALine);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Line {
    type Error = NotALine;

    fn try_from(text: String) -> Result<Self, NotALine> {
        text.parse()
    }
}

impl From<Line> for String {
    fn from(line: Line) -> Self {
        line.0
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A measurement that must not be accepted any more, of 32 or 48 bytes, as lower-case hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RevokedMeasurement(String);

impl RevokedMeasurement {
    /// As lower-case hexadecimal.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RevokedMeasurement {
    type Err = anchorhold_encoding::digest::NotHex;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() == 64 {
            text.parse::<Digest<32>>()?;
        } else {
            text.parse::<Digest<48>>()?;
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RevokedMeasurement {
    type Error = anchorhold_encoding::digest::NotHex;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<RevokedMeasurement> for String {
    fn from(measurement: RevokedMeasurement) -> Self {
        measurement.0
    }
}

/// What a publisher withdraws. Both lists ascend and repeat nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokedList {
    /// Measurements that must not be accepted any more, also where another statement or a policy lists them.
    pub measurements: Vec<RevokedMeasurement>,
    /// SHA-256 of the bytes of earlier statements that were wrong when they were made. A reader who remembers the
    /// highest serial refuses them anyway; whoever judges old receipts needs the list.
    pub statements: Vec<Digest<32>>,
}

/// What publishers say of one product line.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// The product line.
    pub line: Line,
    /// When it ceases to hold: at most 90 days after `not_before`.
    pub not_after: Timestamp,
    /// From when on it holds.
    pub not_before: Timestamp,
    /// The code that is accepted. None at all withdraws everything.
    pub reference_values: Vec<ReferenceValue>,
    /// What is withdrawn.
    pub revoked: RevokedList,
    /// Grows with each statement of the line; the first is 1.
    pub serial: u64,
    /// Always [`StatementVersion::V1`].
    pub version: StatementVersion,
}

fn ascends<T: Ord>(list: &[T]) -> bool {
    list.iter().zip(list.iter().skip(1)).all(|(one, next)| one < next)
}

impl Statement {
    /// Its bytes: canonical JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }

    /// SHA-256 of its bytes: its name in revocation lists.
    #[must_use]
    pub fn digest(&self) -> Digest<32> {
        sha256(&[&self.encode()])
    }

    /// What a publisher signs: `LP("anchorhold reference values v1") || LP(statement)`.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        Preimage::new(LABEL).lp(&self.encode()).as_bytes().to_vec()
    }

    fn check(&self) -> Result<(), PublishedError> {
        use PublishedCheck as Check;
        let entry = Place::Entry;
        hold((1..=limits::INTEGER).contains(&self.serial), Check::Serial, entry)?;
        let span = self.not_after.since(self.not_before);
        let held = span.is_some_and(|seconds| (1..=limits::PUBLISHED_SECONDS).contains(&seconds));
        hold(held, Check::Span, entry)?;
        let values = &self.reference_values;
        let distinct: BTreeSet<Vec<u8>> = values.iter().map(canonical::to_vec).collect();
        let few = values.len() <= limits::PUBLISHED_VALUES;
        hold(few && distinct.len() == values.len(), Check::Values, entry)?;
        let complete = values.iter().all(|value| value.check().is_ok());
        hold(complete, Check::Value, entry)?;
        let RevokedList {
            measurements,
            statements,
        } = &self.revoked;
        let few =
            measurements.len() <= limits::PUBLISHED_REVOKED && statements.len() <= limits::PUBLISHED_REVOKED;
        hold(
            few && ascends(measurements) && ascends(statements),
            Check::Revoked,
            entry,
        )
    }
}

/// A publisher's signature of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublisherSignature {
    /// The publisher's Ed25519 key.
    pub key: Digest<32>,
    /// Over [`Statement::message`].
    pub signature: Digest<64>,
}

/// The entry on the wire.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireEntry {
    signatures: Vec<PublisherSignature>,
    statement: Statement,
}

/// A statement with signatures that hold: an entry of a log.
#[derive(Debug)]
pub struct SignedStatement(WireEntry);

impl SignedStatement {
    /// Checks the statement and every signature.
    ///
    /// # Errors
    /// The first check of [`PublishedCheck`] that fails.
    pub fn new(statement: Statement, signatures: Vec<PublisherSignature>) -> Result<Self, PublishedError> {
        Self::check(WireEntry {
            signatures,
            statement,
        })
    }

    /// Reads an entry and checks it.
    ///
    /// # Errors
    /// The first check of [`PublishedCheck`] that fails.
    pub fn parse(bytes: &[u8]) -> Result<Self, PublishedError> {
        hold(
            bytes.len() <= limits::PUBLISHED_ENTRY,
            PublishedCheck::EntryLength,
            Place::Entry,
        )?;
        let entry = canonical::from_slice(bytes).map_err(|error| {
            let check = match error {
                CanonicalError::Shape => PublishedCheck::EntryShape,
                CanonicalError::NotCanonical => PublishedCheck::EntryCanonical,
            };
            PublishedError::new(check, Place::Entry)
        })?;
        Self::check(entry)
    }

    pub(super) fn check(entry: WireEntry) -> Result<Self, PublishedError> {
        let length = canonical::to_vec(&entry).len();
        hold(
            length <= limits::PUBLISHED_ENTRY,
            PublishedCheck::EntryLength,
            Place::Entry,
        )?;
        entry.statement.check()?;
        let keys: Vec<&Digest<32>> = entry.signatures.iter().map(|signature| &signature.key).collect();
        hold(
            (1..=limits::PUBLISHERS).contains(&keys.len()) && ascends(&keys),
            PublishedCheck::SignatureOrder,
            Place::Entry,
        )?;
        let message = entry.statement.message();
        for (index, PublisherSignature { key, signature }) in entry.signatures.iter().enumerate() {
            ed25519(key, &message, signature.as_bytes()).ok_or(PublishedError::new(
                PublishedCheck::Signature,
                Place::Signature(index),
            ))?;
        }
        Ok(Self(entry))
    }

    /// Its bytes: canonical JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_vec(&self.0)
    }

    /// Its hash as a leaf of a log: SHA-256(0x00 || bytes), RFC 9162 section 2.1.1.
    #[must_use]
    pub fn leaf(&self) -> Digest<32> {
        tree::leaf(&self.encode())
    }

    /// The statement.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.0.statement
    }

    /// The signatures, ascending by key.
    #[must_use]
    pub fn signatures(&self) -> &[PublisherSignature] {
        &self.0.signatures
    }

    pub(super) const fn wire(&self) -> &WireEntry {
        &self.0
    }
}
