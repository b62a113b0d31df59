//! A simulated guest that speaks RCAR to a real broker, one request at a time, as a test likes.
//!
//! Why apart: what a broker must refuse, the genuine enclave never sends.
//!
//! # Invariants
//! Its evidence is right unless a test alters it: [`Guest::obtain`] is the control.

use std::sync::Arc;

use anchorhold::tls::{PeerKey, client_config};
use anchorhold_attestation::identity::IdentityVersion;
use anchorhold_attestation::release::RELEASE_HEADER;
use anchorhold_attestation::simulated::{LaunchRecord, SimulatedPlatform};
use anchorhold_attestation::{
    ConfigBoundBy, Evidence, HashAlgorithm, IdentityDocument, ModelName, Platform, ReceivedIdentity,
    ReportData, Timestamp, Weakening, rcar,
};
use anchorhold_encoding::Digest;
use anchorhold_models::wrap::TeeKeyPair;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::world::{MODEL_NAME, RESOURCE, World};

/// What a broker answered.
#[derive(Debug, Clone)]
pub struct Said {
    /// HTTP status.
    pub status: u16,
    /// The session's cookie, `name=value`.
    pub cookie: Option<String>,
    /// The signed release.
    pub release: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Said {
    /// The body as JSON; null when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The constant of a refusal, after checking that nothing but it was sent.
    #[must_use]
    pub fn refused(&self) -> String {
        assert_ne!(self.status, 200, "{self:?}");
        assert_eq!(self.release, None, "{self:?}");
        self.json()["detail"]
            .as_str()
            .unwrap_or_else(|| panic!("no detail: {self:?}"))
            .to_owned()
    }
}

/// A session that a broker opened.
#[derive(Debug, Clone)]
pub struct Session {
    /// `kbs-session-id=...`
    pub cookie: String,
    /// The nonce's text.
    pub nonce: String,
}

/// A guest of a world's broker.
pub struct Guest {
    runtime: tokio::runtime::Runtime,
    broker: String,
    config: String,
    /// What it runs on.
    pub platform: SimulatedPlatform,
    /// Who it says it is.
    pub identity: IdentityDocument,
    /// Its key.
    pub pair: TeeKeyPair,
}

impl Guest {
    /// A guest that this world's policy affirms.
    #[must_use]
    pub fn of(world: &World) -> Self {
        let config_sha256 = world.config_sha256();
        let launched = LaunchRecord {
            measurement: world.measurement(),
            host_data: config_sha256,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self {
            runtime: runtime.expect("a runtime"),
            broker: world.broker_address.clone(),
            config: world.config.clone(),
            platform: SimulatedPlatform::launched(&launched),
            identity: IdentityDocument {
                version: IdentityVersion::V1,
                platform: Platform::InsecureSimulated,
                tls_spki_sha256: Digest::new([1; 32]),
                channel_key: Digest::new([2; 32]),
                receipt_key: Digest::new([3; 32]),
                model: ModelName {
                    name: MODEL_NAME.to_owned(),
                    manifest_sha256: world.manifest().parse().expect("a digest"),
                },
                config_sha256,
                config_bound_by: ConfigBoundBy::HostData,
                weakened: vec![Weakening::HostTime],
                devices: vec![],
                boot_id: Digest::new([4; 16]),
                not_after: Timestamp::from_unix(4_000_000_000),
            },
            pair: TeeKeyPair::generate(),
        }
    }

    /// One request on a connection of its own.
    #[must_use]
    pub fn send(&self, method: &str, path: &str, cookie: Option<&str>, body: &[u8]) -> Said {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.broker);
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .expect("a request");
        self.runtime.block_on(async {
            let stream = TcpStream::connect(&self.broker)
                .await
                .expect("the broker listens");
            let connector = TlsConnector::from(Arc::new(client_config(PeerKey::Unknown)));
            let name = ServerName::try_from("localhost").expect("a name");
            let tls = connector.connect(name, stream).await.expect("a handshake");
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tls))
                .await
                .expect("an HTTP connection");
            tokio::spawn(connection);
            let answer = sender.send_request(request).await.expect("the broker answers");
            let (parts, body) = answer.into_parts();
            let text = |name: &str| Some(parts.headers.get(name)?.to_str().ok()?.to_owned());
            let cookie = text("set-cookie").and_then(|cookie| Some(cookie.split(';').next()?.to_owned()));
            Said {
                status: parts.status.as_u16(),
                cookie,
                release: text(RELEASE_HEADER),
                body: body.collect().await.expect("a body").to_bytes().to_vec(),
            }
        })
    }

    /// `POST /auth`.
    #[must_use]
    pub fn begin(&self) -> Session {
        let extra = json!({"supported-hash-algorithms": ["sha384"]});
        let request = json!({"version": "0.4.0", "tee": "sample", "extra-params": extra}).to_string();
        let said = self.send("POST", "/kbs/v0/auth", None, request.as_bytes());
        assert_eq!(said.status, 200, "{said:?}");
        let nonce = said.json()["nonce"].as_str().expect("a nonce").to_owned();
        Session {
            cookie: said.cookie.expect("a cookie"),
            nonce,
        }
    }

    /// The additional evidence: its identity.
    #[must_use]
    pub fn additional(&self) -> String {
        rcar::additional_evidence(&ReceivedIdentity::parse(&self.identity.encode()).expect("an identity"))
    }

    /// What it signs for a broker.
    #[must_use]
    pub fn report_data(&self, nonce: &str) -> ReportData {
        let key = self.pair.public_jwk();
        rcar::primary_report_data(&self.additional(), nonce, &key, HashAlgorithm::Sha384)
    }

    /// Evidence over any report data there can be.
    #[must_use]
    pub fn evidence(&self, report_data: &ReportData) -> Evidence {
        let report = self.platform.report(report_data);
        Evidence::new(Platform::InsecureSimulated, report, vec![]).expect("a report of the right length")
    }

    /// The body of `POST /attest`, with this evidence.
    #[must_use]
    pub fn message(&self, nonce: &str, evidence: &Evidence) -> Value {
        let evidence: Value = serde_json::from_slice(&evidence.to_json()).expect("JSON");
        json!({
            "init-data": {"format": "toml", "body": self.config},
            "runtime-data": {"nonce": nonce, "tee-pubkey": self.pair.public_jwk()},
            "tee-evidence": {"primary_evidence": evidence, "additional_evidence": self.additional()},
        })
    }

    /// `POST /attest` with the right evidence for `nonce`, in the session of `cookie`.
    #[must_use]
    pub fn attest(&self, cookie: &str, nonce: &str) -> Said {
        let message = self.message(nonce, &self.evidence(&self.report_data(nonce)));
        self.post_evidence(cookie, &message)
    }

    /// `POST /attest` with any message.
    #[must_use]
    pub fn post_evidence(&self, cookie: &str, message: &Value) -> Said {
        self.send(
            "POST",
            "/kbs/v0/attest",
            Some(cookie),
            message.to_string().as_bytes(),
        )
    }

    /// `GET /resource/...`.
    #[must_use]
    pub fn resource(&self, cookie: Option<&str>) -> Said {
        self.send("GET", &format!("/kbs/v0/resource/{RESOURCE}"), cookie, b"")
    }

    /// The whole of RCAR, as it should be.
    #[must_use]
    pub fn obtain(&self) -> Said {
        let session = self.begin();
        let attested = self.attest(&session.cookie, &session.nonce);
        assert_eq!(attested.status, 200, "{attested:?}");
        self.resource(Some(&session.cookie))
    }
}
