//! Threads that take part in one operation at a time.
//!
//! Why apart: an operation takes tens of microseconds, hundreds follow one another for each token, and a general pool
//! hands work over too slowly. Here a call hands out parts by a counter, workers spin for a moment before they sleep,
//! and whoever calls works too.
//!
//! # Invariants
//! When [`Pool::run`] returns, or panics, no worker touches what it was given. Each part is run exactly once, unless
//! another part panicked. A pool does one operation at a time: calls from several threads wait for each other.

#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Rounds of spinning before a worker sleeps: some tens of microseconds, longer than the pause between two
/// operations of one token and shorter than anyone minds.
const SPINS: usize = 2_000;

/// What all take part in.
type Work = dyn Fn(usize, usize) + Sync;

/// Threads for one operation at a time.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    turn: Mutex<()>,
}

struct Shared {
    /// Counts operations; a change wakes the workers.
    epoch: AtomicUsize,
    job: Mutex<Option<Job>>,
    wake: Condvar,
    /// The next part that nobody took.
    next: AtomicUsize,
    /// Workers still inside of the current operation.
    inside: AtomicUsize,
    panicked: AtomicBool,
    ended: AtomicBool,
}

#[derive(Clone, Copy)]
struct Job {
    work: *const Work,
    parts: usize,
}

// SAFETY: the pointer is used only while `Pool::run` holds the borrow it was made from, and what it points at is `Sync`.
unsafe impl Send for Job {}

impl Pool {
    /// A pool in which `threads` work, the caller among them.
    ///
    /// # Panics
    /// When the system gives no threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            epoch: AtomicUsize::new(0),
            job: Mutex::new(None),
            wake: Condvar::new(),
            next: AtomicUsize::new(0),
            inside: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        });
        let workers = (1..threads)
            .map(|thread| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new()
                    .name("compute".to_owned())
                    .spawn(move || shared.serve(thread))
                    .expect("the system gives a thread for each core")
            })
            .collect();
        Self {
            shared,
            workers,
            turn: Mutex::new(()),
        }
    }

    /// How many threads work, the caller included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// Runs `work` for each number below `parts`, on all threads, in no order. Returns when all are done.
    ///
    /// # Panics
    /// When a part panics, after the others that had begun are done.
    pub fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        self.run_on(parts, &|_, part| work(part));
    }

    /// As [`Self::run`], with the thread's number first: below [`Self::threads`], and never the same for two parts at a
    /// time.
    ///
    /// # Panics
    /// When a part panics, after the others that had begun are done.
    pub fn run_on(&self, parts: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        if parts == 0 {
            return;
        }
        if self.workers.is_empty() {
            let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
            (0..parts).for_each(|part| work(0, part));
            return;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &*self.shared;
        // SAFETY: only the lifetime is changed. Workers use the pointer between entering (`inside` counts them, set
        // here before they are woken) and leaving, and this function does not return before all have left.
        let work: *const Work =
            unsafe { std::mem::transmute::<&(dyn Fn(usize, usize) + Sync), *const Work>(work) };
        let job = Job { work, parts };
        shared.next.store(0, Ordering::Relaxed);
        shared.inside.store(self.workers.len(), Ordering::Relaxed);
        {
            let mut slot = shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            *slot = Some(job);
            shared.epoch.fetch_add(1, Ordering::Release);
        }
        shared.wake.notify_all();
        let own = catch_unwind(AssertUnwindSafe(|| shared.take_parts(job, 0)));
        if own.is_err() {
            shared.next.store(parts, Ordering::Relaxed);
        }
        while shared.inside.load(Ordering::Acquire) != 0 {
            std::hint::spin_loop();
        }
        *shared.job.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let other = shared.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!other, "a part of an operation panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        {
            let _slot = self.shared.job.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.ended.store(true, Ordering::Release);
            self.shared.epoch.fetch_add(1, Ordering::Release);
        }
        self.shared.wake.notify_all();
        for worker in self.workers.drain(..) {
            // A worker catches what its parts do.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn take_parts(&self, job: Job, thread: usize) {
        // SAFETY: see `Pool::run`: the borrow outlives everyone inside.
        let work = unsafe { &*job.work };
        loop {
            let part = self.next.fetch_add(1, Ordering::Relaxed);
            if part >= job.parts {
                return;
            }
            work(thread, part);
        }
    }

    fn serve(&self, thread: usize) {
        let mut seen = 0;
        loop {
            seen = self.wait_for_change(seen);
            if self.ended.load(Ordering::Acquire) {
                return;
            }
            let job = *self.job.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(job) = job {
                if catch_unwind(AssertUnwindSafe(|| self.take_parts(job, thread))).is_err() {
                    self.next.store(job.parts, Ordering::Relaxed);
                    self.panicked.store(true, Ordering::Relaxed);
                }
                self.inside.fetch_sub(1, Ordering::Release);
            }
        }
    }

    fn wait_for_change(&self, seen: usize) -> usize {
        for _ in 0..SPINS {
            let now = self.epoch.load(Ordering::Acquire);
            if now != seen {
                return now;
            }
            std::hint::spin_loop();
        }
        let mut slot = self.job.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let now = self.epoch.load(Ordering::Acquire);
            if now != seen {
                return now;
            }
            slot = self.wake.wait(slot).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    #[test]
    fn each_part_is_run_once() {
        for threads in [1, 2, 4] {
            let pool = Pool::new(threads);
            for parts in [0usize, 1, 2, 7, 1000] {
                let counts: Vec<AtomicU64> = (0..parts).map(|_| AtomicU64::new(0)).collect();
                pool.run(parts, &|part| {
                    counts[part].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            }
        }
    }

    #[test]
    fn a_panic_comes_back_and_the_pool_goes_on() {
        let pool = Pool::new(3);
        for bad in [0, 5, 99] {
            let result = catch_unwind(AssertUnwindSafe(|| {
                pool.run(100, &|part| assert_ne!(part, bad, "as the test asked"));
            }));
            assert!(result.is_err());
            let sum = AtomicU64::new(0);
            pool.run(10, &|part| {
                sum.fetch_add(part as u64, Ordering::Relaxed);
            });
            assert_eq!(sum.load(Ordering::Relaxed), 45);
        }
    }

    #[test]
    fn callers_take_turns() {
        let pool = Pool::new(2);
        let sum = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        pool.run(8, &|part| {
                            sum.fetch_add(part as u64, Ordering::Relaxed);
                        });
                    }
                });
            }
        });
        assert_eq!(sum.load(Ordering::Relaxed), 4 * 200 * 28);
    }
}
