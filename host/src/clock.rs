//! The one place where the host reads a wall clock.
//!
//! Why apart: verification, appraisal and leases take time as an argument; a test hands in a clock that is
//! an hour off and sees what happens.
//!
//! # Invariants
//! Nothing else in this crate calls `SystemTime::now`. Durations come from `Instant`, not from here.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anchorhold_attestation::Timestamp;

/// A source of calendar time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The machine's clock. A clock before 1970 reads as 1970, when every deadline is in the future but
    /// every nonce is judged from the same clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            Timestamp::from_unix(since.map_or(0, |elapsed| elapsed.as_secs()))
        })
    }

    /// Any source, for tests and for callers with a better clock.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Clock({})", self.now().unix())
    }
}
