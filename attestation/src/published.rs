//! Reference values as publishers sign them, a log shows them and witnesses watch it: docs/reference-values.md.
//!
//! Why apart: a policy that names measurements itself needs none of this. Here somebody else names them, and must do
//! it in front of everybody, for at most 90 days, and never backwards.
//!
//! - [`statement`]: what publishers sign, the entry of a log
//! - [`note`], [`checkpoint`], [`proof`]: C2SP signed-note, tlog-checkpoint and tlog-cosignature, tlog-proof
//! - [`bundle`]: all of it in one file
//! - [`trust`]: whom a reader trusts
//! - [`seen`]: what a reader has seen
//! - [`error`]: the checks
//!
//! # Invariants
//! Only [`verify`] makes [`PublishedValues`]. Each bit of a bundle is either covered by a signature or a hash that is
//! checked, or its flipping is refused by form; with one exception: a signature line of a key that is not trusted is
//! ignored, as signed notes demand, and counts for nothing.

use anchorhold_encoding::{Digest, tree};

use crate::reference::ReferenceValue;
use crate::time::Timestamp;

pub mod bundle;
pub mod checkpoint;
pub mod error;
pub mod note;
pub mod proof;
pub mod seen;
pub mod statement;
pub mod trust;

pub use bundle::Bundle;
pub use checkpoint::{Checkpoint, LoggedCheckpoint};
pub use error::{PublishedCheck, PublishedError};
pub use note::{KeyName, LogKey, WitnessKey};
pub use seen::{Issuer, NotOlder, Seen};
pub use statement::{Line, SignedStatement, Statement};
pub use trust::{PublisherTrust, TrustError, TrustSettings};

use error::{Place, hold};
use proof::Proof;

/// Reference values that hold: trusted publishers signed them, the log has them, the witnesses saw it, the time is
/// right and nothing newer was seen. Only [`verify`] makes one.
#[must_use]
#[derive(Debug)]
pub struct PublishedValues {
    statement: Statement,
    values: Vec<ReferenceValue>,
    statement_sha256: Digest<32>,
    publishers: Vec<Digest<32>>,
    witnesses: Vec<(WitnessKey, Timestamp)>,
    checkpoint: Checkpoint,
    index: u64,
    seen: Seen,
}

impl PublishedValues {
    /// The values that are accepted: those of the statement, without those that name a revoked measurement.
    #[must_use]
    pub fn values(&self) -> &[ReferenceValue] {
        &self.values
    }

    /// True when what it withdraws stands anywhere in `value`, in its measurement or in a register.
    #[must_use]
    pub fn withdraws(&self, value: &ReferenceValue) -> bool {
        withdrawn(value, &self.statement)
    }

    /// True when the statement revokes this measurement (32 or 48 bytes): it must not be accepted from elsewhere
    /// either.
    #[must_use]
    pub fn revokes<const N: usize>(&self, measurement: &Digest<N>) -> bool {
        let text = measurement.to_string();
        let revoked = &self.statement.revoked.measurements;
        revoked.iter().any(|one| one.as_str() == text)
    }

    /// The whole statement.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// SHA-256 of the statement's bytes.
    #[must_use]
    pub const fn statement_sha256(&self) -> &Digest<32> {
        &self.statement_sha256
    }

    /// The statement's number.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.statement.serial
    }

    /// When the values cease to hold.
    #[must_use]
    pub const fn not_after(&self) -> Timestamp {
        self.statement.not_after
    }

    /// Trusted publishers that signed.
    #[must_use]
    pub fn publishers(&self) -> &[Digest<32>] {
        &self.publishers
    }

    /// Trusted witnesses that cosigned, and when by their own clocks.
    #[must_use]
    pub fn witnesses(&self) -> &[(WitnessKey, Timestamp)] {
        &self.witnesses
    }

    /// The state of the log.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The entry's place in the log, from 0.
    #[must_use]
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// What has been seen now: to be stored before the values are used.
    #[must_use]
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }
}

/// True when some text in `value` is the measurement: whatever fields reference values have, one that names a revoked
/// measurement anywhere is withdrawn.
fn names(value: &serde_json::Value, measurement: &str) -> bool {
    match value {
        serde_json::Value::String(text) => text == measurement,
        serde_json::Value::Array(list) => list.iter().any(|item| names(item, measurement)),
        serde_json::Value::Object(members) => members.values().any(|item| names(item, measurement)),
        _ => false,
    }
}

fn withdrawn(value: &ReferenceValue, statement: &Statement) -> bool {
    // What cannot be looked through is withdrawn; a reference value always can.
    serde_json::to_value(value).map_or(true, |json| {
        let revoked = &statement.revoked.measurements;
        revoked
            .iter()
            .any(|measurement| names(&json, measurement.as_str()))
    })
}

/// Checks a bundle: the statement, its publishers, its place in the log, the log's witnesses, the time, and that
/// nothing is older than what was seen.
///
/// `now` is the reader's own clock. `seen` is what the reader kept; [`PublishedValues::seen`] is to be kept instead.
///
/// # Errors
/// [`PublishedError`]: the first check that fails, in the order of docs/reference-values.md.
pub fn verify(
    bundle: &[u8],
    trust: &PublisherTrust,
    seen: &Seen,
    now: Timestamp,
) -> Result<PublishedValues, PublishedError> {
    use PublishedCheck as Check;
    let trust = trust.settings();
    let bundle = Bundle::parse(bundle)?;

    let signed = bundle.signed()?;
    let statement = signed.statement();
    let entry = Place::Entry;
    hold(statement.line == trust.line, Check::Line, entry)?;
    hold(statement.not_before <= now, Check::NotYet, entry)?;
    hold(now < statement.not_after, Check::Expired, entry)?;
    let signers = signed.signatures().iter().map(|signature| signature.key);
    let publishers: Vec<Digest<32>> = signers.filter(|key| trust.publishers.contains(key)).collect();
    hold(
        publishers.len() >= trust.publisher_threshold,
        Check::Publishers,
        entry,
    )?;

    let proof = Proof::parse(bundle.proof())?;
    let logged = LoggedCheckpoint::verify(proof.checkpoint, &trust.log)?;
    let checkpoint = logged.checkpoint();
    let mut witnesses = Vec::new();
    for witness in &trust.witnesses {
        if let Some(time) = logged.cosigned_by(witness, now)? {
            witnesses.push((witness.clone(), time));
        }
    }
    let place = Place::Checkpoint;
    hold(
        witnesses.len() >= trust.witness_threshold,
        Check::Witnesses,
        place,
    )?;

    let root = tree::root_from_path(signed.leaf(), proof.index, checkpoint.size, &proof.path);
    hold(root == Some(checkpoint.root), Check::Inclusion, Place::Proof)?;
    let grown = bundle.grown(checkpoint)?;
    let seen = seen.advance(checkpoint, &grown, statement)?;

    let values = statement.reference_values.iter();
    Ok(PublishedValues {
        values: values
            .filter(|value| !withdrawn(value, statement))
            .cloned()
            .collect(),
        statement_sha256: statement.digest(),
        statement: statement.clone(),
        publishers,
        witnesses,
        checkpoint: checkpoint.clone(),
        index: proof.index,
        seen,
    })
}

#[cfg(test)]
pub(crate) mod fake;
#[cfg(anchorhold_fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod tests;
