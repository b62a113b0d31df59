//! The bounded queue in front of the model.
//!
//! Why apart: callers are asynchronous and must be refused at once, the model's thread is not and must sleep;
//! a caller that left must not keep its place, and one account must not keep the others from theirs.
//!
//! # Invariants
//! At most `limit` live jobs wait. Accounts take turns: before the first job of an account there is at most one of each
//! other. An account that shares the queue gets no place beyond as many as are then left for others. After `close` no job enters; after `abort` none leaves either, and those
//! inside are told so.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::job::{Job, Refusal};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
    Aborted,
}

struct State<T> {
    /// By account; none is empty.
    waiting: BTreeMap<usize, VecDeque<T>>,
    /// Whose turn was the last.
    last: usize,
    phase: Phase,
}

impl<T> State<T> {
    fn count(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }

    fn next(&mut self) -> Option<T> {
        let later = (Bound::Excluded(self.last), Bound::Unbounded);
        let next = self
            .waiting
            .range(later)
            .next()
            .or_else(|| self.waiting.iter().next());
        let account = *next?.0;
        self.last = account;
        let jobs = self.waiting.get_mut(&account)?;
        let job = jobs.pop_front();
        if jobs.is_empty() {
            self.waiting.remove(&account);
        }
        job
    }
}

pub(super) struct Queue<T> {
    limit: usize,
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            state: Mutex::new(State {
                waiting: BTreeMap::new(),
                last: usize::MAX,
                phase: Phase::Open,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `job` of `account`, which `shares` the queue with others or is alone. When there is no place for it, first lets go
    /// of those that are `abandoned`.
    pub(super) fn push(
        &self,
        job: T,
        account: usize,
        shares: bool,
        abandoned: impl Fn(&T) -> bool,
    ) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Err(Refusal::ShuttingDown);
        }
        let full = |state: &State<T>| {
            let left = self.limit.saturating_sub(state.count());
            let own = state.waiting.get(&account).map_or(0, VecDeque::len);
            left == 0 || (shares && own >= left)
        };
        if full(&state) {
            state.waiting.retain(|_, jobs| {
                jobs.retain(|job| !abandoned(job));
                !jobs.is_empty()
            });
        }
        if full(&state) {
            return Err(Refusal::QueueFull);
        }
        state.waiting.entry(account).or_default().push_back(job);
        self.changed.notify_one();
        Ok(())
    }

    /// The next job; sleeps while there is none. `None`: there will be no more.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.state();
        loop {
            if state.phase == Phase::Aborted {
                return None;
            }
            if let Some(job) = state.next() {
                return Some(job);
            }
            if state.phase == Phase::Closed {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The next job, if one waits.
    pub(super) fn try_pop(&self) -> Option<T> {
        let mut state = self.state();
        if state.phase == Phase::Aborted {
            return None;
        }
        state.next()
    }

    /// What runs now must not run on.
    pub(super) fn is_aborted(&self) -> bool {
        self.state().phase == Phase::Aborted
    }

    /// Lets no more jobs in; those inside are still done.
    pub(super) fn close(&self) {
        let mut state = self.state();
        if state.phase == Phase::Open {
            state.phase = Phase::Closed;
        }
        self.changed.notify_all();
    }

    /// Ends everything; returns the jobs that nobody will do.
    fn take_all(&self) -> Vec<T> {
        let mut state = self.state();
        state.phase = Phase::Aborted;
        self.changed.notify_all();
        std::mem::take(&mut state.waiting)
            .into_values()
            .flatten()
            .collect()
    }
}

impl Queue<Job> {
    /// Ends everything; whoever waits is told.
    pub(super) fn abort(&self) {
        for job in self.take_all() {
            job.refuse(Refusal::ShuttingDown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_unless_somebody_left() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1, 0, false, |_| false), Ok(()));
        assert_eq!(queue.push(2, 0, false, |_| false), Ok(()));
        assert_eq!(queue.push(3, 0, false, |_| false), Err(Refusal::QueueFull));
        assert_eq!(queue.push(3, 0, false, |job| *job == 1), Ok(()));
        assert_eq!(
            (queue.try_pop(), queue.try_pop(), queue.try_pop()),
            (Some(2), Some(3), None)
        );
    }

    #[test]
    fn a_flooding_account_holds_up_another_by_one_job_and_leaves_it_a_place() {
        let queue = Queue::new(64);
        let flood = (0..200)
            .filter(|_| queue.push("flood", 3, true, |_| false).is_ok())
            .count();
        assert_eq!(flood, 32, "half of the places");
        for job in ["first", "second"] {
            queue.push(job, 7, true, |_| false).unwrap();
        }
        queue.push("other", 1, true, |_| false).unwrap();
        let turns: Vec<_> = std::iter::from_fn(|| queue.try_pop()).take(6).collect();
        assert_eq!(turns, ["other", "flood", "first", "flood", "second", "flood"]);
    }

    #[test]
    fn closing_lets_out_what_is_in_and_aborting_does_not() {
        let queue = Queue::new(4);
        queue.push(1, 0, false, |_| false).unwrap();
        queue.push(2, 0, false, |_| false).unwrap();
        queue.close();
        assert_eq!(queue.push(3, 0, false, |_| false), Err(Refusal::ShuttingDown));
        assert_eq!(queue.pop(), Some(1));
        assert_eq!(queue.take_all(), [2]);
        assert!(queue.is_aborted());
        assert_eq!((queue.pop(), queue.try_pop()), (None, None));
        queue.close();
        assert!(queue.is_aborted());
    }

    #[test]
    fn a_sleeper_wakes_for_a_job_and_for_the_end() {
        let queue = Queue::new(1);
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| (queue.pop(), queue.pop()));
            queue.push(7, 0, false, |_| false).unwrap();
            while queue.state().count() > 0 {
                std::thread::yield_now();
            }
            queue.close();
            assert_eq!(sleeper.join().unwrap(), (Some(7), None));
        });
    }
}
