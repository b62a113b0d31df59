//! Evidence of a session against the policy of a resource.
//!
//! Why apart: the same judgement is made when evidence arrives (so that a stranger gets no token) and when a
//! key is asked for (so that the decision is about that key, at that time).
//!
//! # Invariants
//! Every denial is logged with all its reasons, within the limit on denials.

use anchorhold_attestation::binding::RcarSession;
use anchorhold_attestation::rcar;
use anchorhold_attestation::{Appraised, Binding, BrokerUse, Denial, ReleaseGrant, Timestamp, VerifyError};
use anchorhold_encoding::Digest;

use super::refusal::Refusal;
use super::sessions::Attested;
use super::{Broker, Resource};
use crate::error::DeniedRule;
use crate::owner::error::StoreError;
use crate::owner::release_log::{Decision, Event, LoggedReason};

/// A grant with the appraisal it is of.
pub(super) struct Granted {
    pub(super) appraised: Appraised<BrokerUse>,
    pub(super) grant: ReleaseGrant,
    pub(super) manifests: Vec<Digest<32>>,
}

/// Why there is no grant.
pub(super) enum Denied {
    /// The evidence does not verify.
    Evidence(VerifyError),
    /// The policy denies.
    Policy(Denial),
    /// The session's message is not one that binds anything.
    Message,
    /// The store failed.
    Store(StoreError),
}

impl Broker {
    /// Verifies, appraises and grants, for one resource, now.
    pub(super) fn judge(
        &self,
        resource: &Resource,
        answer: &Attested,
        now: Timestamp,
    ) -> Result<Granted, Denied> {
        let verified = self
            .verifier
            .verify(&answer.evidence, &[], resource.policy.grace(), now)
            .map_err(Denied::Evidence)?;
        let binding = binding(answer).ok_or(Denied::Message)?;
        let appraised = resource
            .policy
            .appraise(verified, binding, now)
            .map_err(Denied::Policy)?;
        let store = self.store();
        let manifests = store.manifests(&resource.config.key_id).map_err(Denied::Store)?;
        let grant = appraised
            .grant(&resource.config.key_id, store.class(), &manifests, now)
            .map_err(Denied::Policy)?;
        Ok(Granted {
            appraised,
            grant,
            manifests,
        })
    }

    /// Logs a denial for the owner and says what the caller is told.
    pub(super) fn refuse(
        &self,
        resource: &Resource,
        answer: &Attested,
        now: Timestamp,
        denied: Denied,
    ) -> Refusal {
        let (rules, refusal) = match denied {
            Denied::Message => return Refusal::Message,
            Denied::Store(error) => {
                (self.observer)(super::Notice::Failed(error));
                return Refusal::Internal;
            }
            Denied::Evidence(error) => (vec![unverified(error)], Refusal::Evidence),
            Denied::Policy(denial) => (crate::error::denied_rules(&denial), Refusal::Policy),
        };
        let mut event = event(resource, answer, now, Decision::Denied);
        event.reasons = rules
            .iter()
            .map(|rule| LoggedReason {
                rule: rule.rule.clone(),
                expected: rule.expected.clone(),
                found: rule.found.clone(),
            })
            .collect();
        self.log_denial(event, &resource.config.path, rules);
        refusal
    }
}

fn unverified(error: VerifyError) -> DeniedRule {
    DeniedRule {
        rule: "evidence".to_owned(),
        expected: "evidence that verifies".to_owned(),
        found: error.to_string(),
        hint: error.hint().to_owned(),
    }
}

/// What the session's evidence has to commit to; `None` when its message cannot bind anything.
pub(super) fn binding(answer: &Attested) -> Option<Binding<BrokerUse>> {
    let session = RcarSession {
        nonce: &answer.challenged.nonce,
        drawn_at: answer.challenged.drawn_at,
        tee_pubkey: &answer.tee_pubkey,
        additional_evidence: &answer.additional_evidence,
        init_data: &answer.init_data,
        algorithm: answer.challenged.algorithm,
    };
    Binding::rcar(&session).ok()
}

/// A log entry about this session and resource.
pub(super) fn event(resource: &Resource, answer: &Attested, now: Timestamp, decision: Decision) -> Event {
    let binding = binding(answer);
    let identity = binding.as_ref().map(Binding::identity);
    Event {
        time: now,
        decision,
        resource: Some(resource.config.path.to_string()),
        key_id: Some(resource.config.key_id.to_string()),
        policy_sha256: Some(*resource.policy.id()),
        evidence_sha512: Some(answer.evidence.digest()),
        identity_sha512: identity.map(|identity| identity.digest()),
        manifest_sha256: identity.map(|identity| identity.document().model.manifest_sha256),
        tee_pubkey_sha256: Some(rcar::tee_pubkey_digest(&answer.tee_pubkey)),
        jwe_sha256: None,
        lease: None,
        reasons: Vec::new(),
        suppressed: 0,
    }
}
