//! The key broker: RCAR 0.4.0 to the outside, the store inside, a policy for each resource between them.
//!
//! Why apart: it is both Verifier and Relying Party of RFC 9334, and the only thing that lets a model key
//! out. `docs/key-release.md` is its specification.
//!
//! - [`config`]: what it serves, and under which policies
//! - `sessions`: nonces and cookies
//! - `wire`: the messages; `refusal`: the constant answers of a "no"
//! - `judge`: evidence against the policy of a resource
//! - `release`: from a grant to a wrapped, signed, logged key
//! - `token`: the attestation result of RCAR
//! - [`serve`](mod@serve): TLS, connections, routes
//!
//! # Invariants
//! Deny unless everything affirms. A denial says why to the owner and one constant to the caller. The log
//! entry is durable before the key is sent. A nonce, and a grant, are used once.

pub mod config;
mod judge;
mod refusal;
mod release;
pub mod serve;
mod sessions;
mod throttle;
mod token;
mod wire;

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anchorhold_attestation::{KeyId, Policy, PolicyError, ResourcePath};

use crate::clock::Clock;
use crate::error::{DeniedRule, Explain};
use crate::owner::error::StoreError;
use crate::owner::release_log::Event;
use crate::owner::store::{BrokerIdentity, Store};
use crate::trust::{TrustError, Verifier};
use config::{BrokerConfig, ConfigError, ResourceConfig};
use sessions::Sessions;
use throttle::Throttle;

pub use serve::serve;

/// What happened, for the owner's eyes.
#[derive(Debug)]
pub enum Notice {
    /// A key is about to be sent; the entry is in the log.
    Granted {
        /// The resource.
        resource: ResourcePath,
        /// The key.
        key_id: KeyId,
        /// The log entry's number.
        sequence: u64,
    },
    /// Nothing was released.
    Denied {
        /// The resource whose policy denied.
        resource: ResourcePath,
        /// Every reason.
        rules: Vec<DeniedRule>,
    },
    /// The log or the store failed: nothing was released.
    Failed(StoreError),
}

/// Told of every [`Notice`]; called from any thread.
pub type Observer = Arc<dyn Fn(Notice) + Send + Sync>;

/// A broker that is ready to serve.
pub struct Broker {
    store: Mutex<Store>,
    identity: BrokerIdentity,
    resources: Vec<Resource>,
    sessions: Mutex<Sessions>,
    throttle: Mutex<Throttle>,
    clock: Clock,
    observer: Observer,
    verifier: Verifier,
}

/// One resource with its policy, read.
struct Resource {
    config: ResourceConfig,
    policy: Policy,
}

impl Broker {
    /// Joins a store and a configuration. Policy files are read now, relative to `base`.
    ///
    /// # Errors
    /// [`BrokerError`]: a policy that is none, a key that is not in the store.
    pub fn new(
        store: Store,
        config: BrokerConfig,
        base: &Path,
        clock: Clock,
        observer: Observer,
    ) -> Result<Self, BrokerError> {
        let verifier = config.verifier(base).map_err(BrokerError::Trust)?;
        let mut resources = Vec::with_capacity(config.resources().len());
        for resource in config.into_resources() {
            if !store.has_key(&resource.key_id)? {
                return Err(BrokerError::NoSuchKey(resource.key_id));
            }
            let bytes = config::read_policy(&base.join(&resource.policy))
                .map_err(|kind| BrokerError::PolicyFile(resource.path.clone(), kind))?;
            let policy = Policy::from_toml(&bytes)
                .map_err(|error| BrokerError::Policy(resource.path.clone(), error))?;
            resources.push(Resource {
                config: resource,
                policy,
            });
        }
        Ok(Self {
            identity: store.keys().identity(),
            store: Mutex::new(store),
            resources,
            sessions: Mutex::new(Sessions::new()),
            throttle: Mutex::new(Throttle::new(Instant::now())),
            clock,
            observer,
            verifier,
        })
    }

    /// What enclaves pin.
    #[must_use]
    pub fn identity(&self) -> BrokerIdentity {
        self.identity
    }

    /// Resources whose policy accepts evidence that anyone can make.
    pub fn accepting_simulated(&self) -> impl Iterator<Item = &ResourcePath> {
        let weak = self
            .resources
            .iter()
            .filter(|resource| resource.policy.accepts_simulated());
        weak.map(|resource| &resource.config.path)
    }

    fn resource(&self, path: &ResourcePath) -> Option<&Resource> {
        self.resources
            .iter()
            .find(|resource| resource.config.path == *path)
    }

    /// The store. A thread that panicked inside a transaction rolled it back: the lock is not poisoned for
    /// us.
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a denial and tells the owner, unless there are too many: then it is counted.
    fn log_denial(&self, mut event: Event, resource: &ResourcePath, rules: Vec<DeniedRule>) {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(suppressed) = throttle.admit(Instant::now()) else {
            return;
        };
        drop(throttle);
        event.suppressed = suppressed;
        if let Err(error) = self.store().append(event) {
            (self.observer)(Notice::Failed(error));
        }
        (self.observer)(Notice::Denied {
            resource: resource.clone(),
            rules,
        });
    }
}

/// A broker cannot start.
#[derive(Debug)]
pub enum BrokerError {
    /// Its configuration.
    Config(ConfigError),
    /// The policy file of a resource cannot be read.
    PolicyFile(ResourcePath, std::io::ErrorKind),
    /// The policy file of a resource is no policy.
    Policy(ResourcePath, PolicyError),
    /// Anchors or endorsements that the configuration names.
    Trust(TrustError),
    /// A resource names a key that the store does not have.
    NoSuchKey(KeyId),
    /// The store.
    Store(StoreError),
    /// The address cannot be listened on.
    Listen(std::io::ErrorKind),
}

impl From<StoreError> for BrokerError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ConfigError> for BrokerError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => error.fmt(f),
            Self::PolicyFile(path, kind) => write!(f, "the policy file of resource {path}: {kind}"),
            Self::Policy(path, error) => write!(f, "the policy of resource {path}: {error}"),
            Self::Trust(error) => error.fmt(f),
            Self::NoSuchKey(key_id) => write!(f, "the store has no key {key_id}"),
            Self::Store(error) => error.fmt(f),
            Self::Listen(kind) => write!(f, "cannot listen: {kind}"),
        }
    }
}

impl std::error::Error for BrokerError {}

impl Explain for BrokerError {
    fn code(&self) -> &'static str {
        match self {
            Self::Config(error) => error.code(),
            Self::PolicyFile(..) => "policy_file",
            Self::Policy(..) => "policy",
            Self::Trust(error) => error.code(),
            Self::NoSuchKey(_) => "no_such_key",
            Self::Store(error) => error.code(),
            Self::Listen(_) => "listen",
        }
    }

    fn hint(&self) -> String {
        match self {
            Self::Config(error) => error.hint(),
            Self::PolicyFile(..) => "policy paths are relative to the broker's configuration file".to_owned(),
            Self::Policy(_, error) => error.hint().to_owned(),
            Self::Trust(error) => error.hint(),
            Self::NoSuchKey(key_id) => {
                format!("make it first: anchorhold owner keygen --store DIR --key-id {key_id}")
            }
            Self::Store(error) => error.hint(),
            Self::Listen(_) => {
                "check that no other program uses the address and that the port is allowed".to_owned()
            }
        }
    }
}

#[cfg(test)]
mod tests;
