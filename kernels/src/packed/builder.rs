//! Rows of a file come in one at a time and are put where kernels want them.
//!
//! Why apart: this is where bytes from a file are judged: lengths, and numbers that are none.
//!
//! # Invariants
//! A row that is refused ends the building: no matrix has a row that was not read. Peak memory is the matrix and
//! the rows of one tile.

use zeroize::Zeroize;

use super::quantise::{to_4, to_8};
use super::tile::{Tile, Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32};
use super::{Matrix, PackError, Precision, Tiles, for_tiles, tiles_of};
use crate::format::BlockFormat;
use crate::format::blocks::q5_0;
use crate::half::{f32_to_bf16, f32_to_f16};
use crate::memory::Buffer;

/// A matrix that still wants rows.
pub struct Builder {
    matrix: Matrix,
    /// Rows that are packed.
    packed: usize,
    /// Rows that wait until a tile's outputs are all there, so that a tile is written at once.
    waiting: usize,
    rows: Buffer<u8>,
    format: BlockFormat,
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
            packed: 0,
            waiting: 0,
            rows: Buffer::zeroed(0),
            format: BlockFormat::F32,
            numbers: Buffer::zeroed(inputs.next_multiple_of(32)),
        })
    }

    /// Takes the next row, as a file has it.
    ///
    /// # Errors
    /// [`PackError`]: too many rows, a wrong length, no way from this format to the precision; numbers that are none,
    /// in this row or in one of those before it.
    pub fn push(&mut self, format: BlockFormat, row: &[u8]) -> Result<(), PackError> {
        let index = self.packed + self.waiting;
        let (outputs, inputs) = (self.matrix.outputs, self.matrix.inputs);
        if index == outputs {
            return Err(PackError::Rows {
                expected: outputs,
                found: outputs + 1,
            });
        }
        if format.row_bytes(inputs) != Some(row.len()) {
            return Err(PackError::RowLength {
                row: index,
                expected: format.row_bytes(inputs),
                found: row.len(),
            });
        }
        match (self.matrix.precision(), format) {
            (Precision::Q4K, BlockFormat::Q4K) | (Precision::Q6K, BlockFormat::Q6K) => {}
            (precision @ (Precision::Q4K | Precision::Q6K), _) => {
                return Err(PackError::NoWay { format, precision });
            }
            _ => {}
        }
        let together = for_tiles!(&self.matrix.tiles, tiles => outputs_of(tiles));
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
        let (inputs, index) = (self.matrix.inputs, self.packed);
        let Some(length) = self.format.row_bytes(inputs).filter(|_| self.waiting > 0) else {
            return Ok(());
        };
        let rows = &self.rows[..self.waiting * length];
        let whole = inputs.is_multiple_of(32);
        let placed = match (&mut self.matrix.tiles, self.format) {
            (Tiles::Q8(tiles), BlockFormat::Q8_0) => {
                place(lane_of(tiles, inputs, index), rows, length, Tile8::put_q8_0)
            }
            (Tiles::Q8(tiles), BlockFormat::Q5_0) => {
                place(lane_of(tiles, inputs, index), rows, length, put_q5_0)
            }
            (Tiles::Q4(tiles), BlockFormat::Q4_0) => {
                place(lane_of(tiles, inputs, index), rows, length, Tile4::put_q4_0)
            }
            (Tiles::Q4K(tiles), BlockFormat::Q4K) => {
                place(lane_of(tiles, inputs, index), rows, length, Tile4K::put_q4_k)
            }
            (Tiles::Q6K(tiles), BlockFormat::Q6K) => {
                place(lane_of(tiles, inputs, index), rows, length, Tile6K::put_q6_k)
            }
            (Tiles::F32(tiles), BlockFormat::F32) if whole => {
                place(lane_of(tiles, inputs, index), rows, length, TileF32::put_f32)
            }
            (Tiles::F16(tiles), BlockFormat::F16) if whole => {
                place(lane_of(tiles, inputs, index), rows, length, TileF16::put_f16)
            }
            (Tiles::Bf16(tiles), BlockFormat::Bf16) if whole => {
                place(lane_of(tiles, inputs, index), rows, length, TileBf16::put_bf16)
            }
            _ => self.round(length),
        };
        // Rows that were refused are not counted: the matrix is never finished without others in their place.
        let waiting = std::mem::take(&mut self.waiting);
        placed.map_err(|(row, fault)| match fault {
            Fault::NotFinite => PackError::NotFinite { row: index + row },
            Fault::TooLarge => PackError::TooLarge { row: index + row },
        })?;
        self.packed += waiting;
        Ok(())
    }

    /// The waiting rows, by way of plain numbers.
    fn round(&mut self, length: usize) -> Result<(), (usize, Fault)> {
        let inputs = self.matrix.inputs;
        for row in 0..self.waiting {
            let bytes = &self.rows[row * length..][..length];
            let known = self.format.numbers(bytes, &mut self.numbers[..inputs]);
            debug_assert!(known, "lengths were checked");
            self.put_numbers(self.packed + row)
                .map_err(|fault| (row, fault))?;
        }
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
        if self.packed == self.matrix.outputs {
            Ok(self.matrix)
        } else {
            Err(PackError::Rows {
                expected: self.matrix.outputs,
                found: self.packed + self.waiting,
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
    tiles_of::<T>(outputs, inputs).map(Buffer::lasting)
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

fn outputs_of<T: Tile>(_tiles: &[T]) -> usize {
    T::OUTPUTS
}

/// Moves blocks into tiles, a tile at a time, from all rows. Rows begin at a lane.
fn place<T, const BYTES: usize>(
    (tiles, lane): (&mut [T], usize),
    rows: &[u8],
    length: usize,
    put: impl Fn(&mut T, usize, &[u8; BYTES]) -> bool,
) -> Result<(), (usize, Fault)> {
    for (index, tile) in tiles.iter_mut().enumerate() {
        for (row, bytes) in rows.chunks_exact(length).enumerate() {
            let block = bytes.as_chunks::<BYTES>().0.get(index);
            if !block.is_some_and(|block| put(tile, lane + row, block)) {
                return Err((row, Fault::NotFinite));
            }
        }
    }
    Ok(())
}

/// Numbers of 5 bits with one scale are numbers of 8 bits.
fn put_q5_0(tile: &mut Tile8, lane: usize, block: &[u8; 22]) -> bool {
    let mut block = q5_0(block);
    tile.put(lane, &block.quants, block.scale);
    block.quants.zeroize();
    finite(block.scale, 0x7c00).is_ok()
}
