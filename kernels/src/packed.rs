//! Weights as the kernels read them: one form a precision, made once, from rows of a file.
//!
//! Why apart: everything that knows where a weight lies is below here; whoever loads gives rows, whoever multiplies gives
//! a matrix.
//!
//! - `tile`: where each weight lies
//! - `quantise`: 8 and 4 bits from plain numbers
//! - `builder`: rows come in, one at a time or on several threads
//! - `group`: rows that share tiles are judged and packed
//! - `place`: blocks of a file go into tiles
//! - `gather`: rows come out without telling which
//!
//! # Invariants
//! A matrix holds finite numbers only, in memory that is wiped when dropped. No second copy exists at any time: packing
//! needs a few rows more. Outputs and inputs are filled up with zeros to whole tiles.

mod builder;
mod gather;
mod group;
mod place;
pub(crate) mod quantise;
pub(crate) mod tile;

use std::fmt;

pub use builder::Builder;
pub(crate) use gather::{AT_ONCE, Best};
pub use group::Group;

use crate::format::BlockFormat;
use crate::memory::Buffer;
use tile::{Tile, Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32};

/// How the weights of a matrix are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Precision {
    /// binary32, multiplied with activations in binary32.
    F32,
    /// binary16, multiplied with activations in binary32.
    F16,
    /// The upper half of binary32, multiplied with activations rounded to the same.
    Bf16,
    /// 8 bits and a binary16 scale for 32: 8.5 bits a weight. Activations in 8 bits.
    Q8,
    /// 4 bits and a binary16 scale for 32: 4.5 bits. Activations in 8 bits.
    Q4,
    /// 4 bits, small scales and minima for 32: 4.625 bits. Activations in 8 bits.
    Q4K,
    /// 6 bits, small scales for 16: 6.5625 bits. Activations in 8 bits.
    Q6K,
}

impl Precision {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::F32,
        Self::F16,
        Self::Bf16,
        Self::Q8,
        Self::Q4,
        Self::Q4K,
        Self::Q6K,
    ];

    /// The precision in which weights of a file are held unless somebody asks for another.
    ///
    /// Nothing is lost but for [`BlockFormat::Q4_1`], [`BlockFormat::Q5_1`] and [`BlockFormat::Q5K`]: with their minima
    /// they fit no form of ours and are rounded to 8 bits, which moves no weight by more than 1/250 of the largest of
    /// its 32, a fifteenth of a step of 4 bits.
    #[must_use]
    pub fn of(format: BlockFormat) -> Self {
        match format {
            BlockFormat::F32 => Self::F32,
            BlockFormat::F16 => Self::F16,
            BlockFormat::Bf16 => Self::Bf16,
            BlockFormat::Q4_0 => Self::Q4,
            BlockFormat::Q8_0
            | BlockFormat::Q4_1
            | BlockFormat::Q5_0
            | BlockFormat::Q5_1
            | BlockFormat::Q5K => Self::Q8,
            BlockFormat::Q4K => Self::Q4K,
            BlockFormat::Q6K => Self::Q6K,
        }
    }

    /// Bytes that a matrix takes; `None` when that is more than memory can be.
    #[must_use]
    pub fn bytes(self, outputs: usize, inputs: usize) -> Option<usize> {
        match self {
            Self::F32 => bytes_of::<TileF32>(outputs, inputs),
            Self::F16 => bytes_of::<TileF16>(outputs, inputs),
            Self::Bf16 => bytes_of::<TileBf16>(outputs, inputs),
            Self::Q8 => bytes_of::<Tile8>(outputs, inputs),
            Self::Q4 => bytes_of::<Tile4>(outputs, inputs),
            Self::Q4K => bytes_of::<Tile4K>(outputs, inputs),
            Self::Q6K => bytes_of::<Tile6K>(outputs, inputs),
        }
    }
}

fn tiles_of<T: Tile>(outputs: usize, inputs: usize) -> Option<usize> {
    outputs
        .div_ceil(T::OUTPUTS)
        .checked_mul(inputs.div_ceil(T::INPUTS))
}

fn bytes_of<T: Tile>(outputs: usize, inputs: usize) -> Option<usize> {
    tiles_of::<T>(outputs, inputs)?
        .checked_mul(size_of::<T>())
        .filter(|bytes| *bytes <= isize::MAX as usize / 2)
}

/// Why rows do not make a matrix. Rows are counted from zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PackError {
    /// Nothing to multiply, or more than memory can be.
    Shape {
        /// Rows asked for.
        outputs: usize,
        /// Numbers in each.
        inputs: usize,
    },
    /// A row is not as long as its format and the shape say.
    RowLength {
        /// Which.
        row: usize,
        /// Bytes wanted; `None` when such a row is no whole number of blocks.
        expected: Option<usize>,
        /// Bytes given.
        found: usize,
    },
    /// A weight, or the scale of a block, is infinite or not a number.
    NotFinite {
        /// The row it is in.
        row: usize,
    },
    /// A weight is too large for the precision asked for.
    TooLarge {
        /// The row it is in.
        row: usize,
    },
    /// Not as many rows as the shape says.
    Rows {
        /// How many were asked for.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// Only a file in this precision makes such a matrix.
    NoWay {
        /// What the file has.
        format: BlockFormat,
        /// What was asked for.
        precision: Precision,
    },
}

