//! `[tdx]`: what a policy demands of a trust domain and of the platform below it.
//!
//! Why apart: every field of a quote that Intel's hierarchy does not judge is judged by a key of this section.
//!
//! # Invariants
//! Unset is zero, or what Intel calls up to date. What has no strict value must be given: the oldest evaluation of
//! the collateral, the processor states, and the three flags of a platform that no server has all clear.

use anchorhold_encoding::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::PolicyError;
use super::section::{Choice, Date, Hex, listed, zero_unless};
use crate::limits;
use crate::tdx::{TcbStatus, TdAttribute, Xfam};
use crate::time::Timestamp;

/// The section as it is written: docs/policy.md.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxSection {
    minimum_tcb_evaluation: Option<u32>,
    minimum_tcb_date: Option<Date>,
    minimum_tee_tcb_svn: Option<Digest<16>>,
    #[serde(default)]
    dangerously_accept_status: Vec<StatusSection>,
    dangerously_accept_advisories: Option<Vec<Advisory>>,
    smt: Option<Choice>,
    dynamic_platform: Option<Choice>,
    cached_keys: Option<Choice>,
    mr_seam: Option<Vec<Digest<48>>>,
    mr_signer_seam: Option<Vec<Digest<48>>>,
    dangerously_accept_attributes: Option<Vec<AttributeName>>,
    xfam: Option<Vec<u64>>,
    xfam_at_most: Option<Vec<StateName>>,
    mr_owner: Option<Vec<Digest<48>>>,
    mr_owner_config: Option<Vec<Digest<48>>>,
    mr_service_td: Option<Vec<Digest<48>>>,
    vm: Option<Vec<u8>>,
    device_info: Option<Vec<Digest<48>>>,
    service_hash: Option<Vec<Digest<48>>>,
    service_attributes: Option<Vec<Digest<8>>>,
    #[serde(default)]
    runtime_register: RegisterUse,
    runtime_events: Option<Vec<EventSection>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StatusSection {
    status: StatusName,
    until: Date,
    unless_advisories: Option<Vec<Advisory>>,
    only_advisories: Option<Vec<Advisory>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventSection {
    name: String,
    payload: Option<Vec<Hex>>,
    #[serde(default)]
    dangerously_any_payload: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RegisterUse {
    #[default]
    Zero,
    Configuration,
    Dstack,
}

/// A TCB status that somebody might accept for a while.
#[derive(Debug, Clone, Copy)]
struct StatusName(TcbStatus);

const ACCEPTABLE: [TcbStatus; 7] = [
    TcbStatus::SwHardeningNeeded,
    TcbStatus::ConfigurationNeeded,
    TcbStatus::ConfigurationAndSwHardeningNeeded,
    TcbStatus::RelaunchAdvised,
    TcbStatus::RelaunchAdvisedConfigurationNeeded,
    TcbStatus::OutOfDate,
    TcbStatus::OutOfDateConfigurationNeeded,
];

impl<'de> Deserialize<'de> for StatusName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = ACCEPTABLE.into_iter().find(|status| status.name() == text);
        known
            .map(Self)
            .ok_or_else(|| D::Error::custom("not a status to accept"))
    }
}

/// Intel's name of an advisory: `INTEL-SA-` and five or six digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Advisory(String);

impl Advisory {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("INTEL-SA-")?;
        let known = (5..=6).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit());
        known.then(|| Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Advisory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom("not an advisory"))
    }
}

/// A bit of TD attributes that may be set. Debug is accepted by another key, and SEPT_VE_DISABLE must be set.
#[derive(Debug, Clone, Copy)]
struct AttributeName(TdAttribute);

impl<'de> Deserialize<'de> for AttributeName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = TdAttribute::ALL
            .into_iter()
            .filter(|attribute| attribute.bit() >= 8 && *attribute != TdAttribute::SeptVeDisable)
            .find(|attribute| attribute.name() == text);
        known
            .map(Self)
            .ok_or_else(|| D::Error::custom("not an attribute to accept"))
    }
}

/// A processor state of XFAM.
#[derive(Debug, Clone, Copy)]
struct StateName(u32);

impl<'de> Deserialize<'de> for StateName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = Xfam::NAMED.iter().find(|known| known.name == text);
        known
            .map(|known| Self(known.bit))
            .ok_or_else(|| D::Error::custom("not a processor state"))
    }
}

