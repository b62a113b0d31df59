//! Locked, Restricted, Attested, Keyed, Ready: each transition consumes the state before it.
//!
//! Why apart: the order is the promise. Nothing is unsealed before a key came, no key is asked for before
//! there is an identity, and there is no identity before the configuration is the one that was measured.
//!
//! - `gpus`: the model on GPUs, when the configuration says so
//! - [`error`]: which transition failed, and what the operator can do
//!
//! # Invariants
//! No state can be made but by the transition that leads to it. A failed transition leaves nothing behind.

mod error;
mod gpus;

use std::io::Read;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;

use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_attestation::{Class, Platform};
use anchorhold_encoding::sha256;
use anchorhold_models::progress::Progress;
use anchorhold_models::sealed::{Expected, SealedModel};
use anchorhold_models::{Model, name};
use zeroize::Zeroizing;

pub use error::{BootError, LaunchError};

use crate::attester::{Attester, AttesterError};
use crate::clock::Clock;
use crate::config::{BrokerConfig, Config};
use crate::confine::{self, Boundary, Plan};
use crate::devices::{DevicesError, ReadyDevices};
use crate::event::{self, Event};
use crate::identity::Identity;
use crate::lease::Lease;
use crate::lifecycle::Lifecycle;
use crate::limits;
use crate::rcar::{BrokerClient, RcarError, Released};
use crate::server::Bound;
use crate::tls::ServerKey;

/// The configuration is the measured one, and the clock runs. Nothing else is there.
pub struct Locked {
    config: Arc<Config>,
    text: String,
    launch: LaunchRecord,
    chip: Option<Vec<u8>>,
    clock: Arc<Clock>,
}

/// The addresses are taken, the broker's are known, and the process can reach nothing else any more.
pub struct Restricted {
    locked: Locked,
    broker: Vec<SocketAddr>,
    serving: Serving,
}

/// What clients are served with, once there is a model: where they connect, and the boundary that is still to be closed.
pub(crate) struct Serving {
    pub(crate) api: Bound,
    pub(crate) metrics: Option<Bound>,
    pub(crate) boundary: Boundary,
}

/// This boot has keys and an identity that evidence can commit to.
pub struct Attested {
    config: Arc<Config>,
    clock: Arc<Clock>,
    tls: ServerKey,
    identity: Arc<Identity>,
    attester: Arc<Attester>,
    broker: BrokerClient,
    serving: Serving,
}

/// The broker released the key.
pub struct Keyed {
    attested: Attested,
    released: Released,
}

/// The model is loaded, under a lease.
pub struct Ready {
    /// The configuration in force.
    pub(crate) config: Arc<Config>,
    /// The enclave's time.
    pub(crate) clock: Arc<Clock>,
    /// The TLS key of this boot.
    pub(crate) tls: ServerKey,
    /// Who this boot is.
    pub(crate) identity: Arc<Identity>,
    /// Signs evidence for clients.
    pub(crate) attester: Arc<Attester>,
    /// Renews the lease.
    pub(crate) broker: BrokerClient,
    /// How long the weights may be used.
    pub(crate) lease: Arc<Lease>,
    /// When to stop.
    pub(crate) lifecycle: Lifecycle,
    /// The model.
    pub(crate) model: Model,
    /// The GPUs that compute it, to be watched.
    pub(crate) devices: Option<Arc<ReadyDevices>>,
    /// Where to serve it.
    pub(crate) serving: Serving,
    _private: (),
}

impl Locked {
    /// Reads the launch record and the configuration from the descriptor the launcher gave, to its end.
    ///
    /// # Errors
    /// [`BootError::Launch`] or [`BootError::Config`]. The configuration is not parsed unless its digest is
    /// the one the platform committed to.
    pub fn from_descriptor(reader: impl Read) -> Result<Self, BootError> {
        let bytes = read_all(reader)?;
        let (record, rest) = bytes
            .split_at_checked(LaunchRecord::LENGTH)
            .ok_or(LaunchError::NoRecord)?;
        let (chip, text) = split_chip(rest)?;
        let launch = LaunchRecord::parse(record).map_err(|_| LaunchError::NoRecord)?;
        if launch.host_data.is_zero() {
            return Err(LaunchError::Unbound.into());
        }
        let config_sha256 = sha256(&[text]);
        if config_sha256 != launch.host_data {
            return Err(LaunchError::OtherConfiguration.into());
        }
        let config = Config::parse(text).map_err(BootError::Config)?;
        if config.platform == Platform::InsecureSimulated {
            event::emit(Event::WarningSimulated {
                warning: "the platform insecure-simulated proves nothing and protects nothing",
            });
        } else if chip.is_some() {
            event::emit(Event::WarningSimulated {
                warning: "the chip is of a fake authority: it proves nothing and protects nothing",
            });
        }
        event::emit(Event::ConfigAccepted { config_sha256 });
        let clock = Arc::new(Clock::new(config.host_time));
        let text = String::from_utf8(text.to_vec()).expect("the parser has read it as text");
        Ok(Self {
            config: Arc::new(config),
            text,
            launch,
            chip: chip.map(<[u8]>::to_vec),
            clock,
        })
    }

