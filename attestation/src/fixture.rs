//! One consistent scene for tests: an enclave on a simulated machine, a client, a broker and a policy.
//!
//! Why apart: each test changes one thing about it and says what follows.
//!
//! # Invariants
//! Unchanged, it is accepted for both purposes. Everything is deterministic.

use anchorhold_encoding::{Digest, sha256};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::binding::RcarSession;
use crate::denial::{Denial, RuleId};
use crate::identity::IdentityVersion;
use crate::simulated::SimulatedPlatform;
use crate::*;

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const CONFIG: &[u8] = b"model = \"demo\"\n";
/// Base64 of 32 bytes 0x05.
pub(crate) const RCAR_NONCE: &str = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";

pub(crate) fn at(offset: i64) -> Timestamp {
    Timestamp::from_unix(NOW.checked_add_signed(offset).unwrap())
}

pub(crate) fn key(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

pub(crate) fn public(pair: &Ed25519KeyPair) -> Digest<32> {
    Digest::from_slice(pair.public_key().as_ref()).unwrap()
}

pub(crate) fn sign(seed: u8, message: &[u8]) -> Digest<64> {
    Digest::from_slice(key(seed).sign(message).as_ref()).unwrap()
}

pub(crate) fn identity() -> IdentityDocument {
    IdentityDocument {
        version: IdentityVersion::V1,
        platform: Platform::InsecureSimulated,
        tls_spki_sha256: Digest::new([0x11; 32]),
        channel_key: public(&key(2)),
        receipt_key: public(&key(3)),
        model: ModelName {
            name: "demo".to_owned(),
            manifest_sha256: Digest::new([0x44; 32]),
        },
        config_sha256: sha256(&[CONFIG]),
        config_bound_by: ConfigBoundBy::HostData,
        weakened: vec![],
        devices: vec![],
        boot_id: Digest::new([0x66; 16]),
        not_after: at(86_400),
    }
}

pub(crate) fn platform() -> SimulatedPlatform {
    SimulatedPlatform {
        measurement: Digest::new([0x77; 48]),
        host_data: sha256(&[CONFIG]),
        chip_id: Digest::new([0x88; 32]),
        tcb: 7,
        debug: false,
    }
}

pub(crate) fn received(document: &IdentityDocument) -> ReceivedIdentity {
    ReceivedIdentity::parse(&document.encode()).unwrap()
}

pub(crate) fn policy_text() -> String {
    format!(
        "version = 1\nmanifest_sha256 = \"{}\"\nconfig_sha256 = [\"{}\"]\nchips = [\"{}\"]\n\
         max_age_seconds = 100\ndangerously_accept_simulated = true\n\
         [[reference_values]]\nname = \"demo\"\nplatform = \"insecure-simulated\"\nmeasurement = \"{}\"\n\
         minimum_tcb = 7\n",
        Digest::new([0x44; 32]),
        sha256(&[CONFIG]),
        Digest::new([0x88; 32]),
        Digest::new([0x77; 48]),
    )
}

pub(crate) fn simulated_evidence(platform: &SimulatedPlatform, data: &ReportData) -> Evidence {
    Evidence::new(Platform::InsecureSimulated, platform.report(data), vec![]).unwrap()
}

pub(crate) fn tee_pubkey() -> Value {
    json!({"kty": "EC", "crv": "P-256", "alg": "ECDH-ES+A256KW", "x": "AA", "y": "BB"})
}

/// Both sides of an appraisal. Tests change fields, then ask for a purpose.
pub(crate) struct Scene {
    pub(crate) identity: IdentityDocument,
    /// What the client received, where that differs from what the enclave bound.
    pub(crate) shown: Option<IdentityDocument>,
    pub(crate) platform: SimulatedPlatform,
    pub(crate) policy: String,
    pub(crate) drawn_at: Timestamp,
    pub(crate) now: Timestamp,
    /// What the enclave believes the nonce to be; the client's is nine times 9.
    pub(crate) nonce: Nonce,
    pub(crate) batch: Vec<Nonce>,
    pub(crate) proof: fn(&mut InclusionProof),
    /// A change of claims that no simulated report can express.
    pub(crate) claims: fn(&mut Claims),
    pub(crate) tee_pubkey: Value,
    pub(crate) shown_nonce: &'static str,
    pub(crate) shown_init_data: &'static [u8],
    pub(crate) algorithm: HashAlgorithm,
}

pub(crate) fn scene() -> Scene {
    Scene {
        identity: identity(),
        shown: None,
        platform: platform(),
        policy: policy_text(),
        drawn_at: at(0),
        now: at(10),
        nonce: Nonce::from_random([9; 32]),
        batch: vec![Nonce::from_random([8; 32]), Nonce::from_random([7; 32])],
        proof: |_| {},
        claims: |_| {},
        tee_pubkey: tee_pubkey(),
        shown_nonce: RCAR_NONCE,
        shown_init_data: CONFIG,
        algorithm: HashAlgorithm::Sha384,
    }
}

impl Scene {
    pub(crate) fn policy(&self) -> Policy {
        Policy::from_toml(self.policy.as_bytes()).unwrap()
    }

    fn claims(&self, evidence: &Evidence) -> Verified<Claims> {
        let verified = verify(evidence, &Endorsements::none(), &Anchors::compiled(), self.now).unwrap();
        let mut claims = verified.into_inner();
        (self.claims)(&mut claims);
        Verified::for_test(claims)
    }

    pub(crate) fn client(&self) -> Result<Appraised<ClientUse>, Denial> {
        let mut nonces = self.batch.clone();
        nonces.push(self.nonce);
        let batch = NonceBatch::collect(nonces).unwrap();
        let devices = DevicesDigest::of(&[]);
        let data = batch.report_data(&received(&self.identity).digest(), &devices);
        let evidence = simulated_evidence(&self.platform, &data);
        let mut proof = batch.proof(self.batch.len()).unwrap();
        (self.proof)(&mut proof);
        let challenge = Challenge::new([9; 32], self.drawn_at);
        let shown = received(self.shown.as_ref().unwrap_or(&self.identity));
        let binding = Binding::client(&challenge, shown, &proof, &evidence);
        self.policy().appraise(self.claims(&evidence), binding, self.now)
    }

    pub(crate) fn broker(&self) -> Result<Appraised<BrokerUse>, Denial> {
        let additional = rcar::additional_evidence(&received(&self.identity));
        let bound_key = tee_pubkey();
        let data = rcar::primary_report_data(&additional, RCAR_NONCE, &bound_key, HashAlgorithm::Sha384);
        let evidence = simulated_evidence(&self.platform, &data);
        let shown = self
            .shown
            .as_ref()
            .map_or(additional, |shown| rcar::additional_evidence(&received(shown)));
        let binding = Binding::rcar(&RcarSession {
            nonce: self.shown_nonce,
            drawn_at: self.drawn_at,
            tee_pubkey: &self.tee_pubkey,
            additional_evidence: &shown,
            init_data: self.shown_init_data,
            algorithm: self.algorithm,
        })
        .unwrap();
        self.policy().appraise(self.claims(&evidence), binding, self.now)
    }
}

/// The rules a denial names.
pub(crate) fn denied<U>(result: Result<Appraised<U>, Denial>) -> Vec<RuleId> {
    match result {
        Ok(_) => vec![],
        Err(denial) => denial.reasons().iter().map(|reason| reason.rule).collect(),
    }
}
