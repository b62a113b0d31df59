//! Threads that take part in one operation at a time.
//!
//! Why apart: an operation takes tens of microseconds, hundreds follow one another for each token, and a general pool
//! hands work over too slowly. Here each thread begins with parts that follow one another, so that what it reads next is
//! what its core already fetches, and helps others when it is done; workers spin for a moment before they sleep, and
//! whoever calls works too.
//!
//! # Invariants
//! When [`Pool::run`] returns, or panics, no worker touches what it was given. Each part is run exactly once, unless
//! another part panicked. A pool does one operation at a time: calls from several threads wait for each other.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use anchorhold_memory::stack;

/// Rounds of spinning before a worker sleeps: 20 to 50 microseconds on most CPUs, longer than the pause between two
/// operations of one token and shorter than anyone minds.
const SPINS: usize = 1_500;

/// Rounds of spinning before a caller that waits for the last parts lets others have its core.
const PATIENCE: usize = 20_000;

/// What all take part in: the thread's number and the part's.
type Work = dyn Fn(usize, usize) + Sync;

/// Threads for one operation at a time.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    turn: Mutex<()>,
}

/// Keeps what threads write apart: two lines, because CPUs fetch them in pairs.
#[repr(align(128))]
struct Apart<T>(T);

struct Shared {
    /// Which operation it is, whether workers may enter, and how many are inside: see [`Gate`].
    gate: Apart<AtomicU64>,
    /// For each thread, which parts are left of those that it begins with: see [`Range`].
    ranges: Box<[Apart<AtomicU64>]>,
    /// Written while the gate is closed and nobody is inside, read by those inside.
    job: UnsafeCell<Job>,
    /// Workers that sleep and that nobody called since.
    sleepers: AtomicUsize,
    bed: Mutex<()>,
    wake: Condvar,
    panicked: AtomicBool,
    ended: AtomicBool,
    /// How often workers were asked to scrub their stacks.
    scrubs: AtomicUsize,
}

#[derive(Clone, Copy)]
struct Job {
    work: *const Work,
}

/// The word that orders everything: a number of the operation, whether it is open, and how many workers are inside.
///
/// A caller opens it with a release after the job is written. A worker enters by an exchange that succeeds only while
/// the word is as it was read: open, of this operation. The caller closes it, so that nobody enters any more, and then
/// waits for those inside only. A worker that never noticed the operation is not waited for.
struct Gate;

impl Gate {
    const OPEN: u64 = 1 << 31;
    const INSIDE: u64 = Self::OPEN - 1;

    fn number(word: u64) -> u64 {
        word >> 32
    }
}

/// Parts from a first to an end, in one word, so that each is taken once: its thread takes the first, others the last.
struct Range;

impl Range {
    fn word(first: usize, end: usize) -> u64 {
        (first as u64) << 32 | end as u64
    }

    fn parts(word: u64) -> std::ops::Range<usize> {
        (word >> 32) as usize..(word & u64::from(u32::MAX)) as usize
    }

    fn first(range: &AtomicU64) -> Option<usize> {
        let shorter = |word| {
            let parts = Self::parts(word);
            (!parts.is_empty()).then(|| Self::word(parts.start + 1, parts.end))
        };
        let taken = range.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
        taken.ok().map(|word| Self::parts(word).start)
    }

    fn last(range: &AtomicU64) -> Option<usize> {
        let shorter = |word| {
            let parts = Self::parts(word);
            (!parts.is_empty()).then(|| Self::word(parts.start, parts.end - 1))
        };
        let taken = range.fetch_update(Ordering::Relaxed, Ordering::Relaxed, shorter);
        taken.ok().map(|word| Self::parts(word).end - 1)
    }
}

