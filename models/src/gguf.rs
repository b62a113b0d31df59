//! GGUF: one file with weights, settings and tokenizer (versions 2 and 3, little endian).
//!
//! Why apart: its tables are bytes of a stranger's and are read before anything is known of the model. Whoever seals a
//! file looks at them too, without an engine.
//!
//! - [`reader`]: numbers and texts out of bytes that may end anywhere
//! - [`value`]: the values of settings
//! - [`kind`]: the forms of tensors
//! - [`error`]: why a file is refused
//!
//! # Invariants
//! Nothing is copied: names, texts and lists are parts of the file. What is held is a constant multiple of the bytes
//! that were read. Tensors lie one behind the other in the order of their table, at multiples of the alignment, and
//! fill the file.

// Who seals looks at the tables' soundness only.
#![cfg_attr(not(feature = "inference"), allow(dead_code))]

pub mod error;
pub(crate) mod kind;
mod reader;
pub(crate) mod value;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use crate::limits::gguf as limits;
use crate::shown::ShownName;
use error::GgufError;
use kind::Kind;
use reader::Reader;
pub(crate) use value::Value;

const ALIGNMENT: &str = "general.alignment";

/// What the tables of a file say.
pub(crate) struct Gguf<'a> {
    settings: BTreeMap<&'a str, Value<'a>>,
    tensors: Vec<Tensor<'a>>,
}

/// One tensor.
pub(crate) struct Tensor<'a> {
    pub(crate) name: &'a str,
    /// As ggml has it: the first is the length of a row. Unused ones are 1.
    dimensions: [u64; limits::DIMENSIONS],
    /// How many of them are used.
    used: usize,
    pub(crate) kind: Kind,
    /// Its bytes in the file.
    pub(crate) place: Range<u64>,
}

impl Tensor<'_> {
    /// Outermost first, as Hugging Face has it.
    pub(crate) fn shape(&self) -> impl Iterator<Item = u64> {
        self.dimensions.iter().take(self.used).rev().copied()
    }

    /// As [`crate::weights`] wants it.
    #[cfg(feature = "inference")]
    pub(crate) fn listed(&self) -> crate::weights::Listed {
        // The file lies in memory, so that nothing in it is longer than memory can be.
        let number = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let place = number(self.place.start)..number(self.place.end);
        let shape = self.shape().map(number).collect();
        (self.name.to_owned(), Some(self.kind.into()), shape, place)
    }
}

impl<'a> Gguf<'a> {
    /// Reads the tables at the begin of a file of `length` bytes, of which `bytes` is so much that the tables are in it.
    pub(crate) fn parse(bytes: &'a [u8], length: u64) -> Result<Self, GgufError> {
        let mut reader = Reader::new(bytes, length);
        let (tensors, settings) = counts(&mut reader)?;
        let settings = read_settings(&mut reader, settings)?;
        let alignment = alignment(&settings)?;
        let mut parsed = Self {
            settings,
            tensors: Vec::new(),
        };
        let mut names = BTreeSet::new();
        // From the begin of the data, which is known after the table only.
        let mut end = 0u64;
        for _ in 0..tensors {
            let tensor = read_tensor(&mut reader, end, alignment)?;
            if !names.insert(tensor.name) {
                return Err(GgufError::TensorTwice(ShownName::new(tensor.name)));
            }
            end = tensor.place.end;
            parsed.tensors.push(tensor);
        }
        parsed.place(aligned(reader.position(), alignment), length, alignment)?;
        Ok(parsed)
    }

    /// Moves the tensors' places behind the tables, and compares their end with the file's.
    fn place(&mut self, start: Option<u64>, length: u64, alignment: u64) -> Result<(), GgufError> {
        let end = self.tensors.last().map_or(0, |tensor| tensor.place.end);
        let needed = start
            .and_then(|start| start.checked_add(end))
            .ok_or(GgufError::TooLarge)?;
        // A writer may fill up behind the last tensor.
        let most = aligned(needed, alignment).ok_or(GgufError::TooLarge)?;
        if !(needed..=most).contains(&length) {
            return Err(GgufError::Length {
                expected: needed,
                found: length,
            });
        }
        let start = start.ok_or(GgufError::TooLarge)?;
        for tensor in &mut self.tensors {
            tensor.place = tensor.place.start + start..tensor.place.end + start;
        }
        Ok(())
    }

