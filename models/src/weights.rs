//! Tensors out of a model's files, each taken once: rows as they lie, or 32-bit floats.
//!
//! Why apart: this is the only place that reads weights as bytes.
//!
//! - [`safetensors`]: files of that kind, with or without an index
//! - [`raw`]: a tensor as its file has it
//! - [`packing`]: a tensor becomes a packed matrix
//! - [`names`]: Hugging Face's names for tensors, and llama.cpp's
//!
//! # Invariants
//! A tensor leaves with the shape that was asked for or not at all, and as floats with finite numbers. Memory for it is
//! taken only after its file was seen to hold as many bytes. A tensor's bytes are wiped and given back when it was read,
//! those of a matrix while it is.

pub(crate) mod names;
mod packing;
pub(crate) mod raw;
mod safetensors;

use std::collections::BTreeMap;
use std::ops::Range;

use anchorhold_kernels::BlockFormat;
use zeroize::Zeroizing;

use crate::model::error::{LoadError, TensorProblem};
use crate::model::files::ModelFiles;
use crate::progress::Progress;
use crate::shown::ShownName;
use crate::unsealed::Plaintext;
use names::Names;
use raw::RawTensor;

/// The tensors not yet taken.
pub(crate) struct Weights<'p> {
    files: Vec<File>,
    /// By their names in the files.
    tensors: BTreeMap<String, Entry>,
    names: Names,
    progress: &'p dyn Progress,
    parameters: u64,
}

struct File {
    bytes: Option<Plaintext>,
    /// Tensors in it that were not read yet.
    remaining: usize,
}

struct Entry {
    file: usize,
    /// `None` for what is not read.
    format: Option<BlockFormat>,
    shape: Vec<usize>,
    place: Range<usize>,
    /// The place, and what is between it and the next tensor.
    span: Range<usize>,
}

/// Name, format, shape and place of a tensor.
pub(crate) type Listed = (String, Option<BlockFormat>, Vec<usize>, Range<usize>);

impl<'p> Weights<'p> {
    /// Reads the headers of `model.safetensors`, or of all the files that the index names.
    pub(crate) fn open(files: &mut ModelFiles, progress: &'p dyn Progress) -> Result<Self, LoadError> {
        let mut weights = Self::none(Names::HuggingFace, progress);
        weights.add_folder(files)?;
        if weights.tensors.contains_key("embed_tokens.weight") {
            weights.names = Names::Base;
        }
        weights.announce();
        Ok(weights)
    }

    /// The tensors of one GGUF file, whose tables have been read.
    pub(crate) fn of_gguf(
        bytes: Plaintext,
        tensors: Vec<Listed>,
        names: Names,
        progress: &'p dyn Progress,
    ) -> Result<Self, LoadError> {
        let mut weights = Self::none(names, progress);
        weights
            .add_file(bytes, tensors)
            .map_err(|name| tensor_error(&name, TensorProblem::Twice))?;
        weights.announce();
        Ok(weights)
    }

    fn none(names: Names, progress: &'p dyn Progress) -> Self {
        Self {
            files: Vec::new(),
            tensors: BTreeMap::new(),
            names,
            progress,
            parameters: 0,
        }
    }

    /// Says how much there is to read. What parsing took, a tokenizer's tables most of all, goes back before memory is taken
    /// for weights.
    fn announce(&self) {
        anchorhold_kernels::memory::give_back_freed();
        let bytes = self.tensors.values().map(|entry| entry.place.len() as u64);
        self.progress.total(bytes.sum());
    }

    /// Adds a file and its tensors. Fails with the name of one that is there already.
    fn add_file(&mut self, mut bytes: Plaintext, mut listed: Vec<Listed>) -> Result<(), String> {
        listed.sort_by_key(|(_, _, _, place)| place.start);
        let file = self.files.len();
        let first = listed.first().map_or(bytes.len(), |(_, _, _, place)| place.start);
        bytes.use_up(0..first);
        let ends: Vec<usize> = listed
            .iter()
            .skip(1)
            .map(|(_, _, _, place)| place.start)
            .chain([bytes.len()])
            .collect();
        let remaining = listed.len();
        for ((name, format, shape, place), end) in listed.into_iter().zip(ends) {
            let span = place.start..end;
            let entry = Entry {
                file,
                format,
                shape,
                place,
                span,
            };
            if self.tensors.contains_key(&name) {
                return Err(name);
            }
            self.tensors.insert(name, entry);
        }
        self.files.push(File {
            bytes: Some(bytes),
            remaining,
        });
        Ok(())
    }

