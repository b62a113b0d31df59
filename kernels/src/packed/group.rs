//! Rows of a file that share tiles are put where kernels want them.
//!
//! Why apart: this is where bytes from a file are judged: lengths, and numbers that are none.
//!
//! # Invariants
//! A group's tiles are its own, so that groups may be packed by several threads at a time. It counts its rows only when
//! all of them were taken.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use zeroize::{Zeroize, Zeroizing};

use super::quantise::{to_4, to_8};
use super::tile::{Tile, Tile4, Tile4K, Tile6K, Tile8, TileBf16, TileF16, TileF32};
use super::{Matrix, PackError, Precision, Tiles};
use crate::format::BlockFormat;
use crate::format::blocks::q5_0;
use crate::half::{f32_to_bf16, f32_to_f16};

/// Rows of a matrix that share tiles, not packed yet.
pub struct Group<'b> {
    tiles: Part<'b>,
    inputs: usize,
    rows: Range<usize>,
    /// Rows of all groups that are packed.
    packed: &'b AtomicUsize,
}

/// All inputs of one group of outputs.
enum Part<'b> {
    F32(&'b mut [TileF32]),
    F16(&'b mut [TileF16]),
    Bf16(&'b mut [TileBf16]),
    Q8(&'b mut [Tile8]),
    Q4(&'b mut [Tile4]),
    Q4K(&'b mut [Tile4K]),
    Q6K(&'b mut [Tile6K]),
}

/// The groups that `rows` of a matrix are in.
pub(super) fn groups<'b>(
    matrix: &'b mut Matrix,
    rows: Range<usize>,
    packed: &'b AtomicUsize,
) -> Vec<Group<'b>> {
    let inputs = matrix.inputs;
    match &mut matrix.tiles {
        Tiles::F32(tiles) => cut(tiles, inputs, rows, packed, Part::F32),
        Tiles::F16(tiles) => cut(tiles, inputs, rows, packed, Part::F16),
        Tiles::Bf16(tiles) => cut(tiles, inputs, rows, packed, Part::Bf16),
        Tiles::Q8(tiles) => cut(tiles, inputs, rows, packed, Part::Q8),
        Tiles::Q4(tiles) => cut(tiles, inputs, rows, packed, Part::Q4),
        Tiles::Q4K(tiles) => cut(tiles, inputs, rows, packed, Part::Q4K),
        Tiles::Q6K(tiles) => cut(tiles, inputs, rows, packed, Part::Q6K),
    }
}

fn cut<'b, T: Tile>(
    tiles: &'b mut [T],
    inputs: usize,
    rows: Range<usize>,
    packed: &'b AtomicUsize,
    part: impl Fn(&'b mut [T]) -> Part<'b>,
) -> Vec<Group<'b>> {
    let depth = inputs.div_ceil(T::INPUTS);
    let (first, end) = (rows.start / T::OUTPUTS, rows.end.div_ceil(T::OUTPUTS));
    let of_rows = tiles.chunks_mut(depth).enumerate().take(end).skip(first);
    of_rows
        .map(|(index, tiles)| Group {
            tiles: part(tiles),
            inputs,
            rows: rows.start.max(index * T::OUTPUTS)..rows.end.min((index + 1) * T::OUTPUTS),
            packed,
        })
        .collect()
}

/// Checks a row's length.
pub(super) fn check_row(
    row: usize,
    format: BlockFormat,
    inputs: usize,
    bytes: &[u8],
) -> Result<(), PackError> {
    let expected = format.row_bytes(inputs);
    if expected == Some(bytes.len()) {
        return Ok(());
    }
    Err(PackError::RowLength {
        row,
        expected,
        found: bytes.len(),
    })
}

/// Checks that there is a way from the format to the precision.
pub(super) fn check_way(format: BlockFormat, precision: Precision) -> Result<(), PackError> {
    match (precision, format) {
        (Precision::Q4K, BlockFormat::Q4K) | (Precision::Q6K, BlockFormat::Q6K) => Ok(()),
        (Precision::Q4K | Precision::Q6K, _) => Err(PackError::NoWay { format, precision }),
        _ => Ok(()),
    }
}

impl Group<'_> {
    /// Which rows of the matrix these are.
    #[must_use]
    pub fn rows(&self) -> Range<usize> {
        self.rows.clone()
    }

    /// Packs all of them, each as a file has it.
    ///
    /// # Errors
    /// [`PackError`]: another number of rows, a wrong length, no way from this format to the precision, numbers that are none.
    pub fn pack(mut self, format: BlockFormat, rows: &[&[u8]]) -> Result<(), PackError> {
        if rows.len() != self.rows.len() {
            return Err(PackError::Rows {
                expected: self.rows.len(),
                found: rows.len(),
            });
        }
        for (index, row) in self.rows().zip(rows) {
            check_row(index, format, self.inputs, row)?;
        }
        check_way(format, self.tiles.precision())?;
        let first = self.rows.start;
        let whole = self.inputs.is_multiple_of(32);
        let placed = match (&mut self.tiles, format) {
            (Part::Q8(tiles), BlockFormat::Q8_0) => place(tiles, first, rows, Tile8::put_q8_0),
            (Part::Q8(tiles), BlockFormat::Q5_0) => place(tiles, first, rows, put_q5_0),
            (Part::Q4(tiles), BlockFormat::Q4_0) => place(tiles, first, rows, Tile4::put_q4_0),
            (Part::Q4K(tiles), BlockFormat::Q4K) => place(tiles, first, rows, Tile4K::put_q4_k),
            (Part::Q6K(tiles), BlockFormat::Q6K) => place(tiles, first, rows, Tile6K::put_q6_k),
            (Part::F32(tiles), BlockFormat::F32) if whole => place(tiles, first, rows, TileF32::put_f32),
            (Part::F16(tiles), BlockFormat::F16) if whole => place(tiles, first, rows, TileF16::put_f16),
            (Part::Bf16(tiles), BlockFormat::Bf16) if whole => place(tiles, first, rows, TileBf16::put_bf16),
            _ => self.round(format, rows),
        };
        placed.map_err(|(row, fault)| match fault {
            Fault::NotFinite => PackError::NotFinite { row: first + row },
            Fault::TooLarge => PackError::TooLarge { row: first + row },
        })?;
        // Only counted: what was packed is seen by whoever joined the threads.
        self.packed.fetch_add(rows.len(), Ordering::Relaxed);
        Ok(())
    }

    /// By way of plain numbers.
    fn round(&mut self, format: BlockFormat, rows: &[&[u8]]) -> Result<(), (usize, Fault)> {
        // Filled up with zeros to whole blocks of 32.
        let mut numbers = Zeroizing::new(vec![0f32; self.inputs.next_multiple_of(32)]);
        for (row, bytes) in rows.iter().enumerate() {
            let known = format.numbers(bytes, &mut numbers[..self.inputs]);
            debug_assert!(known, "lengths were checked");
            self.tiles
                .put_numbers(self.rows.start + row, &numbers)
                .map_err(|fault| (row, fault))?;
        }
        Ok(())
    }
}

impl Part<'_> {
    fn precision(&self) -> Precision {
        match self {
            Self::F32(_) => Precision::F32,
            Self::F16(_) => Precision::F16,
            Self::Bf16(_) => Precision::Bf16,
            Self::Q8(_) => Precision::Q8,
            Self::Q4(_) => Precision::Q4,
            Self::Q4K(_) => Precision::Q4K,
            Self::Q6K(_) => Precision::Q6K,
        }
    }

    /// Numbers, rounded to the precision, as the row that has this index in the matrix.
    fn put_numbers(&mut self, index: usize, numbers: &[f32]) -> Result<(), Fault> {
        if !numbers.iter().all(|number| number.is_finite()) {
            return Err(Fault::NotFinite);
        }
        let (blocks, _) = numbers.as_chunks::<32>();
        match self {
            Self::F32(tiles) => {
                let lane = index % TileF32::OUTPUTS;
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    for (values, number) in tile.0.iter_mut().zip(block) {
                        values[lane] = *number;
                    }
                }
            }
            Self::F16(tiles) => {
                let lane = index % TileF16::OUTPUTS;
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    for (values, number) in tile.0.iter_mut().zip(block) {
                        values[lane] = finite(f32_to_f16(*number), 0x7c00)?;
                    }
                }
            }
            Self::Bf16(tiles) => {
                let lane = index % TileBf16::OUTPUTS;
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    for (values, pair) in tile.0.iter_mut().zip(block.as_chunks::<2>().0) {
                        for (value, number) in values[lane].iter_mut().zip(pair) {
                            *value = finite(f32_to_bf16(*number), 0x7f80)?;
                        }
                    }
                }
            }
            Self::Q8(tiles) => {
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    let (quants, scale) = to_8(block).ok_or(Fault::TooLarge)?;
                    tile.put(index % Tile8::OUTPUTS, &quants, scale);
                }
            }
            Self::Q4(tiles) => {
                for (tile, block) in tiles.iter_mut().zip(blocks) {
                    let (quants, scale) = to_4(block).ok_or(Fault::TooLarge)?;
                    tile.put(index % Tile4::OUTPUTS, &quants, scale);
                }
            }
            // `check_way` let none through.
            Self::Q4K(_) | Self::Q6K(_) => {}
        }
        Ok(())
    }
}

/// What is wrong with a row.
enum Fault {
    NotFinite,
    TooLarge,
}

/// A 16-bit number, unless its exponent says that it is none.
fn finite(half: u16, exponent: u16) -> Result<u16, Fault> {
    if half & exponent == exponent {
        Err(Fault::TooLarge)
    } else {
        Ok(half)
    }
}

/// Moves blocks into tiles, a tile at a time, from all rows, of which the first has this index in the matrix.
fn place<T: Tile, const BYTES: usize>(
    tiles: &mut [T],
    first: usize,
    rows: &[&[u8]],
    put: impl Fn(&mut T, usize, &[u8; BYTES]) -> bool,
) -> Result<(), (usize, Fault)> {
    let lane = first % T::OUTPUTS;
    for (index, tile) in tiles.iter_mut().enumerate() {
        for (row, bytes) in rows.iter().enumerate() {
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