    /// The value under a key.
    pub(crate) fn value(&self, key: &str) -> Option<&Value<'a>> {
        self.settings.get(key)
    }

    /// All keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &'a str> {
        self.settings.keys().copied()
    }

    /// All tensors, as they lie.
    pub(crate) fn tensors(&self) -> &[Tensor<'a>] {
        &self.tensors
    }
}

/// Magic and version; how many tensors and settings follow.
fn counts(reader: &mut Reader<'_>) -> Result<(u64, u64), GgufError> {
    if reader.take(4)? != b"GGUF" {
        return Err(GgufError::Magic);
    }
    match reader.u32()? {
        2 | 3 => {}
        big if (2..=3).contains(&big.swap_bytes()) => return Err(GgufError::BigEndian),
        found => return Err(GgufError::Version(found)),
    }
    let count = |what, found, most| {
        if found <= most {
            Ok(found)
        } else {
            Err(GgufError::TooMany { what, found, most })
        }
    };
    let tensors = count("tensors", reader.u64()?, limits::TENSORS)?;
    let settings = count("settings", reader.u64()?, limits::SETTINGS)?;
    Ok((tensors, settings))
}

fn read_settings<'a>(reader: &mut Reader<'a>, count: u64) -> Result<BTreeMap<&'a str, Value<'a>>, GgufError> {
    let mut settings = BTreeMap::new();
    for _ in 0..count {
        let key = reader.name("keys", limits::KEY_BYTES)?;
        let value = Value::read(reader, key)?;
        if settings.insert(key, value).is_some() {
            return Err(GgufError::KeyTwice(ShownName::new(key)));
        }
    }
    Ok(settings)
}

fn alignment(settings: &BTreeMap<&str, Value<'_>>) -> Result<u64, GgufError> {
    match settings.get(ALIGNMENT) {
        None => Ok(limits::ALIGNMENT),
        Some(Value::U32(found)) if found.is_power_of_two() && limits::ALIGNMENTS.contains(found) => {
            Ok(u64::from(*found))
        }
        Some(value) => Err(GgufError::Alignment(value.whole())),
    }
}

fn read_tensor<'a>(reader: &mut Reader<'a>, end: u64, alignment: u64) -> Result<Tensor<'a>, GgufError> {
    let name = reader.name("names of tensors", limits::TENSOR_NAME_BYTES)?;
    let shown = || ShownName::new(name);
    let used = reader.u32()?;
    if !(1..=limits::DIMENSIONS as u32).contains(&used) {
        return Err(GgufError::Dimensions {
            name: shown(),
            found: used,
        });
    }
    let used = used as usize;
    let mut dimensions = [1; limits::DIMENSIONS];
    for dimension in dimensions.iter_mut().take(used) {
        *dimension = reader.u64()?;
        if *dimension == 0 {
            return Err(GgufError::Empty(shown()));
        }
    }
    let kind = Kind::of(reader.u32()?).map_err(|found| GgufError::Kind { name: shown(), found })?;
    let offset = reader.u64()?;
    let bytes = size(kind, dimensions).map_err(|problem| match problem {
        SizeProblem::Row => GgufError::Row {
            name: shown(),
            kind: kind.name(),
            expected: kind.block_weights(),
            found: dimensions[0],
        },
        SizeProblem::TooLarge => GgufError::TensorTooLarge(shown()),
    })?;
    let expected = aligned(end, alignment).ok_or(GgufError::TooLarge)?;
    if offset != expected {
        return Err(GgufError::Place {
            name: shown(),
            expected,
            found: offset,
        });
    }
    let end = offset.checked_add(bytes).ok_or(GgufError::TooLarge)?;
    Ok(Tensor {
        name,
        dimensions,
        used,
        kind,
        place: offset..end,
    })
}

enum SizeProblem {
    /// A row is no whole number of blocks.
    Row,
    TooLarge,
}

/// Bytes of a tensor.
fn size(kind: Kind, dimensions: [u64; limits::DIMENSIONS]) -> Result<u64, SizeProblem> {
    let [row, rows @ ..] = dimensions;
    if row % kind.block_weights() != 0 {
        return Err(SizeProblem::Row);
    }
    let row = (row / kind.block_weights()).checked_mul(kind.block_bytes());
    rows.iter()
        .try_fold(row, |bytes, rows| Some(bytes?.checked_mul(*rows)))
        .flatten()
        .filter(|bytes| *bytes <= crate::limits::PLAINTEXT)
        .ok_or(SizeProblem::TooLarge)
}

fn aligned(offset: u64, alignment: u64) -> Option<u64> {
    offset.checked_next_multiple_of(alignment)
}

#[cfg(anchorhold_fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod written;
