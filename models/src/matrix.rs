//! A weight matrix and the one operation that costs: multiplying rows by it.
//!
//! Why apart: here the files' weights become the kernels'.
//!
//! # Invariants
//! Rows go from the file into their packed form a few at a time and are wiped there, so that no second copy ever exists. The
//! numbers are wiped when the matrix is dropped.

mod split;

use anchorhold_kernels::matmul::choice::{Finish, Winners, multiply_and_choose};
use anchorhold_kernels::matmul::{Activations, multiply_each};
use anchorhold_kernels::packed::{self, Precision};
use anchorhold_kernels::race::Race;
use anchorhold_kernels::{BlockFormat, vector};
use zeroize::Zeroizing;

use crate::machine::Machine;
use crate::model::error::LoadError;
use crate::model::options::Quantise;
use crate::weights::Weights;

/// Shapes that were checked before do not fit: a defect, no one's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ComputeError;

/// Rows of activations, wiped when dropped.
pub(crate) type Rows = Zeroizing<Vec<f32>>;

/// Packed weights with their bias.
pub(crate) struct Matrix {
    packed: packed::Matrix,
    bias: Option<Rows>,
}

impl Matrix {
    /// Takes `NAME.weight`, of `outputs` rows of `inputs` numbers, and with `bias` `NAME.bias`.
    pub(crate) fn load(
        weights: &mut Weights<'_>,
        name: &str,
        (outputs, inputs): (usize, usize),
        bias: bool,
        quantise: Option<Quantise>,
    ) -> Result<Self, LoadError> {
        let packed = weights.pack(&format!("{name}.weight"), (outputs, inputs), |format| {
            precision_of(format, quantise)
        })?;
        let bias = if bias {
            Some(weights.take(&format!("{name}.bias"), &[outputs])?)
        } else {
            None
        };
        Ok(Self { packed, bias })
    }

    pub(crate) fn outputs(&self) -> usize {
        self.packed.outputs()
    }

    pub(crate) fn inputs(&self) -> usize {
        self.packed.inputs()
    }

    pub(crate) fn precision(&self) -> Precision {
        self.packed.precision()
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> u64 {
        (self.packed.bytes() + self.bias.as_ref().map_or(0, |bias| 4 * bias.len())) as u64
    }

    /// Multiplies each row of the activations by the transposed matrix and adds the bias.
    pub(crate) fn apply(&self, machine: &Machine, activations: &Activations, out: &mut [f32]) {
        Self::apply_each(machine, activations, [(self, out)]);
    }

    /// As [`Self::apply`] without the bias, for whoever adds that to something else besides.
    pub(crate) fn multiply(&self, machine: &Machine, activations: &Activations, out: &mut [f32]) {
        multiply_each(&machine.pool, activations, [(&self.packed, out)]);
    }

    /// What [`Self::multiply`] leaves to be added, if the matrix has one.
    pub(crate) fn bias(&self) -> Option<&[f32]> {
        self.bias.as_deref().map(Vec::as_slice)
    }

    /// As [`Self::apply`] of several matrices, as one operation.
    pub(crate) fn apply_each<const N: usize>(
        machine: &Machine,
        activations: &Activations,
        mut products: [(&Self, &mut [f32]); N],
    ) {
        let packed = products
            .each_mut()
            .map(|(matrix, out)| (&matrix.packed, &mut **out));
        multiply_each(&machine.pool, activations, packed);
        for (matrix, out) in products {
            if let Some(bias) = &matrix.bias {
                machine.rows(bias.len(), out, |_, rows| {
                    vector::add_bias(machine.kernels, rows, bias);
                });
            }
        }
    }

    /// As [`Self::apply`]; meanwhile races are held among the outputs of rows.
    pub(crate) fn apply_and_choose(
        &self,
        machine: &Machine,
        activations: &Activations,
        out: &mut [f32],
        races: &[(usize, Race)],
        finish: &Finish<'_>,
    ) -> Result<Winners, ComputeError> {
        if self.bias.is_some() {
            return Err(ComputeError);
        }
        Ok(multiply_and_choose(
            &machine.pool,
            &self.packed,
            activations,
            out,
            races,
            finish,
        ))
    }

    /// Puts the rows that `ids` name below each other: the matrix as a table. Unless `plainly`, what is read does not
    /// depend on which they are.
    pub(crate) fn gather(
        &self,
        machine: &Machine,
        ids: &[u32],
        plainly: bool,
        out: &mut [f32],
    ) -> Result<(), ComputeError> {
        let inputs = self.packed.inputs();
        if ids.iter().any(|id| *id as usize >= self.outputs()) || out.len() != ids.len() * inputs {
            return Err(ComputeError);
        }
        if plainly {
            for (id, out) in ids.iter().zip(out.chunks_exact_mut(inputs)) {
                self.packed.row(*id as usize, out);
            }
        } else {
            self.packed
                .gather_oblivious(machine.kernels, &machine.pool, ids, out);
        }
        Ok(())
    }
}

/// How weights of a file are held.
fn precision_of(format: BlockFormat, quantise: Option<Quantise>) -> Precision {
    match (format, quantise) {
        (BlockFormat::F32 | BlockFormat::F16 | BlockFormat::Bf16, Some(Quantise::Q8)) => Precision::Q8,
        (BlockFormat::F32 | BlockFormat::F16 | BlockFormat::Bf16, Some(Quantise::Q4)) => Precision::Q4,
        (format, _) => Precision::of(format),
    }
}
