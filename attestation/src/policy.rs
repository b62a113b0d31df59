//! What a Relying Party demands, from a TOML file: docs/policy.md.
//!
//! Why apart: the person who writes it must be able to read it, and so must whoever audits the parser.
//!
//! # Invariants
//! An unset key means the strictest; what has no strict default must be given; an unknown key is an error;
//! "do not check" cannot be written. A weaker setting bears the word `dangerously`. A policy is named by
//! the SHA-256 of its file.

use anchorhold_encoding::{Digest, sha256};
use serde::{Deserialize, Serialize};

use crate::claims::{ChipId, Platform, Product};
use crate::endorsements::Grace;
use crate::field::Pin;
use crate::identity::Weakening;
use crate::limits;
use crate::provider::Provider;
use crate::published::{PublishedValues, PublisherTrust};
use crate::reference::{ReferenceError, ReferenceValue};
use crate::time::Timestamp;
use crate::weakness::AcceptedWeaknesses;

pub mod azure;
mod error;
pub mod nvidia;
mod preset;
mod section;
pub mod snp;
pub mod tdx;

use azure::{AzurePolicy, AzureSection};
use nvidia::{NvidiaPolicy, NvidiaSection};
use snp::SnpPolicy;
use tdx::{TdxPolicy, TdxSection};

pub use error::PolicyError;
pub use preset::Profile;
pub use section::Choice;

/// Seconds for which a nonce is fresh when the policy does not say.
pub const DEFAULT_MAX_AGE_SECONDS: u64 = 600;

/// Which chips may give evidence. There is no default: someone must have thought of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chips {
    /// These and no others, by their makers' numbers.
    Named(Vec<ChipId>),
    /// Any of these lines.
    AnyOf(Vec<Product>),
}

/// A policy, complete and within limits.
#[derive(Debug)]
pub struct Policy {
    pub(crate) id: Digest<32>,
    pub(crate) profile: Profile,
    pub(crate) manifests: Vec<Digest<32>>,
    pub(crate) configs: Vec<Digest<32>>,
    pub(crate) configs_sha384: Vec<Digest<48>>,
    pub(crate) reference_values: Vec<ReferenceValue>,
    pub(crate) publishers: Option<PublisherTrust>,
    /// Until when the values that were published may be used, once there are any.
    pub(crate) published_until: Option<Timestamp>,
    pub(crate) chips: Chips,
    pub(crate) snp: Option<SnpPolicy>,
    pub(crate) tdx: Option<TdxPolicy>,
    pub(crate) azure: Option<AzurePolicy>,
    pub(crate) nvidia: Option<NvidiaPolicy>,
    pub(crate) pins: Vec<Pin>,
    pub(crate) max_age_seconds: u64,
    pub(crate) grace: Option<Grace>,
    pub(crate) accept_weakness: AcceptedWeaknesses,
    pub(crate) provider_tpm: Option<Provider>,
    pub(crate) accept_simulated: bool,
    pub(crate) accept_debug: bool,
    pub(crate) accept_weakened: Vec<Weakening>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<u64>,
    #[serde(default)]
    profile: Profile,
    manifest_sha256: Option<OneOrMore<32>>,
    config_sha256: Option<OneOrMore<32>>,
    config_sha384: Option<OneOrMore<48>>,
    reference_values: Option<Vec<ReferenceValue>>,
    publishers: Option<PublisherTrust>,
    chips: Option<Vec<ChipId>>,
    any_chip_of: Option<Vec<Product>>,
    snp: Option<snp::Section>,
    tdx: Option<TdxSection>,
    azure: Option<AzureSection>,
    nvidia: Option<NvidiaSection>,
    pins: Option<Vec<Pin>>,
    max_age_seconds: Option<u64>,
    dangerously_expired_endorsements_grace_seconds: Option<Grace>,
    #[serde(default)]
    dangerously_accept_weakness: AcceptedWeaknesses,
    dangerously_trust_provider_tpm: Option<Provider>,
    #[serde(default)]
    dangerously_accept_simulated: bool,
    #[serde(default)]
    dangerously_accept_debug: bool,
    #[serde(default)]
    dangerously_accept_weakened: Vec<Weakening>,
}

impl From<ReferenceError> for PolicyError {
    fn from(error: ReferenceError) -> Self {
        match error {
            ReferenceError::Missing(key) => Self::Missing(key),
            ReferenceError::Unused(key) => Self::NotOfPlatform(key),
            ReferenceError::TooLong(key) => Self::TooLong(key),
        }
    }
}

/// A digest or a list of them: one model is the usual case.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum OneOrMore<const N: usize> {
    One(Digest<N>),
    More(Vec<Digest<N>>),
}

impl<const N: usize> OneOrMore<N> {
    fn into_vec(self) -> Vec<Digest<N>> {
        match self {
            Self::One(digest) => vec![digest],
            Self::More(digests) => digests,
        }
    }
}

fn entries<T>(key: &'static str, list: Option<Vec<T>>) -> Result<Vec<T>, PolicyError> {
    let list = list.ok_or(PolicyError::Missing(key))?;
    if list.is_empty() {
        return Err(PolicyError::Empty(key));
    }
    if list.len() > limits::POLICY_ENTRIES {
        return Err(PolicyError::TooLong(key));
    }
    Ok(list)
}

