//! Whether a weight file begins as its name says, and is as long as its own header says.
//!
//! Why apart: a file that is still being downloaded, or pickle under another name, should be found by its
//! owner before it is sealed, not by an enclave after it.
//!
//! # Invariants
//! This is a courtesy to the owner, not a defence: the loader checks everything again. Only headers are read.

use std::collections::HashMap;
use std::io::Read;

use serde::Deserialize;

use super::ManifestError;
use crate::gguf::Gguf;
use crate::gguf::error::GgufError;
use crate::limits;
use crate::limits::gguf as gguf_limits;
use crate::manifest::folder::fill_up;
use crate::name::shown;

#[derive(Deserialize)]
struct Entry {
    /// Absent in `__metadata__`.
    data_offsets: Option<(u64, u64)>,
}

/// safetensors: an 8-byte little-endian length, a JSON object of that length, the tensors.
pub(super) fn check_safetensors(name: &str, size: u64, file: &mut impl Read) -> Result<(), ManifestError> {
    let mut start = [0; 9];
    let filled = read(name, file, &mut start)?;
    if filled < start.len() {
        return Err(ManifestError::Incomplete {
            name: name.to_owned(),
        });
    }
    let [length @ .., brace] = start;
    let length = u64::from_le_bytes(length);
    if length > limits::SAFETENSORS_HEADER || brace != b'{' {
        return Err(foreign(name, &start));
    }
    let incomplete = || ManifestError::Incomplete {
        name: name.to_owned(),
    };
    let data = size.checked_sub(8 + length).ok_or_else(incomplete)?;
    let mut json = vec![b'{'; usize::try_from(length).map_err(|_| incomplete())?];
    let rest = json.get_mut(1..).ok_or_else(incomplete)?;
    if read(name, file, rest)? < rest.len() {
        return Err(incomplete());
    }
    let entries: HashMap<String, Entry> = serde_json::from_slice(&json).map_err(|_| foreign(name, &start))?;
    let end = entries
        .values()
        .filter_map(|entry| entry.data_offsets)
        .map(|(_, end)| end)
        .max();
    if end.unwrap_or(0) == data {
        Ok(())
    } else {
        Err(incomplete())
    }
}

/// GGUF: its tables, and whether the tensors that they list fill the file. `begin` bytes are read at first.
pub(super) fn check_gguf(
    name: &str,
    size: u64,
    begin: u64,
    file: &mut impl Read,
) -> Result<(), ManifestError> {
    let mut bytes = Vec::new();
    let mut wanted = begin;
    loop {
        let from = bytes.len();
        let room = usize::try_from(wanted.min(size)).map_err(|_| ManifestError::TooLarge)?;
        bytes.resize(room, 0);
        let filled = read(name, file, bytes.get_mut(from..).unwrap_or_default())?;
        bytes.truncate(from + filled);
        if !bytes.starts_with(b"GGUF") {
            return Err(foreign(name, &bytes));
        }
        match Gguf::parse(&bytes, size) {
            Ok(_) => return Ok(()),
            Err(GgufError::Cut { needed, .. })
                if needed <= size.min(gguf_limits::TABLES) && bytes.len() == room =>
            {
                wanted = needed.saturating_mul(2);
            }
            Err(GgufError::Cut { .. } | GgufError::Length { .. }) => {
                return Err(ManifestError::Incomplete {
                    name: name.to_owned(),
                });
            }
            Err(problem) => {
                return Err(ManifestError::Gguf {
                    name: name.to_owned(),
                    problem,
                });
            }
        }
    }
}

/// PyTorch writes zip archives of pickle, and wrote bare pickle (protocols 2 to 5) before.
fn foreign(name: &str, start: &[u8]) -> ManifestError {
    let name = shown(name);
    match start {
        [b'P', b'K', 3, 4, ..] | [0x80, 2..=5, ..] => ManifestError::Pickle { name },
        _ => ManifestError::NotWeights { name },
    }
}

fn read(name: &str, file: &mut impl Read, buffer: &mut [u8]) -> Result<usize, ManifestError> {
    fill_up(file, buffer).map_err(|error| ManifestError::Io {
        name: shown(name),
        kind: error.kind(),
    })
}
