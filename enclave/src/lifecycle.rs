//! Ready, then draining for one cause: what every part watches to know when to stop.
//!
//! Why apart: a signal, the end of the lease and a failed model all lead to the same end, and the first of
//! them decides the exit code.
//!
//! # Invariants
//! Draining never turns back, and its cause never changes.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;

/// Why the enclave stops serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The operator asked for it.
    Signal,
    /// The lease ended: the weights may no longer be used.
    LeaseEnded,
    /// The thread that owns the model failed.
    ModelFailed,
    /// A listener failed for good.
    ListenerFailed,
    /// The GPUs are no longer those that were appraised.
    DevicesChanged,
}

impl Cause {
    /// For events.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Signal => "signal",
            Self::LeaseEnded => "lease_ended",
            Self::ModelFailed => "model_failed",
            Self::ListenerFailed => "listener_failed",
            Self::DevicesChanged => "devices_changed",
        }
    }
}

/// Where the life of the enclave stands. Clones watch the same life.
#[derive(Clone)]
pub struct Lifecycle {
    draining: Arc<watch::Sender<Option<Cause>>>,
}

impl fmt::Debug for Lifecycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lifecycle").field("cause", &self.cause()).finish()
    }
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// A life that has just become ready.
    #[must_use]
    pub fn new() -> Self {
        Self {
            draining: Arc::new(watch::Sender::new(None)),
        }
    }

    /// Starts to drain. Later causes change nothing.
    pub fn drain(&self, cause: Cause) {
        self.draining.send_if_modified(|current| {
            let first = current.is_none();
            if first {
                *current = Some(cause);
            }
            first
        });
    }

    /// Why it drains; `None` while it serves.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        *self.draining.borrow()
    }

    /// Waits until it drains, and says why.
    pub async fn draining(&self) -> Cause {
        let mut receiver = self.draining.subscribe();
        loop {
            if let Some(cause) = *receiver.borrow_and_update() {
                return cause;
            }
            receiver
                .changed()
                .await
                .expect("the sender lives as long as self");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_cause_stays() {
        let life = Lifecycle::new();
        assert_eq!(life.cause(), None);
        let waiting = life.clone();
        let waiter = tokio::spawn(async move { waiting.draining().await });
        life.drain(Cause::LeaseEnded);
        life.drain(Cause::Signal);
        assert_eq!(waiter.await.unwrap(), Cause::LeaseEnded);
        assert_eq!(life.draining().await, Cause::LeaseEnded);
    }
}
