//! Checkpoints of a log, signed by it and cosigned by witnesses (C2SP tlog-checkpoint, tlog-cosignature).
//!
//! Why apart: a witness, a log and a reader look at the same text with different questions.
//!
//! # Invariants
//! A [`LoggedCheckpoint`] exists only when the log signed its text. A signature line of a key nobody asked about is
//! ignored, as signed notes demand, and counts for nothing; one of a known key that does not hold refuses the whole.

use anchorhold_encoding::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::{Place, PublishedCheck, PublishedError, hold};
use super::note::{KeyName, LogKey, Note, SignatureLine, WitnessKey};
use crate::base64_text::decode_standard;
use crate::limits;
use crate::signature::ed25519;
use crate::time::Timestamp;

/// Which state of which log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: KeyName,
    /// Entries in it.
    pub size: u64,
    /// Root of the tree over them (RFC 9162 section 2.1.1).
    pub root: Digest<32>,
}

/// A number in decimal without leading zeros, at most 2^53 - 1.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number <= limits::INTEGER && number.to_string() == text).then_some(number)
}

/// A hash in base64.
pub(super) fn hash(text: &str) -> Option<Digest<32>> {
    Digest::from_slice(&decode_standard(text)?)
}

impl Checkpoint {
    /// The text that is signed: three lines.
    #[must_use]
    pub fn text(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// What a witness signs, at this time: tlog-cosignature, *Ed25519 signed message*.
    #[must_use]
    pub fn cosigned(&self, time: Timestamp) -> Vec<u8> {
        cosigned(&self.text(), time)
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_suffix('\n')?.split('\n');
        let checkpoint = Self {
            origin: lines.next()?.parse().ok()?,
            size: decimal(lines.next()?)?,
            root: hash(lines.next()?)?,
        };
        lines.next().is_none().then_some(checkpoint)
    }
}

fn cosigned(text: &str, time: Timestamp) -> Vec<u8> {
    format!("cosignature/v1\ntime {time}\n{text}").into_bytes()
}

/// A checkpoint that its log signed.
#[derive(Debug)]
pub struct LoggedCheckpoint {
    checkpoint: Checkpoint,
    text: String,
    lines: Vec<SignatureLine>,
}

impl LoggedCheckpoint {
    /// Reads a signed checkpoint and checks that this log signed it.
    ///
    /// # Errors
    /// The first check of [`PublishedCheck`] that fails.
    pub fn verify(note: &str, log: &LogKey) -> Result<Self, PublishedError> {
        use PublishedCheck as Check;
        let place = Place::Checkpoint;
        hold(note.len() <= limits::LOG_PROOF, Check::ProofLength, place)?;
        let Note { text, lines } = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(text).ok_or(PublishedError::new(Check::CheckpointForm, place))?;
        hold(checkpoint.origin == *log.name(), Check::Origin, place)?;
        let (index, line) = lines
            .iter()
            .enumerate()
            .find(|(_, line)| log.made(line))
            .ok_or(PublishedError::new(Check::LogMissing, place))?;
        ed25519(log.key(), text.as_bytes(), &line.signature).ok_or(PublishedError::new(
            Check::LogSignature,
            Place::SignatureLine(index),
        ))?;
        Ok(Self {
            checkpoint,
            text: text.to_owned(),
            lines,
        })
    }

    /// What the log signed.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// When this witness cosigned it, by the witness's clock; `None` when it did not.
    ///
    /// # Errors
    /// When there is a line of this witness that does not hold, or says a time after `now` by more than
    /// [`limits::COSIGNATURE_SKEW_SECONDS`].
    pub fn cosigned_by(
        &self,
        witness: &WitnessKey,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, PublishedError> {
        let Some((index, line)) = self.lines.iter().enumerate().find(|(_, line)| witness.made(line)) else {
            return Ok(None);
        };
        let place = Place::SignatureLine(index);
        let wrong = PublishedError::new(PublishedCheck::WitnessSignature, place);
        let (time, signature) = line.signature.split_first_chunk::<8>().ok_or(wrong)?;
        let time = u64::from_be_bytes(*time);
        // From beyond 2^53 seconds nobody can cosign.
        hold(time <= limits::INTEGER, PublishedCheck::WitnessSignature, place)?;
        let time = Timestamp::from_unix(time);
        ed25519(witness.key(), &cosigned(&self.text, time), signature).ok_or(wrong)?;
        hold(
            time <= now.plus(limits::COSIGNATURE_SKEW_SECONDS),
            PublishedCheck::WitnessTime,
            place,
        )?;
        Ok(Some(time))
    }

    /// The signed checkpoint with a cosignature line added, in the place of an earlier one of the same witness.
    ///
    /// # Errors
    /// When `line` is not one line, or not a cosignature of this checkpoint by this witness, or there is no room.
    pub fn with_cosignature(
        &self,
        line: &str,
        witness: &WitnessKey,
        now: Timestamp,
    ) -> Result<String, PublishedError> {
        let wrong = PublishedError::new(PublishedCheck::WitnessSignature, Place::Checkpoint);
        let note = format!("{}\n{line}", self.text);
        let added = Note::parse(&note)?;
        let ([line], true) = (added.lines.as_slice(), added.text == self.text) else {
            return Err(wrong);
        };
        if !witness.made(line) {
            return Err(wrong);
        }
        let kept = self.lines.iter().filter(|line| !witness.made(line));
        let lines: Vec<SignatureLine> = kept.chain([line]).cloned().collect();
        hold(
            lines.len() <= limits::NOTE_SIGNATURES,
            PublishedCheck::NoteForm,
            Place::Checkpoint,
        )?;
        let next = Self {
            checkpoint: self.checkpoint.clone(),
            text: self.text.clone(),
            lines,
        };
        next.cosigned_by(witness, now)?.ok_or(wrong)?;
        Ok(next.note())
    }

    /// The signed checkpoint as text.
    #[must_use]
    pub fn note(&self) -> String {
        let lines: String = self.lines.iter().map(SignatureLine::text).collect();
        format!("{}\n{lines}", self.text)
    }
}
