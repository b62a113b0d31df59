//! Pages for keys: locked into memory, left out of core dumps, zero in a child process.
//!
//! Why apart: the heap is none of these, and a lock on one key's page would lock what lies beside it.
//!
//! A process may lock only so much (`RLIMIT_MEMLOCK`). What the system refuses is used all the same, and counted: [`report`] says how
//! much of it there is, so that whoever starts can refuse to go on.
//!
//! # Invariants
//! A slot belongs to one [`Locked`] at a time, and is all zeros when nobody has it. Mappings are never given back.

#![allow(unsafe_code)]

use std::mem::ManuallyDrop;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, PoisonError};

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mlock, mmap_anonymous};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bytes of a slot: the longest that a [`Locked`] may be.
const SLOT: usize = 64;

/// Bytes of a mapping.
const MAPPING: usize = 16 << 10;

/// `N` secret bytes in a page that is not swapped out, not dumped and not inherited, as far as the system allows ([`report`]). Moving the
/// value copies a pointer. Wiped when dropped. No `Clone`, `Debug` or `Display`.
pub struct Locked<const N: usize>(Slot);

/// Where it lies.
struct Slot(NonNull<[u8; SLOT]>);

// SAFETY: a slot is one owner's, as a box is.
unsafe impl Send for Slot {}
// SAFETY: as above.
unsafe impl Sync for Slot {}

/// Slots that nobody has, and what was said of the mappings.
struct Slots {
    free: Vec<Slot>,
    report: Report,
}

static SLOTS: Mutex<Slots> = Mutex::new(Slots {
    free: Vec::new(),
    report: Report {
        mapped: 0,
        locked: 0,
        undumped: 0,
        uninherited: 0,
    },
});

/// How much memory for keys there is, and for how much of it the system did what was asked. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    /// All of it.
    pub mapped: usize,
    /// Never swapped out (mlock(2)).
    pub locked: usize,
    /// Not in core dumps (`MADV_DONTDUMP`).
    pub undumped: usize,
    /// Zeros in a child process (`MADV_WIPEONFORK`).
    pub uninherited: usize,
}

impl Report {
    /// Whether all that is there is locked, undumped and uninherited. A process without such memory has nothing that is not.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        [self.locked, self.undumped, self.uninherited]
            .iter()
            .all(|bytes| *bytes == self.mapped)
    }
}

/// What the system did for keys so far. Makes the first mapping when there is none, so that it says what keys will get.
#[must_use]
pub fn report() -> Report {
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if slots.report.mapped == 0 {
        slots.map();
    }
    slots.report
}

impl Slots {
    fn map(&mut self) {
        let (access, kind) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: a new mapping anywhere replaces nothing.
        let start = unsafe { mmap_anonymous(std::ptr::null_mut(), MAPPING, access, kind) };
        let start = start.expect("the system has address space for keys");
        // SAFETY: all three change how the system treats the mapping that was just made, not what is in it.
        let (locked, undumped, uninherited) = unsafe {
            (
                mlock(start, MAPPING),
                madvise(start, MAPPING, Advice::LinuxDontDump),
                madvise(start, MAPPING, Advice::LinuxWipeOnFork),
            )
        };
        let done = |result: rustix::io::Result<()>| if result.is_ok() { MAPPING } else { 0 };
        self.report.mapped += MAPPING;
        self.report.locked += done(locked);
        self.report.undumped += done(undumped);
        self.report.uninherited += done(uninherited);
        for offset in (0..MAPPING).step_by(SLOT) {
            // SAFETY: inside of the mapping.
            let slot = unsafe { start.cast::<u8>().add(offset) };
            self.free.extend(NonNull::new(slot.cast()).map(Slot));
        }
    }
}

impl<const N: usize> Locked<N> {
    const FITS: () = assert!(N <= SLOT, "a slot holds a key");

    /// `N` zeros, to be written where they stay.
    ///
    /// # Panics
    /// When the system has no address space left.
    #[must_use]
    pub fn zeroed() -> Self {
        let () = Self::FITS;
        let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match slots.free.pop() {
                Some(slot) => return Self(slot),
                None => slots.map(),
            }
        }
    }
}

impl<const N: usize> Deref for Locked<N> {
    type Target = [u8; N];

    fn deref(&self) -> &[u8; N] {
        // SAFETY: the slot is this value's alone, at least `N` bytes, initialised and never unmapped.
        unsafe { self.0.0.cast().as_ref() }
    }
}

impl<const N: usize> DerefMut for Locked<N> {
    fn deref_mut(&mut self) -> &mut [u8; N] {
        // SAFETY: as above, and the borrow is unique.
        unsafe { self.0.0.cast().as_mut() }
    }
}

impl<const N: usize> Drop for Locked<N> {
    fn drop(&mut self) {
        self.zeroize();
        let slot = ManuallyDrop::new(Slot(self.0.0));
        let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
        slots.free.push(ManuallyDrop::into_inner(slot));
    }
}

impl<const N: usize> Zeroize for Locked<N> {
    fn zeroize(&mut self) {
        (**self).zeroize();
    }
}

impl<const N: usize> ZeroizeOnDrop for Locked<N> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_apart_zero_and_come_back() {
        let mut many: Vec<Locked<32>> = (0..600).map(|_| Locked::zeroed()).collect();
        for (index, key) in many.iter_mut().enumerate() {
            assert!(key.iter().all(|byte| *byte == 0));
            key.fill(index as u8);
        }
        for (index, key) in many.iter().enumerate() {
            assert!(key.iter().all(|byte| *byte == index as u8));
        }
        drop(many);
        let mapped = report().mapped;
        let again: Vec<Locked<64>> = (0..600).map(|_| Locked::zeroed()).collect();
        assert!(again.iter().all(|key| key.iter().all(|byte| *byte == 0)));
        assert_eq!(report().mapped, mapped);
    }

    /// The system's own account of the mappings, beside what was reported.
    #[test]
    #[cfg(target_os = "linux")]
    fn what_is_reported_is_what_the_system_did() {
        let key = Locked::<32>::zeroed();
        let address = key.as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut flags = None;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let bound = |text| usize::from_str_radix(text, 16).ok();
            if let Some((Some(start), Some(end))) = range.map(|(start, end)| (bound(start), bound(end))) {
                inside = (start..end).contains(&address);
            }
            if inside && let Some(found) = line.strip_prefix("VmFlags:") {
                flags = Some(found.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
            }
        }
        let flags = flags.expect("the key's mapping is listed");
        let has = |flag: &str| flags.iter().any(|found| found == flag);
        let report = report();
        // proc_pid_smaps(5): lo, dd, wf. A mapping that was refused would be counted in none of them.
        assert_eq!(has("lo"), report.locked == report.mapped, "{flags:?} {report:?}");
        assert_eq!(
            has("dd"),
            report.undumped == report.mapped,
            "{flags:?} {report:?}"
        );
        assert_eq!(
            has("wf"),
            report.uninherited == report.mapped,
            "{flags:?} {report:?}"
        );
    }
}
