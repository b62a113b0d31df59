//! Weights on a device: matrices and scales, from a model's files.
//!
//! Why apart: the only file of the device's decoder that sees weights outside of the device.
//!
//! # Invariants
//! Numbers go a few rows at a time through staging that is overwritten; no whole tensor is made of them outside of the
//! device. Matrices that multiply the same rows lie behind each other as one.

use candle_core::{D, DType, Tensor};
use zeroize::Zeroizing;

use crate::device::Device;
use crate::device::staging::Staging;
use crate::device::wiped::Wiped;
use crate::matrix::ComputeError;
use crate::model::error::{LoadError, TensorProblem};
use crate::weights::Weights;

/// Numbers that go to a device at a time: 4 MiB, unless a row has more.
const STAGED: usize = 1 << 20;

/// What weights are read from, and where they go.
pub(super) struct Loading<'a, 'p> {
    pub(super) weights: &'a mut Weights<'p>,
    pub(super) device: &'a Device,
    staging: Staging<f32>,
    /// Bytes on the device.
    pub(super) bytes: u64,
}

/// A weight matrix with its bias.
pub(super) struct Linear {
    weight: Wiped,
    bias: Option<Wiped>,
}

/// Scales of a root mean square normalisation.
pub(super) struct Norm {
    weight: Wiped,
    width: usize,
    epsilon: f64,
}

