//! Tensors out of a model's safetensors files, each taken once, as 32-bit floats.
//!
//! Why apart: this is the only place that reads weights as bytes.
//!
//! # Invariants
//! A tensor leaves with the shape that was asked for and finite numbers, or not at all. Memory for it is
//! taken only after its file was seen to hold as many bytes. A file is wiped when its last tensor is taken.

use std::collections::BTreeMap;
use std::ops::Range;

use anchorhold_kernels::BlockFormat;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::config::keys::parse_object;
use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError, TensorProblem};
use crate::model::files::ModelFiles;
use crate::model::name::ShownName;
use crate::progress::Progress;
use crate::unsealed::Plaintext;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// The tensors not yet taken.
pub(crate) struct Weights<'p> {
    shards: Vec<Shard>,
    tensors: BTreeMap<String, Entry>,
    progress: &'p dyn Progress,
    parameters: u64,
}

struct Shard {
    bytes: Option<Plaintext>,
    /// Tensors in it that are not yet taken.
    remaining: usize,
}

struct Entry {
    shard: usize,
    kind: Dtype,
    shape: Vec<usize>,
    place: Range<usize>,
}

impl<'p> Weights<'p> {
    /// Reads the headers of `model.safetensors`, or of all the files that the index names.
    pub(crate) fn open(files: &mut ModelFiles, progress: &'p dyn Progress) -> Result<Self, LoadError> {
        let mut weights = Self {
            shards: Vec::new(),
            tensors: BTreeMap::new(),
            progress,
            parameters: 0,
        };
        let mut total = 0;
        for name in shard_names(files)? {
            let bytes = files
                .take(&name)
                .ok_or(LoadError::MissingFile("file that its index names"))?;
            total += bytes.len() as u64;
            weights.add(&name, bytes)?;
        }
        progress.total(total);
        Ok(weights)
    }

    fn add(&mut self, file: &str, bytes: Plaintext) -> Result<(), LoadError> {
        let refuse = |problem| LoadError::File {
            file: ShownName::new(file),
            problem,
        };
        let unsound = || refuse(FileProblem::NotSafetensors);
        let length = bytes
            .first_chunk::<8>()
            .map(|length| u64::from_le_bytes(*length))
            .ok_or_else(unsound)?;
        if length > limits::WEIGHTS_HEADER_BYTES {
            return Err(refuse(FileProblem::TooLarge(limits::WEIGHTS_HEADER_BYTES)));
        }
        // Checks that the tensors lie one after the other, fill the file exactly and have their shapes' sizes.
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|_| unsound())?;
        let start = header.checked_add(8).ok_or_else(unsound)?;
        let shard = self.shards.len();
        let tensors = metadata.tensors();
        if self.tensors.len() + tensors.len() > limits::TENSORS {
            return Err(unsound());
        }
        let remaining = tensors.len();
        for (name, info) in tensors {
            let (from, to) = info.data_offsets;
            let entry = Entry {
                shard,
                kind: info.dtype,
                shape: info.shape.clone(),
                place: start + from..start + to,
            };
            let shown = ShownName::new(&name);
            if self.tensors.insert(name, entry).is_some() {
                return Err(LoadError::Tensor {
                    name: shown,
                    problem: TensorProblem::Twice,
                });
            }
        }
        self.shards.push(Shard {
            bytes: Some(bytes),
            remaining,
        });
        Ok(())
    }

    /// Takes a tensor of exactly this shape.
    pub(crate) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Zeroizing<Vec<f32>>, LoadError> {
        let mut values = Zeroizing::new(Vec::new());
        self.append(name, shape, &mut values)?;
        Ok(values)
    }

    /// Takes a tensor of exactly this shape and puts its numbers behind those of `into`.
    pub(crate) fn append(
        &mut self,
        name: &str,
        shape: &[usize],
        into: &mut Zeroizing<Vec<f32>>,
    ) -> Result<(), LoadError> {
        let refuse = |problem| LoadError::Tensor {
            name: ShownName::new(name),
            problem,
        };
        let entry = self
            .tensors
            .remove(name)
            .ok_or_else(|| refuse(TensorProblem::Missing))?;
        if entry.shape != shape {
            let problem = TensorProblem::Shape {
                expected: shape.to_vec(),
                found: entry.shape,
            };
            return Err(refuse(problem));
        }
        let shard = self.shards.get_mut(entry.shard).ok_or(LoadError::Compute)?;
        let bytes = shard
            .bytes
            .as_ref()
            .and_then(|bytes| bytes.get(entry.place))
            .ok_or(LoadError::Compute)?;
        let before = into.len();
        match entry.kind {
            Dtype::F32 => read(bytes, into, f32::from_le_bytes),
            Dtype::F16 => read(bytes, into, f16_to_f32),
            Dtype::BF16 => read(bytes, into, |[low, high]| f32::from_le_bytes([0, 0, low, high])),
            _ => return Err(refuse(TensorProblem::Type)),
        }
        self.progress.advance(bytes.len() as u64);
        shard.remaining -= 1;
        if shard.remaining == 0 {
            shard.bytes = None;
        }
        let read = into.get(before..).unwrap_or_default();
        self.parameters += read.len() as u64;
        if read.iter().any(|value| !value.is_finite()) {
            return Err(refuse(TensorProblem::NotFinite));
        }
        Ok(())
    }

    /// Takes a tensor of exactly this shape and shows its rows, as the file has them, one after the other.
    pub(crate) fn rows(
        &mut self,
        name: &str,
        shape: &[usize; 2],
        mut each: impl FnMut(BlockFormat, &[u8]) -> Result<(), TensorProblem>,
    ) -> Result<(), LoadError> {
        let refuse = |problem| LoadError::Tensor {
            name: ShownName::new(name),
            problem,
        };
        let entry = self
            .tensors
            .remove(name)
            .ok_or_else(|| refuse(TensorProblem::Missing))?;
        if entry.shape != shape {
            return Err(refuse(TensorProblem::Shape {
                expected: shape.to_vec(),
                found: entry.shape,
            }));
        }
        let format = match entry.kind {
            Dtype::F32 => BlockFormat::F32,
            Dtype::F16 => BlockFormat::F16,
            Dtype::BF16 => BlockFormat::Bf16,
            _ => return Err(refuse(TensorProblem::Type)),
        };
        let shard = self.shards.get_mut(entry.shard).ok_or(LoadError::Compute)?;
        let bytes = shard.bytes.as_ref().and_then(|bytes| bytes.get(entry.place));
        let bytes = bytes.ok_or(LoadError::Compute)?;
        for row in bytes.chunks_exact((bytes.len() / shape[0]).max(1)) {
            each(format, row).map_err(refuse)?;
        }
        self.progress.advance(bytes.len() as u64);
        self.parameters += (shape[0] * shape[1]) as u64;
        shard.remaining -= 1;
        if shard.remaining == 0 {
            shard.bytes = None;
        }
        Ok(())
    }

    /// Drops a tensor that is known to be of no use.
    pub(crate) fn ignore(&mut self, name: &str) {
        self.tensors.remove(name);
    }

    /// Checks that nothing is left over. Returns how many numbers were taken.
    pub(crate) fn finish(mut self, ignorable: impl Fn(&str) -> bool) -> Result<u64, LoadError> {
        self.tensors.retain(|name, _| !ignorable(name));
        match self.tensors.keys().next() {
            Some(name) => {
                let problem = TensorProblem::Unexpected;
                Err(LoadError::Tensor {
                    name: ShownName::new(name),
                    problem,
                })
            }
            None => Ok(self.parameters),
        }
    }
}

