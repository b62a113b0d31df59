//! Rows of a file come in one at a time and are put where kernels want them.
//!
//! Why apart: this is where bytes from a file are judged: lengths, and numbers that are none.
//!
//! # Invariants
//! A row that is refused ends the building: no matrix has a row that was not read. Peak memory is the matrix and one row.

use zeroize::Zeroize;

use super::quantise::{to_4, to_8};
use super::tile::{Tile, Tile4, Tile4K, Tile6K, Tile8};
use super::{Matrix, PackError, Precision, Tiles, tiles_of};
use crate::format::BlockFormat;
use crate::format::blocks::{Block32, q4_0, q4_k, q5_0, q6_k, q8_0};
use crate::half::{f32_to_bf16, f32_to_f16};
use crate::memory::Buffer;

/// A matrix that still wants rows.
pub struct Builder {
    matrix: Matrix,
    next: usize,
    /// A row as numbers, filled up with zeros to whole blocks of 32.
    numbers: Buffer<f32>,
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
            next: 0,
            numbers: Buffer::zeroed(inputs.next_multiple_of(32)),
        })
    }

    /// Takes the next row, as a file has it.
    ///
    /// # Errors
    /// [`PackError`]: too many rows, a wrong length, numbers that are none, or no way from this format to the
    /// precision.
    pub fn push(&mut self, format: BlockFormat, row: &[u8]) -> Result<(), PackError> {
        let index = self.next;
        let (outputs, inputs) = (self.matrix.outputs, self.matrix.inputs);
        if index == outputs {
            return Err(PackError::Rows {
                expected: outputs,
                found: outputs + 1,
            });
        }
        let length = PackError::RowLength {
            row: index,
            expected: format.row_bytes(inputs),
            found: row.len(),
        };
        if format.row_bytes(inputs) != Some(row.len()) {
            return Err(length);
        }
        let placed = match (&mut self.matrix.tiles, format) {
            (Tiles::Q8(tiles), BlockFormat::Q8_0) => {
                small(lane_of(tiles, inputs, index), row, q8_0, Tile8::put)
            }
            (Tiles::Q8(tiles), BlockFormat::Q5_0) => {
                small(lane_of(tiles, inputs, index), row, q5_0, Tile8::put)
            }
            (Tiles::Q4(tiles), BlockFormat::Q4_0) => {
                small(lane_of(tiles, inputs, index), row, q4_0, Tile4::put)
            }
            (Tiles::Q4K(tiles), BlockFormat::Q4K) => large_4(lane_of(tiles, inputs, index), row),
            (Tiles::Q6K(tiles), BlockFormat::Q6K) => large_6(lane_of(tiles, inputs, index), row),
            (Tiles::Q4K(_) | Tiles::Q6K(_), _) => {
                return Err(PackError::NoWay {
                    format,
                    precision: self.matrix.precision(),
                });
            }
            _ => {
                if !format.numbers(row, &mut self.numbers[..inputs]) {
                    return Err(length);
                }
                self.put_numbers(index)
            }
        };
        placed.map_err(|fault| match fault {
            Fault::NotFinite => PackError::NotFinite { row: index },
            Fault::TooLarge => PackError::TooLarge { row: index },
        })?;
        self.next += 1;
        Ok(())
    }

    /// The row in `numbers`, rounded to the precision.
    fn put_numbers(&mut self, index: usize) -> Result<(), Fault> {
        if !self.numbers.iter().all(|number| number.is_finite()) {
            return Err(Fault::NotFinite);
        }
        let inputs = self.matrix.inputs;
        let (blocks, _) = self.numbers.as_chunks::<32>();
        match &mut self.matrix.tiles {
            Tiles::F32(tiles) => {
                let (tiles, lane) = lane_of(tiles, inputs, index);
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    for (values, number) in tile.0.iter_mut().zip(block) {
                        values[lane] = *number;
                    }
                }
            }
            Tiles::F16(tiles) => {
                let (tiles, lane) = lane_of(tiles, inputs, index);
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    for (values, number) in tile.0.iter_mut().zip(block) {
                        values[lane] = finite(f32_to_f16(*number), 0x7c00)?;
                    }
                }
            }
            Tiles::Bf16(tiles) => {
                let (tiles, lane) = lane_of(tiles, inputs, index);
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    for (values, pair) in tile.0.iter_mut().zip(block.as_chunks::<2>().0) {
                        for (value, number) in values[lane].iter_mut().zip(pair) {
                            *value = finite(f32_to_bf16(*number), 0x7f80)?;
                        }
                    }
                }
            }
            Tiles::Q8(tiles) => {
                let (tiles, lane) = lane_of(tiles, inputs, index);
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    let (quants, scale) = to_8(block).ok_or(Fault::TooLarge)?;
                    tile.put(lane, &quants, scale);
                }
            }
            Tiles::Q4(tiles) => {
                let (tiles, lane) = lane_of(tiles, inputs, index);
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    let (quants, scale) = to_4(block).ok_or(Fault::TooLarge)?;
                    tile.put(lane, &quants, scale);
                }
            }
            // `push` let none through.
            Tiles::Q4K(_) | Tiles::Q6K(_) => {}
        }
        Ok(())
    }

    /// The matrix, when all its rows came.
    ///
    /// # Errors
    /// [`PackError::Rows`].
    pub fn finish(self) -> Result<Matrix, PackError> {
        if self.next == self.matrix.outputs {
            Ok(self.matrix)
        } else {
            Err(PackError::Rows {
                expected: self.matrix.outputs,
                found: self.next,
            })
        }
    }
}

