//! When to ask a service again: exponential pauses with full jitter.
//!
//! Why apart: a thousand machines that lost the same service must not come back at the same second, and a test must
//! not wait.
//!
//! # Invariants
//! Every pause is bounded, and so is their number. A service that names a pause is not asked before it is over; one
//! that names a longer pause than [`limits::RETRY_AFTER`] is not asked again at all.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::rand;

use super::error::FetchError;
use crate::limits;

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A source of chance, and a way to wait. Cheap to clone.
#[derive(Clone)]
pub struct Pacing {
    chance: Arc<dyn Fn() -> u64 + Send + Sync>,
    sleep: Arc<dyn Fn(Duration) -> Sleep + Send + Sync>,
}

impl Pacing {
    /// The system's generator and real waiting.
    #[must_use]
    pub fn system() -> Self {
        let chance = || {
            let mut bytes = [0; 8];
            // Without chance the longest pause is taken: polite, if not spread.
            rand::fill(&mut bytes).map_or(u64::MAX, |()| u64::from_le_bytes(bytes))
        };
        Self::new(chance, |pause| Box::pin(tokio::time::sleep(pause)))
    }

    /// Given ones. `chance` is uniform over all of `u64`.
    pub fn new(
        chance: impl Fn() -> u64 + Send + Sync + 'static,
        sleep: impl Fn(Duration) -> Sleep + Send + Sync + 'static,
    ) -> Self {
        Self {
            chance: Arc::new(chance),
            sleep: Arc::new(sleep),
        }
    }

    /// A pause between zero and `most`, each as likely.
    fn jitter(&self, most: Duration) -> Duration {
        let milliseconds = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        let range = u128::from(milliseconds) + 1;
        let drawn = (u128::from((self.chance)()) * range) >> 64;
        Duration::from_millis(u64::try_from(drawn).unwrap_or(milliseconds))
    }

    /// The pause after the failed attempt number `attempt` (0 is the first); `None` when it was the last.
    #[must_use]
    pub fn pause(&self, attempt: u32, error: &FetchError) -> Option<Duration> {
        if !error.is_transient() || attempt + 1 >= limits::FETCH_ATTEMPTS {
            return None;
        }
        let longest = limits::FETCH_PAUSE
            .saturating_mul(1 << attempt.min(16))
            .min(limits::FETCH_PAUSE_MOST);
        match error.retry_after() {
            Some(asked) if asked > limits::RETRY_AFTER => None,
            // On top of what was asked for: everybody was told the same.
            Some(asked) => Some(asked + self.jitter(longest)),
            None => Some(self.jitter(longest)),
        }
    }

    /// Waits.
    pub async fn sleep(&self, pause: Duration) {
        (self.sleep)(pause).await;
    }
}

impl fmt::Debug for Pacing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pacing").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(chance: u64) -> Pacing {
        Pacing::new(move || chance, |_| Box::pin(std::future::ready(())))
    }

    #[test]
    fn pauses_double_and_chance_takes_any_part_of_them() {
        let down = FetchError::TimedOut;
        let pauses = |chance| {
            (0..limits::FETCH_ATTEMPTS)
                .map_while(|attempt| with(chance).pause(attempt, &down))
                .map(|pause| pause.as_millis())
                .collect::<Vec<_>>()
        };
        assert_eq!(pauses(u64::MAX), [500, 1000, 2000]);
        assert_eq!(pauses(u64::MAX / 2), [250, 500, 1000]);
        assert_eq!(pauses(0), [0, 0, 0]);
    }

    #[test]
    fn what_the_service_asks_for_is_kept_to_within_bounds() {
        let asked = |seconds| FetchError::TooMany {
            retry_after: Some(Duration::from_secs(seconds)),
        };
        assert_eq!(with(0).pause(0, &asked(7)), Some(Duration::from_secs(7)));
        assert_eq!(
            with(u64::MAX).pause(0, &asked(7)),
            Some(Duration::from_millis(7500))
        );
        assert_eq!(with(0).pause(0, &asked(61)), None);
    }

    #[test]
    fn what_will_not_change_is_not_asked_again() {
        for error in [
            FetchError::NotFound,
            FetchError::Tls,
            FetchError::NotAsked,
            FetchError::Refused(302),
        ] {
            assert_eq!(with(0).pause(0, &error), None);
        }
    }
}
