//! An enclave as a client uses it over hours: verified, verified again in time, a few bound connections kept.
//!
//! Why apart: when evidence is fetched anew is a rule of its own: before the policy's `max_age`, after any
//! failed binding, and so at each new boot, whose TLS key is another.
//!
//! # Invariants
//! A connection leaves here bound to the identity that is current. Connections of an older identity are closed.
//! A policy's denial of new evidence ends the old identity at once; an enclave that cannot be reached keeps it
//! until its time is over. One call fetches new evidence at most once.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anchorhold_attestation::{PinnedIdentity, ReceivedIdentity, Timestamp};
use hyper::{Method, StatusCode};
use tokio::sync::Mutex as AsyncMutex;

use super::bound::{BoundConnection, Question, bind};
use super::connection::connect;
use super::endpoint::Endpoint;
use super::error::{ClientError, Stage};
use super::exchange::Exchange;
use super::kept::AttestationRecord;
use super::limits;
use super::padding;
use super::verify::{Verification, verify};
use crate::client::trust::Trust;
use crate::clock::Clock;
use crate::tls::PeerKey;

/// One enclave, by address and policy.
pub struct Enclave {
    endpoint: Endpoint,
    trust: Trust,
    clock: Clock,
    /// Held while evidence is fetched, so that callers wait for one verification and do not start their own.
    current: AsyncMutex<Option<Arc<Affirmed>>>,
    idle: Mutex<VecDeque<Idle>>,
    /// Requests keep their lengths.
    unpadded: bool,
}

/// An identity that the policy affirmed, with what is kept of how.
pub struct Affirmed {
    /// What connections are bound to.
    pub identity: Arc<PinnedIdentity>,
    /// What the enclave says it is.
    pub received: ReceivedIdentity,
    /// What was judged.
    pub record: AttestationRecord,
    /// Seconds since 1970: later when an attempt failed, never past the identity's own end.
    renew_at: AtomicU64,
}

struct Idle {
    connection: BoundConnection,
    affirmed: Arc<Affirmed>,
    since: Instant,
}

/// A bound connection and what affirms it.
pub(super) struct Bound {
    pub(super) connection: BoundConnection,
    pub(super) affirmed: Arc<Affirmed>,
    /// It was used before, so the enclave may have closed it meanwhile.
    reused: bool,
}

impl Affirmed {
    fn renew_at(&self) -> Timestamp {
        Timestamp::from_unix(self.renew_at.load(Ordering::Relaxed))
    }

    fn postpone(&self, to: Timestamp) {
        // At the end of the identity's time there is nothing left to postpone to.
        let to = to.min(self.identity.valid_until());
        self.renew_at.store(to.unix(), Ordering::Relaxed);
    }
}

/// An answer or an error. A program that followed a redirection would send its prompt, and take its answer, on a
/// connection that nothing binds.
fn is_final(status: StatusCode) -> bool {
    status.is_success() || status.is_client_error() || status.is_server_error()
}

impl Enclave {
    /// Knows where and by what policy; nothing is sent yet.
    #[must_use]
    pub fn new(endpoint: Endpoint, trust: impl Into<Trust>, clock: Clock) -> Self {
        Self {
            endpoint,
            trust: trust.into(),
            clock,
            current: AsyncMutex::new(None),
            idle: Mutex::new(VecDeque::new()),
            unpadded: false,
        }
    }

    /// The same, sending requests with their own lengths, which tell an observer how long a prompt is.
    #[must_use]
    pub fn dangerously_unpadded(mut self) -> Self {
        self.unpadded = true;
        self
    }