/// What is wrong with a row.
enum Fault {
    NotFinite,
    TooLarge,
}

fn zeroed<T: Tile>(outputs: usize, inputs: usize) -> Option<Buffer<T>> {
    tiles_of::<T>(outputs, inputs).map(Buffer::zeroed)
}

/// The tiles in which a row lies, and its lane in them.
fn lane_of<T: Tile>(tiles: &mut [T], inputs: usize, index: usize) -> (&mut [T], usize) {
    let depth = inputs.div_ceil(T::INPUTS);
    let group = &mut tiles[index / T::OUTPUTS * depth..][..depth];
    (group, index % T::OUTPUTS)
}

/// A 16-bit number, unless its exponent says that it is none.
fn finite(half: u16, exponent: u16) -> Result<u16, Fault> {
    if half & exponent == exponent {
        Err(Fault::TooLarge)
    } else {
        Ok(half)
    }
}

fn finite_scale(half: u16) -> Result<u16, Fault> {
    finite(half, 0x7c00).map_err(|_| Fault::NotFinite)
}

/// Blocks of 32 that keep their integers.
fn small<T, const BYTES: usize>(
    (tiles, lane): (&mut [T], usize),
    row: &[u8],
    read: impl Fn(&[u8; BYTES]) -> Block32,
    put: impl Fn(&mut T, usize, &[i8; 32], u16),
) -> Result<(), Fault> {
    for (tile, block) in tiles.iter_mut().zip(row.as_chunks::<BYTES>().0) {
        let mut block = read(block);
        put(tile, lane, &block.quants, finite_scale(block.scale)?);
        block.quants.zeroize();
    }
    Ok(())
}

fn large_4((tiles, lane): (&mut [Tile4K], usize), row: &[u8]) -> Result<(), Fault> {
    for (tile, block) in tiles.iter_mut().zip(row.as_chunks::<144>().0) {
        let mut block = q4_k(block);
        finite_scale(block.scale)?;
        finite_scale(block.minimum)?;
        tile.put(lane, &block);
        block.quants.zeroize();
    }
    Ok(())
}

fn large_6((tiles, lane): (&mut [Tile6K], usize), row: &[u8]) -> Result<(), Fault> {
    for (tile, block) in tiles.iter_mut().zip(row.as_chunks::<210>().0) {
        let mut block = q6_k(block);
        finite_scale(block.scale)?;
        tile.put(lane, &block);
        block.quants.zeroize();
    }
    Ok(())
}
