//! Timestamps. They are arguments everywhere: nothing in this crate reads a clock.
//!
//! Why apart: whose clock it is decides what a comparison means, so callers say it.
//!
//! # Invariants
//! Whole seconds since 1970-01-01 UTC, at most 2^53 - 1 (the integers on which all JSON libraries agree).
//! Sums saturate; a difference exists only when it is not negative.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A point in time, in seconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The largest: what never expires.
    pub const MAX: Self = Self(crate::limits::INTEGER);

    /// From seconds since 1970-01-01 UTC; later than [`Self::MAX`] becomes that.
    #[must_use]
    pub const fn from_unix(seconds: u64) -> Self {
        if seconds > Self::MAX.0 {
            Self::MAX
        } else {
            Self(seconds)
        }
    }

    /// Seconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn unix(self) -> u64 {
        self.0
    }

    /// `seconds` later, at most [`Self::MAX`].
    #[must_use]
    pub const fn plus(self, seconds: u64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to this; `None` when `earlier` is in this one's future.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = u64::deserialize(deserializer)?;
        if seconds > Self::MAX.0 {
            return Err(D::Error::custom("a time beyond 2^53 - 1 seconds"));
        }
        Ok(Self(seconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_and_differences_are_never_negative() {
        let t = Timestamp::from_unix(100);
        assert_eq!(t.plus(5).unix(), 105);
        assert_eq!(t.plus(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::from_unix(u64::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.unix(), 9_007_199_254_740_991);
        assert_eq!(t.since(Timestamp::from_unix(97)), Some(3));
        assert_eq!(t.since(t), Some(0));
        assert_eq!(t.since(t.plus(1)), None);
        assert_eq!(t.to_string(), "100");
    }

    #[test]
    fn text_is_an_integer_below_two_to_the_53() {
        let parse = |text: &str| serde_json::from_str::<Timestamp>(text).ok();
        assert_eq!(parse("0"), Some(Timestamp::from_unix(0)));
        assert_eq!(parse("9007199254740991"), Some(Timestamp::MAX));
        for bad in ["9007199254740992", "-1", "1.0", "\"1\"", "null"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
