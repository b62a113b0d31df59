//! How many denials are written: anyone can cause one, and the log is never shortened.
//!
//! Why apart: it is the one place where something is not written.
//!
//! # Invariants
//! At most [`limits::DENIALS_LOGGED_PER_MINUTE`] in a minute; the others are counted, and the count goes
//! into the next one written.

use std::time::{Duration, Instant};

use crate::limits;

const WINDOW: Duration = Duration::from_secs(60);

/// Counts denials by monotonic time.
pub(super) struct Throttle {
    since: Instant,
    admitted: u32,
    suppressed: u64,
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            admitted: 0,
            suppressed: 0,
        }
    }

    /// `Some(count)` when this denial is to be written, with how many before it were not; else it is counted.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        if now.duration_since(self.since) >= WINDOW {
            self.since = now;
            self.admitted = 0;
        }
        if self.admitted == limits::DENIALS_LOGGED_PER_MINUTE {
            self.suppressed += 1;
            return None;
        }
        self.admitted += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_not_written() {
        let start = Instant::now();
        let mut throttle = Throttle::new(start);
        for _ in 0..limits::DENIALS_LOGGED_PER_MINUTE {
            assert_eq!(throttle.admit(start), Some(0));
        }
        for _ in 0..1000 {
            assert_eq!(throttle.admit(start), None);
        }
        assert_eq!(throttle.admit(start + WINDOW), Some(1000));
        assert_eq!(throttle.admit(start + WINDOW), Some(0));
    }
}
