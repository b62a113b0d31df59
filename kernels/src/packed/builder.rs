//! A matrix that still wants rows: one at a time, or as groups that several threads fill.
//!
//! Why apart: it counts, and nothing is a matrix before all its rows came.
//!
//! # Invariants
//! A row that is refused ends the building: no matrix has a row that was not read. Peak memory is the matrix, and the rows
//! of one tile where they come one at a time. However rows are shared among threads, the matrix is the same.

use std::sync::atomic::AtomicUsize;

use super::group::{self, Group};
use super::{Matrix, PackError, Precision, Tiles, for_tiles, tiles_of};
use crate::format::BlockFormat;
use crate::memory::Buffer;
use crate::packed::tile::Tile;

/// A matrix that still wants rows.
pub struct Builder {
    matrix: Matrix,
    /// Rows that were given to a group.
    given: usize,
    /// Rows that groups have packed.
    packed: AtomicUsize,
    /// Rows that wait until a tile's outputs are all there, so that a tile is written at once.
    waiting: usize,
    rows: Buffer<u8>,
    format: BlockFormat,
}

impl Builder {
    pub(super) fn new(precision: Precision, outputs: usize, inputs: usize) -> Result<Self, PackError> {
        let shape = PackError::Shape { outputs, inputs };
        if outputs == 0 || inputs == 0 || precision.bytes(outputs, inputs).is_none() {
            return Err(shape);
        }
        let tiles = match precision {
            Precision::F32 => Tiles::F32(zeroed(outputs, inputs).ok_or(shape)?),
            Precision::F16 => Tiles::F16(zeroed(outputs, inputs).ok_or(shape)?),
            Precision::Bf16 => Tiles::Bf16(zeroed(outputs, inputs).ok_or(shape)?),
            Precision::Q8 => Tiles::Q8(zeroed(outputs, inputs).ok_or(shape)?),
            Precision::Q4 => Tiles::Q4(zeroed(outputs, inputs).ok_or(shape)?),
            Precision::Q4K => Tiles::Q4K(zeroed(outputs, inputs).ok_or(shape)?),
            Precision::Q6K => Tiles::Q6K(zeroed(outputs, inputs).ok_or(shape)?),
        };
        Ok(Self {
            matrix: Matrix {
                outputs,
                inputs,
                tiles,
            },
            given: 0,
            packed: AtomicUsize::new(0),
            waiting: 0,
            rows: Buffer::zeroed(0),
            format: BlockFormat::F32,
        })
    }

    /// Outputs of a tile: rows that are packed together.
    #[must_use]
    pub fn together(&self) -> usize {
        for_tiles!(&self.matrix.tiles, tiles => outputs_of(tiles))
    }

    /// The next `count` rows, or as many as are left, in groups that may be packed by different threads at a time, in any
    /// order. Every group has [`Self::together`] rows, but for the first and the last. Rows given to [`Self::push`] before are
    /// packed first.
    ///
    /// # Errors
    /// What is wrong with rows that were waiting.
    pub fn groups(&mut self, count: usize) -> Result<Vec<Group<'_>>, PackError> {
        self.pack()?;
        let first = self.given;
        self.given += count.min(self.matrix.outputs - first);
        Ok(group::groups(&mut self.matrix, first..self.given, &self.packed))
    }

    /// Takes the next row, as a file has it.
    ///
    /// # Errors
    /// [`PackError`]: too many rows, a wrong length, no way from this format to the precision; numbers that are none,
    /// in this row or in one of those before it.
    pub fn push(&mut self, format: BlockFormat, row: &[u8]) -> Result<(), PackError> {
        let index = self.given + self.waiting;
        let (outputs, inputs) = (self.matrix.outputs, self.matrix.inputs);
        if index == outputs {
            return Err(PackError::Rows {
                expected: outputs,
                found: outputs + 1,
            });
        }
        group::check_row(index, format, inputs, row)?;
        group::check_way(format, self.matrix.precision())?;
        let together = self.together();
        if self.format != format || self.rows.is_empty() {
            self.pack()?;
            self.format = format;
            self.rows = Buffer::zeroed(together * row.len());
        }
        self.rows[self.waiting * row.len()..][..row.len()].copy_from_slice(row);
        self.waiting += 1;
        if (index + 1).is_multiple_of(together) || index + 1 == outputs {
            self.pack()?;
        }
        Ok(())
    }

    /// Puts the waiting rows, all of one group of outputs, where they belong.
    fn pack(&mut self) -> Result<(), PackError> {
        let waiting = std::mem::take(&mut self.waiting);
        let Some(length) = self.format.row_bytes(self.matrix.inputs).filter(|_| waiting > 0) else {
            return Ok(());
        };
        let first = self.given;
        self.given += waiting;
        let rows: Vec<&[u8]> = self.rows[..waiting * length].chunks_exact(length).collect();
        group::groups(&mut self.matrix, first..self.given, &self.packed)
            .into_iter()
            .try_for_each(|group| {
                let own = group.rows();
                group.pack(self.format, &rows[own.start - first..own.end - first])
            })
    }

    /// The matrix, when all its rows came.
    ///
    /// # Errors
    /// [`PackError::Rows`].
    pub fn finish(self) -> Result<Matrix, PackError> {
        let packed = self.packed.into_inner();
        if packed == self.matrix.outputs {
            Ok(self.matrix)
        } else {
            Err(PackError::Rows {
                expected: self.matrix.outputs,
                found: packed + self.waiting,
            })
        }
    }
}

fn zeroed<T: Tile>(outputs: usize, inputs: usize) -> Option<Buffer<T>> {
    tiles_of::<T>(outputs, inputs).map(Buffer::lasting)
}

fn outputs_of<T: Tile>(_tiles: &[T]) -> usize {
    T::OUTPUTS
}
