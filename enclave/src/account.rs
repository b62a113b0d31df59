//! What the holder of one API key may use, and has used.
//!
//! Why apart: rates are kept where a request is admitted, tokens are counted where they are made, and turns are taken by
//! account; all three are about the same thing.
//!
//! # Invariants
//! What one account is told depends on that account alone. Nothing here knows a key or a name: an account is its place in
//! the configuration. Tokens are charged when they are made, so that an answer that was let in is never cut for its
//! account; what it took is made up for before the next one.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Moment};
use crate::config::KeyQuota;
use crate::limits;

/// What is counted of one account.
#[derive(Debug, Default)]
pub struct Counts {
    pub(crate) requests: AtomicU64,
    pub(crate) tokens: AtomicU64,
    /// Answers of [`limits::LONG_ANSWER`] tokens and more: who copies a model asks for many.
    pub(crate) long_answers: AtomicU64,
}

/// One account.
pub struct Account {
    ordinal: usize,
    /// There are others.
    shares: bool,
    clock: Arc<Clock>,
    requests: Option<Rate>,
    tokens: Option<Rate>,
    concurrent: usize,
    running: AtomicUsize,
    counts: Arc<Counts>,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}

/// Why an account may have no answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exhausted {
    /// Its rate of requests or of tokens.
    Rate {
        /// Seconds until it may ask again, rounded up.
        retry_after: u64,
    },
    /// It has as many answers in the making as it may.
    Concurrency,
}

/// One answer in the making, of those that an account may have; given back when it is dropped.
#[derive(Debug)]
pub struct Place(Arc<Account>);

