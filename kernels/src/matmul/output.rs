//! A result that several threads write, each its own columns.
//!
//! Why apart: slices cannot say that threads share rows but no number.
//!
//! # Invariants
//! Nothing is written past the end. Who writes which columns is the caller's promise.

#![allow(unsafe_code)]

use std::marker::PhantomData;

/// Rows of numbers, of which each thread writes some columns.
pub(crate) struct Output<'a> {
    start: *mut f32,
    rows: usize,
    columns: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: only `put` writes, and its callers promise that no two threads write the same numbers.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    pub(crate) fn new(numbers: &'a mut [f32], columns: usize) -> Self {
        Self {
            start: numbers.as_mut_ptr(),
            rows: numbers.len() / columns,
            columns,
            borrow: PhantomData,
        }
    }

    /// Writes into a row, from a column on; what would be past the row's end is left out.
    ///
    /// # Safety
    /// No two threads may write the same column of a row.
    #[inline]
    pub(crate) unsafe fn put(&self, row: usize, column: usize, numbers: &[f32]) {
        assert!(row < self.rows && column < self.columns, "inside of the result");
        let count = numbers.len().min(self.columns - column);
        // SAFETY: row and column are inside, and `count` does not leave the row; `numbers` is another borrow, so that
        // the two do not overlap; the caller promises that nobody else writes here.
        unsafe {
            let target = self.start.add(row * self.columns + column);
            // Of a length that is known: a call of the library's would take longer than the copy.
            match count {
                16 => std::ptr::copy_nonoverlapping(numbers.as_ptr(), target, 16),
                32 => std::ptr::copy_nonoverlapping(numbers.as_ptr(), target, 32),
                _ => std::ptr::copy_nonoverlapping(numbers.as_ptr(), target, count),
            }
        }
    }

    /// Numbers of a row, from a column on: as many of `count` as the row has.
    ///
    /// # Safety
    /// Nobody may write them while they are borrowed.
    #[inline]
    pub(crate) unsafe fn get(&self, row: usize, column: usize, count: usize) -> &[f32] {
        assert!(row < self.rows && column < self.columns, "inside of the result");
        let count = count.min(self.columns - column);
        // SAFETY: row and column are inside, and `count` does not leave the row; the caller promises that nobody writes.
        unsafe { std::slice::from_raw_parts(self.start.add(row * self.columns + column), count) }
    }
}
