//! What an observer of the network sees of an answer: records of one length, at the beats of a clock, as many as a
//! class has.
//!
//! Why apart: everything that must not depend on what is said is a number or a function here, and the page
//! [docs/traffic.md](../../docs/traffic.md) can be compared with one file.
//!
//! # Invariants
//! A class is chosen by what has to be hidden rounded up, never down. Beats are counted from one moment, the end of the
//! request, so that a late one does not shift the others.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::limits;

/// The shape of traffic, as the configuration has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// From one beat to the next.
    pub tick: Duration,
    /// Bytes of plaintext in each TLS record, padding included: a power of two.
    pub frame: usize,
    /// The fewest beats of a stream.
    pub least_ticks: u64,
}

impl Shape {
    /// Bytes of a stream's body in one frame: what is left when HTTP has framed them as a chunk (RFC 9112, section 7.1).
    #[must_use]
    pub fn room(self) -> usize {
        self.frame.saturating_sub(limits::CHUNK_FRAMING)
    }

    /// Beats within `time`, at least one.
    #[must_use]
    pub fn ticks_in(self, time: Duration) -> u64 {
        let ticks = time.as_nanos() / self.tick.as_nanos().max(1);
        u64::try_from(ticks).unwrap_or(u64::MAX).max(1)
    }

    /// The beats of a stream that needs `needed` and may take `most`.
    #[must_use]
    pub fn stream_class(self, needed: u64, most: u64) -> u64 {
        class(needed.max(self.least_ticks)).min(most.max(needed))
    }
}

/// The least of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... that is not below `number`: powers of two and one and a half times each.
#[must_use]
pub fn class(number: u64) -> u64 {
    let number = number.max(1);
    let power = number.checked_next_power_of_two().unwrap_or(u64::MAX);
    let between = power / 4 * 3;
    if number <= between { between } else { power }
}

/// The bytes of a whole body that has `needed` of its own.
#[must_use]
pub fn body_class(needed: usize) -> usize {
    let needed = u64::try_from(needed.max(limits::LEAST_BODY)).unwrap_or(u64::MAX);
    usize::try_from(class(needed)).unwrap_or(usize::MAX)
}

/// The beats of one request's clock.
#[derive(Debug, Clone, Copy)]
pub struct Ticks {
    shape: Shape,
    start: Instant,
}

impl Ticks {
    /// Starts now: the request is read to its end.
    #[allow(clippy::disallowed_methods)] // a timer, not a decision: it only delays what is sent
    #[must_use]
    pub fn start(shape: Shape) -> Self {
        Self {
            shape,
            start: Instant::now(),
        }
    }

    /// The shape that they beat for.
    #[must_use]
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// The number of the next beat, the first being 1.
    #[must_use]
    pub fn next(&self) -> u64 {
        let passed = self.start.elapsed().as_nanos() / self.shape.tick.as_nanos().max(1);
        u64::try_from(passed).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Waits for beat `number`.
    pub async fn reach(&self, number: u64) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        sleep_until(self.start + self.shape.tick.saturating_mul(number)).await;
    }

    /// Waits for the next beat whose number is a class, or for the last within `most`.
    pub async fn reach_class(&self, most: Duration) {
        let next = self.next();
        self.reach(class(next).min(self.shape.ticks_in(most).max(next)))
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        tick: Duration::from_millis(50),
        frame: 1024,
        least_ticks: 8,
    };

    #[test]
    fn classes_never_cut_and_cost_at_most_half() {
        let mut classes = Vec::new();
        for number in 1..5000 {
            let class = class(number);
            assert!(
                class >= number && 2 * class < 3 * number.max(2),
                "{number}: {class}"
            );
            if classes.last() != Some(&class) {
                classes.push(class);
            }
        }
        assert_eq!(classes[..10], [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]);
        assert_eq!(class(0), 1);
        assert_eq!(body_class(0), limits::LEAST_BODY);
        assert_eq!(body_class(limits::LEAST_BODY + 1), limits::LEAST_BODY / 2 * 3);
    }

    #[test]
    fn a_stream_has_a_class_unless_its_time_is_shorter() {
        assert_eq!(SHAPE.stream_class(1, 6000), 8);
        assert_eq!(SHAPE.stream_class(9, 6000), 12);
        assert_eq!(SHAPE.stream_class(5000, 6000), 6000);
        // What was sent was sent.
        assert_eq!(SHAPE.stream_class(5000, 4000), 5000);
        assert_eq!(SHAPE.ticks_in(Duration::from_secs(300)), 6000);
    }

    #[tokio::test(start_paused = true)]
    async fn beats_are_counted_from_the_start() {
        let ticks = Ticks::start(SHAPE);
        let passed = || ticks.start.elapsed().as_millis();
        assert_eq!(ticks.next(), 1);
        ticks.reach(1).await;
        assert_eq!(passed(), 50);
        tokio::time::sleep(Duration::from_millis(70)).await;
        assert_eq!(ticks.next(), 3);
        ticks.reach_class(Duration::from_secs(9)).await;
        assert_eq!(passed(), 150);
        tokio::time::sleep(Duration::from_millis(70)).await;
        // The fifth is none; the sixth is.
        ticks.reach_class(Duration::from_secs(9)).await;
        assert_eq!(passed(), 300);
        ticks.reach_class(Duration::from_millis(350)).await;
        assert_eq!(passed(), 350);
    }
}
