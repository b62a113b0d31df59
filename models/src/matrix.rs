//! A weight matrix and the one operation that costs: multiplying rows by it.
//!
//! Why apart: faster kernels replace this module and nothing else.
//!
//! # Invariants
//! The numbers are wiped when the matrix is dropped, and so are the operands of each product.

use candle_core::{CpuStorage, Device, Storage, Tensor};
use rayon::prelude::*;
use zeroize::Zeroizing;

use crate::decoder::dot;
use crate::model::error::LoadError;
use crate::weights::Weights;

/// Weights that one thread multiplies at a time: some 20 microseconds, well above what handing work over costs.
const PART: usize = 1 << 17;

/// The tensor library refused an operation on shapes that were checked before: a defect, no one's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ComputeError;

impl From<candle_core::Error> for ComputeError {
    fn from(_: candle_core::Error) -> Self {
        Self
    }
}

/// Rows of activations, wiped when dropped.
pub(crate) type Rows = Zeroizing<Vec<f32>>;

/// `outputs` rows of `inputs` numbers, as the files have them.
pub(crate) struct Matrix {
    weight: Tensor,
    bias: Option<Rows>,
    outputs: usize,
    inputs: usize,
}

impl Matrix {
    /// Takes the matrices `NAME.weight` (and `NAME.bias`) of `parts`, put below each other.
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        parts: &[(String, usize)],
        inputs: usize,
        bias: bool,
    ) -> Result<Self, LoadError> {
        let outputs = parts.iter().map(|(_, rows)| rows).sum();
        let mut values = Zeroizing::new(Vec::new());
        let mut biases = Zeroizing::new(Vec::new());
        for (name, rows) in parts {
            weights.append(&format!("{name}.weight"), &[*rows, inputs], &mut values)?;
            if bias {
                weights.append(&format!("{name}.bias"), &[*rows], &mut biases)?;
            }
        }
        let weight = Tensor::from_vec(std::mem::take(&mut *values), (outputs, inputs), &Device::Cpu)
            .map_err(|_| LoadError::Compute)?;
        Ok(Self {
            weight,
            bias: bias.then_some(biases),
            outputs,
            inputs,
        })
    }

    pub(crate) fn outputs(&self) -> usize {
        self.outputs
    }

    /// Multiplies each of the rows of `inputs` numbers by the transposed matrix and adds the bias.
    pub(crate) fn apply(&self, rows: &[f32]) -> Result<Rows, ComputeError> {
        let mut result = if rows.len() == self.inputs {
            self.apply_to_one(rows)?
        } else {
            self.apply_to_many(rows)?
        };
        if let Some(bias) = &self.bias {
            for row in result.chunks_exact_mut(self.outputs) {
                row.iter_mut()
                    .zip(bias.iter())
                    .for_each(|(value, bias)| *value += bias);
            }
        }
        Ok(result)
    }

    fn apply_to_many(&self, rows: &[f32]) -> Result<Rows, ComputeError> {
        let count = rows.len() / self.inputs;
        let operand = Wiped(Tensor::from_slice(rows, (count, self.inputs), &Device::Cpu)?);
        let product = Wiped(operand.0.matmul(&self.weight.t()?)?);
        with_values(&product.0, |values| Zeroizing::new(values.to_vec()))
    }

    /// One row, as for each token of an answer. The library's product would ask the system for the number of
    /// processors each time, which takes longer than a small product.
    fn apply_to_one(&self, row: &[f32]) -> Result<Rows, ComputeError> {
        let mut result = Zeroizing::new(vec![0.0; self.outputs]);
        with_values(&self.weight, |weight| {
            let part = |(results, weights): (&mut [f32], &[f32])| {
                let rows = weights.chunks_exact(self.inputs);
                results
                    .iter_mut()
                    .zip(rows)
                    .for_each(|(result, weights)| *result = dot(weights, row));
            };
            let most = (PART / self.inputs).max(1);
            if weight.len() < 2 * PART {
                part((&mut result, weight));
            } else {
                result
                    .par_chunks_mut(most)
                    .zip(weight.par_chunks(most * self.inputs))
                    .for_each(part);
            }
        })?;
        Ok(result)
    }

    /// Appends row `index`: the matrix as a table of embeddings.
    pub(crate) fn append_row(&self, index: usize, into: &mut Rows) -> Result<(), ComputeError> {
        let start = index.checked_mul(self.inputs).ok_or(ComputeError)?;
        with_values(&self.weight, |values| {
            let row = values.get(start..start + self.inputs).ok_or(ComputeError)?;
            into.extend_from_slice(row);
            Ok(())
        })?
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        wipe(&self.weight);
    }
}

/// A tensor of this product alone.
struct Wiped(Tensor);

impl Drop for Wiped {
    fn drop(&mut self) {
        wipe(&self.0);
    }
}

fn wipe(tensor: &Tensor) {
    // Fails only for tensors that are views or on a device, and these are neither.
    let _ = tensor.zero_set();
}

/// Reads the numbers of a contiguous tensor where they lie.
fn with_values<T>(tensor: &Tensor, read: impl FnOnce(&[f32]) -> T) -> Result<T, ComputeError> {
    let (storage, layout) = tensor.storage_and_layout();
    match (&*storage, layout.contiguous_offsets()) {
        (Storage::Cpu(CpuStorage::F32(values)), Some((from, to))) => {
            values.get(from..to).map(read).ok_or(ComputeError)
        }
        _ => Err(ComputeError),
    }
}
