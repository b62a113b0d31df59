//! The whole life of an enclave: from the configuration's bytes to the exit code.
//!
//! Why apart: `main` and whole-system tests start the same thing.
//!
//! - [`keeper`]: renews the lease while the enclave lives
//!
//! # Invariants
//! Whatever ends it, the model is gone when [`run`] returns after having served.

mod keeper;

use std::future::Future;
use std::io::Read;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anchorhold_models::{LoadOptions, Model};
use tokio::task::{JoinHandle, JoinSet};

use crate::api::{self, ApiState};
use crate::auth::Auth;
use crate::batch::EvidenceService;
use crate::boot::{BootError, Keyed, Locked, Ready, Restricted};
use crate::confine::{ConfineError, Confined};
use crate::devices::watch;
use crate::endorsements::{self, Stapled};
use crate::engine;
use crate::event::{self, Event};
use crate::lifecycle::{Cause, Lifecycle};
use crate::metrics::{self, Metrics};
use crate::receipts::Receipts;
use crate::server::Server;
use crate::tls;

/// How the life of an enclave ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum RunOutcome {
    /// Asked to stop, and everything in flight was finished or given up.
    Drained,
    /// It could not start, or could not go on.
    Failed,
    /// The launcher or the configuration is to blame.
    BadConfiguration,
    /// The broker refused.
    Denied,
    /// The lease ended and was not renewed.
    LeaseEnded,
}

impl RunOutcome {
    /// 0: as asked; 1: an error; 2: the configuration; 3: the broker said no, at the start or later.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Drained => 0,
            Self::Failed => 1,
            Self::BadConfiguration => 2,
            Self::Denied | Self::LeaseEnded => 3,
        }
    }
}

impl From<RunOutcome> for ExitCode {
    fn from(outcome: RunOutcome) -> Self {
        Self::from(outcome.code())
    }
}

/// Where an enclave that became ready can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listening {
    /// Clients, over TLS.
    pub api: SocketAddr,
    /// The scraper, in clear.
    pub metrics: Option<SocketAddr>,
}

/// Reads `input` (the launch record, then the configuration, to the end) and gives up what this enclave will not need.
/// Must be called before the first thread is started. Blocks.
///
/// # Errors
/// How the enclave has ended already.
pub fn start(input: impl Read) -> Result<Restricted, RunOutcome> {
    let restricted = Locked::from_descriptor(input).and_then(Locked::restrict);
    restricted.map_err(|error| failed(&error))
}

/// Says why an enclave ends.
fn failed(error: &BootError) -> RunOutcome {
    if let BootError::Confine(ConfineError::MemoryLimit { needed, allowed }) = *error {
        event::emit(Event::MemoryLimit {
            needed_bytes: needed,
            allowed_bytes: allowed,
        });
    }
    event::emit(error.event());
    error.outcome()
}

/// Boots, serves until `shutdown` resolves or something ends it, and says how it ended. `listening` is called once, when
/// clients can connect.
///
/// Must be called within a multi-threaded tokio runtime with all its drivers.
pub async fn run(
    restricted: Restricted,
    shutdown: impl Future<Output = ()>,
    listening: impl FnOnce(Listening),
) -> RunOutcome {
    tokio::pin!(shutdown);
    let booted = tokio::select! {
        () = &mut shutdown => {
            event::emit(Event::Drained);
            return RunOutcome::Drained;
        }
        booted = boot(restricted) => booted,
    };
    let served = match booted {
        Ok(ready) => serve(ready, shutdown, listening).await,
        Err(error) => Err(error),
    };
    served.unwrap_or_else(|error| failed(&error))
}

async fn boot(restricted: Restricted) -> Result<Ready, BootError> {
    let attested = blocking(move || restricted.attest()).await?;
    let keyed = attested.obtain_key().await?;
    blocking(move || Keyed::unseal(keyed)).await
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BootError> + Send + 'static,
) -> Result<T, BootError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| BootError::Panicked)?
}