impl File {
    /// The file, completed by its profile. What the profile completes is not there to name a line for, so the file
    /// alone is asked for the line of an error.
    fn of(text: &str, mut table: toml::Table) -> Result<Self, PolicyError> {
        let alone = toml::from_str::<Self>(text).map_err(|error| PolicyError::KeyOrValue {
            line: line_of(text, &error),
        });
        let named = table.get("profile").cloned();
        match named.map(toml::Value::try_into::<Profile>) {
            Some(Ok(profile)) => profile.complete(&mut table),
            Some(Err(_)) | None => return alone,
        }
        match table.try_into() {
            Ok(completed) => Ok(completed),
            // Wrong with the profile, so wrong without it.
            Err(_) => alone,
        }
    }
}

/// The line, from 1, on which the error was seen.
fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let end = error.span().map_or(0, |span| span.start);
    let before = text.get(..end).unwrap_or(text);
    before.split('\n').count()
}

impl Policy {
    /// Parses a policy file.
    ///
    /// # Errors
    /// [`PolicyError`], with the line where the text is wrong, never with the text.
    pub fn from_toml(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > limits::POLICY {
            return Err(PolicyError::TooLarge);
        }
        let text = str::from_utf8(bytes).map_err(|_| PolicyError::NotText)?;
        let table = toml::from_str::<toml::Table>(text).map_err(|error| PolicyError::Syntax {
            line: line_of(text, &error),
        })?;
        let file = File::of(text, table)?;
        match file.version {
            Some(1) => {}
            Some(_) => return Err(PolicyError::Range("version")),
            None => return Err(PolicyError::Missing("version")),
        }
        let manifests = file.manifest_sha256.map(OneOrMore::into_vec);
        let configs = file.config_sha256.map(OneOrMore::into_vec);
        // Who names publishers takes values from them; who names none has to give them here.
        let reference_values = match (file.reference_values, &file.publishers) {
            (None, Some(_)) => Vec::new(),
            (given, _) => entries("reference_values", given)?,
        };
        for value in &reference_values {
            value.check()?;
        }
        let configs_sha384 = file.config_sha384.map(OneOrMore::into_vec);
        let by_sha384 = reference_values
            .iter()
            .any(|value| matches!(value.platform, Platform::Tdx | Platform::AwsSnp));
        let configs_sha384 = match (configs_sha384, by_sha384) {
            (None, false) => Vec::new(),
            (given, _) => entries("config_sha384", given)?,
        };
        let chips = match (file.chips, file.any_chip_of) {
            (Some(named), None) => Chips::Named(entries("chips", Some(named))?),
            (None, Some(products)) => Chips::AnyOf(entries("any_chip_of", Some(products))?),
            _ => return Err(PolicyError::OneOfChips),
        };
        let max_age_seconds = file.max_age_seconds.unwrap_or(DEFAULT_MAX_AGE_SECONDS);
        if max_age_seconds == 0 || max_age_seconds > limits::MAX_AGE_SECONDS {
            return Err(PolicyError::Range("max_age_seconds"));
        }
        let accept_debug = file.dangerously_accept_debug;
        let tdx = file
            .tdx
            .map(|section| TdxPolicy::new(section, accept_debug, &configs_sha384));
        let pins = file.pins.map(|pins| entries("pins", Some(pins)));
        Ok(Self {
            id: sha256(&[bytes]),
            profile: file.profile,
            manifests: entries("manifest_sha256", manifests)?,
            configs: entries("config_sha256", configs)?,
            configs_sha384,
            reference_values,
            publishers: file.publishers,
            published_until: None,
            chips,
            snp: file.snp.map(snp::Section::policy).transpose()?,
            tdx: tdx.transpose()?,
            azure: file.azure.map(AzurePolicy::new).transpose()?,
            nvidia: file.nvidia.map(NvidiaPolicy::new).transpose()?,
            pins: pins.transpose()?.unwrap_or_default(),
            max_age_seconds,
            grace: file.dangerously_expired_endorsements_grace_seconds,
            accept_weakness: file.dangerously_accept_weakness,
            provider_tpm: file.dangerously_trust_provider_tpm,
            accept_simulated: file.dangerously_accept_simulated,
            accept_debug,
            accept_weakened: file.dangerously_accept_weakened,
        })
    }

    /// Whose published reference values it takes, if any.
    #[must_use]
    pub const fn publishers(&self) -> Option<&PublisherTrust> {
        self.publishers.as_ref()
    }

    /// Takes published reference values beside its own, until they end. What they withdraw is withdrawn here too.
    ///
    /// # Errors
    /// [`PolicyError`] when one of them is not complete for its platform. The policy is unchanged then.
    pub fn take(&mut self, published: &PublishedValues) -> Result<(), PolicyError> {
        for value in published.values() {
            value.check()?;
        }
        self.reference_values.retain(|value| !published.withdraws(value));
        self.reference_values.extend(published.values().iter().cloned());
        self.published_until = Some(published.not_after());
        Ok(())
    }

    /// SHA-256 of the file: which policy decided.
    #[must_use]
    pub const fn id(&self) -> &Digest<32> {
        &self.id
    }

    /// Whose defaults complete it.
    #[must_use]
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Seconds after which evidence must be fetched anew.
    #[must_use]
    pub const fn max_age_seconds(&self) -> u64 {
        self.max_age_seconds
    }

    /// For how long an expired endorsement is still used; not at all unless the policy says so.
    #[must_use]
    pub const fn grace(&self) -> Option<Grace> {
        self.grace
    }

    /// True when simulated evidence is accepted: worth a warning to a person.
    #[must_use]
    pub const fn accepts_simulated(&self) -> bool {
        self.accept_simulated
    }
}

#[cfg(test)]
mod tests;
