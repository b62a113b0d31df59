//! A simulated enclave's side of RCAR, as far as a broker sees it.

use anchorhold_attestation::identity::IdentityVersion;
use anchorhold_attestation::simulated::SimulatedPlatform;
use anchorhold_attestation::{
    ConfigBoundBy, Evidence, HashAlgorithm, IdentityDocument, ModelName, Platform, ReceivedIdentity,
    Timestamp, rcar,
};
use anchorhold_encoding::{Digest, sha256};
use anchorhold_models::wrap::TeeKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{MANIFEST, NOW};
use crate::owner::broker::Broker;
use crate::owner::broker::sessions::SessionId;

const CONFIG: &str = "version = \"0.1.0\"\n";
const MEASUREMENT: Digest<48> = Digest::new([0x22; 48]);

/// A policy that accepts [`Guest::new`] and nothing weaker.
pub(super) fn policy() -> String {
    format!(
        "version = 1\nmanifest_sha256 = \"{MANIFEST}\"\nconfig_sha256 = \"{}\"\n\
         dangerously_accept_simulated = true\nany_chip_of = [\"insecure-simulated\"]\n\
         [[reference_values]]\nname = \"test\"\nplatform = \"insecure-simulated\"\n\
         measurement = \"{MEASUREMENT}\"\nminimum_tcb = 1\n",
        sha256(&[CONFIG.as_bytes()])
    )
}

/// An enclave with one session's key.
pub(super) struct Guest {
    pub(super) platform: SimulatedPlatform,
    pub(super) identity: IdentityDocument,
    pub(super) pair: TeeKeyPair,
    pub(super) sha512: bool,
}

impl Guest {
    pub(super) fn new() -> Self {
        let config_sha256 = sha256(&[CONFIG.as_bytes()]);
        Self {
            platform: SimulatedPlatform {
                measurement: MEASUREMENT,
                host_data: config_sha256,
                chip_id: Digest::new([0; 32]),
                tcb: 1,
                debug: false,
            },
            identity: IdentityDocument {
                version: IdentityVersion::V1,
                platform: Platform::InsecureSimulated,
                tls_spki_sha256: Digest::new([1; 32]),
                channel_key: Digest::new([2; 32]),
                receipt_key: Digest::new([3; 32]),
                model: ModelName {
                    name: "demo".to_owned(),
                    manifest_sha256: MANIFEST,
                },
                config_sha256,
                config_bound_by: ConfigBoundBy::HostData,
                weakened: vec![],
                devices: vec![],
                boot_id: Digest::new([4; 16]),
                not_after: Timestamp::from_unix(NOW.unix() + 100_000),
            },
            pair: TeeKeyPair::generate(),
            sha512: false,
        }
    }

    /// `POST /auth`.
    pub(super) fn begin(&self, broker: &Broker) -> (SessionId, String) {
        let (id, challenge) = broker
            .auth(&self.request())
            .unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let selected = challenge.extra_params.get("selected-hash-algorithm");
        assert_eq!(selected.is_some(), self.sha512);
        (id, challenge.nonce)
    }

    pub(super) fn request(&self) -> Vec<u8> {
        let hash = if self.sha512 { "sha512" } else { "sha384" };
        let extra = json!({"supported-hash-algorithms": [hash]});
        json!({"version": "0.4.0", "tee": "sample", "extra-params": extra})
            .to_string()
            .into_bytes()
    }

    pub(super) fn additional(&self) -> String {
        let identity = ReceivedIdentity::parse(&self.identity.encode()).unwrap();
        rcar::additional_evidence(&identity)
    }

    fn message(&self, nonce: &str) -> Value {
        let (key, additional) = (self.pair.public_jwk(), self.additional());
        let algorithm = if self.sha512 {
            HashAlgorithm::Sha512
        } else {
            HashAlgorithm::Sha384
        };
        let report_data = rcar::primary_report_data(&additional, nonce, &key, algorithm);
        let report = self.platform.report(&report_data);
        let evidence = Evidence::new(Platform::InsecureSimulated, report, vec![]).unwrap();
        let evidence: Value = serde_json::from_slice(&evidence.to_json()).unwrap();
        json!({
            "init-data": {"format": "toml", "body": CONFIG},
            "runtime-data": {"nonce": nonce, "tee-pubkey": key},
            "tee-evidence": {"primary_evidence": evidence, "additional_evidence": additional},
        })
    }

    /// `POST /attest`.
    pub(super) fn answer(&self, nonce: &str) -> Vec<u8> {
        self.message(nonce).to_string().into_bytes()
    }

    /// The same with something changed on the way.
    pub(super) fn edited(&self, nonce: &str, edit: impl Fn(&mut Value)) -> Vec<u8> {
        let mut message = self.message(nonce);
        edit(&mut message);
        message.to_string().into_bytes()
    }
}

/// Alters one byte of the report.
pub(super) fn flip_report(message: &mut Value) {
    let report = &mut message["tee-evidence"]["primary_evidence"]["report"];
    let mut bytes = STANDARD.decode(report.as_str().unwrap()).unwrap();
    bytes[100] ^= 1;
    *report = STANDARD.encode(bytes).into();
}

pub(super) fn nonce_bytes(nonce: &str) -> [u8; 32] {
    STANDARD.decode(nonce).unwrap().try_into().unwrap()
}

/// The token verifies under the key in its header and says what existing guests look for.
pub(super) fn check_token(token: &str, nonce: &str) {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = signed.split_once('.').unwrap();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).unwrap();
    let header: Value = serde_json::from_slice(&decode(header)).unwrap();
    let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
    let coordinate = |name: &str| decode(header["jwk"][name].as_str().unwrap());
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    assert!(key.verify(signed.as_bytes(), &decode(signature)).is_ok());
    let cpu = &claims["submods"]["cpu0"];
    assert_eq!(cpu["ear.status"], "affirming");
    let runtime = &cpu["ear.veraison.annotated-evidence"]["runtime_data_claims"];
    assert_eq!(runtime["nonce"], nonce);
    assert_eq!(runtime["tee-pubkey"]["kty"], "EC");
    assert_eq!(claims["exp"].as_u64(), Some(NOW.unix() + 300));
}
