//! The measures against residue, each by its name.
//!
//! Why apart: a scanner that finds nothing proves something only if it finds something where a measure is missing.
//!
//! # Invariants
//! Without the feature `residue-switches` every measure is on, and that is a constant.

/// One measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// What is freed is wiped.
    Allocator,
    /// Stacks are scrubbed when threads rest.
    Stacks,
    /// Buffers of live connections are wiped when they wait for a request.
    Connections,
    /// What passes of the model work in is wiped when nobody is left in it.
    Passes,
    /// Pages of keys and values are wiped when a sequence ends.
    Pages,
    /// Tokenizers keep no words.
    Words,
}

impl Measure {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Allocator,
        Self::Stacks,
        Self::Connections,
        Self::Passes,
        Self::Pages,
        Self::Words,
    ];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allocator => "allocator",
            Self::Stacks => "stacks",
            Self::Connections => "connections",
            Self::Passes => "passes",
            Self::Pages => "pages",
            Self::Words => "words",
        }
    }
}

/// Whether a measure is taken.
#[cfg(not(feature = "residue-switches"))]
#[must_use]
#[inline(always)]
pub const fn is_on(_: Measure) -> bool {
    true
}

#[cfg(feature = "residue-switches")]
pub use switches::{is_on, switch_off};

#[cfg(feature = "residue-switches")]
mod switches {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Measure;

    static OFF: AtomicU32 = AtomicU32::new(0);

    /// Whether a measure is taken.
    #[must_use]
    pub fn is_on(measure: Measure) -> bool {
        OFF.load(Ordering::Relaxed) & 1 << measure as u32 == 0
    }

    /// Leaves out the measure of this name from now on. `None` when there is no such measure.
    #[must_use]
    pub fn switch_off(name: &str) -> Option<Measure> {
        let measure = Measure::ALL.into_iter().find(|measure| measure.name() == name)?;
        OFF.fetch_or(1 << measure as u32, Ordering::Relaxed);
        Some(measure)
    }
}
