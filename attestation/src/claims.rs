//! What verified evidence says, in one vocabulary for all platforms.
//!
//! Why apart: a policy is written against these fields, never against a vendor's report.
//!
//! # Invariants
//! Nothing here is a judgement: a debug machine's claims are as true as another's.

use std::fmt;

use anchorhold_encoding::Digest;
use serde::{Deserialize, Serialize};

use crate::binding::ReportData;
use crate::time::Timestamp;

/// A kind of confidential machine, by its evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Platform {
    /// No hardware: signed with a published key, worth nothing but a test.
    InsecureSimulated,
}

impl Platform {
    /// Its name in documents and policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsecureSimulated => "insecure-simulated",
        }
    }

    /// Its `tee` in RCAR (kbs-types 0.18, `Tee`).
    #[must_use]
    pub const fn rcar_tee(self) -> &'static str {
        match self {
            Self::InsecureSimulated => "sample",
        }
    }

    /// The best class that its evidence can appraise to.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::InsecureSimulated => Class::Insecure,
        }
    }

    /// What its measurement rests on.
    #[must_use]
    pub const fn trust_class(self) -> TrustClass {
        match self {
            Self::InsecureSimulated => TrustClass::Simulated,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Two worlds that never mix: keys, models and brokers are of one, fixed when made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Simulated evidence, or any under anchors that are not the compiled ones.
    Insecure,
    /// Evidence of hardware under its vendor's anchors.
    Real,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Insecure => "insecure",
            Self::Real => "real",
        })
    }
}

/// What a measurement rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrustClass {
    /// On nothing: anyone can sign it.
    Simulated,
}

impl fmt::Display for TrustClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Simulated => "simulated",
        })
    }
}

/// A line of chips, as a policy names it in `any_chip_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Product {
    /// No chip at all.
    InsecureSimulated,
}

impl Product {
    /// Its name in policies.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InsecureSimulated => "insecure-simulated",
        }
    }
}

/// What verified evidence says.
#[derive(Debug)]
pub struct Claims {
    /// Whose evidence it is.
    pub platform: Platform,
    /// The class its trust anchors give.
    pub class: Class,
    /// The line of chips, from the certificate where there is one.
    pub product: Product,
    /// The chip, as its maker numbers it.
    pub chip_id: Digest<32>,
    /// Launch measurement: the code.
    pub measurement: Digest<48>,
    /// The configuration's digest as fixed at launch; zero when nobody fixed one.
    pub config_digest: Digest<32>,
    /// The 64 bytes the Attester had signed.
    pub report_data: ReportData,
    /// True when the host may read the machine's memory.
    pub debug: bool,
    /// Version of the trusted computing base, larger is newer.
    pub tcb: u64,
    /// SHA-384 of the leaf certificates of the verified devices, ascending.
    pub devices: Vec<Digest<48>>,
    /// SHA-512 of the evidence these claims are from.
    pub evidence_digest: Digest<64>,
    /// The earliest expiry among the endorsements used; [`Timestamp::MAX`] when none expires.
    pub expires: Timestamp,
}
