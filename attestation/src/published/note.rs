//! Signed notes and the keys they are signed with (C2SP signed-note and tlog-cosignature).
//!
//! Why apart: the text format is others' and is followed to the letter; what a note says is not its business.
//!
//! # Invariants
//! One value has one text: base64 has no stray bits, every line ends in a newline and nothing follows the last one.
//! A log's key and a witness's key are different types, since the same 32 bytes sign different messages.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anchorhold_encoding::{Digest, sha256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::error::{Place, PublishedCheck, PublishedError, hold};
use crate::base64_text::decode_standard;
use crate::limits;

/// Signature type of plain Ed25519 signatures (signed-note, Signature types).
const ED25519: u8 = 0x01;
/// Signature type of timestamped Ed25519 cosignatures (the same).
const COSIGNATURE: u8 = 0x04;

/// What a signature line begins with: em dash, space.
const DASH: &str = "— ";

/// A key's name: not empty, no spaces, no `+`, no control characters, at most 256 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyName(String);

/// A text is not a key's name, or not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAKey;

impl fmt::Display for NotAKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a key or a key's name as C2SP signed-note writes them")
    }
}

impl std::error::Error for NotAKey {}

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for KeyName {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == '+';
        if text.is_empty() || text.len() > limits::KEY_NAME || text.contains(forbidden) {
            return Err(NotAKey);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for KeyName {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl From<KeyName> for String {
    fn from(name: KeyName) -> Self {
        name.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An Ed25519 key with a name, for signatures of type `TYPE`. Its text is a verifier key (signed-note):
/// `<name>+<key id in hexadecimal>+<base64(type || key)>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NoteKey<const TYPE: u8> {
    name: KeyName,
    key: Digest<32>,
}

/// A log's key: it signs the text of a checkpoint as it is.
pub type LogKey = NoteKey<ED25519>;

/// A witness's key: it signs the text with a time in front.
pub type WitnessKey = NoteKey<COSIGNATURE>;

impl<const TYPE: u8> NoteKey<TYPE> {
    /// A key under a name.
    #[must_use]
    pub const fn new(name: KeyName, key: Digest<32>) -> Self {
        Self { name, key }
    }

    /// The name; a log's is its origin too.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The Ed25519 key.
    #[must_use]
    pub const fn key(&self) -> &Digest<32> {
        &self.key
    }

    /// The key id: `SHA-256(name || 0x0A || type || key)[:4]`.
    #[must_use]
    pub fn id(&self) -> Digest<4> {
        let hash = sha256(&[self.name.0.as_bytes(), b"\n", &[TYPE], self.key.as_bytes()]);
        let [a, b, c, d, ..] = *hash.as_bytes();
        Digest::new([a, b, c, d])
    }

    /// A signature line with `signature`, which for a witness is `be64(time) || Ed25519 signature`.
    #[must_use]
    pub fn line(&self, signature: &[u8]) -> String {
        line(&self.name, &self.id(), signature)
    }

    pub(super) fn made(&self, line: &SignatureLine) -> bool {
        self.name == line.name && self.id() == line.id
    }
}

impl<const TYPE: u8> fmt::Display for NoteKey<TYPE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[TYPE], self.key.as_bytes().as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, self.id(), STANDARD.encode(bytes))
    }
}

impl<const TYPE: u8> FromStr for NoteKey<TYPE> {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        // Base64 may itself hold a plus sign; a name cannot.
        let mut parts = text.splitn(3, '+');
        let mut part = || parts.next().ok_or(NotAKey);
        let (name, id, bytes) = (part()?, part()?, part()?);
        let bytes = decode_standard(bytes).ok_or(NotAKey)?;
        let (kind, key) = bytes.split_first().ok_or(NotAKey)?;
        let key = Digest::from_slice(key).ok_or(NotAKey)?;
        let found = Self::new(name.parse()?, key);
        if *kind != TYPE || id.parse() != Ok(found.id()) {
            return Err(NotAKey);
        }
        Ok(found)
    }
}

impl<const TYPE: u8> TryFrom<String> for NoteKey<TYPE> {
    type Error = NotAKey;

    fn try_from(text: String) -> Result<Self, NotAKey> {
        text.parse()
    }
}

impl<const TYPE: u8> From<NoteKey<TYPE>> for String {
    fn from(key: NoteKey<TYPE>) -> Self {
        key.to_string()
    }
}

fn line(name: &KeyName, id: &Digest<4>, signature: &[u8]) -> String {
    let bytes = [id.as_bytes(), signature].concat();
    format!("{DASH}{name} {}\n", STANDARD.encode(bytes))
}

/// A signature line: whose it claims to be, and the bytes after the key id.
#[derive(Debug, Clone)]
pub(super) struct SignatureLine {
    pub(super) name: KeyName,
    pub(super) id: Digest<4>,
    pub(super) signature: Vec<u8>,
}

impl SignatureLine {
    fn parse(line: &str) -> Option<Self> {
        let (name, bytes) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = decode_standard(bytes)?;
        let (id, signature) = bytes.split_at_checked(4)?;
        if signature.is_empty() {
            return None;
        }
        Some(Self {
            name: name.parse().ok()?,
            id: Digest::from_slice(id)?,
            signature: signature.to_vec(),
        })
    }

    /// As it is written, with its newline.
    pub(super) fn text(&self) -> String {
        line(&self.name, &self.id, &self.signature)
    }
}

/// A note: its text with the final newline, and its signature lines. Nothing is proven yet.
#[derive(Debug)]
pub(super) struct Note<'a> {
    pub(super) text: &'a str,
    pub(super) lines: Vec<SignatureLine>,
}

impl<'a> Note<'a> {
    /// Splits a note at its last empty line.
    pub(super) fn parse(note: &'a str) -> Result<Self, PublishedError> {
        let form = PublishedError::new(PublishedCheck::NoteForm, Place::Checkpoint);
        let control = |c: char| c < ' ' && c != '\n';
        if note.contains(control) {
            return Err(form);
        }
        let (body, signatures) = note.rsplit_once("\n\n").ok_or(form)?;
        // The text ends in the first of the two newlines.
        let end = body.len().checked_add(1).ok_or(form)?;
        let text = note.get(..end).ok_or(form)?;
        let signatures = signatures.strip_suffix('\n').ok_or(form)?;
        let mut lines = Vec::new();
        let mut known = BTreeSet::new();
        for (index, line) in signatures.split('\n').enumerate() {
            let place = Place::SignatureLine(index);
            let form = PublishedError::new(PublishedCheck::NoteForm, place);
            if index >= limits::NOTE_SIGNATURES {
                return Err(form);
            }
            let line = SignatureLine::parse(line).ok_or(form)?;
            let new = known.insert((line.name.clone(), line.id));
            hold(new, PublishedCheck::NoteRepeated, place)?;
            lines.push(line);
        }
        Ok(Self { text, lines })
    }
}

#[cfg(test)]
mod tests;