/// What a policy demands of a TDX quote, complete and within limits.
#[derive(Debug)]
pub struct TdxPolicy {
    pub(crate) accept_debug: bool,
    pub(crate) minimum_tcb_evaluation: u32,
    pub(crate) minimum_tcb_date: Option<Timestamp>,
    pub(crate) minimum_tee_tcb_svn: Option<Digest<16>>,
    pub(crate) accept_status: Vec<AcceptedStatus>,
    pub(crate) accept_advisories: Vec<Advisory>,
    pub(crate) smt: Choice,
    pub(crate) dynamic_platform: Choice,
    pub(crate) cached_keys: Choice,
    /// `None`: any that its signer signed and Intel's TCB information knows.
    pub(crate) mr_seam: Option<Vec<Digest<48>>>,
    pub(crate) mr_signer_seam: Vec<Digest<48>>,
    pub(crate) accept_attributes: Vec<TdAttribute>,
    /// `None`: any of [`Self::xfam_at_most`].
    pub(crate) xfam: Option<Vec<u64>>,
    pub(crate) xfam_at_most: u64,
    pub(crate) mr_owner: Vec<Digest<48>>,
    pub(crate) mr_owner_config: Vec<Digest<48>>,
    pub(crate) mr_service_td: Vec<Digest<48>>,
    pub(crate) vm: Vec<u8>,
    pub(crate) device_info: Vec<Digest<48>>,
    pub(crate) service_hash: Vec<Digest<48>>,
    pub(crate) service_attributes: Vec<Digest<8>>,
    pub(crate) runtime_register: RuntimeRegister,
}

/// A status that is accepted for a while.
#[derive(Debug)]
pub(crate) struct AcceptedStatus {
    pub(crate) status: TcbStatus,
    /// The first second at which it is not accepted any more.
    pub(crate) until: Timestamp,
    /// None of these may apply.
    pub(crate) unless: Vec<Advisory>,
    /// No others than these may apply; `None` is no bound.
    pub(crate) only: Option<Vec<Advisory>>,
}

/// What RTMR3 may be.
#[derive(Debug)]
pub(crate) enum RuntimeRegister {
    /// Zero: nobody extended it.
    Zero,
    /// Zero, extended once with the SHA-384 of one of these configurations.
    Configuration(Vec<Digest<48>>),
    /// What dstack's log says, and that exactly these events in this order.
    Dstack(Vec<RuntimeEvent>),
}

/// A runtime event that is expected.
#[derive(Debug)]
pub(crate) struct RuntimeEvent {
    pub(crate) name: String,
    /// Payloads of which any one will do; `None` is any at all.
    pub(crate) payloads: Option<Vec<Vec<u8>>>,
}

