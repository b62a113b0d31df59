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
        let (sixteens, _) = numbers.as_chunks::<16>();
        // SAFETY: row and column are inside, and `count` does not leave the row; `numbers` is another borrow, so that
        // the two do not overlap; the caller promises that nobody else writes here.
        unsafe {
            let target = self.start.add(row * self.columns + column);
            if count < numbers.len() || 16 * sixteens.len() < count {
                return copy_some(numbers, target, count);
            }
            // Of a length that is known: a call of the library's would take longer than the copy.
            for (index, sixteen) in sixteens.iter().enumerate() {
                target
                    .add(16 * index)
                    .cast::<[f32; 16]>()
                    .write_unaligned(*sixteen);
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

/// Apart, or the compiler makes one call of both copies.
///
/// # Safety
/// `count` numbers may be read and written, and do not overlap.
#[cold]
#[inline(never)]
unsafe fn copy_some(numbers: &[f32], target: *mut f32, count: usize) {
    // SAFETY: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(numbers.as_ptr(), target, count) };
}
