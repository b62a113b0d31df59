//! Profiles: defaults for the sections of a policy that a cloud's machines need.
//!
//! Why apart: what a cloud cannot give is known once, with its reason, and not found out by each author of a policy.
//!
//! # Invariants
//! A profile fills in keys that a section of the policy leaves unset, and nothing else: it adds no section, and the
//! policy's own keys win. Every setting of a profile has its reason in the line above it.

use serde::Deserialize;
use toml::{Table, Value};

/// Whose machines a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Nobody's: unset is strictest.
    #[default]
    Strict,
    /// Azure confidential VMs.
    Azure,
    /// Google Confidential VMs.
    Google,
    /// Amazon EC2 instances with SEV-SNP.
    Aws,
}

/// The tables of a policy that a profile may complete.
const SECTIONS: [&str; 4] = ["snp", "tdx", "azure", "nvidia"];

impl Profile {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Strict, Self::Azure, Self::Google, Self::Aws];

    /// Its name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Azure => "azure",
            Self::Google => "google",
            Self::Aws => "aws",
        }
    }

    /// The defaults it gives, as TOML with a reason for each: for a person to read.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Strict => include_str!("presets/strict.toml"),
            Self::Azure => include_str!("presets/azure.toml"),
            Self::Google => include_str!("presets/google.toml"),
            Self::Aws => include_str!("presets/aws.toml"),
        }
    }

    /// The defaults, by section.
    fn defaults(self) -> Table {
        toml::from_str(self.text()).expect("a test reads each of them")
    }

    /// Completes the sections that `policy` has.
    pub(crate) fn complete(self, policy: &mut Table) {
        let defaults = self.defaults();
        for section in SECTIONS {
            if let (Some(Value::Table(own)), Some(Value::Table(given))) =
                (policy.get_mut(section), defaults.get(section))
            {
                fill(own, given);
            }
        }
    }
}

/// Adds what is not there. Lists are not joined: a list of the policy's is the whole list.
fn fill(own: &mut Table, given: &Table) {
    for (key, value) in given {
        match (own.get_mut(key), value) {
            (Some(Value::Table(own)), Value::Table(given)) => fill(own, given),
            (Some(_), _) => {}
            (None, _) => {
                own.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests;
