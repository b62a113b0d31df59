//! Every bit, every byte and every end of evidence, spoilt one at a time.
//!
//! Why apart: the same question for every format, and one list of what is allowed to mean nothing.
//!
//! # Invariants
//! Built for tests only. What a [`Free`] names must be accepted, everything else refused: a bit that gets or loses its
//! meaning fails the test either way.

use std::ops::Range;

use crate::testdata::thorough;

/// Bytes without meaning, each with the reason.
pub(crate) struct Free {
    pub(crate) bytes: Range<usize>,
    /// Why nobody can be misled by them.
    pub(crate) why: &'static str,
}

/// How much is tried.
#[derive(Clone, Copy)]
pub(crate) enum Grain {
    /// All eight bits of each byte.
    Bits,
    /// One bit of each of these bytes, another each time; all eight of each byte in a thorough run.
    Every(usize),
}

/// Flips bits of `genuine`, which `accepts` must accept as it is.
pub(crate) fn bits(
    what: &str,
    genuine: &[u8],
    grain: Grain,
    free: &[Free],
    mut accepts: impl FnMut(&[u8]) -> bool,
) {
    assert!(accepts(genuine), "{what}: refused as it is");
    let (step, all) = match grain {
        Grain::Bits => (1, true),
        Grain::Every(_) if thorough() => (1, true),
        Grain::Every(step) => (step, false),
    };
    let mut spoilt = genuine.to_vec();
    for (number, at) in (0..genuine.len()).step_by(step).enumerate() {
        let reason = free
            .iter()
            .find(|free| free.bytes.contains(&at))
            .map(|free| free.why);
        for bit in (0..8).filter(|bit| all || *bit == number % 8) {
            spoilt[at] ^= 1 << bit;
            match (accepts(&spoilt), reason) {
                (true, None) => panic!("{what}: bit {at}.{bit} of {} means nothing", genuine.len()),
                (false, Some(why)) => panic!("{what}: bit {at}.{bit} means something, though {why}"),
                _ => {}
            }
            spoilt[at] ^= 1 << bit;
        }
    }
}

/// Cuts `genuine` at every length, and makes it one byte longer; `whole` are the lengths at which it is still whole.
pub(crate) fn ends(what: &str, genuine: &[u8], whole: &[usize], mut accepts: impl FnMut(&[u8]) -> bool) {
    for length in 0..genuine.len() {
        assert_eq!(
            accepts(&genuine[..length]),
            whole.contains(&length),
            "{what}: cut at {length}"
        );
    }
    let longer = [genuine, &[1]].concat();
    assert!(!accepts(&longer), "{what}: a byte more");
}
