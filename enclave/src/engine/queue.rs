//! The bounded queue in front of the model.
//!
//! Why apart: callers are asynchronous and must be refused at once, the model's thread is not and must sleep;
//! a caller that left must not keep its place.
//!
//! # Invariants
//! At most `limit` live jobs wait. After `close` no job enters; after `abort` none leaves either, and those
//! inside are told so.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::engine::job::{Job, Refusal};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Closed,
    Aborted,
}

struct State<T> {
    waiting: VecDeque<T>,
    phase: Phase,
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
                waiting: VecDeque::new(),
                phase: Phase::Open,
            }),
            changed: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `job`. When the queue is full, first lets go of those that are `abandoned`.
    pub(super) fn push(&self, job: T, abandoned: impl Fn(&T) -> bool) -> Result<(), Refusal> {
        let mut state = self.state();
        if state.phase != Phase::Open {
            return Err(Refusal::ShuttingDown);
        }
        if state.waiting.len() >= self.limit {
            state.waiting.retain(|job| !abandoned(job));
        }
        if state.waiting.len() >= self.limit {
            return Err(Refusal::QueueFull);
        }
        state.waiting.push_back(job);
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
            if let Some(job) = state.waiting.pop_front() {
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
        state.waiting.pop_front()
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
    fn take_all(&self) -> VecDeque<T> {
        let mut state = self.state();
        state.phase = Phase::Aborted;
        self.changed.notify_all();
        std::mem::take(&mut state.waiting)
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
        assert_eq!(queue.push(1, |_| false), Ok(()));
        assert_eq!(queue.push(2, |_| false), Ok(()));
        assert_eq!(queue.push(3, |_| false), Err(Refusal::QueueFull));
        assert_eq!(queue.push(3, |job| *job == 1), Ok(()));
        assert_eq!(
            (queue.try_pop(), queue.try_pop(), queue.try_pop()),
            (Some(2), Some(3), None)
        );
    }

    #[test]
    fn closing_lets_out_what_is_in_and_aborting_does_not() {
        let queue = Queue::new(4);
        queue.push(1, |_| false).unwrap();
        queue.push(2, |_| false).unwrap();
        queue.close();
        assert_eq!(queue.push(3, |_| false), Err(Refusal::ShuttingDown));
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
            queue.push(7, |_| false).unwrap();
            while queue.state().waiting.front().is_some() {
                std::thread::yield_now();
            }
            queue.close();
            assert_eq!(sleeper.join().unwrap(), (Some(7), None));
        });
    }
}
