//! Whether a trace claims too much: for tests of every platform.
//!
//! Why apart: the order of a plan is written by hand, and a verifier may be changed without it. Two faults at once
//! tell: if the verifier names one of two, it had not passed the other before.
//!
//! # Invariants
//! Built for tests only.

use super::{Outcome, TracedCheck};
use crate::testdata::thorough;

/// The row that failed.
pub(crate) fn failed(checks: &[TracedCheck]) -> Option<&TracedCheck> {
    let mut failed = checks.iter().filter(|row| row.outcome == Outcome::Failed);
    let one = failed.next();
    assert!(failed.next().is_none(), "one check fails at most");
    one
}

/// The shape that every trace has: rows are listed, a failure is the verifier's, and without one all that can be
/// checked passed.
pub(crate) fn well_formed(checks: &[TracedCheck], refused: Option<&'static str>) {
    for row in checks {
        assert!(
            !row.expected.is_empty() && !row.source.is_empty(),
            "{} is listed",
            row.id
        );
        assert!(!row.hint.is_empty(), "{} has a hint", row.id);
    }
    assert_eq!(failed(checks).map(|row| row.id), refused);
    if refused.is_none() {
        assert!(checks.iter().all(|row| row.outcome != Outcome::NotReached));
    }
    // Where the plan does not know a refusal, nothing passes: that must not happen.
    assert!(
        refused.is_none()
            || checks.last().map(|row| row.id) != refused
            || checks[0].outcome == Outcome::Passed,
        "{refused:?} is not in the plan"
    );
}

/// Several inputs with one fault each, and what tells of two at once.
pub(crate) fn pairs<F>(
    faults: &[F],
    one: impl Fn(&F) -> Vec<TracedCheck>,
    both: impl Fn(&F, &F) -> Vec<TracedCheck>,
) -> usize {
    let traces: Vec<Vec<TracedCheck>> = faults.iter().map(one).collect();
    let mut compared = 0;
    let numbered = || faults.iter().zip(&traces).enumerate();
    for (row, (first, trace)) in numbered() {
        for (column, (second, other)) in numbered() {
            // A third of them, as different as all, where time is short.
            if !thorough() && (row + column) % 3 != 0 {
                continue;
            }
            let (Some(named), Some(alone)) = (failed(trace), failed(other)) else {
                continue;
            };
            let together = both(first, second);
            let Some(found) = failed(&together) else { continue };
            if (found.id, found.whose) != (named.id, named.whose) || found.found != named.found {
                continue;
            }
            // `first` was named although `second` was there: it had not been passed.
            let row = trace
                .iter()
                .find(|row| (row.id, row.whose) == (alone.id, alone.whose));
            assert!(
                row.is_none_or(|row| row.outcome != Outcome::Passed),
                "{} {} failed, and {} {} is said to have passed before",
                named.id,
                named.whose,
                alone.id,
                alone.whose
            );
            compared += 1;
        }
    }
    compared
}