// SAFETY: the job is the only field that is not itself shared safely. It is written only by the holder of the pool's
// turn while the gate is closed and counts nobody, and read only by workers that the gate counts and by that holder.
// Its pointer is used only between entering and leaving, while `Pool::run_on` holds the borrow it was made from; what
// it points at is `Sync`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool in which `threads` work, the caller among them.
    ///
    /// # Panics
    /// When the system gives no threads.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let nothing: &'static Work = &|_, _| {};
        let shared = Arc::new(Shared {
            gate: Apart(AtomicU64::new(0)),
            ranges: (0..threads.max(1)).map(|_| Apart(AtomicU64::new(0))).collect(),
            job: UnsafeCell::new(Job { work: nothing }),
            sleepers: AtomicUsize::new(0),
            bed: Mutex::new(()),
            wake: Condvar::new(),
            panicked: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            scrubs: AtomicUsize::new(0),
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

    /// Asks each worker to overwrite what operations so far left on its stack, after the next one that it takes part in. A worker
    /// that goes to sleep has done so.
    pub fn scrub(&self) {
        self.shared.scrubs.fetch_add(1, Ordering::Relaxed);
    }

    /// Runs `work` for each number below `parts`, on all threads, in no order. Returns when all are done.
    ///
    /// A part must not call the pool it runs on.
    ///
    /// # Panics
    /// When a part panics, after the others that had begun are done; when there are 2^32 parts or more.
    pub fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        self.run_on(parts, &|_, part| work(part));
    }

    /// As [`Self::run`], with the thread's number first: below [`Self::threads`], and never the same for two parts at a
    /// time.
    ///
    /// # Panics
    /// As [`Self::run`].
    pub fn run_on(&self, parts: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        if parts == 0 {
            return;
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if self.workers.is_empty() || parts == 1 {
            (0..parts).for_each(|part| work(0, part));
            return;
        }
        assert!(u32::try_from(parts).is_ok(), "parts are counted in 32 bits");
        let shared = &*self.shared;
        // SAFETY: only the lifetime is changed. Workers use the pointer while the gate counts them, and this function
        // closes the gate and waits until it counts none before it returns or unwinds.
        let work: *const Work =
            unsafe { std::mem::transmute::<&(dyn Fn(usize, usize) + Sync), *const Work>(work) };
        let job = Job { work };
        // SAFETY: the gate is closed and counts nobody since the operation before ended (its `Acquire` load saw all
        // leave), and the turn keeps other callers out: nobody else looks at the job.
        unsafe { *shared.job.get() = job };
        shared.hand_out(parts);
        let number = Gate::number(shared.gate.0.load(Ordering::Relaxed)).wrapping_add(1);
        // Release: who enters sees the job and the counter. Sequentially consistent, as is the load of the sleepers
        // after it: a worker counts itself as a sleeper before it looks at the gate for the last time, so that either
        // it sees the gate open or it is seen here.
        shared.gate.0.store(number << 32 | Gate::OPEN, Ordering::SeqCst);
        if shared.sleepers.load(Ordering::SeqCst) > 0 {
            shared.call_sleepers();
        }
        let own = catch_unwind(AssertUnwindSafe(|| shared.take_parts(job, 0)));
        if own.is_err() {
            shared.hand_out(0);
        }
        shared.gate.0.fetch_and(!Gate::OPEN, Ordering::AcqRel);
        let mut rounds = 0;
        // Acquire: leaving is a release, and each change of the word after it carries it on, so that whoever reads that
        // nobody is inside sees all that the workers wrote.
        while shared.gate.0.load(Ordering::Acquire) & Gate::INSIDE != 0 {
            rounds += 1;
            if rounds < PATIENCE {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        let other = shared.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!other, "a part of an operation panicked");
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        self.shared.call_sleepers();
        for worker in self.workers.drain(..) {
            // A worker catches what its parts do.
            let _ = worker.join();
        }
    }
}

impl Shared {
    fn call_sleepers(&self) {
        // Under the lock nobody is between counting itself and sleeping.
        let _bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        self.sleepers.store(0, Ordering::SeqCst);
        self.wake.notify_all();
    }

    fn take_parts(&self, job: Job, thread: usize) {
        // SAFETY: only the caller, and workers that the gate counts, are here; the borrow outlives them, see `run_on`.
        let work = unsafe { &*job.work };
        while let Some(part) = Range::first(&self.ranges[thread].0) {
            work(thread, part);
        }
        // From the end, because the next ones are being fetched for the thread whose they are.
        for other in (1..self.ranges.len()).map(|other| (thread + other) % self.ranges.len()) {
            while let Some(part) = Range::last(&self.ranges[other].0) {
                work(thread, part);
            }
        }
    }

    /// Gives each thread its share of the parts.
    fn hand_out(&self, parts: usize) {
        let threads = self.ranges.len();
        for (thread, range) in self.ranges.iter().enumerate() {
            let bound = |thread: usize| thread * parts / threads;
            range
                .0
                .store(Range::word(bound(thread), bound(thread + 1)), Ordering::Relaxed);
        }
    }

    fn serve(&self, thread: usize) {
        let (mut seen, mut scrubs) = (0, 0);
        while let Some(word) = self.wait_for_another(seen) {
            seen = Gate::number(word);
            if !self.enter(word) {
                continue;
            }
            // SAFETY: the gate counts this worker, so that the job is this operation's and is not written.
            let job = unsafe { *self.job.get() };
            if catch_unwind(AssertUnwindSafe(|| self.take_parts(job, thread))).is_err() {
                self.hand_out(0);
                self.panicked.store(true, Ordering::Relaxed);
            }
            self.gate.0.fetch_sub(1, Ordering::Release);
            let asked = self.scrubs.load(Ordering::Relaxed);
            if asked != scrubs {
                scrubs = asked;
                stack::scrub();
            }
        }
    }

    /// Counts this worker in, unless the operation of `word` is closed by now.
    fn enter(&self, mut word: u64) -> bool {
        let number = Gate::number(word);
        while word & Gate::OPEN != 0 && Gate::number(word) == number {
            // Acquire: the job was written before the gate was opened, and others entering carry that on.
            match self
                .gate
                .0
                .compare_exchange_weak(word, word + 1, Ordering::Acquire, Ordering::Relaxed)
            {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// The gate's word when it is open for an operation other than `seen`; `None` at the end.
    fn wait_for_another(&self, seen: u64) -> Option<u64> {
        let look = || {
            let word = self.gate.0.load(Ordering::SeqCst);
            (word & Gate::OPEN != 0 && Gate::number(word) != seen).then_some(word)
        };
        for _ in 0..SPINS {
            if self.ended.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(word) = look() {
                return Some(word);
            }
            std::hint::spin_loop();
        }
        stack::scrub();
        let mut bed = self.bed.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            // Counted first, looked at afterwards: see where the gate is opened.
            self.sleepers.fetch_add(1, Ordering::SeqCst);
            if self.ended.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(word) = look() {
                return Some(word);
            }
            bed = self.wake.wait(bed).unwrap_or_else(PoisonError::into_inner);
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

    /// Operations after pauses of all lengths, so that workers spin, sleep, wake and come late; what an operation
    /// borrows is gone right after it.
    #[test]
    fn nobody_comes_late_and_nobody_sleeps_on() {
        let pool = Pool::new(4);
        for round in 0..3_000usize {
            let parts = 2 + round % 7;
            let counts: Vec<AtomicU64> = (0..parts).map(|_| AtomicU64::new(0)).collect();
            let over = AtomicBool::new(false);
            pool.run_on(parts, &|thread, part| {
                assert!(thread < 4 && !over.load(Ordering::Relaxed));
                counts[part].fetch_add(1, Ordering::Relaxed);
            });
            over.store(true, Ordering::Relaxed);
            assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1));
            match round % 100 {
                0 => std::thread::sleep(std::time::Duration::from_micros(300)),
                1..20 => (0..round % 16 * 100).for_each(|_| std::hint::spin_loop()),
                _ => {}
            }
        }
    }

    /// Two parts that wait for each other end only if a worker comes, asleep or not.
    #[test]
    fn a_sleeping_worker_is_called() {
        let pool = Pool::new(2);
        for round in 0..40u64 {
            std::thread::sleep(std::time::Duration::from_micros(round * 20));
            let there = AtomicUsize::new(0);
            pool.run(2, &|_| {
                there.fetch_add(1, Ordering::Relaxed);
                while there.load(Ordering::Relaxed) < 2 {
                    std::thread::yield_now();
                }
            });
        }
    }

    /// A part that waits for all others ends only if its thread's other parts are taken by another.
    #[test]
    fn what_a_busy_thread_cannot_do_others_do() {
        let pool = Pool::new(2);
        for slow in 0..8 {
            let done = AtomicUsize::new(0);
            pool.run(8, &|part| {
                while part == slow && done.load(Ordering::Relaxed) < 7 {
                    std::thread::yield_now();
                }
                done.fetch_add(1, Ordering::Relaxed);
            });
            assert_eq!(done.load(Ordering::Relaxed), 8);
        }
    }

    /// Two parts at a time never have the same thread's number.
    #[test]
    fn threads_are_told_apart() {
        let pool = Pool::new(3);
        let busy: Vec<AtomicBool> = (0..3).map(|_| AtomicBool::new(false)).collect();
        for parts in [1, 2, 500] {
            pool.run_on(parts, &|thread, _| {
                assert!(!busy[thread].swap(true, Ordering::AcqRel));
                std::hint::spin_loop();
                busy[thread].store(false, Ordering::Release);
            });
        }
    }
}
