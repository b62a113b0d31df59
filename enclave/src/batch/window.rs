//! The way of one window through the hardware: devices first, then the CPU, then a proof for each client.
//!
//! Why apart: here is what may overlap and what may not; who is in a window is decided before.
//!
//! # Invariants
//! Devices answer for one window at a time, and so does the CPU: a GPU asked twice at once takes turns, and whoever came
//! later would wait for both. A window leaves the devices' stage only when it has the CPU's, so no heap of finished
//! device reports grows between them. What fails answers nobody: dropped senders
//! tell every client of the window, and the next window tries again.

use std::sync::Arc;
use std::time::Duration;

use anchorhold_attestation::document::endorsement_text;
use anchorhold_attestation::{DeviceEvidence, DevicesDigest, InclusionProof, NonceBatch};
use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task;

use super::{Answer, Ask};
use crate::attester::Attester;
use crate::identity::Identity;
use crate::limits;

/// What every window passes through.
#[derive(Clone)]
pub(super) struct Stages {
    attester: Arc<Attester>,
    identity: Arc<Identity>,
    devices: Arc<Semaphore>,
    cpu: Arc<Semaphore>,
}

/// The same evidence for all, and each client's own proof, in the order of the batch.
struct Signed {
    evidence: Vec<u8>,
    proofs: Vec<InclusionProof>,
    endorsements: Vec<Bytes>,
}

impl Stages {
    pub(super) fn new(attester: Arc<Attester>, identity: Arc<Identity>) -> Self {
        Self {
            attester,
            identity,
            devices: Arc::new(Semaphore::new(1)),
            cpu: Arc::new(Semaphore::new(1)),
        }
    }

    /// How long a window stays open at least.
    pub(super) fn window(&self) -> Duration {
        if self.attester.has_devices() {
            limits::DEVICE_BATCH_WINDOW
        } else {
            limits::BATCH_WINDOW
        }
    }

    /// Waits for the first stage to be free.
    pub(super) async fn enter(&self) -> OwnedSemaphorePermit {
        let first = if self.attester.has_devices() {
            &self.devices
        } else {
            &self.cpu
        };
        turn(first).await
    }

    /// Answers a batch. `turn` is the permit of the first stage.
    pub(super) async fn serve(self, mut batch: Vec<Ask>, turn: OwnedSemaphorePermit) {
        // Who gave up while waiting needs no leaf.
        batch.retain(|ask| !ask.answer.is_closed());
        let Ok(nonces) = NonceBatch::collect(batch.iter().map(|ask| ask.nonce).collect()) else {
            return;
        };
        let Some(signed) = self.sign(nonces, turn).await else {
            return;
        };
        let evidence = Bytes::from(signed.evidence);
        let endorsements = Arc::new(signed.endorsements);
        for (ask, proof) in batch.into_iter().zip(signed.proofs) {
            // A client that left meanwhile is no error.
            let _ = ask.answer.send(Answer {
                evidence: evidence.clone(),
                proof,
                endorsements: Arc::clone(&endorsements),
            });
        }
    }

    async fn sign(self, nonces: NonceBatch, mut turn: OwnedSemaphorePermit) -> Option<Signed> {
        let mut devices = Vec::new();
        if self.attester.has_devices() {
            let nonce = nonces.gpu_nonce(&self.identity.digest());
            let attester = Arc::clone(&self.attester);
            let collected = task::spawn_blocking(move || attester.collect(&nonce)).await;
            devices = collected.ok()?.ok()?;
            turn = self::turn(&self.cpu).await;
        }
        task::spawn_blocking(move || self.sign_with_cpu(&nonces, devices, turn))
            .await
            .ok()?
    }

    /// Blocks for as long as the platform takes to sign; the stage is free again before proofs are computed.
    fn sign_with_cpu(
        &self,
        nonces: &NonceBatch,
        devices: Vec<DeviceEvidence>,
        turn: OwnedSemaphorePermit,
    ) -> Option<Signed> {
        let report_data = nonces.report_data(&self.identity.digest(), &DevicesDigest::of(&devices));
        let evidence = self.attester.attest(&report_data, devices);
        drop(turn);
        let evidence = evidence.ok()?;
        self.identity.note_evidence(&evidence);
        Some(Signed {
            evidence: evidence.to_json(),
            proofs: nonces.proofs(),
            endorsements: self
                .attester
                .host_endorsements()
                .iter()
                .map(|endorsement| Bytes::from(endorsement_text(&endorsement.to_json())))
                .collect(),
        })
    }
}

async fn turn(stage: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    Arc::clone(stage)
        .acquire_owned()
        .await
        .expect("nothing closes a stage")
}
