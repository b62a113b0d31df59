//! A fixed number of pages in one allocation.
//!
//! Why apart: here alone several owners share one buffer.
//!
//! # Invariants
//! The buffer never grows. Each page is free or owned by exactly one [`Page`]. A free page is all zeros. Pages leave
//! in the order that the caller's `choose` draws, so that where a sequence lies does not tell when it came: first those
//! that were written before, whose memory the system has found already, then those that never were.

#![allow(unsafe_code)]

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anchorhold_memory::measures::{self, Measure};

use super::Layout;
use crate::memory::Buffer;

/// Draws a number below the given one.
type Choose = dyn FnMut(usize) -> usize + Send;

/// Fewer pages are free than were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfPages {
    /// Pages asked for.
    pub needed: usize,
    /// Pages that were free.
    pub free: usize,
}

impl fmt::Display for OutOfPages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pages are needed and {} are free", self.needed, self.free)
    }
}

impl std::error::Error for OutOfPages {}

/// The pages of all sequences.
pub struct PagePool {
    shared: Arc<Shared>,
}

struct Shared {
    layout: Layout,
    total: usize,
    /// The buffer's first unit. All access goes through it; the buffer itself is only kept and, at the end, dropped.
    base: *mut u16,
    _buffer: Buffer<u16>,
    free: Mutex<Free>,
}

struct Free {
    /// Written before: finding memory for a page takes longer than a prompt's work on it.
    used: Vec<usize>,
    /// Never written.
    fresh: Vec<usize>,
    choose: Box<Choose>,
}

// SAFETY: `base` points into `_buffer`, which lives as long as this; a page's units are touched by the owner of its
// `Page` alone, and the free list has a lock.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl PagePool {
    /// `pages` pages, all free. `choose(n)` draws the next page among `n` free ones: a number below `n`.
    ///
    /// # Panics
    /// When the system has no address space left, or the size overflows.
    #[must_use]
    pub fn new(layout: Layout, pages: usize, choose: impl FnMut(usize) -> usize + Send + 'static) -> Self {
        let units = layout.page_units().checked_mul(pages);
        // Each page wipes itself when it comes back, and the buffer outlives them all.
        let mut buffer = Buffer::wiped_by_its_owner(units.expect("pages fit into the address space"));
        let free = Free {
            used: Vec::with_capacity(pages),
            fresh: (0..pages).collect(),
            choose: Box::new(choose),
        };
        Self {
            shared: Arc::new(Shared {
                layout,
                total: pages,
                base: buffer.as_mut_ptr(),
                _buffer: buffer,
                free: Mutex::new(free),
            }),
        }
    }

    /// What a page holds.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.shared.layout
    }

    /// Pages in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.shared.total
    }

    /// Pages that nobody owns.
    #[must_use]
    pub fn free(&self) -> usize {
        self.shared.free().count()
    }

    /// Bytes of all pages: what the pool adds to the process, and never more.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shared.total * self.shared.layout.page_bytes()
    }

    /// Takes `pages` pages, or none at all.
    ///
    /// # Errors
    /// When fewer are free.
    pub fn reserve(&self, pages: usize) -> Result<Vec<Page>, OutOfPages> {
        let mut free = self.shared.free();
        let count = free.count();
        if count < pages {
            return Err(OutOfPages {
                needed: pages,
                free: count,
            });
        }
        let taken = (0..pages).map(|_| {
            let (index, fresh) = free.draw();
            let mut page = Page {
                index,
                shared: Arc::clone(&self.shared),
                fresh,
                touched: AtomicBool::new(false),
                warmed: 0,
            };
            // Where a test has it stay, it goes before anybody computes with it.
            if !measures::is_on(Measure::Pages) {
                page.wipe();
            }
            page
        });
        Ok(taken.collect())
    }
}

impl Shared {
    fn free(&self) -> std::sync::MutexGuard<'_, Free> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Free {
    fn count(&self) -> usize {
        self.used.len() + self.fresh.len()
    }

