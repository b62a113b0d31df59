//! What a thread left on its stack below the frame that is live.
//!
//! Why apart: calls that have returned leave their variables behind, and no destructor reaches those that were moved or spilled.
//!
//! # Invariants
//! Touches nothing above the caller's frame. Needs [`DEPTH`] bytes of stack and a page, which each thread here has many times over.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::measures::{self, Measure};

/// How deep it goes: ten times as deep as the deepest plaintext that was found, 13 KiB below the end of the model's stack in a debug build
/// (docs/hygiene.md).
pub const DEPTH: usize = 128 << 10;

/// Overwrites what earlier calls left on this thread's stack, [`DEPTH`] bytes below the caller. Some microseconds.
pub fn scrub() {
    if measures::is_on(Measure::Stacks) {
        overwrite();
    }
}

/// Requests that ended.
static ENDED: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// How many had when this thread scrubbed its stack.
    static SCRUBBED: Cell<u64> = const { Cell::new(0) };
}

/// Says that a request ended, on whatever thread: each that carries requests scrubs its stack at its next [`rest`].
pub fn ended() {
    ENDED.fetch_add(1, Ordering::Release);
}

/// For a thread that is about to wait: [`scrub`]s its stack if a request [`ended`] since it last did.
pub fn rest() {
    let ended = ENDED.load(Ordering::Acquire);
    if SCRUBBED.replace(ended) != ended {
        scrub();
    }
}

/// Its own frame is what it overwrites.
#[inline(never)]
fn overwrite() {
    let room = [0_u8; DEPTH];
    zeroize::optimization_barrier(&room);
}

/// Does `work`, and then overwrites what it left on the stack.
pub fn scrubbed<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    scrub();
    result
}

/// A frame that is gone when it returns, whatever the compiler would have liked to merge it with.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[cfg(test)] // apart from the next line, so that clippy knows these for tests
#[cfg(target_os = "linux")]
mod tests {
    use std::hint::black_box;
    use std::os::unix::fs::FileExt as _;

    use super::*;

    /// Leaves a pattern on the stack, some frames deep, and tells where.
    #[inline(never)]
    fn leave(depth: usize) -> (usize, [u8; 64]) {
        if depth > 0 {
            return black_box(leave(black_box(depth - 1)));
        }
        let pattern = black_box(std::array::from_fn(|index| index as u8 ^ 0xa5));
        let left = black_box(pattern);
        (black_box(&raw const left) as usize, pattern)
    }

    fn lies_at(address: usize) -> [u8; 64] {
        let mut bytes = [0; 64];
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        memory.read_exact_at(&mut bytes, address as u64).unwrap();
        bytes
    }

    #[test]
    fn what_calls_left_is_gone() {
        // Deep enough that looking at it does not overwrite it.
        let (address, pattern) = leave(200);
        assert_eq!(lies_at(address), pattern, "it stays, which is what this is about");
        assert!(
            address > &raw const pattern as usize - DEPTH,
            "within what is scrubbed"
        );
        scrub();
        assert_eq!(lies_at(address), [0; 64]);
        // A thread that rests does so once for each request that ended.
        let (address, pattern) = leave(200);
        ended();
        rest();
        assert_eq!(lies_at(address), [0; 64]);
        let (again, _) = leave(200);
        rest();
        assert_eq!((again, lies_at(again)), (address, pattern));
        let (address, _) = scrubbed(|| leave(200));
        assert_eq!(lies_at(address), [0; 64]);
    }
}
