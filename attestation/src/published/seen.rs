//! What a reader has seen, so that nobody can show it something older.
//!
//! Why apart: it is the only state that checking evidence has; where it is kept is the caller's business.
//!
//! # Invariants
//! Nothing in it ever decreases. Only [`verify`](super::verify) moves a log or a statement forward.

use std::collections::BTreeMap;
use std::str::FromStr;

use anchorhold_encoding::{Digest, canonical};
use serde::{Deserialize, Serialize};

use super::bundle::Grown;
use super::checkpoint::Checkpoint;
use super::error::{Place, PublishedCheck, PublishedError, hold};
use super::note::KeyName;
use super::statement::{Line, Statement};
use crate::limits;

/// The state's version, the only one there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum SeenVersion {
    /// `anchorhold seen v1`
    #[default]
    #[serde(rename = "anchorhold seen v1")]
    V1,
}

/// The newest statement of a product line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeenStatement {
    serial: u64,
    statement_sha256: Digest<32>,
}

/// The largest checkpoint of a log, and its statements.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SeenLog {
    lines: BTreeMap<Line, SeenStatement>,
    root: Digest<32>,
    size: u64,
}

/// Who numbers what: a name of this program's own making.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Issuer(String);

impl Issuer {
    /// CRLs of the authority with this key: SHA-256 of its SubjectPublicKeyInfo, or of its certificate.
    #[must_use]
    pub fn crl(authority: &Digest<32>) -> Self {
        Self(format!("crl/{authority}"))
    }

    /// Intel's TCB information (`tcbEvaluationDataNumber`) of a family of platforms.
    #[must_use]
    pub fn tcb_info(fmspc: &Digest<6>) -> Self {
        Self(format!("tcb-info/{fmspc}"))
    }

    /// Intel's identity of the quoting enclave for trust domains (`tcbEvaluationDataNumber`).
    #[must_use]
    pub fn qe_identity() -> Self {
        Self("qe-identity/td".to_owned())
    }
}

impl FromStr for Issuer {
    type Err = PublishedError;

    fn from_str(text: &str) -> Result<Self, PublishedError> {
        let form = PublishedError::new(PublishedCheck::SeenForm, Place::Issuer);
        let known = match text.split_once('/').ok_or(form)? {
            ("crl", key) => key.parse::<Digest<32>>().is_ok(),
            ("tcb-info", fmspc) => fmspc.parse::<Digest<6>>().is_ok(),
            ("qe-identity", kind) => kind == "td",
            _ => false,
        };
        if known {
            Ok(Self(text.to_owned()))
        } else {
            Err(form)
        }
    }
}

impl TryFrom<String> for Issuer {
    type Error = PublishedError;

    fn try_from(text: String) -> Result<Self, PublishedError> {
        text.parse()
    }
}

impl From<Issuer> for String {
    fn from(issuer: Issuer) -> Self {
        issuer.0
    }
}

/// A number of at most 20 bytes; its text is hexadecimal without leading zero bytes. Length first, then bytes, is the
/// order of numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Number {
    length: usize,
    bytes: Vec<u8>,
}

impl Number {
    fn new(bytes: &[u8]) -> Option<Self> {
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let bytes = bytes.get(zeros..)?.to_vec();
        let length = bytes.len();
        (length <= limits::SEEN_NUMBER).then_some(Self { length, bytes })
    }
}

impl Serialize for Number {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = String::deserialize(deserializer)?;
        let pairs = text.as_bytes().chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).ok()?;
            pair.parse::<Digest<1>>().ok().map(|byte| *byte.as_bytes())
        });
        let bytes: Option<Vec<[u8; 1]>> = pairs.collect();
        // Leading zeros are dropped, so that the file is not canonical any more and refused for that.
        bytes
            .and_then(|bytes| Number::new(&bytes.concat()))
            .ok_or_else(|| D::Error::custom("not a number"))
    }
}

/// What a reader has seen: for each log its largest checkpoint and each line's newest statement, for each issuer the
/// highest number.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    issuers: BTreeMap<Issuer, Number>,
    logs: BTreeMap<KeyName, SeenLog>,
    version: SeenVersion,
}

/// An issuer's number was at least as high as any seen before.
#[must_use]
#[derive(Debug)]
pub struct NotOlder(());

