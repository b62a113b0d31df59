//! One report for all nonces of a window.
//!
//! Why apart: a security processor is slow and shared, yet every client gets evidence for its own nonce. Only
//! nonces that clients sent to this enclave enter a batch.
//!
//! # Invariants
//! A batch has at most [`limits::BATCH_NONCES`] nonces. While one report is being made, the next batch
//! gathers; at most as many wait. Nobody waits longer than [`limits::EVIDENCE_WAIT`].

use std::fmt;
use std::sync::Arc;

use anchorhold_attestation::{DevicesDigest, InclusionProof, Nonce, NonceBatch};
use tokio::sync::{mpsc, oneshot};
use tokio::time;

use crate::attester::Attester;
use crate::identity::Identity;
use crate::limits;

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
    /// Canonical JSON of the evidence, the same for the whole batch.
    pub evidence: Arc<Vec<u8>>,
    /// For this client alone.
    pub proof: InclusionProof,
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
    /// Starts the task that owns the attester; it ends with the last clone.
    #[must_use]
    pub fn start(attester: Arc<Attester>, identity: Arc<Identity>) -> Self {
        let (asks, receiver) = mpsc::channel(limits::BATCH_NONCES);
        tokio::spawn(answer_batches(attester, identity, receiver));
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

async fn answer_batches(attester: Arc<Attester>, identity: Arc<Identity>, mut asks: mpsc::Receiver<Ask>) {
    while let Some(first) = asks.recv().await {
        let mut batch = vec![first];
        let window = time::sleep(limits::BATCH_WINDOW);
        tokio::pin!(window);
        while batch.len() < limits::BATCH_NONCES {
            tokio::select! {
                () = &mut window => break,
                ask = asks.recv() => match ask {
                    Some(ask) => batch.push(ask),
                    None => break,
                },
            }
        }
        // Who gave up while waiting needs no leaf.
        batch.retain(|ask| !ask.answer.is_closed());
        let Ok(nonces) = NonceBatch::collect(batch.iter().map(|ask| ask.nonce).collect()) else {
            continue;
        };
        let attester = Arc::clone(&attester);
        let report_data = nonces.report_data(&identity.digest(), &DevicesDigest::of(&[]));
        let evidence = tokio::task::spawn_blocking(move || attester.attest(&report_data)).await;
        // Dropping the senders tells every client of this batch; the next batch tries again.
        let Ok(Ok(evidence)) = evidence else {
            continue;
        };
        identity.note_evidence(&evidence);
        let json = Arc::new(evidence.to_json());
        for (index, ask) in batch.into_iter().enumerate() {
            if let Some(proof) = nonces.proof(index) {
                let evidence = Arc::clone(&json);
                // A client that left meanwhile is no error.
                let _ = ask.answer.send(Answer { evidence, proof });
            }
        }
    }
}

#[cfg(test)] // apart from the next line, so that clippy knows these for tests
#[cfg(feature = "insecure-simulated")]
mod tests;
