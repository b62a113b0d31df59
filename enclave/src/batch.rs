//! One report for all nonces of a window.
//!
//! Why apart: a security processor is slow and shared, yet every client gets evidence for its own nonce. Only
//! nonces that clients sent to this enclave enter a batch.
//!
//! - [`window`]: the way of one batch through the devices and the CPU
//!
//! A window is open for [`limits::BATCH_WINDOW`] (with devices [`limits::DEVICE_BATCH_WINDOW`]) from its first nonce, and on until the hardware can take it: what
//! arrives while a report is made shares the next one. With devices, theirs is a stage of its own, so that the devices
//! answer for the next window while the CPU signs for the one before.
//!
//! # Invariants
//! A batch has at most [`limits::BATCH_NONCES`] nonces, and as many wait behind it. One window at most is in each
//! stage. Nothing here computes on the runtime's own threads. Nobody waits longer than [`limits::EVIDENCE_WAIT`].

mod window;

use std::fmt;
use std::sync::Arc;

use anchorhold_attestation::{InclusionProof, Nonce};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time;

use crate::attester::Attester;
use crate::identity::Identity;
use crate::limits;
use window::Stages;

/// Why a client got no evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoEvidence {
    /// Too many clients wait.
    Busy,
    /// The platform gave no report in time, or none at all.
    Unavailable,
}

impl fmt::Display for NoEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Busy => "too many clients wait for evidence; try again",
            Self::Unavailable => "the platform gave no evidence; try again",
        })
    }
}

impl std::error::Error for NoEvidence {}

impl NoEvidence {
    /// What the client can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "ask again in a second"
    }
}

/// Evidence, and the proof that it covers one client's nonce.
#[derive(Debug)]
pub struct Answer {
    /// Canonical JSON of the evidence, the same bytes for the whole batch.
    pub evidence: Bytes,
    /// For this client alone.
    pub proof: InclusionProof,
    /// What the host gave beside the CPU's report, to be stapled: each as it stands in a document, the same for the whole
    /// batch.
    pub endorsements: Arc<Vec<Bytes>>,
}

struct Ask {
    nonce: Nonce,
    answer: oneshot::Sender<Answer>,
}

/// Where handlers ask for evidence. Clones ask the same attester.
#[derive(Clone)]
pub struct EvidenceService {
    asks: mpsc::Sender<Ask>,
}

impl fmt::Debug for EvidenceService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvidenceService").finish_non_exhaustive()
    }
}

impl EvidenceService {
    /// Starts the task that gathers windows; it ends with the last clone.
    #[must_use]
    pub fn start(attester: Arc<Attester>, identity: Arc<Identity>) -> Self {
        let (asks, receiver) = mpsc::channel(limits::BATCH_NONCES);
        tokio::spawn(gather_windows(Stages::new(attester, identity), receiver));
        Self { asks }
    }

    /// Evidence that covers `nonce`.
    ///
    /// # Errors
    /// [`NoEvidence`].
    pub async fn evidence_for(&self, nonce: Nonce) -> Result<Answer, NoEvidence> {
        let (answer, receiver) = oneshot::channel();
        self.asks
            .try_send(Ask { nonce, answer })
            .map_err(|_| NoEvidence::Busy)?;
        match time::timeout(limits::EVIDENCE_WAIT, receiver).await {
            Ok(Ok(answer)) => Ok(answer),
            _ => Err(NoEvidence::Unavailable),
        }
    }
}

async fn gather_windows(stages: Stages, mut asks: mpsc::Receiver<Ask>) {
    while let Some(first) = asks.recv().await {
        let (batch, turn) = gather(first, &mut asks, &stages).await;
        // The permit bounds how many of these there are.
        tokio::spawn(stages.clone().serve(batch, turn));
    }
}

/// One window: open until its time is over and the first stage is free, or until it is full and the stage is free.
async fn gather(
    first: Ask,
    asks: &mut mpsc::Receiver<Ask>,
    stages: &Stages,
) -> (Vec<Ask>, OwnedSemaphorePermit) {
    let mut batch = vec![first];
    let closes = async {
        time::sleep(stages.window()).await;
        stages.enter().await
    };
    tokio::pin!(closes);
    loop {
        if batch.len() >= limits::BATCH_NONCES {
            // Who gave up meanwhile makes room.
            batch.retain(|ask| !ask.answer.is_closed());
        }
        if batch.len() >= limits::BATCH_NONCES {
            return (batch, stages.enter().await);
        }
        tokio::select! {
            turn = &mut closes => return (batch, turn),
            ask = asks.recv() => match ask {
                Some(ask) => batch.push(ask),
                // The service is gone, and with it whoever could still ask.
                None => return (batch, closes.await),
            },
        }
    }
}

#[cfg(test)] // apart from the next line, so that clippy knows these for tests
#[cfg(feature = "insecure-simulated")]
mod tests;
