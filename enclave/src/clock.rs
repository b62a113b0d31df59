//! Time without a wall clock: durations from the platform, the calendar from the broker.
//!
//! Why apart: the host owns every clock. Which source a decision leans on is decided here, once.
//!
//! # Invariants
//! Nothing here reads a wall clock. A [`Clock`] cannot be made without a [`HostTime`], which only the
//! configuration line `dangerously_host_time = true` gives. The calendar is a lower bound until the broker's
//! signed time arrives, and it says which of the two it is.

use std::sync::RwLock;
use std::time::{Duration, Instant};

use anchorhold_attestation::receipt::TimeSource;
use anchorhold_attestation::time::Timestamp;

/// 2026-11-21T00:00:00Z, moved forward by hand with each release: the code cannot run before it was written.
pub const BUILD_DATE: Timestamp = Timestamp::from_unix(1_795_219_200);

/// The configuration accepts that durations come from the host's clock, which the host can slow or stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostTime(());

impl HostTime {
    /// What `dangerously_host_time` in the configuration gives; `None` unless the line says `true`.
    pub(crate) fn from_configuration(dangerously_host_time: bool) -> Option<Self> {
        dangerously_host_time.then_some(Self(()))
    }
}

/// A point of monotonic time, as the distance from the start of its [`Clock`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(Duration);

impl Moment {
    /// The start of the clock.
    pub const START: Self = Self(Duration::ZERO);

    /// This long after `self`; the far end of time at overflow.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// From `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

#[derive(Debug, Clone, Copy)]
struct Anchor {
    time: Timestamp,
    at: Moment,
}

/// The enclave's time.
#[derive(Debug)]
pub struct Clock {
    start: Instant,
    /// Moved by tests only; always zero otherwise.
    #[cfg(test)]
    skipped: std::sync::Mutex<Duration>,
    anchor: RwLock<Option<Anchor>>,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[allow(clippy::disallowed_methods)] // HostTime is the configuration's consent
    pub fn new(_consent: HostTime) -> Self {
        Self {
            start: Instant::now(),
            #[cfg(test)]
            skipped: std::sync::Mutex::new(Duration::ZERO),
            anchor: RwLock::new(None),
        }
    }

    /// Monotonic time.
    #[must_use]
    pub fn now(&self) -> Moment {
        #[cfg(test)]
        let skipped = *self.skipped.lock().unwrap();
        #[cfg(not(test))]
        let skipped = Duration::ZERO;
        Moment(self.start.elapsed().saturating_add(skipped))
    }

    /// Whole milliseconds since the clock started.
    #[must_use]
    pub fn milliseconds(&self) -> u64 {
        u64::try_from(self.now().since(Moment::START).as_millis()).unwrap_or(u64::MAX)
    }

    /// Takes over the broker's signed time. `at` is when the request for it was *sent*: the calendar is then
    /// never behind the broker's, and what is dated expires no later than the broker meant.
    pub fn set_broker_time(&self, time: Timestamp, at: Moment) {
        let mut anchor = self
            .anchor
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *anchor = Some(Anchor { time, at });
    }

    /// The calendar, and whether it is the broker's or only a lower bound.
    #[must_use]
    pub fn calendar(&self) -> (Timestamp, TimeSource) {
        let anchor = *self
            .anchor
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        match anchor {
            Some(Anchor { time, at }) => {
                let elapsed = self.now().since(at).as_secs();
                let now = Timestamp::from_unix(time.unix().saturating_add(elapsed));
                (now, TimeSource::Broker)
            }
            None => (BUILD_DATE, TimeSource::BuildDate),
        }
    }

    /// A clock for unit tests of any module.
    #[cfg(test)]
    pub(crate) fn for_tests() -> Self {
        Self::new(HostTime(()))
    }

    /// Lets time pass.
    #[cfg(test)]
    pub(crate) fn skip(&self, duration: Duration) {
        *self.skipped.lock().unwrap() += duration;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_a_lower_bound_until_the_broker_speaks() {
        let clock = Clock::for_tests();
        assert_eq!(clock.calendar().0, BUILD_DATE);
        assert!(matches!(clock.calendar().1, TimeSource::BuildDate));
        clock.skip(Duration::from_secs(50));
        let sent = clock.now();
        clock.skip(Duration::from_secs(7));
        clock.set_broker_time(Timestamp::from_unix(2_000_000_000), sent);
        clock.skip(Duration::from_secs(3));
        let (now, source) = clock.calendar();
        assert!(matches!(source, TimeSource::Broker));
        assert!((2_000_000_010..2_000_000_013).contains(&now.unix()));
    }

    #[test]
    fn host_time_needs_its_line() {
        assert!(HostTime::from_configuration(false).is_none());
        assert!(HostTime::from_configuration(true).is_some());
    }

    #[test]
    fn moments_saturate() {
        let later = Moment::START.plus(Duration::MAX).plus(Duration::from_secs(1));
        assert_eq!(Moment::START.since(later), Duration::ZERO);
        assert_eq!(later.since(Moment::START), Duration::MAX);
    }
}
