//! A global allocator that leaves nothing in what it frees.
//!
//! Why apart: strings, JSON values, header tables and buffers of libraries are freed by code that knows nothing of secrets.
//!
//! Large blocks are wiped as small ones are, and not given back to the system in place of that: 256 KiB take some 10 us to wipe, and fifteen
//! times as long to be unmapped and found again. glibc unmaps a block of a size once and keeps those after it (up to 32 MiB).
//!
//! # Invariants
//! A block is all zeros when the allocator below gets it back, also the old block of one that moved. No block shrinks or grows in
//! place, so that the allocator below never moves plaintext.

#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};

use crate::measures::{self, Measure};

/// Wipes what is freed before the allocator in it gets it back.
///
/// In a `main.rs`: `#[global_allocator] static ALLOCATOR: Wiping = Wiping::system();`
pub struct Wiping<A = System>(A);

impl Wiping {
    /// Around the system's allocator.
    #[must_use]
    pub const fn system() -> Self {
        Self(System)
    }
}

impl<A> Wiping<A> {
    /// Around another one.
    #[must_use]
    pub const fn around(inner: A) -> Self {
        Self(inner)
    }
}

/// Overwrites a block.
///
/// # Safety
/// `block` is `length` bytes that nobody else looks at.
unsafe fn wipe(block: *mut u8, length: usize) {
    if measures::is_on(Measure::Allocator) {
        // SAFETY: the caller's block.
        unsafe { block.write_bytes(0, length) };
        // Whatever is behind the pointer may be read here, for all that the compiler knows.
        zeroize::optimization_barrier(&block);
    }
}

// SAFETY: all blocks come from the allocator below, with the layouts that it is given back. A block is written only between the
// caller's last use and its return.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Wiping<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the allocator below.
        unsafe { self.0.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        unsafe { self.0.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the block is the caller's to give up, and of this layout.
        unsafe {
            wipe(block, layout.size());
            self.0.dealloc(block, layout);
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that the size, rounded up to the alignment, does not overflow.
        let new = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        // SAFETY: the new block is another one, at least as long as what is copied; the old one is the caller's to give up.
        unsafe {
            let moved = self.0.alloc(new);
            if !moved.is_null() {
                moved.copy_from_nonoverlapping(block, layout.size().min(size));
                wipe(block, layout.size());
                self.0.dealloc(block, layout);
            }
            moved
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Remembers whether what came back was all zeros, by length.
    struct Watching(RefCell<Vec<(usize, bool)>>);

    // SAFETY: the system's own, looked at on the way back.
    unsafe impl GlobalAlloc for Watching {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            // SAFETY: the caller's promises.
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
            // SAFETY: the block is of this layout and initialised by the test.
            let bytes = unsafe { std::slice::from_raw_parts(block, layout.size()) };
            let zero = bytes.iter().all(|byte| *byte == 0);
            self.0.borrow_mut().push((layout.size(), zero));
            // SAFETY: the caller's promises.
            unsafe { System.dealloc(block, layout) };
        }
    }

    #[test]
    fn what_is_freed_grown_or_shrunk_is_wiped() {
        let watched = Wiping::around(Watching(RefCell::new(Vec::new())));
        for align in [1, 8, 16, 64, 4096] {
            for (size, then) in [(1, 2), (40, 4000), (4000, 40), (300_000, 300_001), (1 << 21, 5)] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: each block is written within its length, and given back once with its layout.
                unsafe {
                    let block = watched.alloc(layout);
                    block.write_bytes(7, size);
                    let moved = watched.realloc(block, layout, then);
                    let kept = std::slice::from_raw_parts(moved, size.min(then));
                    assert!(kept.iter().all(|byte| *byte == 7));
                    moved.write_bytes(7, then);
                    watched.dealloc(moved, Layout::from_size_align(then, align).unwrap());
                }
                assert_eq!(watched.0.0.take(), [(size, true), (then, true)]);
            }
        }
    }
}