impl Seen {
    /// Nothing yet: for the first time, and for judging without a memory.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// Reads a state.
    ///
    /// # Errors
    /// [`PublishedCheck::SeenFile`] for anything but what [`Seen::encode`] makes. Never starts anew.
    pub fn parse(bytes: &[u8]) -> Result<Self, PublishedError> {
        let file = PublishedError::new(PublishedCheck::SeenFile, Place::State);
        if bytes.len() > limits::SEEN {
            return Err(file);
        }
        let seen: Self = canonical::from_slice(bytes).map_err(|_| file)?;
        let sound = seen.within_limits()
            && seen.logs.values().all(|log| {
                let mut serials = log.lines.values().map(|line| line.serial);
                log.size <= limits::INTEGER && serials.all(|serial| serial <= limits::INTEGER)
            });
        if sound { Ok(seen) } else { Err(file) }
    }

    /// Its bytes: canonical JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        canonical::to_vec(self)
    }

    /// The largest size seen of a log.
    #[must_use]
    pub fn log_size(&self, origin: &KeyName) -> Option<u64> {
        self.logs.get(origin).map(|log| log.size)
    }

    /// The highest serial seen of a product line in a log.
    #[must_use]
    pub fn serial(&self, origin: &KeyName, line: &Line) -> Option<u64> {
        Some(self.logs.get(origin)?.lines.get(line)?.serial)
    }

    fn within_limits(&self) -> bool {
        self.logs.len() <= limits::SEEN_LOGS
            && self.issuers.len() <= limits::SEEN_ISSUERS
            && self
                .logs
                .values()
                .all(|log| log.lines.len() <= limits::SEEN_LINES)
    }

    /// Takes note of an issuer's number: a CRL's (big endian, as in the list) or Intel's evaluation number.
    /// Only numbers out of documents whose signatures were checked belong here.
    ///
    /// # Errors
    /// [`PublishedCheck::SeenNumber`] when a higher one was seen before, [`PublishedCheck::SeenForm`] when it has
    /// more than 20 bytes, [`PublishedCheck::SeenFull`]. Nothing changes then.
    pub fn observe(&mut self, issuer: Issuer, number: &[u8]) -> Result<NotOlder, PublishedError> {
        use PublishedCheck as Check;
        let number = Number::new(number).ok_or(PublishedError::new(Check::SeenForm, Place::Issuer))?;
        match self.issuers.get(&issuer) {
            Some(before) => hold(number >= *before, Check::SeenNumber, Place::Issuer)?,
            None => hold(
                self.issuers.len() < limits::SEEN_ISSUERS,
                Check::SeenFull,
                Place::Issuer,
            )?,
        }
        self.issuers.insert(issuer, number);
        Ok(NotOlder(()))
    }

    /// This state moved forward to a checkpoint and a statement in it.
    pub(super) fn advance(
        &self,
        checkpoint: &Checkpoint,
        grown: &Grown<'_>,
        statement: &Statement,
    ) -> Result<Self, PublishedError> {
        use PublishedCheck as Check;
        let mut next = self.clone();
        let newest = SeenStatement {
            serial: statement.serial,
            statement_sha256: statement.digest(),
        };
        let mut lines = BTreeMap::new();
        if let Some(log) = self.logs.get(&checkpoint.origin) {
            let place = Place::Checkpoint;
            hold(checkpoint.size >= log.size, Check::SeenCheckpoint, place)?;
            let root = if checkpoint.size == log.size {
                Some(checkpoint.root)
            } else {
                grown.root_at(log.size)
            };
            let root = root.ok_or(PublishedError::new(Check::SeenGap, place))?;
            hold(root == log.root, Check::SeenFork, place)?;
            lines = log.lines.clone();
        }
        if let Some(before) = lines.get(&statement.line) {
            hold(newest.serial >= before.serial, Check::SeenSerial, Place::Entry)?;
            hold(
                newest.serial > before.serial || newest == *before,
                Check::SeenStatement,
                Place::Entry,
            )?;
        }
        lines.insert(statement.line.clone(), newest);
        let log = SeenLog {
            lines,
            root: checkpoint.root,
            size: checkpoint.size,
        };
        next.logs.insert(checkpoint.origin.clone(), log);
        hold(next.within_limits(), Check::SeenFull, Place::State)?;
        Ok(next)
    }
}
