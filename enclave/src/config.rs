//! The one configuration file: everything the enclave may believe, and every limit.
//!
//! Why apart: the file is evidence. Its digest is fixed at launch in a field the platform signs, so what is
//! written here is what the broker and every client have judged.
//!
//! - [`engine`]: what it says of the engine
//! - [`confine`]: what it says of confinement
//!
//! # Invariants
//! No key is optional unless its default is the strictest. Unknown keys are refused. No error repeats a value
//! of the file. A [`Config`] is only made by [`Config::parse`].

pub mod confine;
pub mod engine;
mod error;
mod raw;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anchorhold_attestation::identity::Weakening;
use anchorhold_attestation::{Class, KeyId, Platform, ResourcePath, Timestamp};
use anchorhold_encoding::Digest;

pub use engine::EngineConfig;
pub use error::ConfigError;

use self::confine::ConfineConfig;
use crate::clock::HostTime;
use crate::devices::DevicesConfig;
use crate::limits::Limits;
use crate::traffic::Shape;

/// What the enclave was told, checked.
#[derive(Debug)]
pub struct Config {
    /// When this configuration ends; relying parties judge it by their own clocks.
    pub not_after: Timestamp,
    /// The platform it is meant for.
    pub platform: Platform,
    /// Consent to durations from the host's clock.
    pub host_time: HostTime,
    /// Who releases the key.
    pub broker: BrokerConfig,
    /// What is served.
    pub model: ModelConfig,
    /// Where clients connect.
    pub listen: ListenConfig,
    /// How the model is computed.
    pub engine: EngineConfig,
    /// Which measures of confinement it does without.
    pub confine: ConfineConfig,
    /// The GPUs that compute it; `None`: the CPU does.
    pub devices: Option<DevicesConfig>,
    /// The limits in force.
    pub limits: Limits,
    /// What the network sees of answers; `None`: what it sees depends on what is said.
    pub traffic: Option<Shape>,
    /// Who may ask.
    pub access: Access,
}

/// The broker, pinned: neither its TLS key nor its signing key is learnt from the network.
#[derive(Debug)]
pub struct BrokerConfig {
    /// Where it is.
    pub url: BrokerUrl,
    /// SHA-256 of its TLS key's SubjectPublicKeyInfo.
    pub tls_spki_sha256: Digest<32>,
    /// Ed25519 public key that signs releases.
    pub release_key: Digest<32>,
    /// Which key to ask for.
    pub resource: ResourcePath,
    /// RCAR sessions to try.
    pub attempts: u32,
    /// For one request.
    pub timeout: Duration,
}

/// An `https` URL with nothing but a host, a port and perhaps a path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// DNS name or address, without brackets.
    pub host: String,
    /// 443 unless given.
    pub port: u16,
    /// Starts with `/` or is empty; does not end with `/`.
    pub prefix: String,
}

/// The model: where its sealed bytes lie, and what they must be.
#[derive(Debug)]
pub struct ModelConfig {
    /// For display; also the `model` of requests.
    pub name: String,
    /// The key it is sealed with.
    pub key_id: KeyId,
    /// Class of key, header and platform.
    pub class: Class,
    /// Untrusted sealed bytes.
    pub path: PathBuf,
    /// What the model *is*.
    pub manifest_sha256: Digest<32>,
}

/// Where clients connect.
#[derive(Debug)]
pub struct ListenConfig {
    /// TLS.
    pub api: SocketAddr,
    /// Plain HTTP, coarse counters only; `None`: no listener.
    pub metrics: Option<SocketAddr>,
}

/// Who may ask.
#[derive(Debug, Clone)]
pub enum Access {
    /// Whoever holds one of these keys.
    Keys(Vec<ApiKey>),
    /// Anyone, under a quota for all together.
    Anonymous(Quota),
}

/// A salted hash of an API key. Public: it comes from a file that every relying party may read.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// For the operator's orientation; never compared.
    pub name: String,
    /// 32 random bytes.
    pub salt: Digest<32>,
    /// `SHA-256(LP("anchorhold api key v1") || LP(salt) || LP(key))`.
    pub sha256: Digest<32>,
    /// What its holder may use.
    pub quota: KeyQuota,
}

/// What the holder of one key may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyQuota {
    /// Requests.
    pub requests_per_minute: u32,
    /// Tokens, of prompts and of answers.
    pub tokens_per_minute: u64,
    /// Answers in the making, waiting ones included.
    pub concurrent: usize,
}

/// A rate for callers without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// For all of them together.
    pub requests_per_minute: u32,
}

impl Config {
    /// Parses the file's bytes. The caller has compared their digest with the platform's field before.
    ///
    /// # Errors
    /// [`ConfigError`]: the first problem, by line and key.
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        raw::parse(bytes)
    }

    /// Every `dangerously_` setting in force, in the order the identity document has them.
    #[must_use]
    pub fn weakened(&self) -> Vec<Weakening> {
        // Without consent to the host's time there is no configuration.
        let mut weakened = Vec::new();
        if self
            .devices
            .as_ref()
            .is_some_and(|devices| devices.policy.is_weakened())
        {
            weakened.push(Weakening::AppraisedDevices);
        }
        weakened.push(Weakening::HostTime);
        if self.engine.token_dependent_addresses {
            weakened.push(Weakening::TokenDependentAddresses);
        }
        if self.traffic.is_none() {
            weakened.push(Weakening::UnshapedTraffic);
        }
        weakened.extend(self.confine.weakened());
        weakened
    }
}

#[cfg(test)]
pub(crate) mod tests;
