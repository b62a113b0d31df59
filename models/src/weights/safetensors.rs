//! The tensors of safetensors files.
//!
//! Why apart: a model may come in many of them, with an index.
//!
//! # Invariants
//! The tensors of a file lie one after the other and fill it.

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use anchorhold_kernels::BlockFormat;

use super::Weights;
use crate::config::keys::parse_object;
use crate::limits::inference as limits;
use crate::model::error::{FileProblem, LoadError, TensorProblem};
use crate::model::files::ModelFiles;
use crate::shown::ShownName;
use crate::unsealed::Plaintext;

pub(super) const SINGLE: &str = "model.safetensors";
pub(super) const INDEX: &str = "model.safetensors.index.json";

impl Weights<'_> {
    /// Adds `model.safetensors`, or all the files that the index names.
    pub(super) fn add_folder(&mut self, files: &mut ModelFiles) -> Result<(), LoadError> {
        for name in shard_names(files)? {
            let bytes = files
                .take(&name)
                .ok_or(LoadError::MissingFile("file that its index names"))?;
            self.add_shard(&name, bytes)?;
        }
        Ok(())
    }

    fn add_shard(&mut self, file: &str, mut bytes: Plaintext) -> Result<(), LoadError> {
        let refuse = |problem| LoadError::File {
            file: ShownName::new(file),
            problem,
        };
        let unsound = || refuse(FileProblem::NotSafetensors);
        bytes.bring(0..bytes.len().min(8)).map_err(LoadError::Again)?;
        let length = bytes
            .first_chunk::<8>()
            .map(|length| u64::from_le_bytes(*length))
            .ok_or_else(unsound)?;
        if length > limits::WEIGHTS_HEADER_BYTES {
            return Err(refuse(FileProblem::TooLarge(limits::WEIGHTS_HEADER_BYTES)));
        }
        let end = usize::try_from(length)
            .ok()
            .and_then(|length| length.checked_add(8));
        let end = end.filter(|end| *end <= bytes.len()).ok_or_else(unsound)?;
        bytes.bring(0..end).map_err(LoadError::Again)?;
        // Checks that the tensors lie one after the other, fill the file exactly and have their shapes' sizes.
        let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(|_| unsound())?;
        let start = header.checked_add(8).ok_or_else(unsound)?;
        let tensors = metadata.tensors();
        if self.tensors.len() + tensors.len() > limits::TENSORS {
            return Err(unsound());
        }
        let entries = tensors.into_iter().map(|(name, info)| {
            let (from, to) = info.data_offsets;
            let place = start + from..start + to;
            (name, format(info.dtype), info.shape.clone(), place)
        });
        let entries = entries.collect();
        self.add_file(bytes, entries).map_err(|name| LoadError::Tensor {
            name: ShownName::new(&name),
            problem: TensorProblem::Twice,
        })
    }
}

/// `None` for what is not read.
fn format(kind: Dtype) -> Option<BlockFormat> {
    match kind {
        Dtype::F32 => Some(BlockFormat::F32),
        Dtype::F16 => Some(BlockFormat::F16),
        Dtype::BF16 => Some(BlockFormat::Bf16),
        _ => None,
    }
}

fn shard_names(files: &mut ModelFiles) -> Result<Vec<String>, LoadError> {
    if files.contains(SINGLE) {
        return Ok(vec![SINGLE.to_owned()]);
    }
    let index = files.take(INDEX).ok_or(LoadError::MissingFile(SINGLE))?;
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