/// The rows of a matrix that comes of several tensors: their names, without `.weight`, and heights.
pub(super) type Stack<'n> = &'n [(&'n str, usize)];

impl<'a, 'p> Loading<'a, 'p> {
    pub(super) fn new(
        weights: &'a mut Weights<'p>,
        device: &'a Device,
        widest: usize,
    ) -> Result<Self, ComputeError> {
        Ok(Self {
            staging: Staging::new(&device.candle, STAGED.max(widest))?,
            weights,
            device,
            bytes: 0,
        })
    }

    fn staying(&mut self, shape: &[usize], kind: DType) -> Result<Wiped, ComputeError> {
        if !self.device.leave.holds() {
            return Err(ComputeError);
        }
        self.bytes += (shape.iter().product::<usize>() * kind.size_in_bytes()) as u64;
        Wiped::of(Tensor::zeros(shape, kind, &self.device.candle))
    }

    /// A matrix of `inputs` columns in the device's precision.
    pub(super) fn linear(
        &mut self,
        stack: Stack<'_>,
        inputs: usize,
        bias: bool,
    ) -> Result<Linear, LoadError> {
        let height = stack.iter().map(|(_, rows)| rows).sum::<usize>();
        let kind = self.device.precision.kind();
        let weight = self.staying(&[height, inputs], kind)?;
        let mut first = 0;
        for (name, rows) in stack {
            let place = weight
                .tensor()
                .narrow(0, first, *rows)
                .map_err(|_| LoadError::Compute)?;
            self.rows(&format!("{name}.weight"), &place, (*rows, inputs))?;
            first += rows;
        }
        let bias = if bias {
            let mut numbers = Zeroizing::new(Vec::with_capacity(height));
            for (name, rows) in stack {
                self.weights
                    .append(&format!("{name}.bias"), &[*rows], &mut numbers)?;
            }
            Some(self.scales(&numbers)?)
        } else {
            None
        };
        Ok(Linear { weight, bias })
    }

    /// Puts a tensor's rows into `place`.
    fn rows(&mut self, name: &str, place: &Tensor, (rows, inputs): (usize, usize)) -> Result<(), LoadError> {
        let Self {
            weights,
            staging,
            device,
            ..
        } = self;
        let at_a_time = staging.length() / inputs;
        let (mut done, mut waiting) = (0, 0);
        // A failure of the device stops the reading, which knows problems of tensors only.
        let mut failed = false;
        let read = weights.rows(name, &[rows, inputs], |format, row| {
            let numbers = staging.numbers().ok();
            let start = waiting * inputs;
            let Some(numbers) = numbers.and_then(|numbers| numbers.get_mut(start..start + inputs)) else {
                failed = true;
                return Err(TensorProblem::Type);
            };
            if !format.numbers(row, numbers) {
                return Err(TensorProblem::Type);
            }
            if numbers.iter().any(|number| !number.is_finite()) {
                return Err(TensorProblem::NotFinite);
            }
            waiting += 1;
            if waiting == at_a_time || done + waiting == rows {
                failed = send(staging, device, place, (done, waiting, inputs)).is_err();
                (done, waiting) = (done + waiting, 0);
            }
            if failed { Err(TensorProblem::Type) } else { Ok(()) }
        });
        if failed {
            return Err(LoadError::Compute);
        }
        read
    }

    /// Scales of these names behind each other, each so many times.
    pub(super) fn norm(
        &mut self,
        names: &[(&str, usize)],
        width: usize,
        epsilon: f32,
    ) -> Result<Norm, LoadError> {
        let mut numbers = Zeroizing::new(Vec::with_capacity(
            width * names.iter().map(|name| name.1).sum::<usize>(),
        ));
        for (name, times) in names {
            let scales = self.weights.take(&format!("{name}.weight"), &[width])?;
            for _ in 0..*times {
                numbers.extend_from_slice(&scales);
            }
        }
        Ok(Norm {
            weight: self.scales(&numbers)?,
            width,
            epsilon: f64::from(epsilon),
        })
    }

    /// 32-bit floats in one row.
    fn scales(&mut self, numbers: &[f32]) -> Result<Wiped, LoadError> {
        if !self.device.leave.holds() {
            return Err(LoadError::Compute);
        }
        self.bytes += 4 * numbers.len() as u64;
        Ok(self.staging.send_all(numbers, numbers.len())?)
    }
}

/// Sends staged rows to their place, in the precision that it has. The proof is asked each time.
fn send(
    staging: &mut Staging<f32>,
    device: &Device,
    place: &Tensor,
    (first, count, inputs): (usize, usize, usize),
) -> Result<(), ComputeError> {
    if !device.leave.holds() {
        return Err(ComputeError);
    }
    let rows = staging.send((count, inputs))?.into(device.precision.kind())?;
    place.slice_set(rows.tensor(), 0, first).map_err(|_| ComputeError)
}

impl Linear {
    /// Multiplies rows of the device's precision, and gives 32-bit floats.
    pub(super) fn apply(&self, rows: &Wiped) -> Result<Wiped, ComputeError> {
        let transposed = self.weight.tensor().t().map_err(|_| ComputeError)?;
        let product = Wiped::of(rows.tensor().matmul(&transposed))?.into(DType::F32)?;
        match &self.bias {
            Some(bias) => Wiped::of(product.tensor().broadcast_add(bias.tensor())),
            None => Ok(product),
        }
    }

    /// The rows of these ids, as a table.
    pub(super) fn gather(&self, ids: &Tensor) -> Result<Wiped, ComputeError> {
        Wiped::of(self.weight.tensor().index_select(ids, 0))?.into(DType::F32)
    }
}

impl Norm {
    /// Normalises what lies in the last dimension, which has the norm's width.
    pub(super) fn apply(&self, rows: &Tensor) -> Result<Wiped, ComputeError> {
        let squares = Wiped::of(rows.sqr())?;
        let sums = Wiped::of(squares.tensor().sum_keepdim(D::Minus1))?;
        let means = Wiped::of(sums.tensor().affine(1.0 / self.width as f64, self.epsilon))?;
        let roots = Wiped::of(means.tensor().sqrt())?;
        let scaled = Wiped::of(rows.broadcast_div(roots.tensor()))?;
        let weight = self
            .weight
            .tensor()
            .reshape(((), self.width))
            .map_err(|_| ComputeError)?;
        Wiped::of(scaled.tensor().broadcast_mul(&weight))
    }
}
