//! The broker's configuration: TOML, every key known.
//!
//! Why apart: what a broker gives out, and under which policy, is one short file the owner writes.
//!
//! # Invariants
//! Unknown keys are refused. Every resource has a policy; there is no default one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anchorhold_attestation::{KeyId, LeaseTerms, ResourcePath};
use serde::Deserialize;

use crate::error::Explain;
use crate::limits;
use crate::trust::{TrustError, Verifier};

/// Seconds of a lease when the configuration says nothing: revoking takes effect within the hour.
const DEFAULT_LEASE_SECONDS: u64 = 3600;
/// The shortest lease: enclaves renew at half of it, and a renewal may need several attempts.
const SHORTEST_LEASE_SECONDS: u64 = 10;

/// A checked configuration.
#[derive(Debug)]
pub struct BrokerConfig {
    listen: SocketAddr,
    resources: Vec<ResourceConfig>,
    anchors: Option<PathBuf>,
    endorsements: Option<PathBuf>,
}

/// One resource.
#[derive(Debug, Clone)]
pub struct ResourceConfig {
    /// Its path, as enclaves ask for it.
    pub path: ResourcePath,
    /// The model key behind it.
    pub key_id: KeyId,
    /// The policy file, relative to the configuration file.
    pub policy: PathBuf,
    /// What a release of it is good for.
    pub lease: LeaseTerms,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    listen: SocketAddr,
    anchors: Option<PathBuf>,
    endorsements: Option<PathBuf>,
    resource: Vec<ResourceEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceEntry {
    path: ResourcePath,
    key_id: KeyId,
    policy: PathBuf,
    #[serde(default = "default_lease_seconds")]
    lease_seconds: u64,
    #[serde(default)]
    lease_tokens: u64,
}

fn default_lease_seconds() -> u64 {
    DEFAULT_LEASE_SECONDS
}

impl BrokerConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = read_limited(path, limits::BROKER_CONFIG_BYTES).map_err(ConfigError::File)?;
        Self::parse(&bytes)
    }

    /// Parses the bytes of a configuration.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ConfigError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ConfigError::NotText)?;
        let file: Document =
            toml::from_str(text).map_err(|error| ConfigError::Line(line_of(text, &error)))?;
        if file.resource.is_empty() || file.resource.len() > limits::RESOURCES {
            return Err(ConfigError::ResourceCount);
        }
        let mut resources: Vec<ResourceConfig> = Vec::with_capacity(file.resource.len());
        for entry in file.resource {
            if !(SHORTEST_LEASE_SECONDS..=limits::LEASE_SECONDS).contains(&entry.lease_seconds) {
                return Err(ConfigError::Lease(entry.path));
            }
            if resources.iter().any(|other| other.path == entry.path) {
                return Err(ConfigError::Twice(entry.path));
            }
            resources.push(ResourceConfig {
                path: entry.path,
                key_id: entry.key_id,
                policy: entry.policy,
                lease: LeaseTerms {
                    seconds: entry.lease_seconds,
                    tokens: entry.lease_tokens,
                },
            });
        }
        Ok(Self {
            listen: file.listen,
            resources,
            anchors: file.anchors,
            endorsements: file.endorsements,
        })
    }

    /// The address to listen on; port 0 lets the system choose.
    #[must_use]
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// The resources, in the file's order.
    #[must_use]
    pub fn resources(&self) -> &[ResourceConfig] {
        &self.resources
    }

    /// How evidence is proven: under the roots and with the endorsements of the files named, relative to `base`.
    pub(super) fn verifier(&self, base: &Path) -> Result<Verifier, TrustError> {
        let path = |named: &Option<PathBuf>| named.as_ref().map(|path| base.join(path));
        let (anchors, endorsements) = (path(&self.anchors), path(&self.endorsements));
        Verifier::read(anchors.as_deref(), endorsements.as_deref())
    }

    pub(super) fn into_resources(self) -> Vec<ResourceConfig> {
        self.resources
    }
}

/// A policy file's bytes, limited.
pub(super) fn read_policy(path: &Path) -> Result<Vec<u8>, io::ErrorKind> {
    read_limited(path, limits::POLICY_BYTES)
}