impl fmt::Display for PackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape { outputs, inputs } => write!(f, "no matrix is {outputs} x {inputs}"),
            Self::RowLength {
                row,
                expected: Some(expected),
                found,
            } => write!(f, "row {row} has {found} bytes, not {expected}"),
            Self::RowLength {
                row, expected: None, ..
            } => {
                write!(f, "row {row} is no whole number of blocks")
            }
            Self::NotFinite { row } => write!(f, "row {row} has a weight that is no finite number"),
            Self::TooLarge { row } => write!(f, "row {row} has a weight too large for the precision"),
            Self::Rows { expected, found } => write!(f, "{found} rows were given, not {expected}"),
            Self::NoWay { format, precision } => {
                write!(f, "weights in {format:?} cannot be held as {precision:?}")
            }
        }
    }
}

impl std::error::Error for PackError {}

/// Tiles of one kind: for each group of outputs, all inputs.
pub(crate) enum Tiles {
    F32(Buffer<TileF32>),
    F16(Buffer<TileF16>),
    Bf16(Buffer<TileBf16>),
    Q8(Buffer<Tile8>),
    Q4(Buffer<Tile4>),
    Q4K(Buffer<Tile4K>),
    Q6K(Buffer<Tile6K>),
}

/// The same expression for each kind of tiles.
macro_rules! for_tiles {
    ($tiles:expr, $name:ident => $body:expr) => {
        match $tiles {
            $crate::packed::Tiles::F32($name) => $body,
            $crate::packed::Tiles::F16($name) => $body,
            $crate::packed::Tiles::Bf16($name) => $body,
            $crate::packed::Tiles::Q8($name) => $body,
            $crate::packed::Tiles::Q4($name) => $body,
            $crate::packed::Tiles::Q4K($name) => $body,
            $crate::packed::Tiles::Q6K($name) => $body,
        }
    };
}
pub(crate) use for_tiles;

/// Packed weights: `outputs` rows of `inputs` numbers. No `Clone` or `Debug`.
pub struct Matrix {
    outputs: usize,
    inputs: usize,
    tiles: Tiles,
}

impl Matrix {
    /// Begins a matrix that is then given its rows.
    ///
    /// # Errors
    /// [`PackError::Shape`].
    pub fn builder(precision: Precision, outputs: usize, inputs: usize) -> Result<Builder, PackError> {
        Builder::new(precision, outputs, inputs)
    }

    /// Rows: the length of a product.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Numbers in a row: the length of what is multiplied.
    #[must_use]
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How the weights are held.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match &self.tiles {
            Tiles::F32(_) => Precision::F32,
            Tiles::F16(_) => Precision::F16,
            Tiles::Bf16(_) => Precision::Bf16,
            Tiles::Q8(_) => Precision::Q8,
            Tiles::Q4(_) => Precision::Q4,
            Tiles::Q4K(_) => Precision::Q4K,
            Tiles::Q6K(_) => Precision::Q6K,
        }
    }

    /// Bytes in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        for_tiles!(&self.tiles, tiles => tiles.bytes().len())
    }

    pub(crate) fn tiles(&self) -> &Tiles {
        &self.tiles
    }

    /// One row as numbers. The addresses read tell which: see [`Matrix::gather_oblivious`].
    ///
    /// # Panics
    /// When there is no such row, or `out` is not as long as a row.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.outputs, "a row of the matrix");
        assert_eq!(out.len(), self.inputs, "as long as a row");
        for_tiles!(&self.tiles, tiles => row_of(tiles, self.inputs, index, out));
    }
}

fn row_of<T: Tile>(tiles: &[T], inputs: usize, index: usize, out: &mut [f32]) {
    let depth = inputs.div_ceil(T::INPUTS);
    let group = &tiles[index / T::OUTPUTS * depth..][..depth];
    for (tile, out) in group.iter().zip(out.chunks_mut(T::INPUTS)) {
        read_some(tile, index % T::OUTPUTS, out);
    }
}

/// As [`Tile::read`], where the last tile may be deeper than the matrix.
fn read_some<T: Tile>(tile: &T, lane: usize, out: &mut [f32]) {
    if out.len() == T::INPUTS {
        tile.read(lane, out);
    } else {
        let mut whole = zeroize::Zeroizing::new([0f32; 256]);
        tile.read(lane, &mut whole[..T::INPUTS]);
        out.copy_from_slice(&whole[..out.len()]);
    }
}

#[cfg(test)]
pub(crate) mod tests;
