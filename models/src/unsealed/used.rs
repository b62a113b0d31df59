//! Which parts of a file are used up.
//!
//! Why apart: parts are taken in any order, and large pages go back to the system only as wholes.
//!
//! # Invariants
//! Parts do not touch each other: those that do are one.

use std::collections::BTreeMap;
use std::ops::Range;

/// Ends of parts by their begins.
#[derive(Default)]
pub(super) struct Used(BTreeMap<usize, usize>);

impl Used {
    /// Adds a part. Returns the whole that it is now in.
    #[cfg(any(test, feature = "inference"))]
    pub(super) fn add(&mut self, part: Range<usize>) -> Range<usize> {
        let Range { mut start, mut end } = part;
        // Parts do not overlap, so that those that touch are found from behind.
        while let Some((begin, stop)) = self
            .0
            .range(..=end)
            .next_back()
            .map(|(begin, stop)| (*begin, *stop))
            && stop >= start
        {
            self.0.remove(&begin);
            start = start.min(begin);
            end = end.max(stop);
        }
        if start < end {
            self.0.insert(start, end);
        }
        start..end
    }

    /// What of the first `length` bytes is not used up.
    pub(super) fn rest(&self, length: usize) -> Vec<Range<usize>> {
        let ends = self.0.values().copied();
        let begins = self.0.keys().copied();
        std::iter::once(0)
            .chain(ends)
            .zip(begins.chain(std::iter::once(length)))
            .map(|(from, to)| from..to.min(length))
            .filter(|rest| rest.start < rest.end)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_that_touch_become_one() {
        let mut used = Used::default();
        assert_eq!(used.rest(10).first(), Some(&(0..10)));
        assert_eq!(used.add(2..4), 2..4);
        assert_eq!(used.add(6..8), 6..8);
        assert_eq!(used.rest(10), [0..2, 4..6, 8..10]);
        assert_eq!(used.rest(7), [0..2, 4..6]);
        assert_eq!(used.add(4..6), 2..8);
        assert_eq!(used.add(0..2), 0..8);
        assert_eq!(used.add(8..10), 0..10);
        assert!(used.rest(10).is_empty());
    }

    proptest! {
        #[test]
        fn what_is_used_and_what_is_left_are_all(parts in prop::collection::vec((0usize..64, 0usize..16), 0..12)) {
            let mut used = Used::default();
            let mut bytes = [false; 80];
            for (start, length) in parts {
                let whole = used.add(start..start + length);
                prop_assert!(whole.start <= start && whole.end >= start + length);
                bytes[start..start + length].fill(true);
            }
            let mut left = [true; 80];
            used.rest(80).into_iter().for_each(|rest| left[rest].fill(false));
            prop_assert_eq!(bytes, left);
        }
    }
}
