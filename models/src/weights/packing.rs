//! A tensor goes from its file into packed form, on all cores.
//!
//! Why apart: it alone takes rows and gives their file's memory back while others are still to come.
//!
//! # Invariants
//! What is packed does not depend on the number of cores, nor does the error where rows are refused: the first in the file.
//! Beside what is packed, and what of the file was not read yet, no more than [`limits::PACK_BYTES`] lie in memory, or one
//! tile's rows.

use anchorhold_kernels::BlockFormat;
use anchorhold_kernels::packed::{Group, Matrix, PackError, Precision};
use rayon::prelude::*;

use super::raw::RawTensor;
use super::{Weights, tensor_error};
use crate::limits::inference as limits;
use crate::model::error::{LoadError, TensorProblem};

impl Weights<'_> {
    /// Takes a tensor of exactly this shape into the precision that the file's format is to have.
    pub(crate) fn pack(
        &mut self,
        name: &str,
        (outputs, inputs): (usize, usize),
        precision: impl FnOnce(BlockFormat) -> Precision,
    ) -> Result<Matrix, LoadError> {
        let mut packed = self.pack_split(name, &[outputs, inputs], &[outputs], precision)?;
        packed.pop().ok_or(LoadError::Compute)
    }

    /// Takes a tensor of exactly this shape, which is matrices below each other that have so many `outputs`.
    pub(crate) fn pack_split(
        &mut self,
        name: &str,
        shape: &[usize],
        outputs: &[usize],
        precision: impl FnOnce(BlockFormat) -> Precision,
    ) -> Result<Vec<Matrix>, LoadError> {
        let mut tensor = self.tensor(name, shape)?;
        if outputs.iter().sum::<usize>() != tensor.rows() {
            return Err(LoadError::Compute);
        }
        let precision = precision(tensor.format());
        let mut matrices = Vec::with_capacity(outputs.len());
        let mut above = 0;
        for outputs in outputs {
            matrices.push(self.pack_rows(&mut tensor, above, *outputs, precision)?);
            above += outputs;
        }
        self.done(tensor);
        Ok(matrices)
    }

    /// Makes a matrix of the `outputs` rows that have so many `above` them.
    fn pack_rows(
        &mut self,
        tensor: &mut RawTensor,
        above: usize,
        outputs: usize,
        precision: Precision,
    ) -> Result<Matrix, LoadError> {
        let refuse = |tensor: &RawTensor, error| tensor_error(&tensor.name, problem(error));
        let mut builder =
            Matrix::builder(precision, outputs, tensor.width()).map_err(|error| refuse(tensor, error))?;
        let batch = batch(builder.together(), tensor);
        let mut first = 0;
        while first < outputs {
            let end = (first + batch).min(outputs);
            let place = |row: usize| tensor.place.start + (above + row) * tensor.row_bytes;
            let (start, stop) = (place(first), place(end));
            self.bring(tensor.file, start..stop)?;
            let groups = builder.groups(batch).map_err(|error| refuse(tensor, error))?;
            let packed: Vec<Result<(), LoadError>> = groups
                .into_par_iter()
                .map(|group| self.pack_group(tensor, above, group))
                .collect();
            packed.into_iter().collect::<Result<(), _>>()?;
            first = end;
            self.use_up_until(tensor, stop);
        }
        builder.finish().map_err(|error| refuse(tensor, error))
    }

    fn pack_group(&self, tensor: &RawTensor, above: usize, group: Group<'_>) -> Result<(), LoadError> {
        let rows = group.rows().map(|index| self.row(tensor, above + index));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        group
            .pack(tensor.format(), &rows)
            .map_err(|error| tensor_error(&tensor.name, problem(error)))
    }
}

/// Rows that are packed before their memory goes back: whole tiles, and whole heads where a file has another order within
/// them.
fn batch(together: usize, tensor: &RawTensor) -> usize {
    let head = tensor.interleaved.unwrap_or(1);
    let least = together / greatest_common_divisor(together, head) * head;
    let most = limits::PACK_BYTES / tensor.row_bytes.max(1);
    (most / least * least).max(least)
}

fn greatest_common_divisor(one: usize, other: usize) -> usize {
    if other == 0 {
        one
    } else {
        greatest_common_divisor(other, one % other)
    }
}

/// What is to be said of a tensor whose rows make no matrix.
fn problem(error: PackError) -> TensorProblem {
    match error {
        PackError::NotFinite { .. } | PackError::TooLarge { .. } => TensorProblem::NotFinite,
        _ => TensorProblem::Type,
    }
}
