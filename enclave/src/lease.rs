//! How long, and for how many tokens, the weights may be used.
//!
//! Why apart: the promise to the model's owner. Whoever computes with the weights must spend from the lease
//! first, and gets the value [`Spent`] for it.
//!
//! # Invariants
//! A lease ends at the moment its request was *sent* plus its lifetime, or when its token budget does not
//! cover what is asked. Once ended it stays ended. Ending starts the drain.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock::{Clock, Moment};
use crate::lifecycle::{Cause, Lifecycle};
use crate::limits;

/// What the broker granted, and when it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// When the request that was answered with the release was sent.
    pub requested_at: Moment,
    /// Lifetime from then on.
    pub lifetime: Duration,
    /// Tokens, of prompts and of answers; `None`: no budget.
    pub tokens: Option<u64>,
}

impl Terms {
    /// The terms of a release: `tokens` 0 means no budget; a lifetime beyond
    /// [`limits::LEASE_SECONDS_MAX`] is cut to it.
    #[must_use]
    pub fn new(requested_at: Moment, seconds: u64, tokens: u64) -> Self {
        Self {
            requested_at,
            lifetime: Duration::from_secs(seconds.min(limits::LEASE_SECONDS_MAX)),
            tokens: (tokens > 0).then_some(tokens),
        }
    }

    fn ends(&self) -> Moment {
        self.requested_at.plus(self.lifetime)
    }
}

/// Tokens were taken from a lease that was alive. Made only here.
#[must_use = "the tokens are gone"]
#[derive(Debug)]
pub struct Spent(());

/// The weights may no longer be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseEnded;

impl fmt::Display for LeaseEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the lease on the model has ended")
    }
}

impl std::error::Error for LeaseEnded {}

impl LeaseEnded {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "start the enclave again; if that is denied, ask the model's owner"
    }
}

/// Why a prompt was not taken on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotCovered {
    /// The lease has ended.
    Ended,
    /// The prompt is longer than what is left of the budget, which is not used up.
    Budget,
}

struct State {
    terms: Terms,
    left: Option<u64>,
    ended: bool,
}

/// The lease in force.
pub struct Lease {
    clock: Arc<Clock>,
    lifecycle: Lifecycle,
    state: Mutex<State>,
    /// Woken when half the token budget is used up, at the end, and at a renewal.
    changed: Notify,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("terms", &self.state().terms)
            .finish_non_exhaustive()
    }
}

impl Lease {
    /// A lease under `terms`; at its end `lifecycle` starts to drain.
    #[must_use]
    pub fn new(terms: Terms, clock: Arc<Clock>, lifecycle: Lifecycle) -> Self {
        Self {
            clock,
            lifecycle,
            state: Mutex::new(State {
                terms,
                left: terms.tokens,
                ended: false,
            }),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the tokens of a prompt from the lease. One that is longer than what is left takes nothing: whoever
    /// asks must not be able to end the lease of all.
    ///
    /// # Errors
    /// [`NotCovered`].
    pub fn admit(&self, tokens: u64) -> Result<Spent, NotCovered> {
        let left = self.state().left;
        if left.is_some_and(|left| 0 < left && left < tokens) {
            return Err(NotCovered::Budget);
        }
        // Only the model's thread spends, so what was left still is.
        self.spend(tokens).map_err(|LeaseEnded| NotCovered::Ended)
    }

    /// Takes `tokens` from the lease, before they are computed. 0 asks only whether it is alive.
    ///
    /// # Errors
    /// The lease has ended by time, or `tokens` is more than what is left of its budget: then it ends now.
    pub fn spend(&self, tokens: u64) -> Result<Spent, LeaseEnded> {
        let mut state = self.state();
        self.end_if_over(&mut state);
        if state.ended {
            return Err(LeaseEnded);
        }
        if let Some(left) = state.left {
            let Some(rest) = left.checked_sub(tokens) else {
                self.end(&mut state);
                return Err(LeaseEnded);
            };
            state.left = Some(rest);
            if Self::budget_is_low(&state) {
                self.changed.notify_one();
            }
        }
        Ok(Spent(()))
    }

    /// Whole seconds until the lease ends by time, rounded down; 0 once it ended.
    #[must_use]
    pub fn seconds_left(&self) -> u64 {
        let state = self.state();
        if state.ended {
            return 0;
        }
        state.terms.ends().since(self.clock.now()).as_secs()
    }

    /// Replaces the terms by those of a fresh release.
    ///
    /// # Errors
    /// The lease had already ended: the weights are being wiped, and no release brings them back.
    pub fn renew(&self, terms: Terms) -> Result<(), LeaseEnded> {
        let mut state = self.state();
        self.end_if_over(&mut state);
        if state.ended {
            return Err(LeaseEnded);
        }
        state.terms = terms;
        state.left = terms.tokens;
        // The new terms may themselves be over: the broker's answer can have been held back that long.
        self.end_if_over(&mut state);
        if state.ended { Err(LeaseEnded) } else { Ok(()) }
    }

    /// Waits until half of the lease, in time or in tokens, is used up. Returns at once when it is.
    ///
    /// # Errors
    /// The lease ended.
    pub async fn half(&self) -> Result<(), LeaseEnded> {
        loop {
            let wait = {
                let mut state = self.state();
                self.end_if_over(&mut state);
                if state.ended {
                    return Err(LeaseEnded);
                }
                let half = state.terms.requested_at.plus(state.terms.lifetime / 2);
                let wait = half.since(self.clock.now());
                if wait.is_zero() || Self::budget_is_low(&state) {
                    return Ok(());
                }
                wait
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    /// Waits `pause`, or until the lease ends.
    ///
    /// # Errors
    /// The lease ended.
    pub async fn pause(&self, pause: Duration) -> Result<(), LeaseEnded> {
        let left = {
            let mut state = self.state();
            self.end_if_over(&mut state);
            if state.ended {
                return Err(LeaseEnded);
            }
            state.terms.ends().since(self.clock.now())
        };
        tokio::time::sleep(pause.min(left)).await;
        self.spend(0).map(|_| ())
    }

    /// Waits until the lease ends, renewed or not.
    pub async fn ended(&self) -> LeaseEnded {
        loop {
            let left = {
                let mut state = self.state();
                self.end_if_over(&mut state);
                if state.ended {
                    return LeaseEnded;
                }
                state.terms.ends().since(self.clock.now())
            };
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                _ = self.lifecycle.draining() => return LeaseEnded,
            }
        }
    }

    fn budget_is_low(state: &State) -> bool {
        match (state.left, state.terms.tokens) {
            (Some(left), Some(all)) => left <= all / 2,
            _ => false,
        }
    }

    fn end_if_over(&self, state: &mut State) {
        if !state.ended && self.clock.now() >= state.terms.ends() {
            self.end(state);
        }
    }

    fn end(&self, state: &mut State) {
        state.ended = true;
        self.lifecycle.drain(Cause::LeaseEnded);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
