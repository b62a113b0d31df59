//! A verification told check by check: what was demanded, what was found, what held, what was never reached.
//!
//! Why apart: verifiers stop at the first check that fails and say only that; a person who was refused wants the
//! whole story, and must not get it from a second verifier that could tell another one.
//!
//! - [`listed`]: every check, what it demands, and where that is specified
//! - [`text`]: values as people read them
//!
//! # Invariants
//! The verdict is the verifier's own. A platform only lays down the order in which its verifier checks (a [`Plan`]),
//! and a check counts as passed only where the verifier certainly had passed it: it is done before the one that
//! failed. What is found is shown, never compared.

mod listed;
#[cfg(test)]
pub(crate) mod sound;
pub(crate) mod text;

pub use listed::{Family, Listed};

/// What became of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It holds.
    Passed,
    /// It is the one that failed.
    Failed,
    /// Another failed before it was reached.
    NotReached,
    /// There is nothing to check, and why.
    NotChecked(&'static str),
}

impl Outcome {
    /// Whether it holds; `None` when nobody has looked.
    #[must_use]
    pub const fn ok(self) -> Option<bool> {
        match self {
            Self::Passed => Some(true),
            Self::Failed => Some(false),
            Self::NotReached | Self::NotChecked(_) => None,
        }
    }
}

/// One check, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TracedCheck {
    /// The stable identifier.
    pub id: &'static str,
    /// Of what, where several have the same checks: a certificate's role, a list, a document.
    pub whose: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// What it demands.
    pub expected: &'static str,
    /// What is there: numbers, digests, dates and constants. Empty where there is nothing to show.
    pub found: String,
    /// What a person can do when it fails.
    pub hint: &'static str,
    /// Where it is specified.
    pub source: &'static str,
}

/// A verification told check by check.
#[derive(Debug)]
#[must_use]
pub struct Trace<T, E> {
    /// Every check, in the order in which the verifier makes them.
    pub checks: Vec<TracedCheck>,
    /// The verifier's verdict; `None` when something that it needs was not given.
    pub verdict: Option<Result<T, E>>,
}

/// A refusal as verifiers give it.
pub(crate) trait Refusal {
    /// The check's identifier.
    fn id(&self) -> &'static str;
    /// What to do.
    fn hint(&self) -> &'static str;
    /// Of what; empty where there is only one.
    fn whose(&self) -> &'static str {
        ""
    }
    /// Where in the input, for checks that are made at several places; 0 where that does not matter.
    fn place(&self) -> usize {
        0
    }
    /// What the refusal itself tells about what was found.
    fn found(&self) -> String;
}

/// The order in which a verifier checks: each step is the refusal it would be.
pub(crate) struct Plan<E>(Vec<Step<E>>);

struct Step<E> {
    refusal: E,
    skipped: Option<&'static str>,
}

impl<E: Refusal> Plan<E> {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// The next check. The same may come again where the verifier makes it in several places.
    pub(crate) fn then(&mut self, refusal: E) {
        self.0.push(Step {
            refusal,
            skipped: None,
        });
    }

    /// Several.
    pub(crate) fn all(&mut self, refusals: impl IntoIterator<Item = E>) {
        refusals.into_iter().for_each(|refusal| self.then(refusal));
    }

    /// Checks for which there is nothing, and why.
    pub(crate) fn none(&mut self, refusals: impl IntoIterator<Item = E>, why: &'static str) {
        self.0.extend(refusals.into_iter().map(|refusal| Step {
            refusal,
            skipped: Some(why),
        }));
    }

    /// All that was laid down so far is not checked, and why.
    pub(crate) fn nothing(mut self, why: &'static str) -> Self {
        for step in &mut self.0 {
            step.skipped.get_or_insert(why);
        }
        self
    }

    /// Rows for checks that were not reached: what comes before was refused.
    pub(crate) fn unreached(self) -> Vec<TracedCheck> {
        let mut rows = self.trace(None, |_| String::new());
        for row in &mut rows {
            if row.outcome == Outcome::Passed {
                row.outcome = Outcome::NotReached;
            }
        }
        rows
    }

