//! The conversation with the owner's broker: RCAR 0.4.0, as the Confidential Containers KBS speaks it.
//!
//! Why apart: here the enclave shows evidence and is given a key. What it believes of the answer is only what
//! the pinned release key signed for this very session.
//!
//! - [`http`]: the connection
//! - [`error`]: why there is no key
//!
//! # Invariants
//! A new key pair for each session, consumed by the unwrapping or wiped. Nothing in an answer selects an
//! algorithm, a resource or a key. An unsigned release is refused.

mod error;
mod http;

use std::net::SocketAddr;
use std::sync::Arc;

use anchorhold_attestation::rcar::{additional_evidence, primary_report_data};
use anchorhold_attestation::release::{RELEASE_HEADER, ReleaseExpectation};
use anchorhold_attestation::{
    Evidence, HashAlgorithm, KeyId, Platform, ReleaseHeader, ReleaseStatement, ReportData, Timestamp,
};
use anchorhold_encoding::Digest;
use anchorhold_models::key::ModelKey;
use anchorhold_models::wrap::TeeKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use kbs_types::{
    Attestation, Challenge, CompositeEvidence, ErrorInformation, InitData, Request, RuntimeData, Tee,
    TeePubKey,
};
use serde_json::{Value, json};

pub use error::{RcarError, Refusal};

use crate::attester::{Attester, AttesterError};
use crate::clock::Clock;
use crate::config::Config;
use crate::identity::Identity;
use crate::lease::Terms;
use crate::tls::{self, TlsUnavailable};

/// The protocol's version, compared exactly by the server.
const VERSION: &str = "0.4.0";

/// The one hash offered; RCAR's default.
const ALGORITHM: &str = "sha384";

/// A key that the pinned broker released to this session, and its terms.
pub struct Released {
    /// Opens the configured model.
    pub key: ModelKey,
    /// How long and for how much.
    pub terms: Terms,
    /// As the broker said it.
    pub lease_seconds: u64,
    /// As the broker said it; 0: no budget.
    pub lease_tokens: u64,
    /// The broker's clock.
    pub broker_time: Timestamp,
}

/// Everything a session needs. One client holds many sessions, one after another.
pub struct BrokerClient {
    config: Arc<Config>,
    /// Fixed at the start: no name is asked for again.
    addresses: Vec<SocketAddr>,
    /// The configuration's text, which is RCAR's init-data.
    init_data: String,
    identity: Arc<Identity>,
    attester: Arc<Attester>,
    clock: Arc<Clock>,
    tls: Arc<rustls::ClientConfig>,
}

impl BrokerClient {
    /// A client of the configured broker, which is at one of `addresses`.
    ///
    /// # Errors
    /// [`TlsUnavailable`].
    pub fn new(
        config: Arc<Config>,
        addresses: Vec<SocketAddr>,
        init_data: String,
        identity: Arc<Identity>,
        attester: Arc<Attester>,
        clock: Arc<Clock>,
    ) -> Result<Self, TlsUnavailable> {
        let tls = tls::pinned_client_config(config.broker.tls_spki_sha256)?;
        Ok(Self {
            config,
            addresses,
            init_data,
            identity,
            attester,
            clock,
            tls,
        })
    }

    /// One whole session: auth, attest, resource.
    ///
    /// # Errors
    /// [`RcarError`].
    pub async fn obtain(&self) -> Result<Released, RcarError> {
        let broker = &self.config.broker;
        let mut connection = http::Connection::open(
            &broker.url,
            &self.addresses,
            Arc::clone(&self.tls),
            broker.timeout,
        )
        .await?;
        let pair = TeeKeyPair::generate();
        let tee_pubkey = pair.public_jwk();

        let answer = connection.post("/kbs/v0/auth", self.request()?).await?;
        let answer = accepted(answer, Refusal::Session)?;
        let challenge: Challenge = serde_json::from_slice(&answer.body).map_err(|_| RcarError::Protocol)?;
        let nonce = nonce_of(&challenge)?;
        if !connection.has_session() {
            return Err(RcarError::Protocol);
        }

        let attestation = self.attestation(&challenge.nonce, &tee_pubkey).await?;
        let answer = connection.post("/kbs/v0/attest", attestation).await?;
        // The token is for other relying parties; the session's cookie is what the release hangs on.
        accepted(answer, Refusal::Evidence)?;

        let path = format!("/kbs/v0/resource/{}", broker.resource);
        let requested_at = self.clock.now();
        let answer = accepted(connection.get(&path).await?, Refusal::Resource)?;
        let header = answer
            .headers
            .get(RELEASE_HEADER)
            .and_then(|value| value.to_str().ok())
            .ok_or(RcarError::Unsigned)?;
        let header = ReleaseHeader::parse(header).map_err(|_| RcarError::Unsigned)?;
        let expected = ReleaseExpectation {
            nonce: nonce.as_bytes(),
            tee_pubkey: &tee_pubkey,
            resource: &broker.resource,
            manifest: &self.config.model.manifest_sha256,
        };
        let release = ReleaseStatement::verify(header, &expected, &answer.body, &broker.release_key)
            .map_err(RcarError::Release)?;
        let wanted: &KeyId = &self.config.model.key_id;
        if release.key_id() != wanted {
            return Err(RcarError::OtherKey);
        }
        let key = ModelKey::unwrap(release.jwe(), pair).map_err(RcarError::Wrap)?;
        let lease = release.lease();
        Ok(Released {
            key,
            terms: Terms::new(requested_at, lease.seconds, lease.tokens),
            lease_seconds: lease.seconds,
            lease_tokens: lease.tokens,
            broker_time: release.broker_time(),
        })
    }

