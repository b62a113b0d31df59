//! Reference values: which code, on which platform, from which version of the platform on.
//!
//! Why apart: they come from a Reference Value Provider, the rest of a policy from its owner.
//!
//! # Invariants
//! The name is for display and decides nothing. There is always a minimum version.

use anchorhold_encoding::Digest;
use serde::{Deserialize, Serialize};

use crate::claims::{Claims, Platform};

mod registers;

pub use registers::RegisterValues;

/// One release of the enclave on one platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceValue {
    /// For display only.
    pub name: String,
    /// Where it runs.
    pub platform: Platform,
    /// Its launch measurement.
    pub measurement: Digest<48>,
    /// The oldest version of the platform's trusted computing base it is accepted on.
    pub minimum_tcb: u64,
}

impl ReferenceValue {
    /// True when the claims are of this code on this platform, whatever the platform's version.
    pub(crate) fn names(&self, claims: &Claims) -> bool {
        self.platform == claims.platform && self.measurement == claims.measurement
    }
}