    /// One row for each check and each of its owners, in order; `refused` is the verifier's answer.
    pub(crate) fn trace(self, refused: Option<&E>, found: impl Fn(&E) -> String) -> Vec<TracedCheck> {
        let failed = refused.map(|refusal| (refusal, self.position(refusal)));
        let mut rows: Vec<TracedCheck> = Vec::new();
        for (position, step) in self.0.iter().enumerate() {
            let (id, whose) = (step.refusal.id(), step.refusal.whose());
            let outcome = match (step.skipped, &failed) {
                (Some(why), _) => Outcome::NotChecked(why),
                (None, None) => Outcome::Passed,
                (None, Some((_, Some(at)))) if position < *at => Outcome::Passed,
                (None, Some((_, Some(at)))) if position == *at => Outcome::Failed,
                (None, Some(_)) => Outcome::NotReached,
            };
            match rows.iter_mut().find(|row| row.id == id && row.whose == whose) {
                Some(row) => row.outcome = together(row.outcome, outcome),
                None => rows.push(row(&step.refusal, outcome, found(&step.refusal))),
            }
        }
        if let Some((refusal, at)) = failed {
            let place = rows
                .iter()
                .position(|row| row.id == refusal.id() && row.whose == refusal.whose());
            match place
                .and_then(|place| rows.get_mut(place))
                .filter(|_| at.is_some())
            {
                Some(failed) => {
                    failed.hint = refusal.hint();
                    let told = refusal.found();
                    if failed.found.is_empty() {
                        failed.found = told;
                    } else if !told.is_empty() {
                        failed.found = format!("{}; {told}", failed.found);
                    }
                }
                None => rows.push(row(refusal, Outcome::Failed, refusal.found())),
            }
        }
        rows
    }

    /// The step at which `refused` came about: of several, the last that is not behind its place.
    fn position(&self, refused: &E) -> Option<usize> {
        let same = |step: &Step<E>| {
            step.skipped.is_none()
                && step.refusal.id() == refused.id()
                && step.refusal.whose() == refused.whose()
        };
        let mut steps = self.0.iter().enumerate().filter(|(_, step)| same(step));
        let (mut found, first) = steps.next()?;
        let mut reached = first.refusal.place();
        for (position, step) in steps {
            let place = step.refusal.place();
            if place <= refused.place() && place > reached {
                (found, reached) = (position, place);
            }
        }
        Some(found)
    }
}

/// A check that is made in several places: it failed where one did, and holds where all do.
const fn together(one: Outcome, other: Outcome) -> Outcome {
    match (one, other) {
        (Outcome::Failed, _) | (_, Outcome::Failed) => Outcome::Failed,
        (Outcome::NotReached, _) | (_, Outcome::NotReached) => Outcome::NotReached,
        (Outcome::Passed, _) | (_, Outcome::Passed) => Outcome::Passed,
        (Outcome::NotChecked(why), Outcome::NotChecked(_)) => Outcome::NotChecked(why),
    }
}

fn row<E: Refusal>(refusal: &E, outcome: Outcome, found: String) -> TracedCheck {
    let id = refusal.id();
    let listed = Listed::of(id);
    TracedCheck {
        id,
        whose: refusal.whose(),
        outcome,
        expected: listed.map_or("", |listed| listed.expected),
        found,
        hint: refusal.hint(),
        source: listed.map_or("", |listed| listed.source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Toy(&'static str, usize);

    impl Refusal for Toy {
        fn id(&self) -> &'static str {
            self.0
        }
        fn hint(&self) -> &'static str {
            "do"
        }
        fn place(&self) -> usize {
            self.1
        }
        fn found(&self) -> String {
            String::new()
        }
    }

    fn outcomes(refused: Option<&Toy>) -> Vec<(&'static str, Option<bool>)> {
        let mut plan = Plan::new();
        plan.all([Toy("a", 0), Toy("zero", 4), Toy("b", 8), Toy("zero", 12)]);
        plan.none([Toy("list", 0)], "none was given");
        plan.then(Toy("c", 20));
        let rows = plan.trace(refused, |_| String::new());
        rows.iter().map(|row| (row.id, row.outcome.ok())).collect()
    }

    #[test]
    fn a_check_passes_only_when_all_of_it_is_before_the_failure() {
        let all = Some(true);
        assert_eq!(
            outcomes(None),
            [("a", all), ("zero", all), ("b", all), ("list", None), ("c", all)]
        );
        // The zeros behind `b` were not looked at when `b` failed.
        assert_eq!(
            outcomes(Some(&Toy("b", 8))),
            [
                ("a", all),
                ("zero", None),
                ("b", Some(false)),
                ("list", None),
                ("c", None)
            ]
        );
        // The first zeros failed: `b` was never reached. The second did: it was.
        for (place, b) in [(5, None), (13, all)] {
            assert_eq!(
                outcomes(Some(&Toy("zero", place))),
                [
                    ("a", all),
                    ("zero", Some(false)),
                    ("b", b),
                    ("list", None),
                    ("c", None)
                ]
            );
        }
    }

    #[test]
    fn a_failure_that_nobody_laid_down_lets_nothing_pass() {
        let rows = outcomes(Some(&Toy("unheard-of", 0)));
        assert_eq!(rows.last(), Some(&("unheard-of", Some(false))));
        assert!(rows.iter().all(|(_, ok)| *ok != Some(true)));
    }
}
