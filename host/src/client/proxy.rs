//! A local OpenAI endpoint behind which every answer comes from a verified enclave.
//!
//! Why apart: any program that knows the OpenAI API works with an enclave unchanged, and need not know how to
//! verify one.
//!
//! # Invariants
//! It listens only where this machine's owner is ([`listen`]), serves only who may ([`access`]), forwards only
//! over bound connections (`forward`). The enclave is verified before the first local connection is accepted,
//! and again before the evidence is too old. Nothing in plaintext is written anywhere.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::sync::Semaphore;

pub mod access;
pub(super) mod answer;
mod forward;
pub mod listen;
pub mod tokens;

use self::access::{Access, Token};
use self::answer::Fault;
use self::listen::{Listener, Place};
use self::tokens::Tokens;
use super::enclave::Enclave;
use super::error::ClientError;
use super::kept::Keeper;
use super::limits;

/// Where the proxy's notices for a person go: constant lines.
pub type Notices = Arc<dyn Fn(&str) + Send + Sync>;

/// A proxy that listens and does not serve yet.
pub struct Proxy {
    listener: Listener,
    access: Access,
    shared: Shared,
}

/// What every request needs.
#[derive(Clone)]
struct Shared {
    enclave: Arc<Enclave>,
    api_key: Option<HeaderValue>,
    keeper: Option<Keeper>,
    tokens: Option<Arc<Tokens>>,
    notices: Notices,
}

impl Shared {
    fn notice(&self, fault: &Fault) {
        if let Fault::Enclave(error) = fault
            && error.is_refusal()
        {
            (self.notices)(&format!("refused: {error}"));
        }
        if matches!(fault, Fault::Keep) {
            (self.notices)("a receipt could not be kept; its answer was held back");
        }
    }
}

/// How a proxy is set up.
pub struct Settings {
    /// The enclave, which is verified when the proxy opens.
    pub enclave: Arc<Enclave>,
    /// Where to listen.
    pub place: Place,
    /// What to present to the enclave as Authorization.
    pub api_key: Option<HeaderValue>,
    /// Where to keep receipts.
    pub keeper: Option<Keeper>,
    /// What makes ids of texts, where texts are not to reach the enclave.
    pub tokens: Option<Tokens>,
    /// Who is told of refusals.
    pub notices: Notices,
}

/// Why a proxy did not start.
#[derive(Debug)]
pub enum ProxyError {
    /// The enclave is not affirmed.
    Enclave(ClientError),
    /// The place cannot be listened at.
    Listen(io::ErrorKind),
}

impl Proxy {
    /// Verifies the enclave, then listens.
    ///
    /// # Errors
    /// [`ProxyError`]; nothing listens then.
    pub async fn open(settings: Settings) -> Result<Self, ProxyError> {
        settings.enclave.affirmed().await.map_err(ProxyError::Enclave)?;
        let listen = |error: io::Error| ProxyError::Listen(error.kind());
        let listener = Listener::open(&settings.place).await.map_err(listen)?;
        let access = match listener.port().map_err(listen)? {
            Some(port) => Access::Loopback {
                port,
                token: Token::generate().map_err(ProxyError::Enclave)?,
            },
            None => Access::Owner,
        };
        let Settings {
            enclave,
            api_key,
            keeper,
            tokens,
            notices,
            ..
        } = settings;
        Ok(Self {
            listener,
            access,
            shared: Shared {
                enclave,
                api_key,
                keeper,
                tokens: tokens.map(Arc::new),
                notices,
            },
        })
    }

    /// The rules, with the token to show to the person.
    #[must_use]
    pub const fn access(&self) -> &Access {
        &self.access
    }

    /// Serves until `stop` completes, then lets answers in flight end for a while.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let Self {
            listener,
            access,
            shared,
        } = self;
        let access = Arc::new(access);
        let slots = Arc::new(Semaphore::new(limits::PROXY_CONNECTIONS));
        let graceful = GracefulShutdown::new();
        let mut stop = std::pin::pin!(stop);
        let mut freshness = std::pin::pin!(stay_fresh(&shared));
        loop {
            let accepted = tokio::select! {
                () = &mut stop => break,
                () = &mut freshness => break,
                accepted = accept(&listener, &slots) => accepted,
            };
            let (access, shared) = (Arc::clone(&access), shared.clone());
            let service = service_fn(move |request| {
                let (access, shared) = (Arc::clone(&access), shared.clone());
                async move { Ok::<_, Infallible>(forward::answer(&access, &shared, request).await) }
            });
            let (stream, slot) = accepted;
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::PROXY_HEAD)
                .max_buf_size(limits::HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            let connection = graceful.watch(connection);
            tokio::spawn(async move {
                // A local program that breaks off needs no answer.
                let _ = connection.await;
                drop(slot);
            });
        }
        // No new connection: the socket's name is gone before the drain.
        drop(listener);
        let _ = tokio::time::timeout(limits::PROXY_DRAIN, graceful.shutdown()).await;
    }
}

type Accepted = (Box<dyn listen::Local>, tokio::sync::OwnedSemaphorePermit);

/// The next connection, once there is room for it.
async fn accept(listener: &Listener, slots: &Arc<Semaphore>) -> Accepted {
    loop {
        let slot = Arc::clone(slots).acquire_owned().await;
        let slot = slot.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok(stream) => return (stream, slot),
            // Out of descriptors, mostly: some connection will end.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Verifies the enclave again before its evidence is too old, so that no request waits for it. Never ends.
async fn stay_fresh(shared: &Shared) {
    loop {
        // The clock can be set while this sleeps; a minute is looked away at most.
        let seconds = shared.enclave.seconds_to_renewal().await.clamp(1, 60);
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        if shared.enclave.seconds_to_renewal().await == 0
            && let Err(error) = shared.enclave.affirmed().await
        {
            shared.notice(&Fault::Enclave(error));
            tokio::time::sleep(Duration::from_secs(limits::RENEWAL_PAUSE_SECONDS)).await;
        }
    }
}

#[cfg(test)]
mod tests;