    /// The affirmed identity, verified now when there is none or its time is nearly over.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn affirmed(&self) -> Result<Arc<Affirmed>, ClientError> {
        let mut current = self.current.lock().await;
        let now = self.clock.now();
        match &*current {
            Some(affirmed) if now < affirmed.renew_at() => Ok(Arc::clone(affirmed)),
            _ => self.renew(&mut current).await,
        }
    }

    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Seconds until [`Self::affirmed`] would fetch new evidence; 0 when it would now.
    pub(super) async fn seconds_to_renewal(&self) -> u64 {
        let current = self.current.lock().await;
        let renew_at = current.as_ref().map(|affirmed| affirmed.renew_at());
        renew_at.and_then(|at| at.since(self.clock.now())).unwrap_or(0)
    }

    /// Sends `question` on a bound connection, what is posted padded to the length of its class. A connection that was closed between two requests, or an enclave
    /// that was started anew, is met by one more try on a new connection; a question of which a byte was sent
    /// is not sent again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask(self: &Arc<Self>, mut question: Question) -> Result<Exchange, ClientError> {
        if question.method == Method::POST && !self.unpadded {
            question.body = padding::padded(&question.body);
        }
        loop {
            let mut bound = self.bound().await?;
            match bound.connection.request(&question).await {
                Ok(answer) if is_final(answer.status()) => {
                    return Ok(Exchange::new(Arc::clone(self), bound, question, answer));
                }
                Ok(_) => return Err(ClientError::Malformed(Stage::Answer)),
                // Each turn uses up one idle connection, and a new one is not tried twice.
                Err(unanswered) if unanswered.unsent && bound.reused => {}
                Err(unanswered) => return Err(unanswered.error),
            }
        }
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn give_back(&self, bound: Bound) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if bound.connection.is_open() && idle.len() < limits::POOL {
            idle.push_back(Idle {
                connection: bound.connection,
                affirmed: bound.affirmed,
                since: Instant::now(),
            });
        }
    }

    /// A bound connection: one that is idle, else a new one.
    async fn bound(&self) -> Result<Bound, ClientError> {
        let affirmed = self.affirmed().await?;
        if let Some(connection) = self.take_idle(&affirmed) {
            return Ok(Bound {
                connection,
                affirmed,
                reused: true,
            });
        }
        match self.new_connection(&affirmed).await {
            Ok(connection) => Ok(Bound {
                connection,
                affirmed,
                reused: false,
            }),
            Err(error) if error.calls_for_new_evidence() => {
                let affirmed = self.replace(&affirmed).await?;
                let connection = match self.take_idle(&affirmed) {
                    Some(connection) => connection,
                    None => self.new_connection(&affirmed).await?,
                };
                Ok(Bound {
                    connection,
                    affirmed,
                    reused: false,
                })
            }
            Err(error) => Err(error),
        }
    }

    async fn new_connection(&self, affirmed: &Affirmed) -> Result<BoundConnection, ClientError> {
        let key = PeerKey::Pinned(*affirmed.identity.tls_spki_sha256());
        let connection = connect(&self.endpoint, key).await?;
        bind(connection, Arc::clone(&affirmed.identity), &self.clock).await
    }

    /// The youngest idle connection bound to exactly this affirmation; older and closed ones are dropped.
    fn take_idle(&self, affirmed: &Arc<Affirmed>) -> Option<BoundConnection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| {
            Arc::ptr_eq(&idle.affirmed, affirmed)
                && idle.connection.is_open()
                && idle.since.elapsed() < limits::POOL_IDLE
        });
        idle.pop_back().map(|idle| idle.connection)
    }

    /// New evidence in the place of `failed`, unless another caller has already fetched it.
    async fn replace(&self, failed: &Arc<Affirmed>) -> Result<Arc<Affirmed>, ClientError> {
        let mut current = self.current.lock().await;
        match &*current {
            Some(other) if !Arc::ptr_eq(other, failed) => Ok(Arc::clone(other)),
            _ => {
                *current = None;
                self.renew(&mut current).await
            }
        }
    }

    /// Verifies anew. An identity in `current` serves on until its end while the enclave merely cannot be
    /// reached; a refusal ends it.
    async fn renew(&self, current: &mut Option<Arc<Affirmed>>) -> Result<Arc<Affirmed>, ClientError> {
        let error = match self.verify_and_bind().await {
            Ok(affirmed) => {
                *current = Some(Arc::clone(&affirmed));
                return Ok(affirmed);
            }
            Err(error) => error,
        };
        let now = self.clock.now();
        match &*current {
            Some(old) if !error.is_refusal() && now < old.identity.valid_until() => {
                old.postpone(now.plus(limits::RENEWAL_PAUSE_SECONDS));
                Ok(Arc::clone(old))
            }
            _ => {
                *current = None;
                Err(error)
            }
        }
    }

    /// The connection that brought the evidence is bound as well, and kept for the first request: evidence that
    /// was only relayed is noticed here.
    async fn verify_and_bind(&self) -> Result<Arc<Affirmed>, ClientError> {
        let Verification {
            identity,
            received,
            record,
            connection,
            ..
        } = verify(&self.endpoint, &self.trust, &self.clock).await?;
        let identity = Arc::new(identity);
        let connection = bind(connection, Arc::clone(&identity), &self.clock).await?;
        let affirmed = Arc::new(Affirmed {
            renew_at: AtomicU64::new(renewal(self.clock.now(), identity.valid_until()).unix()),
            identity,
            received,
            record,
        });
        self.give_back(Bound {
            connection,
            affirmed: Arc::clone(&affirmed),
            reused: false,
        });
        Ok(affirmed)
    }
}

/// Four fifths of the time that is left have passed: enough remains for an enclave whose evidence takes long.
fn renewal(now: Timestamp, valid_until: Timestamp) -> Timestamp {
    let left = valid_until.since(now).unwrap_or(0);
    now.plus(left - left / 5)
}

#[cfg(test)]
mod tests;
