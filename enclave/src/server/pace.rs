//! How long a connection may take for what it is doing.
//!
//! Why apart: slow heads, slow bodies, readers that do not read and connections that only sit there are one
//! question, and hyper's own timer answers a part of it.
//!
//! # Invariants
//! A connection is in exactly one phase, and each phase ends at a deadline. Bytes alone extend none of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::limits::{Limits, REQUEST_GRACE, UNBOUND_IDLE};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Between two requests; before the first as well.
    Idle,
    /// The first byte of a request's head has come.
    Head,
    /// From the end of a head until its answer is handed over.
    Busy,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    deadline: Instant,
    /// A client has bound the connection: it may rest longer.
    bound: bool,
}

/// The pace of one connection.
#[derive(Debug)]
pub(super) struct Pace {
    limits: Limits,
    state: Mutex<State>,
    changed: Notify,
}

/// A request is being answered; dropped when its answer has been handed over, or given up.
#[derive(Debug)]
pub(super) struct Busy(Arc<Pace>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(Phase::Idle);
    }
}

impl Pace {
    pub(super) fn new(limits: Limits) -> Self {
        let idle = limits.idle_time.min(UNBOUND_IDLE);
        Self {
            limits,
            state: Mutex::new(State {
                phase: Phase::Idle,
                deadline: after(idle),
                bound: false,
            }),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes have come.
    pub(super) fn received(&self) {
        if self.state().phase == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        self.state().phase == Phase::Busy
    }

    /// The head of a request has been read.
    pub(super) fn request(self: &Arc<Self>) -> Busy {
        self.enter(Phase::Busy);
        Busy(Arc::clone(self))
    }

    /// A client has bound the connection.
    pub(super) fn bound(&self) {
        self.state().bound = true;
    }

    fn enter(&self, phase: Phase) {
        {
            let mut state = self.state();
            let time = match phase {
                Phase::Idle if state.bound => self.limits.idle_time,
                Phase::Idle => self.limits.idle_time.min(UNBOUND_IDLE),
                Phase::Head => self.limits.header_time,
                Phase::Busy => self.limits.request_time + REQUEST_GRACE,
            };
            state.phase = phase;
            state.deadline = after(time);
        }
        self.changed.notify_one();
    }

    /// Waits until the connection has taken too long.
    pub(super) async fn exceeded(&self) {
        loop {
            let deadline = self.state().deadline;
            tokio::select! {
                () = sleep_until(deadline) => {
                    if self.state().deadline <= deadline {
                        return;
                    }
                }
                () = self.changed.notified() => {}
            }
        }
    }
}

#[allow(clippy::disallowed_methods)] // a timer, not a decision: it only cuts a connection
fn after(time: Duration) -> Instant {
    Instant::now() + time
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn limits() -> Limits {
        let mut limits = Config::for_tests().limits;
        limits.idle_time = Duration::from_secs(300);
        limits.header_time = Duration::from_secs(10);
        limits.request_time = Duration::from_secs(100);
        limits
    }

    async fn seconds_until_exceeded(pace: &Pace) -> u64 {
        let start = Instant::now();
        pace.exceeded().await;
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_time() {
        let pace = Arc::new(Pace::new(limits()));
        assert_eq!(seconds_until_exceeded(&pace).await, 60);
        pace.received();
        assert_eq!(seconds_until_exceeded(&pace).await, 10);
        let busy = pace.request();
        assert_eq!(seconds_until_exceeded(&pace).await, 105);
        drop(busy);
        assert_eq!(seconds_until_exceeded(&pace).await, 60);
        pace.bound();
        drop(pace.request());
        assert_eq!(seconds_until_exceeded(&pace).await, 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_extends_nothing() {
        let pace = Arc::new(Pace::new(limits()));
        pace.received();
        let drip = Arc::clone(&pace);
        let dripping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                drip.received();
            }
        });
        assert_eq!(seconds_until_exceeded(&pace).await, 10);
        dripping.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_deadline_is_noticed_while_waiting() {
        let pace = Arc::new(Pace::new(limits()));
        pace.bound();
        drop(pace.request());
        let waiting = Arc::clone(&pace);
        let waiter = tokio::spawn(async move { seconds_until_exceeded(&waiting).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        pace.received();
        assert_eq!(waiter.await.unwrap(), 11);
    }
}
