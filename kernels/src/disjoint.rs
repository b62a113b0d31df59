//! A slice of which threads write different parts.
//!
//! Why apart: rows of one output belong to different parts of an operation, and the compiler cannot see that.
//!
//! # Invariants
//! Only what lies inside of the slice is given out.

#![allow(unsafe_code)]

use std::marker::PhantomData;

/// A borrowed slice that is given out in parts.
pub(crate) struct Disjoint<'a, T> {
    start: *mut T,
    length: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: it is a unique borrow of `T`s, parts of which go to several threads.
unsafe impl<T: Send> Send for Disjoint<'_, T> {}
// SAFETY: as above; whoever asks for a part promises that nobody else has it.
unsafe impl<T: Send> Sync for Disjoint<'_, T> {}

impl<'a, T> Disjoint<'a, T> {
    pub(crate) fn new(slice: &'a mut [T]) -> Self {
        Self {
            start: slice.as_mut_ptr(),
            length: slice.len(),
            borrow: PhantomData,
        }
    }

    /// `length` elements from `start` on.
    ///
    /// # Safety
    /// No other part that overlaps this one is in use.
    #[allow(clippy::mut_from_ref)] // that is what it is for
    pub(crate) unsafe fn part(&self, start: usize, length: usize) -> &mut [T] {
        assert!(
            start <= self.length && length <= self.length - start,
            "a part of the slice"
        );
        // SAFETY: inside of the slice by the check, and nobody else uses it by the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(start), length) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_of_the_slice() {
        let mut numbers = [0u32; 6];
        let parts = Disjoint::new(&mut numbers);
        // SAFETY: the parts do not overlap.
        let (a, b) = unsafe { (parts.part(0, 2), parts.part(2, 4)) };
        a.fill(1);
        b.fill(2);
        for (start, length) in [(0, 7), (6, 1), (7, 0), (usize::MAX, 2)] {
            let outside = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                // SAFETY: it is not used.
                unsafe { parts.part(start, length).len() }
            }));
            assert!(outside.is_err());
        }
        assert_eq!(numbers, [1, 1, 2, 2, 2, 2]);
    }
}