/// Reserves exactly what the bytes need, so that growing leaves no copies behind.
fn read<const N: usize>(bytes: &[u8], into: &mut Zeroizing<Vec<f32>>, convert: impl Fn([u8; N]) -> f32) {
    let (values, _) = bytes.as_chunks::<N>();
    if into.capacity() - into.len() < values.len() {
        let mut grown = Zeroizing::new(Vec::with_capacity(into.len() + values.len()));
        grown.extend_from_slice(into);
        *into = grown;
    }
    into.extend(values.iter().map(|value| convert(*value)));
}

/// IEEE 754 binary16 to binary32, exact.
fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, exponent, fraction) = ((bits & 0x8000) << 16, (bits >> 10) & 0x1f, bits & 0x3ff);
    match exponent {
        // Subnormal: the fraction counts units of 2^-24.
        0 => {
            let magnitude = fraction as f32 / 16_777_216.0;
            f32::from_bits(magnitude.to_bits() | sign)
        }
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (fraction << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (fraction << 13)),
    }
}

fn shard_names(files: &mut ModelFiles) -> Result<Vec<String>, LoadError> {
    if files.contains(SINGLE) {
        return Ok(vec![SINGLE.to_owned()]);
    }
    let Some(index) = files.take(INDEX) else {
        return Err(match files.names().find(|name| name.ends_with(".gguf")) {
            Some(gguf) => LoadError::File {
                file: ShownName::new(gguf),
                problem: FileProblem::Gguf,
            },
            None => LoadError::MissingFile(SINGLE),
        });
    };
    let index = parse_object(INDEX, &index, limits::INDEX_BYTES)?;
    let refuse = || LoadError::File {
        file: ShownName::new(INDEX),
        problem: FileProblem::NotJson,
    };
    let map = index
        .get("weight_map")
        .and_then(Value::as_object)
        .ok_or_else(refuse)?;
    let mut names = map
        .values()
        .map(|name| name.as_str().map(str::to_owned))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(refuse)?;
    names.sort();
    names.dedup();
    match names.iter().find(|name| !files.contains(name)) {
        Some(missing) => Err(LoadError::File {
            file: ShownName::new(missing),
            problem: FileProblem::NotSafetensors,
        }),
        None => Ok(names),
    }
}

#[cfg(test)]
mod tests;