fn read_limited(path: &Path, limit: u64) -> Result<Vec<u8>, io::ErrorKind> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|error| error.kind())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= limit) {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::FileTooLarge)
    }
}

/// Where the parser stopped, counted from 1. Its message would repeat the file.
fn line_of(text: &str, error: &toml::de::Error) -> usize {
    let at = error.span().map_or(0, |span| span.start);
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// Why a file is not a broker's configuration.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// It cannot be read.
    File(io::ErrorKind),
    /// Not UTF-8.
    NotText,
    /// Not TOML, an unknown or missing key, or a value that is none; the line, from 1.
    Line(usize),
    /// No resource, or too many.
    ResourceCount,
    /// A path that comes twice.
    Twice(ResourcePath),
    /// A lease out of range.
    Lease(ResourcePath),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the broker's configuration: ")?;
        match self {
            Self::File(kind) => write!(f, "{kind}"),
            Self::NotText => f.write_str("not UTF-8"),
            Self::Line(line) => write!(
                f,
                "line {line}: a syntax error, an unknown or missing key, or a wrong value"
            ),
            Self::ResourceCount => write!(f, "1 to {} [[resource]] tables are needed", limits::RESOURCES),
            Self::Twice(path) => write!(f, "resource {path} comes twice"),
            Self::Lease(path) => write!(f, "resource {path}: lease_seconds out of range"),
        }
    }
}

impl std::error::Error for ConfigError {}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        "broker_config"
    }

    fn hint(&self) -> String {
        match self {
            Self::File(_) => "check the path and its permissions".to_owned(),
            Self::NotText | Self::Line(_) | Self::ResourceCount => {
                "keys: listen = \"ADDRESS:PORT\"; in each [[resource]]: path = \"REPO/TYPE/TAG\", key_id, policy, \
                 and optionally lease_seconds, lease_tokens"
                    .to_owned()
            }
            Self::Twice(_) => "give each resource its own path".to_owned(),
            Self::Lease(_) => {
                format!("lease_seconds is {SHORTEST_LEASE_SECONDS} to {}", limits::LEASE_SECONDS)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "listen = \"127.0.0.1:0\"\n[[resource]]\npath = \"default/model/demo\"\nkey_id = \"demo\"\n\
                        policy = \"p.toml\"\n";

    #[test]
    fn the_smallest_configuration_has_strict_defaults() {
        let config = BrokerConfig::parse(GOOD.as_bytes()).unwrap();
        let [resource] = config.resources() else {
            panic!("one resource")
        };
        assert_eq!(
            resource.lease,
            LeaseTerms {
                seconds: 3600,
                tokens: 0
            }
        );
    }

    #[test]
    fn each_wrong_key_is_refused_where_it_is() {
        let refused = |text: String| BrokerConfig::parse(text.as_bytes()).unwrap_err();
        assert_eq!(refused(GOOD.replace("key_id", "key")), ConfigError::Line(4));
        assert_eq!(refused(format!("{GOOD}extra = 1\n")), ConfigError::Line(6));
        assert_eq!(
            refused(GOOD.replace("\"demo\"", "\"De mo\"")),
            ConfigError::Line(4)
        );
        assert_eq!(
            refused(GOOD.replace("default/model/demo", "../model/demo")),
            ConfigError::Line(3)
        );
        assert_eq!(
            refused(GOOD.replace("127.0.0.1:0", "localhost")),
            ConfigError::Line(1)
        );
        assert_eq!(
            refused("listen = \"127.0.0.1:0\"\nresource = []\n".to_owned()),
            ConfigError::ResourceCount
        );
        let twice = format!("{GOOD}{}", GOOD.split_once('\n').unwrap().1);
        assert!(matches!(refused(twice), ConfigError::Twice(_)));
        for seconds in [0, 9, 86_401] {
            assert!(matches!(
                refused(format!("{GOOD}lease_seconds = {seconds}\n")),
                ConfigError::Lease(_)
            ));
        }
        assert_eq!(BrokerConfig::parse(b"\xff").unwrap_err(), ConfigError::NotText);
    }
}