    /// Takes the addresses, looks up the broker's, and gives up whatever else the process can reach ([`confine::restrict`]).
    /// Call it before the first thread is started. Blocks while names are asked for.
    ///
    /// # Errors
    /// [`BootError::Listen`], [`BootError::Broker`] or [`BootError::Confine`].
    pub fn restrict(self) -> Result<Restricted, BootError> {
        let bound = |address| Bound::to(address).map_err(|_| BootError::Listen);
        let api = bound(self.config.listen.api)?;
        let metrics = self.config.listen.metrics.map(bound).transpose()?;
        let broker = addresses(&self.config.broker).ok_or(BootError::Broker(RcarError::Unreachable))?;
        let boundary = confine::restrict(&Plan::of(&self.config)).map_err(BootError::Confine)?;
        let serving = Serving {
            api,
            metrics,
            boundary,
        };
        Ok(Restricted {
            locked: self,
            broker,
            serving,
        })
    }
}

impl Restricted {
    /// Makes the keys of this boot and the document that commits to them, once the platform itself was asked which
    /// configuration it fixes. Blocks for as long as a report takes.
    ///
    /// # Errors
    /// [`BootError::Devices`] when this build cannot do what the configuration says; [`BootError::Attester`],
    /// [`BootError::Launch`], [`BootError::Keys`] or [`BootError::Tls`].
    pub fn attest(self) -> Result<Attested, BootError> {
        let Self {
            locked,
            broker,
            serving,
        } = self;
        if locked.config.devices.is_some() && !cfg!(feature = "cuda") {
            return Err(BootError::Devices(DevicesError::NotCompiled));
        }
        event::emit(Event::Attesting);
        let attester = match (&locked.chip, locked.config.platform) {
            (None, platform) => Attester::new(platform, &locked.launch),
            (Some(chip), Platform::Snp) => Attester::fake_snp(&locked.launch, chip),
            (Some(_), _) => Err(AttesterError::NoReport),
        };
        let attester = attester.map_err(BootError::Attester)?;
        let attester = Arc::new(attester);
        let confirmed = attester
            .confirm(locked.text.as_bytes())
            .map_err(|error| match error {
                AttesterError::Unbound => LaunchError::Unbound.into(),
                AttesterError::OtherConfiguration => LaunchError::OtherConfiguration.into(),
                other => BootError::Attester(other),
            })?;
        let tls = ServerKey::generate().map_err(|_| BootError::Keys)?;
        let identity = Identity::create(&locked.config, &confirmed, &tls);
        let identity = Arc::new(identity.map_err(|_| BootError::Keys)?);
        let broker = BrokerClient::new(
            Arc::clone(&locked.config),
            broker,
            locked.text,
            Arc::clone(&identity),
            Arc::clone(&attester),
            Arc::clone(&locked.clock),
        )
        .map_err(|_| BootError::Tls)?;
        Ok(Attested {
            config: locked.config,
            clock: locked.clock,
            tls,
            identity,
            attester,
            broker,
            serving,
        })
    }
}

impl Attested {
    /// Shows evidence to the broker and receives the key. Tries again after failures that may pass.
    ///
    /// # Errors
    /// [`BootError::Broker`], with the last failure.
    pub async fn obtain_key(self) -> Result<Keyed, BootError> {
        let attempts = self.config.broker.attempts;
        let mut attempt = 1;
        let released = loop {
            event::emit(Event::KeyRequested { attempt });
            match self.broker.obtain().await {
                Ok(released) => break released,
                Err(error) if error.is_transient() && attempt < attempts => {
                    attempt += 1;
                    tokio::time::sleep(limits::BROKER_PAUSE).await;
                }
                Err(error) => return Err(BootError::Broker(error)),
            }
        };
        self.clock
            .set_broker_time(released.broker_time, released.terms.requested_at);
        event::emit(Event::KeyReleased {
            manifest_sha256: self.config.model.manifest_sha256,
            lease_seconds: released.lease_seconds,
            lease_tokens: released.lease_tokens,
        });
        Ok(Keyed {
            attested: self,
            released,
        })
    }
}