impl TdxPolicy {
    /// Completes the section. `accept_debug` is the policy's `dangerously_accept_debug`, `configurations` its
    /// `config_sha384`.
    ///
    /// # Errors
    /// [`PolicyError`] naming the key.
    pub fn new(
        section: TdxSection,
        accept_debug: bool,
        configurations: &[Digest<48>],
    ) -> Result<Self, PolicyError> {
        let missing = PolicyError::Missing;
        let xfam = listed("tdx.xfam", section.xfam)?;
        let states = listed("tdx.xfam_at_most", section.xfam_at_most)?;
        let xfam_at_most = match (&xfam, states) {
            (None, None) => return Err(missing("tdx.xfam_at_most")),
            (Some(_), None) => u64::MAX,
            (_, Some(states)) => states
                .iter()
                .fold(0, |mask, state| mask | 1_u64.wrapping_shl(state.0)),
        };
        let attributes = listed(
            "tdx.dangerously_accept_attributes",
            section.dangerously_accept_attributes,
        )?;
        let advisories = listed(
            "tdx.dangerously_accept_advisories",
            section.dangerously_accept_advisories,
        )?;
        if section.dangerously_accept_status.len() > limits::POLICY_ENTRIES {
            return Err(PolicyError::TooLong("tdx.dangerously_accept_status"));
        }
        let statuses = section.dangerously_accept_status.into_iter();
        Ok(Self {
            accept_debug,
            minimum_tcb_evaluation: section
                .minimum_tcb_evaluation
                .ok_or(missing("tdx.minimum_tcb_evaluation"))?,
            minimum_tcb_date: section.minimum_tcb_date.map(|date| date.0),
            minimum_tee_tcb_svn: section.minimum_tee_tcb_svn,
            accept_status: statuses.map(AcceptedStatus::new).collect::<Result<_, _>>()?,
            accept_advisories: advisories.unwrap_or_default(),
            smt: section.smt.ok_or(missing("tdx.smt"))?,
            dynamic_platform: section.dynamic_platform.ok_or(missing("tdx.dynamic_platform"))?,
            cached_keys: section.cached_keys.ok_or(missing("tdx.cached_keys"))?,
            mr_seam: listed("tdx.mr_seam", section.mr_seam)?,
            mr_signer_seam: zero_unless("tdx.mr_signer_seam", section.mr_signer_seam)?,
            accept_attributes: attributes
                .unwrap_or_default()
                .into_iter()
                .map(|name| name.0)
                .collect(),
            xfam,
            xfam_at_most,
            mr_owner: zero_unless("tdx.mr_owner", section.mr_owner)?,
            mr_owner_config: zero_unless("tdx.mr_owner_config", section.mr_owner_config)?,
            mr_service_td: zero_unless("tdx.mr_service_td", section.mr_service_td)?,
            vm: listed("tdx.vm", section.vm)?.unwrap_or_else(|| vec![0]),
            device_info: zero_unless("tdx.device_info", section.device_info)?,
            service_hash: zero_unless("tdx.service_hash", section.service_hash)?,
            service_attributes: zero_unless("tdx.service_attributes", section.service_attributes)?,
            runtime_register: RuntimeRegister::new(
                section.runtime_register,
                configurations,
                section.runtime_events,
            )?,
        })
    }
}

impl AcceptedStatus {
    fn new(section: StatusSection) -> Result<Self, PolicyError> {
        let unless = listed(
            "tdx.dangerously_accept_status.unless_advisories",
            section.unless_advisories,
        )?;
        Ok(Self {
            status: section.status.0,
            until: section.until.0,
            unless: unless.unwrap_or_default(),
            only: listed(
                "tdx.dangerously_accept_status.only_advisories",
                section.only_advisories,
            )?,
        })
    }
}

impl RuntimeRegister {
    fn new(
        how: RegisterUse,
        configurations: &[Digest<48>],
        events: Option<Vec<EventSection>>,
    ) -> Result<Self, PolicyError> {
        let events = listed("tdx.runtime_events", events)?;
        match (how, events) {
            (RegisterUse::Zero, None) => Ok(Self::Zero),
            (RegisterUse::Configuration, None) if configurations.is_empty() => {
                Err(PolicyError::Missing("config_sha384"))
            }
            (RegisterUse::Configuration, None) => Ok(Self::Configuration(configurations.to_vec())),
            (RegisterUse::Dstack, Some(events)) => {
                let events = events.into_iter().map(RuntimeEvent::new);
                Ok(Self::Dstack(events.collect::<Result<_, _>>()?))
            }
            (RegisterUse::Dstack, None) => Err(PolicyError::Missing("tdx.runtime_events")),
            // A list that would decide nothing: its author believes that it does.
            (RegisterUse::Zero | RegisterUse::Configuration, Some(_)) => {
                Err(PolicyError::Range("tdx.runtime_events"))
            }
        }
    }
}

impl RuntimeEvent {
    fn new(section: EventSection) -> Result<Self, PolicyError> {
        let key = "tdx.runtime_events.payload";
        if section.name.is_empty() || section.name.len() > limits::REFERENCE_NAME {
            return Err(PolicyError::TooLong("tdx.runtime_events.name"));
        }
        let payloads = listed(key, section.payload)?;
        let payloads = match (payloads, section.dangerously_any_payload) {
            (Some(payloads), false) => Some(payloads.into_iter().map(|hex| hex.0).collect()),
            (None, true) => None,
            (None, false) => return Err(PolicyError::Missing(key)),
            (Some(_), true) => return Err(PolicyError::Range(key)),
        };
        Ok(Self {
            name: section.name,
            payloads,
        })
    }
}

#[cfg(test)]
mod tests;
