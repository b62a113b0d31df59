//! Reference values: which code, on which platform, from which version of the platform on.
//!
//! Why apart: they come from a Reference Value Provider, the rest of a policy from its owner.
//!
//! # Invariants
//! The name is for display and decides nothing. A value is complete for its platform: every register that measures
//! the guest there is in it.

use std::collections::BTreeMap;
use std::fmt;

use anchorhold_encoding::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::claims::{Claims, Hardware, Platform};
use crate::limits;

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
    /// Its launch measurement: SNP's MEASUREMENT, TDX's MRTD, and under a paravisor that of the paravisor (HCL).
    pub measurement: Digest<48>,
    /// The oldest version of the platform's trusted computing base it is accepted on. Simulated platform only: others
    /// have components, judged by their own sections of a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_tcb: Option<u64>,
    /// TDX only: RTMR0 to RTMR2, each with every value it may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtmrs: Option<Rtmrs>,
    /// Guests under a paravisor only: registers of the vTPM (SHA-256 bank) by number, each with every value it may
    /// have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pcrs: BTreeMap<PcrIndex, Vec<Digest<32>>>,
}

/// The registers that firmware and boot loader extend. RTMR3 has a rule of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rtmrs {
    /// Configuration of the virtual machine: varies with its size.
    pub rtmr0: Vec<Digest<48>>,
    /// Boot loader or kernel.
    pub rtmr1: Vec<Digest<48>>,
    /// Command line, initrd.
    pub rtmr2: Vec<Digest<48>>,
}

/// The number of a register, 0 to 23 (TCG PC Client Platform Firmware Profile), as text: keys of TOML and JSON are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PcrIndex(u8);

impl PcrIndex {
    /// `None` above 23.
    #[must_use]
    pub const fn new(index: u8) -> Option<Self> {
        if index < 24 { Some(Self(index)) } else { None }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Serialize for PcrIndex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PcrIndex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .ok()
            .filter(|index: &u8| index.to_string() == text)
            .and_then(Self::new)
            .ok_or_else(|| D::Error::custom("not the number of a register"))
    }
}

/// Registers a paravisor's reference value must name: what was booted, and whether Secure Boot judged it (PCR 4 and
/// PCR 7, TCG PC Client Platform Firmware Profile 1.06 section 3.3.4). Without them the guest is not measured.
const REQUIRED_PCRS: [u8; 2] = [4, 7];

/// Why a reference value cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceError {
    /// A key that its platform needs.
    Missing(&'static str),
    /// A key that its platform does not have.
    Unused(&'static str),
    /// A list without a value: nothing could satisfy it.
    Empty(&'static str),
    /// Text or list longer than the limits.
    TooLong(&'static str),
}

impl ReferenceValue {
    /// Complete for its platform, and nothing beside.
    pub(crate) fn check(&self) -> Result<(), ReferenceError> {
        if self.name.len() > limits::REFERENCE_NAME {
            return Err(ReferenceError::TooLong("name"));
        }
        let (tcb, rtmrs, pcrs) = match self.platform {
            Platform::InsecureSimulated => (true, false, false),
            Platform::Snp => (false, false, false),
            Platform::Tdx => (false, true, false),
            Platform::AzureSnp | Platform::AzureTdx => (false, false, true),
        };
        for (key, needed, given) in [
            ("minimum_tcb", tcb, self.minimum_tcb.is_some()),
            ("rtmrs", rtmrs, self.rtmrs.is_some()),
            ("pcrs", pcrs, !self.pcrs.is_empty()),
        ] {
            match (needed, given) {
                (true, false) => return Err(ReferenceError::Missing(key)),
                (false, true) => return Err(ReferenceError::Unused(key)),
                _ => {}
            }
        }
        let lists = self
            .rtmrs
            .iter()
            .flat_map(|all| [&all.rtmr0, &all.rtmr1, &all.rtmr2]);
        let mut lengths = lists
            .map(|list| ("rtmrs", list.len()))
            .chain(self.pcrs.values().map(|list| ("pcrs", list.len())));
        if let Some((key, length)) =
            lengths.find(|(_, length)| *length == 0 || *length > limits::POLICY_ENTRIES)
        {
            return Err(match length {
                0 => ReferenceError::Empty(key),
                _ => ReferenceError::TooLong(key),
            });
        }
        let named = |index: u8| PcrIndex::new(index).is_some_and(|index| self.pcrs.contains_key(&index));
        if pcrs && !REQUIRED_PCRS.into_iter().all(named) {
            return Err(ReferenceError::Missing("pcrs 4 and 7"));
        }
        Ok(())
    }

    /// Where the claims differ from this code on this platform, whatever the platform's version: nothing when they
    /// are of it. The measurement alone is compared first: of other code the registers say nothing.
    pub(crate) fn differs(&self, claims: &Claims) -> Option<Differs> {
        if self.platform != claims.platform || self.measurement != claims.measurement {
            return Some(Differs::Code);
        }
        match &claims.hardware {
            Hardware::Simulated { .. } | Hardware::Snp(_) => None,
            Hardware::Tdx { quote, .. } => {
                let [rtmr0, rtmr1, rtmr2, _] = &quote.body().rtmr;
                let Some(expected) = &self.rtmrs else {
                    return Some(Differs::Code);
                };
                [
                    (0, &expected.rtmr0, rtmr0),
                    (1, &expected.rtmr1, rtmr1),
                    (2, &expected.rtmr2, rtmr2),
                ]
                .into_iter()
                .find(|(_, list, found)| !list.contains(found))
                .map(|(index, _, _)| Differs::Rtmr(index))
            }
            Hardware::Azure(guest) => self
                .pcrs
                .iter()
                .find(|(index, list)| {
                    let found = guest.registers().get(index.get());
                    !found.is_some_and(|found| list.contains(found))
                })
                .map(|(index, _)| Differs::Pcr(index.get())),
        }
    }
}

/// The first thing in which a machine is not what a reference value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Differs {
    /// Platform or launch measurement.
    Code,
    /// A register of TDX.
    Rtmr(u8),
    /// A register of a vTPM, or it is not covered by the quote.
    Pcr(u8),
}

impl fmt::Display for Differs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("another measurement"),
            Self::Rtmr(index) => write!(f, "another RTMR{index}"),
            Self::Pcr(index) => write!(f, "another PCR {index}"),
        }
    }
}
