//! Two sides measured in turns, and what may be said of them.
//!
//! Why apart: neighbours on a machine take memory bandwidth for seconds at a time, so that only the ratio within a round
//! means anything.
//!
//! # Invariants
//! A ratio is of two figures of one round.

use crate::figures::median;

/// One work's figures, a pair a round.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Pairs(Vec<(Option<f64>, Option<f64>)>);

/// A median and the least and largest of the rounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Pairs {
    /// A round: what we made, and what they made.
    pub(crate) fn push(&mut self, ours: Option<f64>, theirs: Option<f64>) {
        self.0.push((ours, theirs));
    }

    pub(crate) fn ours(&self) -> Option<Spread> {
        Spread::of(self.0.iter().filter_map(|(ours, _)| *ours))
    }

    pub(crate) fn theirs(&self) -> Option<Spread> {
        Spread::of(self.0.iter().filter_map(|(_, theirs)| *theirs))
    }

    /// Ours to theirs.
    pub(crate) fn ratio(&self) -> Option<Spread> {
        let ratio = |(ours, theirs): &(Option<f64>, Option<f64>)| Some((*ours)? / (*theirs)?);
        Spread::of(self.0.iter().filter_map(ratio))
    }
}

impl Spread {
    /// `None` of nothing.
    pub(crate) fn of(values: impl Iterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values.collect();
        (!values.is_empty()).then(|| Self {
            median: median(&values),
            low: values.iter().copied().fold(f64::INFINITY, f64::min),
            high: values.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{around_median, percentile};

    #[test]
    fn ratios_are_of_one_round() {
        let mut pairs = Pairs::default();
        // A machine that is twice as fast in the second round changes no ratio.
        pairs.push(Some(30.0), Some(20.0));
        pairs.push(Some(60.0), Some(40.0));
        pairs.push(Some(40.0), Some(20.0));
        pairs.push(Some(50.0), None);
        let ratio = pairs.ratio().unwrap();
        assert_eq!((ratio.low, ratio.median, ratio.high), (1.5, 1.5, 2.0));
        assert_eq!(pairs.ours().unwrap().median, 45.0);
        assert_eq!(pairs.theirs().unwrap().median, 20.0);
    }

    #[test]
    fn one_side_alone_has_no_ratio() {
        let mut pairs = Pairs::default();
        pairs.push(Some(1.0), None);
        assert_eq!(pairs.ratio(), None);
        assert_eq!(pairs.theirs(), None);
        assert_eq!(Pairs::default().ours(), None);
    }

    #[test]
    fn medians_and_ranks() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert!(median(&[]).is_nan());
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 50), 2.0);
        assert_eq!(percentile(&[1.0, 2.0, 3.0, 4.0], 99), 4.0);
        assert_eq!(around_median(&[5.0, 1.0, 3.0]), (1.0, 5.0));
    }
}
