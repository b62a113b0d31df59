//! Renews the lease while the enclave lives.
//!
//! Why apart: renewal is a whole new RCAR session with fresh evidence, and it runs beside everything else.
//!
//! # Invariants
//! A renewed key is wiped at once: the weights are already in clear, only their lease is new. When the lease
//! ends unrenewed, the lifecycle drains.

use std::sync::Arc;

use crate::clock::Clock;
use crate::event::{self, Event};
use crate::lease::Lease;
use crate::lifecycle::Lifecycle;
use crate::limits;
use crate::rcar::{BrokerClient, RcarError, Released};

/// Renews at half of each lease, until it ends or the enclave drains.
pub(super) async fn keep(broker: BrokerClient, lease: Arc<Lease>, clock: Arc<Clock>, lifecycle: Lifecycle) {
    tokio::select! {
        () = renew_again_and_again(&broker, &lease, &clock) => {}
        _ = lifecycle.draining() => {}
    }
}

/// Returns when the lease has ended.
async fn renew_again_and_again(broker: &BrokerClient, lease: &Lease, clock: &Clock) {
    let mut pause = limits::RENEWAL_PAUSE;
    while lease.half().await.is_ok() {
        let answer = tokio::select! {
            answer = broker.obtain() => answer,
            _ = lease.ended() => return,
        };
        match answer {
            Ok(released) => {
                pause = limits::RENEWAL_PAUSE;
                take_over(released, lease, clock);
            }
            Err(error) => {
                event::emit(Event::LeaseNotRenewed {
                    code: RcarError::code(&error),
                });
                if lease.pause(pause).await.is_err() {
                    return;
                }
                pause = (pause * 2).min(limits::RENEWAL_PAUSE_MAX);
            }
        }
    }
}

fn take_over(released: Released, lease: &Lease, clock: &Clock) {
    drop(released.key);
    clock.set_broker_time(released.broker_time, released.terms.requested_at);
    if lease.renew(released.terms).is_ok() {
        event::emit(Event::LeaseRenewed {
            lease_seconds: released.lease_seconds,
        });
    }
}
