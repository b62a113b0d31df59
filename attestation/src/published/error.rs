//! Why published reference values are refused: which check, and where.
//!
//! Why apart: the identifiers are an interface. docs/reference-values.md, `--json` and people's tickets use them.
//!
//! # Invariants
//! No text of the input. Each check has one identifier, which never changes its meaning.

use std::fmt;

use crate::checks::checks;

checks! {
    /// Checks of published reference values, in the order of checking.
    PublishedCheck {
        /// At most [`crate::limits::PUBLISHED_BUNDLE`] bytes.
        BundleLength = "published-bundle-length", "is too long", "is this the bundle that the publisher made?";
        /// JSON with exactly the members of a bundle.
        BundleShape = "published-bundle-shape", "is not a bundle of published reference values", "is this the bundle that the publisher made, for this version?";
        /// In canonical form.
        BundleCanonical = "published-bundle-canonical", "is not in canonical form (RFC 8785)", "the file was altered or written anew on its way: fetch it again, byte by byte";
        /// At most [`crate::limits::PUBLISHED_ENTRY`] bytes.
        EntryLength = "published-entry-length", "is longer than an entry of a log", "split the statement into two product lines";
        /// JSON with exactly the members of a signed statement.
        EntryShape = "published-entry-shape", "is not a signed statement", "is this what `publisher reference sign` wrote, for this version?";
        /// In canonical form.
        EntryCanonical = "published-entry-canonical", "is not in canonical form (RFC 8785)", "the file was altered or written anew on its way: fetch it again, byte by byte";
        /// At least 1 and below 2^53.
        Serial = "published-serial", "has a serial number of 0 or beyond 2^53", "serial numbers begin with 1 and grow by the statement";
        /// `not_after` is after `not_before`, and by 90 days at most.
        Span = "published-span", "is for no time, or for more than 90 days", "let it end at most 90 days after it begins, and publish anew";
        /// Not too many reference values, and no two alike.
        Values = "published-values", "has too many reference values, or the same one twice", "list each value once";
        /// Each reference value is complete for its platform, as in a policy.
        Value = "published-value", "has a reference value that is not complete for its platform, or has more than it", "docs/policy.md lists what a value of each platform has";
        /// Revocation lists ascend, without repetition, and are not too long.
        Revoked = "published-revoked", "has a revocation list that is too long or not in ascending order", "sort the list, and name each once";
        /// Signatures ascend by their keys, without repetition, one to sixteen.
        SignatureOrder = "published-signature-order", "has no signature, too many, or not in ascending order of their keys", "sign it with `publisher reference sign`";
        /// Each signature holds, also one of an unknown publisher.
        Signature = "published-signature", "does not hold", "the statement was altered or forged; do not use it";
        /// Is of the product line that is trusted.
        Line = "published-line", "is about another product line", "ask for the bundle of your product line";
        /// Valid already.
        NotYet = "published-not-yet", "is not valid yet", "check the clock of this machine";
        /// Valid still.
        Expired = "published-expired", "has expired", "fetch the publisher's current bundle, and check the clock of this machine";
        /// Enough of the trusted publishers signed.
        Publishers = "published-publishers", "is signed by too few of the trusted publishers", "wait for the other publishers, or ask them why they do not sign";
        /// At most [`crate::limits::LOG_PROOF`] bytes.
        ProofLength = "published-proof-length", "is too long", "make the bundle again with fewer cosignatures";
        /// A text of C2SP tlog-proof without extra data.
        ProofForm = "published-proof-form", "is not a proof of inclusion (C2SP tlog-proof, without extra data)", "fetch the bundle again";
        /// A signed note whose signature lines have the one form.
        NoteForm = "published-note-form", "is not a signed note (C2SP signed-note)", "fetch the bundle again";
        /// No key signs twice.
        NoteRepeated = "published-note-repeated", "carries two signatures of one key", "make the bundle again with each cosignature once";
        /// Origin, size and root, and nothing else.
        CheckpointForm = "published-checkpoint-form", "is not origin, size and root (C2SP tlog-checkpoint, without extension lines)", "fetch the bundle again";
        /// The trusted log's.
        Origin = "published-origin", "is of another log", "name this log in your trust, or fetch the bundle of the trusted one";
        /// The log signed it.
        LogMissing = "published-log-missing", "is not signed by the trusted log", "fetch the bundle again; is the log's key the one you trust?";
        /// The log's signature holds.
        LogSignature = "published-log-signature", "has a signature of the log that does not hold", "the checkpoint was altered or forged; do not use it";
        /// A trusted witness's cosignature holds.
        WitnessSignature = "published-witness-signature", "has a cosignature of a trusted witness that does not hold", "the checkpoint was altered or forged; do not use it";
        /// No trusted witness cosigned in the future.
        WitnessTime = "published-witness-time", "was cosigned in the future", "check the clock of this machine";
        /// Enough of the trusted witnesses cosigned.
        Witnesses = "published-witnesses", "is cosigned by too few of the trusted witnesses", "fetch a bundle with more cosignatures";
        /// The entry is in the tree.
        Inclusion = "published-inclusion", "is not proven to be in the log", "the proof is for another entry or another checkpoint; do not use it";
        /// Each consistency proof holds, from sizes that ascend.
        Consistency = "published-consistency", "does not prove that the log only grew", "the proof was altered, or the log was rewritten; do not use it";
        /// No smaller checkpoint than before.
        SeenCheckpoint = "seen-checkpoint", "is smaller than one seen before", "somebody serves an old state of the log: fetch the current bundle";
        /// The log was not rewritten.
        SeenFork = "seen-fork", "contradicts the checkpoint seen before", "the log was rewritten: keep both checkpoints as proof, and trust neither";
        /// The bundle proves growth from the checkpoint seen before.
        SeenGap = "seen-gap", "comes with no proof of growth since the checkpoint seen before", "ask for a bundle with a consistency proof from the size you have seen";
        /// No older statement than before.
        SeenSerial = "seen-serial", "is older than one seen before", "somebody serves an old statement: fetch the current bundle";
        /// One serial number, one statement.
        SeenStatement = "seen-statement", "has the serial number of another statement seen before", "publishers signed two statements under one number: ask them which holds, and why";
        /// No smaller number of an issuer than before.
        SeenNumber = "seen-number", "has a smaller number than one seen before", "somebody serves an old list: fetch the current one";
        /// A number of at most 20 bytes, under an issuer's short name.
        SeenForm = "seen-form", "has a number or a name that is too long", "is this the list of the issuer?";
        /// Room to remember one more.
        SeenFull = "seen-full", "cannot be remembered: too many others are", "begin a new state file, knowing that it forgets";
        /// The file with what was seen is one.
        SeenFile = "seen-file", "is not a state file of this version", "restore the file from a backup; starting anew forgets what was seen";
    }
}