async fn serve(
    ready: Ready,
    shutdown: impl Future<Output = ()>,
    listening: impl FnOnce(Listening),
) -> Result<RunOutcome, BootError> {
    let Ready {
        config,
        clock,
        tls,
        identity,
        attester,
        broker,
        lease,
        lifecycle,
        model,
        devices,
        serving,
        ..
    } = ready;
    let options = config.engine.load_options();
    let auth = Auth::new(config.access.clone(), Arc::clone(&clock));
    let metrics = Metrics::new(Arc::clone(&clock)).with_kernels(options.kernels);
    let metrics = Arc::new(metrics.with_keys(auth.counts()));
    let computing = computing(&model, &options, config.engine.running);
    let settings = engine::Settings {
        queue: config.limits.queue,
        running: config.engine.running,
        lease: Arc::clone(&lease),
        lifecycle: lifecycle.clone(),
        metrics: Arc::clone(&metrics),
    };
    let engine = engine::start(model, settings).map_err(|_| BootError::Thread)?;
    let stapled = Arc::new(Stapled::default());
    let state = Arc::new(ApiState {
        stapled: Arc::clone(&stapled),
        engine: engine.handle(),
        identity: Arc::clone(&identity),
        model_name: config.model.name.clone(),
        limits: config.limits,
        traffic: config.traffic,
        auth,
        metrics: Arc::clone(&metrics),
        lifecycle: lifecycle.clone(),
        clock: Arc::clone(&clock),
        lease: Arc::clone(&lease),
        receipts: Arc::new(Receipts::new(Arc::clone(&identity), Arc::clone(&clock))),
        evidence: EvidenceService::start(attester, identity),
    });

    let limits = config.limits;
    let server_tls =
        tls::server_config(&tls, config.traffic.map(|shape| shape.frame)).map_err(|_| BootError::Tls)?;
    let app = api::router(state);
    let api = Server::tls(serving.api, server_tls, app, limits, lifecycle.clone())
        .map_err(|_| BootError::Listen)?;
    let scraped = match serving.metrics {
        None => None,
        Some(address) => {
            let app = metrics::router(metrics).merge(endorsements::router(stapled));
            let server = Server::plain(address, app, limits, lifecycle.clone());
            Some(server.map_err(|_| BootError::Listen)?)
        }
    };
    // Everything is open by now. What it takes blocks for a moment, while nobody is served yet.
    let confined = blocking(move || serving.boundary.confine().map_err(BootError::Confine)).await?;
    if let Some(computing) = computing {
        event::emit(computing);
    }
    announce(&api, scraped.as_ref(), clock.milliseconds(), listening)?;

    if let Some(devices) = devices {
        tokio::spawn(watch::watch(devices, lifecycle.clone()));
    }
    let keeper = tokio::spawn(keeper::keep(broker, lease, clock, lifecycle.clone()));
    let listeners = serve_all(api, scraped, confined, lifecycle.clone());
    let cause = until_draining(&lifecycle, shutdown).await;
    if cause == Cause::LeaseEnded {
        event::emit(Event::LeaseEnded);
    }
    event::emit(Event::Draining { cause: cause.name() });
    // The servers end by themselves within the drain time.
    let _ = listeners.await;
    keeper.abort();
    engine.stop();
    engine.stopped().await;
    event::emit(Event::Drained);
    Ok(match cause {
        Cause::Signal => RunOutcome::Drained,
        Cause::LeaseEnded => RunOutcome::LeaseEnded,
        Cause::ModelFailed | Cause::ListenerFailed | Cause::DevicesChanged => RunOutcome::Failed,
    })
}

/// How a decoder computes.
fn computing(model: &Model, options: &LoadOptions, running: usize) -> Option<Event> {
    let Model::Decoder(decoder) = model else {
        return None;
    };
    let memory = decoder.memory();
    Some(Event::Engine {
        kernels: options.kernels.set().name(),
        threads: options.threads,
        running,
        weights_bytes: memory.weights,
        kv_bytes: memory.kv,
        scratch_bytes: memory.scratch,
        program_bytes: memory.program,
        memory_bytes: memory.total(),
    })
}

fn announce(
    api: &Server,
    metrics: Option<&Server>,
    milliseconds: u64,
    listening: impl FnOnce(Listening),
) -> Result<(), BootError> {
    let address = |server: &Server| server.address().map_err(|_| BootError::Listen);
    let addresses = Listening {
        api: address(api)?,
        metrics: metrics.map(address).transpose()?,
    };
    event::emit(Event::Ready { milliseconds });
    if let Some(metrics) = addresses.metrics {
        event::emit(Event::MetricsListening { port: metrics.port() });
    }
    event::emit(Event::Listening {
        port: addresses.api.port(),
    });
    listening(addresses);
    Ok(())
}

/// Runs the servers. One that ends before it was asked to (it panicked) takes the enclave with it.
fn serve_all(
    api: Server,
    scraped: Option<Server>,
    confined: Confined,
    lifecycle: Lifecycle,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut servers = JoinSet::new();
        servers.spawn(api.serve(confined));
        if let Some(scraped) = scraped {
            servers.spawn(scraped.serve(confined));
        }
        while servers.join_next().await.is_some() {
            // Without effect when the enclave drains already.
            lifecycle.drain(Cause::ListenerFailed);
        }
    })
}

async fn until_draining(lifecycle: &Lifecycle, shutdown: impl Future<Output = ()>) -> Cause {
    tokio::select! {
        () = shutdown => lifecycle.drain(Cause::Signal),
        _ = lifecycle.draining() => {}
    }
    lifecycle.draining().await
}

#[cfg(test)] // apart from the next line, so that clippy knows these for tests
#[cfg(feature = "insecure-simulated")]
mod tests;
