//! The begin of a GGUF file: its tables, and the few numbers that configurations are made of.
//!
//! Why apart: a file that is not kept has one part in memory at a time, and the tables are read where they lie.
//!
//! # Invariants
//! Of a file that is not kept, the tables lie in memory from here on until a tensor is read.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::source::{FACTORS, Numbers};
use crate::gguf::Gguf;
use crate::gguf::error::GgufError;
use crate::model::error::LoadError;
use crate::shown::ShownName;
use crate::unsealed::Plaintext;

/// Bytes that are looked at first: the tables of most files are 3 to 12 MiB.
const FIRST: usize = 4 << 20;
/// Bytes of numbers that configurations are made of: one for each pair of a head's width is some hundred.
const NUMBERS: usize = 1 << 16;

/// Brings so much of the file that its tables are there. Gives how much, and the tensors of [`FACTORS`].
pub(super) fn bring(file: &str, bytes: &mut Plaintext) -> Result<(usize, Numbers), LoadError> {
    let whole = bytes.len();
    let mut length = if bytes.is_kept() { whole } else { FIRST.min(whole) };
    let places = loop {
        bytes.bring(0..length).map_err(LoadError::Again)?;
        let begin = bytes.get(..length).unwrap_or_default();
        match Gguf::parse(begin, whole as u64) {
            Ok(gguf) => {
                let found = places(&gguf);
                // What is behind the tables need not lie in memory while they are read.
                let first = gguf.tensors().first().map(|tensor| tensor.listed().3.start);
                if !bytes.is_kept() {
                    length = first.map_or(length, |first| first.min(length));
                }
                break found;
            }
            Err(GgufError::Cut { .. }) if length < whole => length = length.saturating_mul(2).min(whole),
            Err(problem) => {
                return Err(LoadError::Gguf {
                    file: ShownName::new(file),
                    problem,
                });
            }
        }
    };
    let mut numbers = BTreeMap::new();
    for (name, place) in places {
        bytes.bring(place.clone()).map_err(LoadError::Again)?;
        let copy = bytes.get(place).unwrap_or_default().to_vec();
        numbers.insert(name, Zeroizing::new(copy));
    }
    bytes.bring(0..length).map_err(LoadError::Again)?;
    Ok((length, numbers))
}

fn places(gguf: &Gguf<'_>) -> Vec<(&'static str, std::ops::Range<usize>)> {
    let place = |name: &&'static str| {
        let tensor = gguf.tensors().iter().find(|tensor| tensor.name == *name)?;
        let (_, _, _, place) = tensor.listed();
        (place.len() <= NUMBERS).then_some((*name, place))
    };
    FACTORS.iter().filter_map(place).collect()
}
