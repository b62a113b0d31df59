//! Buffers of numbers in large pages, wiped when dropped.
//!
//! Why apart: weights are read from end to end for each token, and with small pages a fifth of that time goes to
//! looking pages up. Here is the one place that reads bytes as numbers.
//!
//! # Invariants
//! Begins at a multiple of 64 bytes; a large one that does not last, of 2 MiB. No two buffers share a byte. All bits of an
//! element's type are allowed.

#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut, Range};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use memmap2::MmapMut;
use zeroize::ZeroizeOnDrop;

/// A large page.
const LARGE: usize = 2 << 20;

/// Types of which any bytes are a value.
///
/// # Safety
/// No padding, no value that is not allowed, alignment of at most 64.
pub unsafe trait Number: Copy + Default + Send + Sync + 'static {
    /// Numbers as the bytes they are in memory.
    fn bytes_of(numbers: &[Self]) -> &[u8] {
        // SAFETY: numbers are initialised and have no padding, and bytes need no alignment.
        unsafe { std::slice::from_raw_parts(numbers.as_ptr().cast(), size_of_val(numbers)) }
    }

    /// The same, to write: any bytes are numbers.
    fn bytes_of_mut(numbers: &mut [Self]) -> &mut [u8] {
        // SAFETY: numbers are initialised and have no padding, any bytes are numbers, and the borrow is unique.
        unsafe { std::slice::from_raw_parts_mut(numbers.as_mut_ptr().cast(), size_of_val(numbers)) }
    }
}

// SAFETY: plain numbers have no padding and no forbidden value.
unsafe impl Number for u8 {}
// SAFETY: as above.
unsafe impl Number for i8 {}
// SAFETY: as above.
unsafe impl Number for u16 {}
// SAFETY: as above.
unsafe impl Number for i32 {}
// SAFETY: as above.
unsafe impl Number for u32 {}
// SAFETY: as above.
unsafe impl Number for f32 {}

/// Numbers, zero at first. No `Clone` or `Debug`: weights and keys lie in it.
pub struct Buffer<T: Number> {
    /// The mapping, of which nobody else uses this buffer's part.
    pages: Arc<MmapMut>,
    start: usize,
    length: usize,
    /// Dropping it wipes it.
    wipes: bool,
    element: PhantomData<T>,
}

/// Room that a mapping of lasting buffers has beside the buffer it was made for. They share it: small ones would lie in small
/// pages otherwise, and every large one would leave the rest of its last large page unused, a fifth of a small model.
const SHARED: usize = 32 * LARGE;

/// The mapping that the next lasting buffer goes into, and how much of it is taken.
static CURRENT: Mutex<(Weak<MmapMut>, usize)> = Mutex::new((Weak::new(), 0));

/// Zeros of which none is written yet, from a large page's border on; `slack` is what the border may cost.
fn map(bytes: usize, slack: usize) -> (MmapMut, usize) {
    let pages = MmapMut::map_anon(bytes + slack).expect("the system has address space for a buffer");
    // Weights, keys and values belong in no core dump. A system that refuses has dumps off besides, or says so.
    #[cfg(target_os = "linux")]
    let _ = pages.advise(memmap2::Advice::DontDump);
    #[cfg(target_os = "linux")]
    if slack >= LARGE {
        // A system without large pages has small ones.
        let _ = pages.advise(memmap2::Advice::HugePage);
    }
    let start = pages.as_ptr().align_offset(slack);
    (pages, start)
}

impl<T: Number> Buffer<T> {
    /// `length` zeros. The system finds the memory when it is first written.
    ///
    /// # Panics
    /// When the system has no address space left.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        let bytes = length * size_of::<T>();
        let (pages, start) = map(bytes, if bytes >= LARGE { LARGE } else { 64 });
        Self {
            pages: Arc::new(pages),
            start,
            length,
            wipes: true,
            element: PhantomData,
        }
    }

    /// The same, where whoever owns it has wiped all that it wrote before it is dropped: memory that was never reached
    /// need not be found then.
    pub(crate) fn wiped_by_its_owner(length: usize) -> Self {
        let mut buffer = Self::zeroed(length);
        buffer.wipes = false;
        buffer
    }

    /// As [`Self::zeroed`], for what is made once and stays: such buffers lie one behind the other in large pages. What one of
    /// them leaves free when it is dropped is given back with the last of those it shares with.
    ///
    /// # Panics
    /// When the system has no address space left.
    #[must_use]
    pub fn lasting(length: usize) -> Self {
        let bytes = length * size_of::<T>();
        if bytes == 0 {
            return Self::zeroed(length);
        }
        let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |pages: &Arc<MmapMut>| current.1 + bytes <= pages.len() - LARGE;
        let (pages, taken) = match current.0.upgrade().filter(fits) {
            Some(pages) => (pages, current.1),
            None => {
                let pages = Arc::new(map(bytes + SHARED, LARGE).0);
                current.0 = Arc::downgrade(&pages);
                (pages, 0)
            }
        };
        current.1 = (taken + bytes).next_multiple_of(64);
        let start = pages.as_ptr().align_offset(LARGE) + taken;
        Self {
            pages,
            start,
            length,
            wipes: true,
            element: PhantomData,
        }
    }

    /// Overwrites all of it, at the speed of `memset`; the barrier keeps the compiler from leaving it out.
    pub(crate) fn wipe(&mut self) {
        let bytes = self.bytes_mut();
        bytes.fill(0);
        zeroize::optimization_barrier(bytes);
    }

    /// The same memory as bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        T::bytes_of(self)
    }

    /// The same memory as bytes, to write: any bytes are numbers.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        T::bytes_of_mut(self)
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `start` is aligned to 64 or more and `start + length * size` is inside of the mapping; no other buffer
        // has this part; every byte of an anonymous mapping is initialised, and any bytes are a `T`.
        unsafe { std::slice::from_raw_parts(self.pages.as_ptr().add(self.start).cast::<T>(), self.length) }
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as above, and the borrow is unique. The mapping may be written, and nothing borrows it as a whole.
        unsafe {
            let start = self.pages.as_ptr().cast_mut().add(self.start);
            std::slice::from_raw_parts_mut(start.cast::<T>(), self.length)
        }
    }
}

