//! Rules, and what came of them: a denial is data, with every reason.
//!
//! Why apart: a person who is refused wants all reasons at once, and an owner's log wants them typed.
//!
//! # Invariants
//! A [`Denial`] has at least one reason, in policy order. Reasons hold digests, numbers and constants only:
//! nothing an attacker wrote.

use std::fmt;

/// A rule of an appraisal or of a grant, in policy order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RuleId {
    /// The nonce is in the tree that the evidence covers.
    InclusionProof,
    /// The signed report data is what this binding expects.
    ReportData,
    /// The nonce was drawn not long ago, by the Relying Party's own clock.
    NonceAge,
    /// The identity document names the platform whose evidence it is.
    Platform,
    /// The evidence is of hardware.
    Simulated,
    /// The host cannot read the machine's memory.
    Debug,
    /// The code is one that the policy lists for the platform.
    Measurement,
    /// The trusted computing base is new enough for that code.
    Tcb,
    /// The chip is one the policy names.
    Chip,
    /// Some configuration was fixed at launch.
    ConfigFixed,
    /// The identity document names the configuration that was fixed.
    ConfigIdentity,
    /// The init-data that was sent is the configuration that was fixed.
    InitData,
    /// The configuration is one that the policy lists.
    ConfigAllowed,
    /// The model is one that the policy lists.
    Manifest,
    /// Every weakened setting is accepted by the policy.
    Weakened,
    /// The identity document names the devices that gave evidence.
    Devices,
    /// The identity document has not expired.
    NotAfter,
    /// No endorsement that was used has expired.
    Endorsements,
    /// The key's class is that of the evidence.
    KeyClass,
    /// The key opens the model of the identity document.
    KeyManifest,
    /// The appraisal has not expired.
    StillValid,
}

impl RuleId {
    /// Its name, stable, for logs and scripts.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InclusionProof => "inclusion-proof",
            Self::ReportData => "report-data",
            Self::NonceAge => "nonce-age",
            Self::Platform => "platform",
            Self::Simulated => "simulated",
            Self::Debug => "debug",
            Self::Measurement => "measurement",
            Self::Tcb => "tcb",
            Self::Chip => "chip",
            Self::ConfigFixed => "config-fixed",
            Self::ConfigIdentity => "config-identity",
            Self::InitData => "init-data",
            Self::ConfigAllowed => "config",
            Self::Manifest => "manifest",
            Self::Weakened => "weakened",
            Self::Devices => "devices",
            Self::NotAfter => "not-after",
            Self::Endorsements => "endorsements",
            Self::KeyClass => "key-class",
            Self::KeyManifest => "key-manifest",
            Self::StillValid => "still-valid",
        }
    }

    /// What a person can do when it does not hold.
    #[must_use]
    pub const fn hint(self) -> &'static str {
        match self {
            Self::InclusionProof => {
                "the answer is not for this nonce: it may be replayed or mixed up; ask again"
            }
            Self::ReportData => {
                "the evidence is for another nonce, identity, key or device: replayed, relayed or altered"
            }
            Self::NonceAge => "ask again; if it persists, check this machine's clock and the network's delay",
            Self::Platform => "the enclave contradicts its own evidence; do not use it",
            Self::Simulated => {
                "nothing is protected here; for a test only, set dangerously_accept_simulated = true"
            }
            Self::Debug => "the host can read this machine's memory; launch it without debug",
            Self::Measurement => {
                "this is other code; if it is a release you checked, add its reference value"
            }
            Self::Tcb => "the host's firmware is too old; ask its operator to update it",
            Self::Chip => "this chip is not named by chips or any_chip_of in the policy",
            Self::ConfigFixed => "launch it with the configuration's digest in HOST_DATA",
            Self::ConfigIdentity => {
                "the enclave runs under another configuration than it says; do not use it"
            }
            Self::InitData => "the init-data that was sent is not the configuration of the launch",
            Self::ConfigAllowed => {
                "compare the configuration with the one you approved; if it is right, add its digest"
            }
            Self::Manifest => {
                "this is another model; if it is the right one, add its digest to manifest_sha256"
            }
            Self::Weakened => "remove the setting, or list it in dangerously_accept_weakened",
            Self::Devices => "the enclave names other devices than gave evidence",
            Self::NotAfter => "restart the enclave, or check this machine's clock",
            Self::Endorsements => "fetch the vendor's endorsements anew",
            Self::KeyClass => "real keys go to real evidence only, insecure keys to insecure evidence only",
            Self::KeyManifest => "this key is for other models; register it for this manifest",
            Self::StillValid => "attest again",
        }
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

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
