//! Several matrices that lie in one tensor.
//!
//! Why apart: some files have queries, keys and values, or all experts, as one; the engine never does.
//!
//! # Invariants
//! As [`super`]: each row goes from the file into the packed form of its matrix, and no copy of the tensor exists.

use anchorhold_kernels::packed;

use super::{Matrix, precision_of, problem};
use crate::model::error::LoadError;
use crate::model::options::Quantise;
use crate::weights::Weights;

impl Matrix {
    /// Takes `NAME.weight`, which is matrices of `inputs` numbers a row below each other, each with so many rows.
    pub(crate) fn load_split<const N: usize>(
        weights: &mut Weights<'_>,
        name: &str,
        outputs: [usize; N],
        inputs: usize,
        quantise: Option<Quantise>,
    ) -> Result<[Self; N], LoadError> {
        let shape = [outputs.iter().sum(), inputs];
        let matrices = split(weights, &format!("{name}.weight"), &shape, &outputs, quantise)?;
        matrices.try_into().map_err(|_| LoadError::Compute)
    }

    /// Takes `NAME.weight` of three dimensions: `count` matrices of one shape.
    pub(crate) fn load_stack(
        weights: &mut Weights<'_>,
        name: &str,
        count: usize,
        (outputs, inputs): (usize, usize),
        quantise: Option<Quantise>,
    ) -> Result<Vec<Self>, LoadError> {
        let shape = [count, outputs, inputs];
        split(
            weights,
            &format!("{name}.weight"),
            &shape,
            &vec![outputs; count],
            quantise,
        )
    }
}

fn split(
    weights: &mut Weights<'_>,
    name: &str,
    shape: &[usize],
    outputs: &[usize],
    quantise: Option<Quantise>,
) -> Result<Vec<Matrix>, LoadError> {
    let inputs = shape.last().copied().ok_or(LoadError::Compute)?;
    let mut matrices = Vec::with_capacity(outputs.len());
    let mut left = outputs.iter();
    let mut current = None;
    weights.rows(name, shape, |format, row| {
        let (builder, rows) = match &mut current {
            Some(current) => current,
            none => {
                // There are as many rows as all matrices have together.
                let rows = left.next().copied().unwrap_or_default();
                let precision = precision_of(format, quantise);
                let builder = packed::Matrix::builder(precision, rows, inputs).map_err(problem)?;
                none.insert((builder, rows))
            }
        };
        builder.push(format, row).map_err(problem)?;
        *rows -= 1;
        if *rows == 0
            && let Some((builder, _)) = current.take()
        {
            matrices.push(Matrix {
                packed: builder.finish().map_err(problem)?,
                bias: None,
            });
        }
        Ok(())
    })?;
    if matrices.len() == outputs.len() {
        Ok(matrices)
    } else {
        Err(LoadError::Compute)
    }
}