    /// Takes one of the pages, of which there are some, and says whether it was never written.
    fn draw(&mut self) -> (usize, bool) {
        let fresh = self.used.is_empty();
        let pages = if fresh { &mut self.fresh } else { &mut self.used };
        // A draw out of range would be the caller's mistake; it costs the order, not the pages.
        let drawn = (self.choose)(pages.len()) % pages.len();
        (pages.swap_remove(drawn), fresh)
    }
}

/// A page that somebody owns. Wiped and free again when dropped.
pub struct Page {
    shared: Arc<Shared>,
    index: usize,
    /// Whether it was never written before it was taken.
    fresh: bool,
    /// Whether it was written to. Memory that no sequence ever reached need not be found to be wiped.
    touched: AtomicBool,
    /// Bytes from its start on for which memory was found before they were written.
    warmed: usize,
}

/// The least that the system finds memory for at a time.
const FOUND: usize = 4096;

impl Page {
    /// What it holds.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.shared.layout
    }

    pub(crate) fn is_of_the_pool_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    /// The memory stays reachable by the next owner, so that the compiler may not leave this out.
    fn wipe(&mut self) {
        // SAFETY: the page's units are inside of the buffer, and this is their only owner.
        unsafe { self.start().write_bytes(0, self.shared.layout.page_units()) };
    }

    fn start(&self) -> *mut u16 {
        // SAFETY: `index` is below `total`, so that the page's first unit is inside of the buffer.
        unsafe { self.shared.base.add(self.index * self.shared.layout.page_units()) }
    }

    /// A head's keys and values.
    ///
    /// # Safety
    /// Nobody writes to them while the slices live.
    pub(crate) unsafe fn head(&self, layer: usize, kv_head: usize) -> (&[u16], &[u16]) {
        let layout = self.shared.layout;
        assert!(
            layer < layout.layers && kv_head < layout.kv_heads,
            "a head of the page"
        );
        // SAFETY: the head's units are inside of this page, zeroed at the start and only ever numbers; the caller
        // keeps writers away.
        let units = unsafe {
            std::slice::from_raw_parts(
                self.start().add(layout.start(layer, kv_head)),
                layout.key_units() + layout.value_units(),
            )
        };
        units.split_at(layout.key_units())
    }

    /// The same to write to.
    ///
    /// # Safety
    /// Nobody reads or writes them elsewhere while the slices live.
    #[allow(clippy::mut_from_ref)] // threads write to different heads of one page
    pub(crate) unsafe fn head_mut(&self, layer: usize, kv_head: usize) -> (&mut [u16], &mut [u16]) {
        self.touched.store(true, Ordering::Relaxed);
        let layout = self.shared.layout;
        assert!(
            layer < layout.layers && kv_head < layout.kv_heads,
            "a head of the page"
        );
        // SAFETY: as in `head`, and the caller keeps all others away.
        let units = unsafe {
            std::slice::from_raw_parts_mut(
                self.start().add(layout.start(layer, kv_head)),
                layout.key_units() + layout.value_units(),
            )
        };
        units.split_at_mut(layout.key_units())
    }

    /// Has memory found for one of the `left` parts that it has not been found for, if the page was never written: many
    /// sequences that reach new pages in one pass would wait for it together.
    pub(crate) fn warm(&mut self, left: usize) {
        if !self.fresh || *self.touched.get_mut() {
            return;
        }
        let bytes = self.shared.layout.page_bytes();
        let end = self.warmed + (bytes - self.warmed).div_ceil(left.max(1));
        for byte in (self.warmed..end).step_by(FOUND) {
            // SAFETY: inside of this page, whose units are all zeros and borrowed by nobody else.
            unsafe { self.start().cast::<u8>().add(byte).write_volatile(0) };
        }
        self.warmed = end;
    }

    /// Its place in the pool.
    #[cfg(test)]
    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// Its bytes as they lie in memory.
    #[cfg(any(test, feature = "trace"))]
    pub(crate) fn units(&mut self) -> &mut [u16] {
        *self.touched.get_mut() = true;
        // SAFETY: the page's units are inside of the buffer, and the borrow of the only owner is unique.
        unsafe { std::slice::from_raw_parts_mut(self.start(), self.shared.layout.page_units()) }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        let touched = *self.touched.get_mut();
        if touched && measures::is_on(Measure::Pages) {
            self.wipe();
        }
        let mut free = self.shared.free();
        let pages = if self.fresh && !touched && self.warmed < self.shared.layout.page_bytes() {
            &mut free.fresh
        } else {
            &mut free.used
        };
        pages.push(self.index);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kv::KvPrecision;

    fn pool(pages: usize, choose: impl FnMut(usize) -> usize + Send + 'static) -> PagePool {
        let layout = Layout {
            layers: 2,
            kv_heads: 3,
            width: 40,
            precision: KvPrecision::F16,
        };
        PagePool::new(layout, pages, choose)
    }

    #[test]
    fn pages_are_all_or_none_and_come_back_wiped() {
        let pool = pool(5, |_| 0);
        assert_eq!(pool.bytes(), 5 * 2 * 3 * 32 * (40 + 64) * 2);
        let mut three = pool.reserve(3).unwrap();
        assert_eq!((pool.total(), pool.free()), (5, 2));
        assert_eq!(pool.reserve(3).err(), Some(OutOfPages { needed: 3, free: 2 }));
        assert_eq!(pool.free(), 2);
        for page in &mut three {
            assert!(page.units().iter().all(|unit| *unit == 0));
            page.units().fill(7);
        }
        drop(three);
        let mut all = pool.reserve(5).unwrap();
        let mut seen: Vec<usize> = all.iter().map(|page| page.index).collect();
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        for page in &mut all {
            assert!(page.units().iter().all(|unit| *unit == 0));
        }
    }

    #[test]
    fn the_caller_draws_the_order() {
        let last = pool(4, |free| free - 1);
        let order: Vec<usize> = last.reserve(4).unwrap().iter().map(|page| page.index).collect();
        assert_eq!(order, [3, 2, 1, 0]);
        let wild = pool(4, |_| usize::MAX);
        assert_eq!(wild.reserve(4).unwrap().len(), 4);
    }

    /// Bit by bit, however late it begins; then the page is one that has memory, and is still all zeros.
    #[test]
    fn a_page_is_warmed_by_parts() {
        for begins in [0, 5, 31] {
            let pool = pool(4, |_| 0);
            let mut page = pool.reserve(1).unwrap().remove(0);
            let index = page.index();
            for position in begins..32 {
                assert!(page.warmed < pool.layout().page_bytes());
                page.warm(32 - position);
            }
            assert_eq!(page.warmed, pool.layout().page_bytes());
            page.warm(1);
            drop(page);
            let mut again = pool.reserve(1).unwrap().remove(0);
            assert_eq!((again.index(), again.fresh), (index, false));
            again.warm(1);
            assert_eq!(again.warmed, 0, "memory was found before");
            assert!(again.units().iter().all(|unit| *unit == 0));
        }
    }

    #[test]
    fn pages_that_were_written_leave_first() {
        let pool = pool(8, |free| free - 1);
        let mut taken = pool.reserve(4).unwrap();
        let written = [taken[1].index(), taken[3].index()];
        taken[1].units().fill(7);
        taken[3].units().fill(7);
        drop(taken);
        for _ in 0..2 {
            // The second time nobody wrote to them since.
            let three = pool.reserve(3).unwrap();
            assert!(three[..2].iter().all(|page| written.contains(&page.index())));
            assert!(!written.contains(&three[2].index()));
        }
        assert_eq!(pool.free(), 8);
        assert!(pool.reserve(8).is_ok());
    }

    #[test]
    fn heads_lie_side_by_side() {
        let pool = pool(2, |_| 0);
        let mut pages = pool.reserve(2).unwrap();
        for (value, (layer, head)) in (1..).zip([(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]) {
            // SAFETY: nobody else has the page.
            let (keys, values) = unsafe { pages[1].head_mut(layer, head) };
            keys.fill(value);
            values.fill(value + 100);
        }
        assert!(pages[0].units().iter().all(|unit| *unit == 0));
        assert!(pages[1].units().iter().all(|unit| *unit != 0));
    }
}