    fn request(&self) -> Result<Vec<u8>, RcarError> {
        encode(&Request {
            version: VERSION.to_owned(),
            tee: tee_of(self.attester.platform())?,
            extra_params: json!({ "supported-hash-algorithms": [ALGORITHM] }),
        })
    }

    async fn attestation(&self, nonce: &str, tee_pubkey: &Value) -> Result<Vec<u8>, RcarError> {
        let additional_evidence = additional_evidence(self.identity.received());
        let report_data = primary_report_data(&additional_evidence, nonce, tee_pubkey, HashAlgorithm::Sha384);
        let evidence = self.evidence(report_data).await?;
        let primary_evidence =
            serde_json::from_slice(&evidence.to_json()).map_err(|_| RcarError::Protocol)?;
        let tee_pubkey: TeePubKey =
            serde_json::from_value(tee_pubkey.clone()).map_err(|_| RcarError::Protocol)?;
        encode(&Attestation {
            init_data: Some(InitData {
                format: "toml".to_owned(),
                body: self.init_data.clone(),
            }),
            runtime_data: RuntimeData {
                nonce: nonce.to_owned(),
                tee_pubkey,
            },
            tee_evidence: CompositeEvidence {
                primary_evidence,
                additional_evidence,
            },
        })
    }

    async fn evidence(&self, report_data: ReportData) -> Result<Evidence, RcarError> {
        let attester = Arc::clone(&self.attester);
        let evidence = tokio::task::spawn_blocking(move || attester.attest(&report_data, Vec::new()))
            .await
            .map_err(|_| RcarError::Attester(AttesterError::NoReport))?
            .map_err(RcarError::Attester)?;
        self.identity.note_evidence(&evidence);
        Ok(evidence)
    }
}

fn encode<T: serde::Serialize>(message: &T) -> Result<Vec<u8>, RcarError> {
    serde_json::to_vec(message).map_err(|_| RcarError::Protocol)
}

/// The attestation crate names the platform in RCAR's words; kbs-types has them as a closed list.
fn tee_of(platform: Platform) -> Result<Tee, RcarError> {
    platform.rcar_tee().parse().map_err(|_| RcarError::Protocol)
}

fn accepted(answer: http::Answer, refusal: Refusal) -> Result<http::Answer, RcarError> {
    if answer.status == StatusCode::OK {
        return Ok(answer);
    }
    if answer.status.is_server_error() {
        return Err(RcarError::BrokerFailed);
    }
    let says_why = serde_json::from_slice::<ErrorInformation>(&answer.body).is_ok();
    if !answer.status.is_client_error() || !says_why {
        return Err(RcarError::Protocol);
    }
    let unknown = refusal == Refusal::Resource && answer.status == StatusCode::NOT_FOUND;
    Err(RcarError::Denied(if unknown {
        Refusal::UnknownResource
    } else {
        refusal
    }))
}

/// The nonce's bytes; its text is what is hashed. A broker may only select the hash that was offered.
fn nonce_of(challenge: &Challenge) -> Result<Digest<32>, RcarError> {
    let selected = challenge.extra_params.get("selected-hash-algorithm");
    if selected.is_some_and(|selected| selected.as_str() != Some(ALGORITHM)) {
        return Err(RcarError::Protocol);
    }
    let bytes = STANDARD
        .decode(&challenge.nonce)
        .map_err(|_| RcarError::Protocol)?;
    Digest::from_slice(&bytes).ok_or(RcarError::Protocol)
}

#[cfg(test)] // apart from the next line, so that clippy knows these for tests
#[cfg(feature = "insecure-simulated")]
pub(crate) mod tests;
