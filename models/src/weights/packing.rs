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
        let mut tensor = self.tensor(name, &[outputs, inputs])?;
        let refuse = |tensor: &RawTensor, error| tensor_error(&tensor.name, problem(error));
        let mut builder = Matrix::builder(precision(tensor.format()), outputs, inputs)
            .map_err(|error| refuse(&tensor, error))?;
        let batch = batch(builder.together(), &tensor);
        let mut first = 0;
        while first < outputs {
            let rows = first * tensor.row_bytes..(first + batch).min(outputs) * tensor.row_bytes;
            self.bring(
                tensor.file,
                tensor.place.start + rows.start..tensor.place.start + rows.end,
            )?;
            let groups = builder.groups(batch).map_err(|error| refuse(&tensor, error))?;
            let packed: Vec<Result<(), LoadError>> = groups
                .into_par_iter()
                .map(|group| self.pack_group(&tensor, group))
                .collect();
            packed.into_iter().collect::<Result<(), _>>()?;
            first = (first + batch).min(outputs);
            let end = tensor.place.start + first * tensor.row_bytes;
            self.use_up_until(&mut tensor, end);
        }
        let packed = builder.finish().map_err(|error| refuse(&tensor, error));
        self.done(tensor);
        packed
    }

    fn pack_group(&self, tensor: &RawTensor, group: Group<'_>) -> Result<(), LoadError> {
        let rows = group.rows().map(|index| self.row(tensor, index));
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