impl<T: Number> Drop for Buffer<T> {
    fn drop(&mut self) {
        if self.wipes {
            self.wipe();
        }
    }
}

impl<T: Number> ZeroizeOnDrop for Buffer<T> {}

/// What [`give_back`] gives back is a whole number of these: a multiple of each size of page that CPUs have here, and small,
/// because every border of what is kept costs as much.
pub const GIVEN_BACK: usize = 64 << 10;

/// Gives the pages that lie wholly within `range` back to the system, by units of [`GIVEN_BACK`]. What was in them is lost: they
/// are zeros.
///
/// # Panics
/// When the range is not within the pages.
pub fn give_back(pages: &mut MmapMut, range: Range<usize>) {
    let part = &pages[range.clone()];
    let before = part.as_ptr().align_offset(GIVEN_BACK);
    let whole = part.len().saturating_sub(before) / GIVEN_BACK * GIVEN_BACK;
    #[cfg(target_os = "linux")]
    if whole > 0 {
        let start = range.start + before;
        // SAFETY: nobody else looks at these pages, which are borrowed uniquely, and zeros are bytes. They begin and end
        // at multiples of a page, so that the system, which rounds up to pages, takes no other.
        // Where the system does not take them, they stay.
        let _ = unsafe { pages.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, whole) };
    }
}

/// Gives memory that was freed back to the system where the allocator keeps it, as glibc does with what lies between blocks
/// that are in use.
pub fn give_back_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        unsafe extern "C" {
            /// malloc_trim(3).
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: it takes any number, locks what it changes, and touches only memory that nobody has.
        let _ = unsafe { malloc_trim(0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_zero_and_as_long_as_asked() {
        for length in [0usize, 1, 63, 4096, LARGE / 4, LARGE + 5] {
            let mut buffer = Buffer::<f32>::zeroed(length);
            assert_eq!(buffer.len(), length);
            let alignment = if length * 4 >= LARGE { LARGE } else { 64 };
            assert_eq!(buffer.as_ptr() as usize % alignment, 0);
            assert!(buffer.iter().all(|value| *value == 0.0));
            buffer.fill(1.0);
            assert!(buffer.iter().all(|value| *value == 1.0));
        }
    }

    #[test]
    fn lasting_buffers_share_pages_and_no_byte() {
        let lengths = [1usize, 100, 300_000, 64, 500_000, LARGE, 0, 7, 3 * LARGE + 1];
        let mut buffers: Vec<Buffer<u8>> = (0..20).flat_map(|_| lengths).map(Buffer::lasting).collect();
        for (index, buffer) in buffers.iter_mut().enumerate() {
            assert_eq!(buffer.as_ptr() as usize % 64, 0);
            assert!(buffer.iter().all(|byte| *byte == 0));
            buffer.fill(index as u8 + 1);
        }
        // Every other one goes, and the rest stays as it is.
        let mut index = 0;
        buffers.retain(|_| {
            index += 1;
            index % 2 == 0
        });
        for (index, buffer) in buffers.iter().enumerate() {
            assert!(buffer.iter().all(|byte| *byte == 2 * index as u8 + 2));
        }
        let late = Buffer::<u32>::lasting(1000);
        assert!(late.iter().all(|number| *number == 0));
    }

    #[test]
    fn only_whole_units_inside_are_given_back() {
        const UNIT: usize = GIVEN_BACK;
        let mut pages = MmapMut::map_anon(4 * UNIT).unwrap();
        pages.fill(1);
        let first = pages.as_ptr().align_offset(UNIT);
        give_back(&mut pages, first + 1..first + 2 * UNIT - 1);
        give_back(&mut pages, first + UNIT..first + UNIT);
        assert!(pages.iter().all(|byte| *byte == 1));
        give_back(&mut pages, first + UNIT - 1..first + 2 * UNIT + 1);
        #[cfg(target_os = "linux")]
        assert!(
            pages[first + UNIT..first + 2 * UNIT]
                .iter()
                .all(|byte| *byte == 0)
        );
        assert!(pages[..first + UNIT].iter().all(|byte| *byte == 1));
        assert!(pages[first + 2 * UNIT..].iter().all(|byte| *byte == 1));
    }
}
