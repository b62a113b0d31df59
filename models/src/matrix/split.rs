//! Several matrices that lie in one tensor.
//!
//! Why apart: some files have queries, keys and values, or all experts, as one; the engine never does.
//!
//! # Invariants
//! As [`super`]: each row goes from the file into the packed form of its matrix, and no copy of the tensor exists.

use super::{Matrix, precision_of};
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
    let packed = weights.pack_split(name, shape, outputs, |format| precision_of(format, quantise))?;
    let matrix = |packed| Matrix { packed, bias: None };
    Ok(packed.into_iter().map(matrix).collect())
}