/// What a check was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// The bundle as a file.
    Bundle,
    /// The signed statement.
    Entry,
    /// A publisher's signature of it, counted from 0.
    Signature(usize),
    /// The proof of inclusion.
    Proof,
    /// The checkpoint.
    Checkpoint,
    /// A signature line under the checkpoint, counted from 0.
    SignatureLine(usize),
    /// A consistency proof, counted from 0.
    Consistency(usize),
    /// The number of an issuer.
    Issuer,
    /// The state file.
    State,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bundle => f.write_str("the bundle"),
            Self::Entry => f.write_str("the statement"),
            Self::Signature(index) => write!(f, "the statement's signature {index}"),
            Self::Proof => f.write_str("the proof of inclusion"),
            Self::Checkpoint => f.write_str("the checkpoint"),
            Self::SignatureLine(index) => write!(f, "the checkpoint (signature line {index})"),
            Self::Consistency(index) => write!(f, "the consistency proof {index}"),
            Self::Issuer => f.write_str("the issuer"),
            Self::State => f.write_str("what was seen before"),
        }
    }
}

/// Published reference values are refused: which check failed, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishedError {
    check: PublishedCheck,
    place: Place,
}

impl PublishedError {
    pub(super) const fn new(check: PublishedCheck, place: Place) -> Self {
        Self { check, place }
    }

    /// The check that failed.
    #[must_use]
    pub const fn check(&self) -> PublishedCheck {
        self.check
    }

    /// What it was about.
    #[must_use]
    pub const fn place(&self) -> Place {
        self.place
    }

    /// The stable identifier of the check.
    #[must_use]
    pub const fn id(&self) -> &'static str {
        self.check.id()
    }

    /// What a person can do about it.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.check.hint()
    }
}

impl fmt::Display for PublishedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.place, self.check, self.check.id())
    }
}

impl std::error::Error for PublishedError {}

/// Refuses what does not hold.
pub(super) const fn hold(holds: bool, check: PublishedCheck, place: Place) -> Result<(), PublishedError> {
    if holds {
        Ok(())
    } else {
        Err(PublishedError::new(check, place))
    }
}
