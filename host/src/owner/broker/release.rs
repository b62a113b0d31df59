//! The two decisions of a session: a token for affirmed evidence, a key for a grant.
//!
//! Why apart: the order of steps here is the promise to the owner; HTTP is elsewhere.
//!
//! # Invariants
//! Judge, unwrap, wrap for the session's key, sign, log durably, and only then hand out. The model key is
//! wiped before anything is signed.

use std::time::Instant;

use anchorhold_attestation::{Evidence, ReleaseStatement, ResourcePath};
use anchorhold_encoding::{bounded, sha256};
use anchorhold_models::wrap::TeePublicKey;
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kbs_types::Challenge;

use super::judge::{Denied, Granted, event};
use super::refusal::Refusal;
use super::sessions::{Attested, Challenged, SessionId};
use super::wire::{self, AttestBody};
use super::{Broker, Notice, token};
use crate::limits;
use crate::owner::release_log::Decision;

/// A wrapped key, ready to send.
pub(super) struct Released {
    /// Flattened JWE JSON: the body.
    pub(super) body: Vec<u8>,
    /// The signed statement: the header `anchorhold-release`.
    pub(super) header: String,
}

impl Broker {
    /// `POST /auth`: opens a session.
    pub(super) fn auth(&self, body: &[u8]) -> Result<(SessionId, Challenge), Refusal> {
        let (tee, algorithm) = wire::auth(body)?;
        let id = SessionId::from_random(random()?);
        let nonce = STANDARD.encode(random::<32>()?);
        let challenged = Challenged {
            nonce: nonce.clone(),
            drawn_at: self.clock.now(),
            tee,
            algorithm,
        };
        self.sessions().open(id, challenged, Instant::now());
        let extra_params = wire::challenge_extra(algorithm);
        Ok((id, Challenge { nonce, extra_params }))
    }

    /// `POST /attest`: the token, when at least one resource would be released to this evidence.
    pub(super) fn attest(&self, id: &SessionId, body: &[u8]) -> Result<String, Refusal> {
        let challenged = self
            .sessions()
            .take_challenge(id, Instant::now())
            .ok_or(Refusal::Session)?;
        let answer = read_answer(challenged, body)?;
        let now = self.clock.now();
        let mut first = None;
        let mut refused = Vec::new();
        for resource in &self.resources {
            match self.judge(resource, &answer, now) {
                Ok(granted) => {
                    first = Some(granted.appraised);
                    break;
                }
                Err(denied) => refused.push((resource, denied)),
            }
        }
        let Some(appraised) = first else {
            // Nothing affirmed: now the denials matter, each to the owner and the last to the caller.
            let mut refusal = Refusal::Policy;
            for (resource, denied) in refused {
                refusal = self.refuse(resource, &answer, now, denied);
            }
            return Err(refusal);
        };
        let store = self.store();
        let token = token::mint(&appraised, &answer, store.keys(), now).ok_or(Refusal::Internal)?;
        drop(store);
        self.sessions().keep(id, answer, Instant::now());
        Ok(token)
    }

    /// `GET /resource/…`: the wrapped key, once a session.
    pub(super) fn release(&self, id: &SessionId, path: &ResourcePath) -> Result<Released, Refusal> {
        let resource = self.resource(path);
        // An unknown path and a denied one look the same, but a session is needed for either.
        let Some(resource) = resource else {
            return Err(Refusal::Policy);
        };
        let answer = self
            .sessions()
            .take_resource(id, path, Instant::now())
            .ok_or(Refusal::Session)?;
        let now = self.clock.now();
        let granted = self
            .judge(resource, &answer, now)
            .map_err(|denied| self.refuse(resource, &answer, now, denied))?;
        let Granted {
            appraised,
            grant,
            manifests,
        } = granted;
        let tee_key = TeePublicKey::from_jwk(&answer.tee_pubkey).map_err(|_| Refusal::PublicKey)?;
        let mut store = self.store();
        let internal = |error| self.refuse(resource, &answer, now, Denied::Store(error));
        let body = {
            let key = store.model_key(grant.key_id()).map_err(internal)?;
            key.wrap_for(&tee_key).to_vec()
        };
        let statement = ReleaseStatement {
            nonce: *grant.nonce(),
            tee_pubkey_sha256: *grant.tee_pubkey_sha256(),
            resource: path.clone(),
            key_id: grant.key_id().clone(),
            manifests,
            lease: resource.config.lease,
            broker_time: now,
            jwe_sha256: sha256(&[&body]),
        };
        let signature = store.keys().sign_release(statement.signing_preimage().as_bytes());
        let mut event = event(resource, &answer, now, Decision::Granted);
        event.policy_sha256 = Some(*grant.policy_id());
        event.identity_sha512 = Some(appraised.identity().digest());
        event.jwe_sha256 = Some(statement.jwe_sha256);
        event.lease = Some(resource.config.lease.into());
        let entry = store.append(event).map_err(internal)?;
        drop(store);
        (self.observer)(Notice::Granted {
            resource: path.clone(),
            key_id: grant.key_id().clone(),
            sequence: entry.sequence,
        });
        Ok(Released {
            body,
            header: statement.into_header(signature).encode(),
        })
    }
}

/// Reads `POST /attest` against what the session asked for.
fn read_answer(challenged: Challenged, body: &[u8]) -> Result<Attested, Refusal> {
    let body: AttestBody =
        bounded::from_slice(body, limits::BROKER_BODY_VALUES).map_err(|_| Refusal::Message)?;
    if body.runtime_data.nonce != challenged.nonce {
        return Err(Refusal::Nonce);
    }
    TeePublicKey::from_jwk(&body.runtime_data.tee_pubkey).map_err(|_| Refusal::PublicKey)?;
    let evidence = serde_json::to_vec(&body.tee_evidence.primary_evidence).map_err(|_| Refusal::Message)?;
    let evidence = Evidence::from_json(&evidence).map_err(|_| Refusal::Message)?;
    if evidence.platform().rcar_tee() != challenged.tee.to_string() {
        return Err(Refusal::Tee);
    }
    // Without init-data there is no configuration to judge.
    let init_data = body
        .init_data
        .filter(|init| init.format == "toml")
        .ok_or(Refusal::Message)?;
    let answer = Attested {
        challenged,
        tee_pubkey: body.runtime_data.tee_pubkey,
        additional_evidence: body.tee_evidence.additional_evidence,
        init_data: init_data.body.into_bytes(),
        evidence,
    };
    let kept = answer.evidence.to_json().len() + answer.additional_evidence.len() + answer.init_data.len();
    if kept > limits::SESSION_EVIDENCE_BYTES {
        return Err(Refusal::Message);
    }
    Ok(answer)
}

fn random<const N: usize>() -> Result<[u8; N], Refusal> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| Refusal::Internal)?;
    Ok(bytes)
}
