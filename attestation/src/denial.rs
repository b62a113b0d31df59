//! Rules, and what came of them: a denial is data, with every reason.
//!
//! Why apart: a person who is refused wants all reasons at once, and an owner's log wants them typed.
//!
//! # Invariants
//! A [`Denial`] has at least one reason, in policy order. Reasons hold digests, numbers, constants and short printable
//! texts that a vendor signed: nothing an attacker wrote.

use std::fmt;

mod rule;

pub use rule::RuleId;

/// Why one rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which.
    pub rule: RuleId,
    /// What would have satisfied it.
    pub expected: String,
    /// What was there.
    pub found: String,
    /// What a person can do.
    pub hint: &'static str,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: expected {}, found {}",
            self.rule, self.expected, self.found
        )
    }
}

/// How a rule came to be satisfied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Holds,
    /// It does not, and the policy says `dangerously` that this is accepted.
    DangerouslyAccepted,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holds => "holds",
            Self::DangerouslyAccepted => "dangerously accepted",
        })
    }
}

/// A rule that was satisfied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Which.
    pub rule: RuleId,
    /// How.
    pub verdict: Verdict,
    /// What was there.
    pub found: String,
}

/// Refused, with every reason in policy order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial(Vec<Reason>);

impl Denial {
    /// All reasons; at least one.
    #[must_use]
    pub fn reasons(&self) -> &[Reason] {
        &self.0
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("denied")?;
        for reason in &self.0 {
            write!(f, "\n  {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Denial {}

/// Gathers rules in order, so that none is skipped because another failed.
pub(crate) struct Rules {
    checks: Vec<Check>,
    reasons: Vec<Reason>,
}

impl Rules {
    pub(crate) const fn new() -> Self {
        Self {
            checks: Vec::new(),
            reasons: Vec::new(),
        }
    }

    /// A rule that must hold.
    pub(crate) fn demand(
        &mut self,
        rule: RuleId,
        holds: bool,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        self.demand_unless(rule, holds, false, expected, found);
    }

    /// A rule that must hold, unless the policy `dangerously` accepts that it does not.
    pub(crate) fn demand_unless(
        &mut self,
        rule: RuleId,
        holds: bool,
        accepted: bool,
        expected: impl fmt::Display,
        found: impl fmt::Display,
    ) {
        let verdict = match (holds, accepted) {
            (true, _) => Verdict::Holds,
            (false, true) => Verdict::DangerouslyAccepted,
            (false, false) => {
                self.reasons.push(Reason {
                    rule,
                    expected: expected.to_string(),
                    found: found.to_string(),
                    hint: rule.hint(),
                });
                return;
            }
        };
        self.checks.push(Check {
            rule,
            verdict,
            found: found.to_string(),
        });
    }

    /// What was satisfied, and what was not.
    pub(crate) fn into_parts(self) -> (Vec<Check>, Vec<Reason>) {
        (self.checks, self.reasons)
    }

    /// What was satisfied, if that is everything.
    pub(crate) fn finish(self) -> Result<Vec<Check>, Denial> {
        if self.reasons.is_empty() {
            Ok(self.checks)
        } else {
            Err(Denial(self.reasons))
        }
    }
}

#[cfg(test)]
mod tests;
