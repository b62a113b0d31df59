//! From a driver's library to GPUs that may have weights.
//!
//! Why apart: the order is the promise. GPUs are not ready before they were judged, and each judgement is of the same GPUs.
//!
//! # Invariants
//! The nonce is drawn here, of each appraisal its own. Every way out but the last leaves the GPUs not ready. What was read
//! before the appraisal is read again behind it.
//!
//! Sources: NVML API reference, Confidential Computing; `nvml.h` of driver 595: `nvmlSystemSetConfComputeGpusReadyState`, of which
//! NVIDIA's deployment guide says that it is to be called once the GPUs' evidence was verified.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anchorhold_attestation::{Anchors, DeviceEvidence, DevicesRefused, Endorsements, Timestamp};
use anchorhold_encoding::{Digest, sha384};

use super::{DevicesConfig, DevicesError, Gpu, ReadyDevices, Snapshot};
use crate::attester::nvml::{Gate, evidence_of};
use crate::limits;

/// Takes GPUs into use: verifies and appraises all of them at `now`, and sets them ready.
///
/// # Errors
/// [`DevicesError`]: the first thing that is not as it must be.
pub fn admit(
    library: Arc<dyn Gate>,
    config: &DevicesConfig,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
) -> Result<ReadyDevices, DevicesError> {
    let mut nonce = [0; 32];
    aws_lc_rs::rand::fill(&mut nonce).map_err(|_| DevicesError::Random)?;
    answered(library, config, endorsements, anchors, now, Digest::new(nonce))
}

/// The same with a nonce that somebody else drew: a recorded answer is to one question only.
pub(super) fn answered(
    library: Arc<dyn Gate>,
    config: &DevicesConfig,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
    nonce: Digest<32>,
) -> Result<ReadyDevices, DevicesError> {
    // Whoever set them ready before did not judge them for this.
    library.set_ready(false)?;
    let found = judge(&*library, config, endorsements, anchors, now, nonce);
    let (appraised, snapshot, uuid) = found?;
    let ready = ReadyDevices {
        library,
        appraised,
        snapshot,
        uuid,
        holds: AtomicBool::new(true),
    };
    // From here on, dropping it takes the state back.
    ready.library.set_ready(true)?;
    if !ready.library.is_ready()? {
        return Err(DevicesError::NotReady);
    }
    Ok(ready)
}

type Judged = (anchorhold_attestation::AppraisedDevices, Snapshot, [u8; 16]);

fn judge(
    library: &dyn Gate,
    config: &DevicesConfig,
    endorsements: &Endorsements,
    anchors: &Anchors,
    now: Timestamp,
    nonce: Digest<32>,
) -> Result<Judged, DevicesError> {
    let snapshot = Snapshot::take(library)?;
    if snapshot.gpus.len() != usize::from(config.policy.gpus()) {
        return Err(DevicesError::Count);
    }
    let uuids: BTreeSet<_> = snapshot.gpus.iter().map(|gpu| gpu.uuid).collect();
    let sessions: BTreeSet<_> = snapshot.gpus.iter().map(|gpu| gpu.session).collect();
    if uuids.len() != snapshot.gpus.len() || sessions.len() != snapshot.gpus.len() {
        return Err(DevicesError::Repeated);
    }
    let mut evidence: Vec<DeviceEvidence> = Vec::with_capacity(snapshot.gpus.len());
    for (number, gpu) in (0..).zip(&snapshot.gpus) {
        let device = evidence_of(library, number, &nonce)?;
        if device.leaf_digest() != gpu.session {
            return Err(DevicesError::Session);
        }
        evidence.push(device);
    }
    let appraised = config
        .policy
        .appraise_devices(&evidence, &nonce, endorsements, anchors, now)
        .map_err(refused)?;
    if Snapshot::take(library)? != snapshot {
        return Err(DevicesError::Changed);
    }
    let first = snapshot.gpus.first().ok_or(DevicesError::Count)?.uuid;
    Ok((appraised, snapshot, first))
}

fn refused(refused: DevicesRefused) -> DevicesError {
    match refused {
        DevicesRefused::Evidence(error) => DevicesError::Evidence(error.id()),
        DevicesRefused::Denied(denial) => {
            let first = denial.reasons().first();
            DevicesError::Denied(first.map_or("denied", |reason| reason.rule.name()))
        }
    }
}

impl Snapshot {
    /// What the GPUs are now. Whatever is not in confidential mode is no GPU here.
    pub(super) fn take(library: &dyn Gate) -> Result<Self, DevicesError> {
        let mode = library.mode()?;
        if !mode.confidential {
            return Err(DevicesError::NotConfidential);
        }
        if mode.developer_tools {
            return Err(DevicesError::DeveloperTools);
        }
        let count = library.count()?;
        if usize::try_from(count).is_ok_and(|count| count > limits::GPUS) {
            return Err(DevicesError::Count);
        }
        let gpus = (0..count).map(|number| {
            Ok(Gpu {
                uuid: library.uuid(number)?,
                session: sha384(&[&library.session_certificate(number)?]),
            })
        });
        Ok(Self {
            gpus: gpus.collect::<Result<_, DevicesError>>()?,
        })
    }
}
