//! The bytes that each token id stands for.
//!
//! Why apart: answers are streamed, and a token may end in the middle of a character, so that ids have to
//! become bytes before they become text.
//!
//! # Invariants
//! Only decoders whose effect is byte by byte are taken; any other is refused by its name.

use std::collections::HashMap;

use serde_json::Value;

use super::control::Controls;
use super::{TextStream, refuse};
use crate::model::error::{FileProblem, LoadError};
use crate::model::name::ShownName;

/// One byte string for each id; none for ids that are not shown.
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    /// Where each id's bytes end; they begin where those of the id before end.
    ends: Vec<u32>,
    /// Bytes of the longest.
    longest: usize,
    /// A text loses one space at its begin, which the tokenizer had put there.
    strips_begin: bool,
}

/// How a token's spelling becomes bytes.
#[derive(Default)]
struct Spelling {
    /// Each character stands for one byte (GPT-2).
    byte_level: bool,
    /// U+2581 stands for a space (SentencePiece).
    low_line: bool,
    /// `<0xAB>` stands for that byte.
    byte_names: bool,
    strips_begin: bool,
}

impl Pieces {
    pub(super) fn read(
        tokenizer: &tokenizers::Tokenizer,
        size: usize,
        controls: &Controls,
    ) -> Result<Self, LoadError> {
        let decoder = tokenizer.get_decoder().map(serde_json::to_value);
        let decoder = decoder
            .and_then(Result::ok)
            .ok_or_else(|| refuse(FileProblem::NotTokenizer))?;
        let mut spelling = Spelling::default();
        spelling.read(&decoder)?;
        let table = byte_characters();
        let mut pieces = Self {
            bytes: Vec::new(),
            ends: Vec::with_capacity(size),
            longest: 0,
            strips_begin: spelling.strips_begin,
        };
        for id in 0..size {
            let before = pieces.bytes.len();
            let id = u32::try_from(id).map_err(|_| refuse(FileProblem::NotTokenizer))?;
            if !controls.is_hidden(id)
                && let Some(token) = tokenizer.id_to_token(id)
            {
                spelling.append(&token, &table, &mut pieces.bytes);
            }
            let end = u32::try_from(pieces.bytes.len()).map_err(|_| refuse(FileProblem::NotTokenizer))?;
            pieces.ends.push(end);
            pieces.longest = pieces.longest.max(pieces.bytes.len() - before);
        }
        Ok(pieces)
    }

    /// One piece for each id, as it is given.
    #[cfg(any(test, anchorhold_fuzzing))]
    pub(crate) fn of_bytes<'a>(all: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut pieces = Self {
            bytes: Vec::new(),
            ends: Vec::new(),
            longest: 0,
            strips_begin: false,
        };
        for bytes in all {
            pieces.bytes.extend_from_slice(bytes);
            pieces.ends.extend(u32::try_from(pieces.bytes.len()));
            pieces.longest = pieces.longest.max(bytes.len());
        }
        pieces
    }

    /// The bytes of an id; none for one that the tokenizer does not have.
    pub(crate) fn bytes(&self, id: u32) -> &[u8] {
        let at = |index: usize| self.ends.get(index).map(|end| *end as usize);
        let id = id as usize;
        let start = id.checked_sub(1).and_then(at).unwrap_or(0);
        at(id)
            .and_then(|end| self.bytes.get(start..end))
            .unwrap_or_default()
    }

    /// Bytes of the longest piece.
    pub(crate) fn longest(&self) -> usize {
        self.longest
    }

    /// A stream for a new text, or for one that continues another.
    pub(crate) fn stream(&self, continues: bool) -> TextStream {
        TextStream::new(self.strips_begin && !continues)
    }
}

impl Spelling {
    fn read(&mut self, decoder: &Value) -> Result<(), LoadError> {
        let kind = decoder.get("type").and_then(Value::as_str).unwrap_or_default();
        let is = |key: &str, wanted: Value| decoder.get(key) == Some(&wanted);
        match kind {
            "ByteLevel" => self.byte_level = true,
            "ByteFallback" => self.byte_names = true,
            "Fuse" => {}
            "Strip" if is("content", " ".into()) && is("start", 1.into()) && is("stop", 0.into()) => {
                self.strips_begin = true;
            }
            "Replace"
                if decoder.pointer("/pattern/String") == Some(&"\u{2581}".into())
                    && is("content", " ".into()) =>
            {
                self.low_line = true;
            }
            "Metaspace" if is("replacement", "\u{2581}".into()) => {
                self.low_line = true;
                self.strips_begin = !is("prepend_scheme", "never".into());
            }
            "Sequence" => {
                for step in decoder
                    .get("decoders")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                {
                    self.read(step)?;
                }
            }
            other => {
                let value = ShownName::new(other);
                return Err(LoadError::Unsupported {
                    file: super::FILE,
                    key: "decoder",
                    value,
                });
            }
        }
        Ok(())
    }

    fn append(&self, token: &str, table: &HashMap<char, u8>, into: &mut Vec<u8>) {
        if self.byte_names
            && let Some(byte) = named_byte(token)
        {
            into.push(byte);
            return;
        }
        let byte_of = |character| table.get(&character).copied();
        if self.byte_level
            && let Some(bytes) = token.chars().map(byte_of).collect::<Option<Vec<u8>>>()
        {
            into.extend(bytes);
        } else if self.low_line {
            into.extend(token.replace('\u{2581}', " ").into_bytes());
        } else {
            into.extend_from_slice(token.as_bytes());
        }
    }
}

fn named_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    let plain = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if plain {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

/// The byte that each character stands for in GPT-2 vocabularies: visible Latin-1 characters for themselves,
/// those from U+0100 on for the other bytes in order.
fn byte_characters() -> HashMap<char, u8> {
    let mut others = '\u{100}'..;
    (0..=u8::MAX)
        .filter_map(|byte| match byte {
            0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => Some((char::from(byte), byte)),
            _ => others.next().map(|character| (character, byte)),
        })
        .collect()
}