impl Place {
    /// Whose it is.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.0
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Account {
    /// The account of a key, the `ordinal`-th of the configuration.
    pub(crate) fn of_key(ordinal: usize, shares: bool, quota: KeyQuota, clock: Arc<Clock>) -> Arc<Self> {
        Self::new(
            ordinal,
            shares,
            clock,
            Some(u64::from(quota.requests_per_minute)),
            Some(quota.tokens_per_minute),
            quota.concurrent,
        )
    }

    /// The account of all callers without a key.
    pub(crate) fn of_all(requests_per_minute: u32, clock: Arc<Clock>) -> Arc<Self> {
        Self::new(
            0,
            false,
            clock,
            Some(u64::from(requests_per_minute)),
            None,
            usize::MAX,
        )
    }

    /// An account without limits, of whoever holds the engine itself.
    pub(crate) fn of_the_process(clock: Arc<Clock>) -> Arc<Self> {
        Self::new(0, false, clock, None, None, usize::MAX)
    }

    fn new(
        ordinal: usize,
        shares: bool,
        clock: Arc<Clock>,
        requests: Option<u64>,
        tokens: Option<u64>,
        concurrent: usize,
    ) -> Arc<Self> {
        let rate = |per_minute| Rate::full(per_minute, clock.now());
        Arc::new(Self {
            ordinal,
            shares,
            requests: requests.map(rate),
            tokens: tokens.map(rate),
            clock,
            concurrent,
            running: AtomicUsize::new(0),
            counts: Arc::default(),
        })
    }

    /// Its place in the configuration, from 0.
    pub(crate) fn ordinal(&self) -> usize {
        self.ordinal
    }

    /// Whether there are other accounts.
    pub(crate) fn shares(&self) -> bool {
        self.shares
    }

    /// What is counted of it.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// Takes one request. What is refused costs nothing.
    pub(crate) fn take(self: &Arc<Self>) -> Result<Place, Exhausted> {
        let now = self.clock.now();
        if let Some(tokens) = &self.tokens {
            tokens.check(now)?;
        }
        self.running
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |running| {
                (running < self.concurrent).then(|| running.saturating_add(1))
            })
            .map_err(|_| Exhausted::Concurrency)?;
        let place = Place(Arc::clone(self));
        if let Some(requests) = &self.requests {
            requests.take(now)?;
        }
        self.counts.requests.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    /// Charges tokens of a prompt or of an answer.
    pub(crate) fn charge(&self, tokens: u64) {
        self.counts.tokens.fetch_add(tokens, Ordering::Relaxed);
        if let Some(rate) = &self.tokens {
            rate.charge(tokens, self.clock.now());
        }
    }

    /// An answer grew from `before` to `now` tokens.
    pub(crate) fn grew(&self, before: usize, now: usize) {
        if before < limits::LONG_ANSWER && now >= limits::LONG_ANSWER {
            self.counts.long_answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// So many a minute, a minute's worth at once at most (the generic cell rate algorithm: ITU-T I.371, annex A).
struct Rate {
    cost: Duration,
    /// When all that was taken will have been paid for.
    paid: Mutex<Moment>,
}

const MINUTE: Duration = Duration::from_secs(60);

impl Rate {
    fn full(per_minute: u64, now: Moment) -> Self {
        let nanoseconds = u64::try_from(MINUTE.as_nanos()).unwrap_or(u64::MAX) / per_minute.max(1);
        Self {
            cost: Duration::from_nanos(nanoseconds),
            paid: Mutex::new(now),
        }
    }

    /// Whether anything may be taken.
    fn check(&self, now: Moment) -> Result<(), Exhausted> {
        let paid = *self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        Self::within(paid.since(now))
    }

    /// Takes one.
    fn take(&self, now: Moment) -> Result<(), Exhausted> {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let then = (*paid).max(now).plus(self.cost);
        Self::within(then.since(now))?;
        *paid = then;
        Ok(())
    }

    /// Takes so many, beyond what there is if need be.
    fn charge(&self, count: u64, now: Moment) {
        let nanoseconds = u64::try_from(self.cost.as_nanos()).unwrap_or(u64::MAX);
        let cost = Duration::from_nanos(nanoseconds.saturating_mul(count));
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = (*paid).max(now).plus(cost);
    }

    fn within(owed: Duration) -> Result<(), Exhausted> {
        match owed.checked_sub(MINUTE) {
            None | Some(Duration::ZERO) => Ok(()),
            Some(too_much) => Err(Exhausted::Rate {
                retry_after: too_much.as_secs().saturating_add(1),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(quota: KeyQuota) -> (Arc<Account>, Arc<Clock>) {
        let clock = Arc::new(Clock::for_tests());
        (Account::of_key(0, true, quota, Arc::clone(&clock)), clock)
    }

    const QUOTA: KeyQuota = KeyQuota {
        requests_per_minute: 1000,
        tokens_per_minute: 100,
        concurrent: 2,
    };

    #[test]
    fn so_many_answers_are_in_the_making_and_no_more() {
        let (account, _) = account(QUOTA);
        let (first, second) = (account.take().unwrap(), account.take().unwrap());
        assert_eq!(account.take().err(), Some(Exhausted::Concurrency));
        drop(first);
        let third = account.take().unwrap();
        assert_eq!(account.take().err(), Some(Exhausted::Concurrency));
        drop((second, third));
        assert_eq!(account.counts().requests.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn tokens_are_charged_as_they_are_made_and_made_up_for_afterwards() {
        let (account, clock) = account(QUOTA);
        account.charge(100);
        // A minute's worth is there at once.
        drop(account.take().unwrap());
        account.charge(200);
        let Err(Exhausted::Rate { retry_after }) = account.take() else {
            panic!("twice a minute's worth is owed");
        };
        assert!((119..=121).contains(&retry_after), "{retry_after}");
        clock.skip(Duration::from_secs(121));
        drop(account.take().unwrap());
        assert_eq!(account.counts().tokens.load(Ordering::Relaxed), 300);
    }

    #[test]
    fn a_refused_request_costs_nothing() {
        let (account, clock) = account(KeyQuota {
            requests_per_minute: 1,
            ..QUOTA
        });
        drop(account.take().unwrap());
        for _ in 0..5 {
            assert!(matches!(
                account.take().err(),
                Some(Exhausted::Rate { retry_after: 59..=61 })
            ));
        }
        clock.skip(Duration::from_secs(61));
        drop(account.take().unwrap());
    }

    #[test]
    fn an_answer_is_long_once() {
        let (account, _) = account(QUOTA);
        for (before, now) in [(0, 1), (511, 512), (512, 513), (0, 700)] {
            account.grew(before, now);
        }
        assert_eq!(account.counts().long_answers.load(Ordering::Relaxed), 2);
    }
}