    /// Whether there is a tensor of that name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(&self.names.in_file(name))
    }

    /// Takes a tensor of exactly this shape, to be read row by row. It is to be given to [`Self::done`] then.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<RawTensor, LoadError> {
        let in_file = self.names.in_file(name);
        let entry = self
            .tensors
            .remove(&in_file)
            .ok_or_else(|| tensor_error(&in_file, TensorProblem::Missing))?;
        if entry.shape != shape {
            let problem = TensorProblem::Shape {
                expected: shape.to_vec(),
                found: entry.shape,
            };
            return Err(tensor_error(&in_file, problem));
        }
        let format = entry
            .format
            .ok_or_else(|| tensor_error(&in_file, TensorProblem::Type))?;
        let width = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().rev().skip(1).product();
        let row_bytes = format.row_bytes(width).ok_or(LoadError::Compute)?;
        let interleaved = self.names.interleaved(name);
        let turned = if rows > 1 { rows } else { width };
        if interleaved.is_some_and(|head_width| turned % head_width != 0)
            || row_bytes * rows != entry.place.len()
        {
            return Err(LoadError::Compute);
        }
        Ok(RawTensor {
            name: in_file,
            file: entry.file,
            place: entry.place,
            span: entry.span,
            format,
            rows,
            width,
            row_bytes,
            interleaved,
        })
    }

    /// Makes sure that this place of a file can be read.
    fn bring(&mut self, file: usize, place: Range<usize>) -> Result<(), LoadError> {
        match self.files.get_mut(file).and_then(|file| file.bytes.as_mut()) {
            Some(bytes) => bytes.bring(place).map_err(LoadError::Again),
            None => Err(LoadError::Compute),
        }
    }

    /// A row of a tensor, as it lies in the file. Whether its numbers are finite is not known.
    pub(crate) fn row(&self, tensor: &RawTensor, index: usize) -> Result<&[u8], LoadError> {
        self.files
            .get(tensor.file)
            .and_then(|file| file.bytes.as_ref())
            .and_then(|bytes| bytes.get(tensor.row(index)))
            .filter(|row| row.len() == tensor.row_bytes)
            .ok_or(LoadError::Compute)
    }

    /// Wipes a tensor that was read, and gives its memory back.
    pub(crate) fn done(&mut self, tensor: RawTensor) {
        self.progress.advance(tensor.place.len() as u64);
        self.parameters += (tensor.rows * tensor.width) as u64;
        self.use_up(tensor.file, tensor.span);
    }

    /// Wipes and gives back what of a tensor was read: all before this place of its file.
    fn use_up_until(&mut self, tensor: &mut RawTensor, end: usize) {
        let read = tensor.span.start..end.min(tensor.span.end);
        tensor.span.start = read.end;
        if let Some(bytes) = self
            .files
            .get_mut(tensor.file)
            .and_then(|file| file.bytes.as_mut())
        {
            bytes.use_up(read);
        }
    }

    fn use_up(&mut self, file: usize, span: Range<usize>) {
        if let Some(file) = self.files.get_mut(file) {
            if let Some(bytes) = &mut file.bytes {
                bytes.use_up(span);
            }
            file.remaining = file.remaining.saturating_sub(1);
            if file.remaining == 0 {
                file.bytes = None;
            }
        }
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
        let tensor = self.tensor(name, shape)?;
        self.bring(tensor.file, tensor.place.clone())?;
        let before = into.len();
        grow(into, tensor.rows() * tensor.width());
        for index in 0..tensor.rows() {
            let start = into.len();
            into.resize(start + tensor.width(), 0.0);
            let numbers = into.get_mut(start..).unwrap_or_default();
            if !tensor.format().numbers(self.row(&tensor, index)?, numbers) {
                return Err(LoadError::Compute);
            }
        }
        let read = into.get_mut(before..).unwrap_or_default();
        if read.iter().any(|value| !value.is_finite()) {
            return Err(tensor_error(&tensor.name, TensorProblem::NotFinite));
        }
        if tensor.rows == 1
            && let Some(head_width) = tensor.interleaved
        {
            let lying = Zeroizing::new(read.to_vec());
            for (index, value) in read.iter_mut().enumerate() {
                *value = lying
                    .get(raw::interleaved(index, head_width))
                    .copied()
                    .ok_or(LoadError::Compute)?;
            }
        }
        self.done(tensor);
        Ok(())
    }

    /// Takes a tensor of exactly this shape and shows its rows, as the file has them, one after the other.
    #[cfg(any(test, feature = "device"))]
    pub(crate) fn rows(
        &mut self,
        name: &str,
        shape: &[usize],
        mut each: impl FnMut(BlockFormat, &[u8]) -> Result<(), TensorProblem>,
    ) -> Result<(), LoadError> {
        let tensor = self.tensor(name, shape)?;
        self.bring(tensor.file, tensor.place.clone())?;
        for index in 0..tensor.rows() {
            let row = self.row(&tensor, index)?;
            each(tensor.format(), row).map_err(|problem| tensor_error(&tensor.name, problem))?;
        }
        self.done(tensor);
        Ok(())
    }

    /// Drops a tensor that is known to be of no use.
    pub(crate) fn ignore(&mut self, name: &str) {
        if let Some(entry) = self.tensors.remove(&self.names.in_file(name)) {
            self.progress.advance(entry.place.len() as u64);
            self.use_up(entry.file, entry.span);
        }
    }

    /// Checks that nothing is left over. Returns how many numbers were taken.
    pub(crate) fn finish(mut self, ignorable: impl Fn(&str) -> bool) -> Result<u64, LoadError> {
        anchorhold_kernels::memory::give_back_freed();
        self.tensors.retain(|name, _| !ignorable(name));
        match self.tensors.keys().next() {
            Some(name) => Err(tensor_error(name, TensorProblem::Unexpected)),
            None => Ok(self.parameters),
        }
    }
}

fn tensor_error(name: &str, problem: TensorProblem) -> LoadError {
    LoadError::Tensor {
        name: ShownName::new(name),
        problem,
    }
}

/// Reserves exactly what is needed, so that growing leaves no copies behind.
fn grow(values: &mut Zeroizing<Vec<f32>>, more: usize) {
    if values.capacity() - values.len() < more {
        let mut grown = Zeroizing::new(Vec::with_capacity(values.len() + more));
        grown.extend_from_slice(values);
        *values = grown;
    }
}

#[cfg(test)]
mod tests;