impl Keyed {
    /// Decrypts the sealed model and loads it; the key is wiped. Blocks for as long as that takes.
    ///
    /// # Errors
    /// [`BootError::Devices`], [`BootError::Unseal`], [`BootError::Load`], or [`BootError::LeaseEnded`] when it took longer than the
    /// lease.
    pub fn unseal(self) -> Result<Ready, BootError> {
        let Self { attested, released } = self;
        // Before there is any plaintext that could go to them.
        let devices = gpus::take(&attested.config, &attested.clock).map_err(BootError::Devices)?;
        let model = &attested.config.model;
        let expected = Expected {
            key_id: model
                .key_id
                .as_str()
                .parse()
                .expect("every key id of a release is one of a sealed file: a-z, 0-9 and -"),
            class: match model.class {
                Class::Real => name::Class::Real,
                Class::Insecure => name::Class::Insecure,
            },
            manifest_sha256: model.manifest_sha256,
            max_plaintext: limits::MODEL_BYTES,
        };
        let sealed = SealedModel::open(&model.path).map_err(BootError::Unseal)?;
        let options = attested.config.engine.load_options();
        // Weights that become smaller are not all to lie in memory as they are in the file.
        let unsealed = match options.quantise {
            Some(_) => sealed.unseal_sparing(released.key, &expected, &Announce),
            None => sealed.unseal(released.key, &expected, &Announce),
        };
        let unsealed = unsealed.map_err(BootError::Unseal)?;
        let model = match &devices {
            None => Model::load(unsealed, options, &()).map_err(BootError::Load)?,
            Some(devices) => gpus::load(unsealed, devices, &attested.config, options)?,
        };

        let lifecycle = Lifecycle::new();
        let lease = Lease::new(released.terms, Arc::clone(&attested.clock), lifecycle.clone());
        let _alive = lease.spend(0).map_err(|_| BootError::LeaseEnded)?;
        Ok(Ready {
            config: attested.config,
            clock: attested.clock,
            tls: attested.tls,
            identity: attested.identity,
            attester: attested.attester,
            broker: attested.broker,
            lease: Arc::new(lease),
            lifecycle,
            model,
            devices,
            serving: attested.serving,
            _private: (),
        })
    }
}

/// Where the broker is. A name that cannot be resolved is asked for as often as the broker is; `None` then. Whoever answers
/// is believed nothing: the broker's key is pinned.
fn addresses(broker: &BrokerConfig) -> Option<Vec<SocketAddr>> {
    let (host, port) = (broker.url.host.as_str(), broker.url.port);
    if let Ok(address) = host.parse::<IpAddr>() {
        return Some(vec![(address, port).into()]);
    }
    for attempt in 1..=broker.attempts {
        match (host, port).to_socket_addrs() {
            Ok(found) => return Some(found.collect()),
            Err(_) if attempt < broker.attempts => std::thread::sleep(limits::BROKER_PAUSE),
            Err(_) => {}
        }
    }
    None
}

/// Says once how much there is to decrypt; how far it has come is nobody's business outside.
struct Announce;

impl Progress for Announce {
    fn total(&self, bytes: u64) {
        event::emit(Event::Unsealing { bytes });
    }

    fn advance(&self, _bytes: u64) {}
}

/// What comes before the bytes of a fake chip, which stand between launch record and configuration. No TOML begins so.
const CHIP: &[u8; 8] = b"ANCHCHP1";

/// A fake chip, if the launcher gave one, and the configuration.
fn split_chip(rest: &[u8]) -> Result<(Option<&[u8]>, &[u8]), LaunchError> {
    let Some(after) = rest.strip_prefix(CHIP) else {
        return Ok((None, rest));
    };
    let (length, after) = after.split_first_chunk().ok_or(LaunchError::NoRecord)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| LaunchError::NoRecord)?;
    let (chip, text) = after.split_at_checked(length).ok_or(LaunchError::NoRecord)?;
    Ok((Some(chip), text))
}

fn read_all(reader: impl Read) -> Result<Zeroizing<Vec<u8>>, BootError> {
    let limit = limits::LAUNCH_BYTES;
    let mut bytes = Zeroizing::new(Vec::with_capacity(limit + 1));
    reader
        .take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|_| LaunchError::Unreadable)?;
    if bytes.len() > limit {
        return Err(LaunchError::TooLarge.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
