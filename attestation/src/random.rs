//! Numbers that look random and are the same every time, for tests that make their inputs.
//!
//! Why apart: comparisons with several other verifiers use it.
//!
//! # Invariants
//! Built for tests only. The stream of a seed never changes.

/// SplitMix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub(crate) fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// How many inputs a nightly run asks for: `ANCHORHOLD_MUTATIONS`, when it is enough to see every difference.
#[allow(clippy::disallowed_methods)] // a test may be asked for more
pub(crate) fn mutations_asked_for() -> Option<usize> {
    let asked: usize = std::env::var_os("ANCHORHOLD_MUTATIONS")?.to_str()?.parse().ok()?;
    (asked >= 100_000).then_some(asked)
}
