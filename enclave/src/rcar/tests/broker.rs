//! The broker of these tests: RCAR by hand, with one fault at a time.

use std::sync::{Arc, Mutex};

use anchorhold_attestation::rcar::{primary_report_data, tee_pubkey_digest};
use anchorhold_attestation::{
    Anchors, Endorsements, Evidence, FixedConfig, HashAlgorithm, LeaseTerms, ReleaseStatement, Timestamp,
    verify,
};
use anchorhold_encoding::{Digest, sha256};
use anchorhold_models::key::ModelKey;
use anchorhold_models::wrap::{TeeKeyPair, TeePublicKey};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::config::tests::EXAMPLE;
use crate::tls::{ServerKey, server_config};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    RefuseSession,
    RefuseEvidence,
    RefuseResource,
    NoResource,
    Unsigned,
    SignedByOther,
    OtherNonce,
    OtherTeeKey,
    OtherResource,
    OtherBody,
    LongerLease,
    OtherManifest,
    OtherKeyId,
    WrappedForOther,
    SelectSha256,
    ShortNonce,
    NoCookie,
    NotJson,
    ServerError,
    HugeBody,
    Silent,
}

/// What the broker has to give.
pub(crate) struct Offer {
    pub(crate) fault: Fault,
    pub(crate) key: ModelKey,
    pub(crate) manifest: Digest<32>,
    pub(crate) lease: LeaseTerms,
    /// Sessions it opens before it refuses.
    pub(crate) sessions: usize,
}

#[derive(Default)]
struct Seen {
    sessions: usize,
    tee_keys: Vec<Value>,
    binding: bool,
}

pub(crate) struct Broker {
    port: u16,
    tls: Digest<32>,
    release: Digest<32>,
    inner: Arc<Inner>,
}

struct Inner {
    offer: Offer,
    release: Ed25519KeyPair,
    seen: Mutex<Seen>,
}

const NONCE: [u8; 32] = [9; 32];

impl Broker {
    pub(crate) async fn start(fault: Fault) -> Self {
        Self::offering(Offer {
            fault,
            key: ModelKey::generate(),
            manifest: Digest::new([0x33; 32]),
            lease: LeaseTerms {
                seconds: 3600,
                tokens: 9,
            },
            sessions: usize::MAX,
        })
        .await
    }

    pub(crate) async fn offering(offer: Offer) -> Self {
        let key = ServerKey::generate().unwrap();
        let release = Ed25519KeyPair::generate().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = Self {
            port: listener.local_addr().unwrap().port(),
            tls: key.spki_sha256(),
            release: Digest::from_slice(release.public_key().as_ref()).unwrap(),
            inner: Arc::new(Inner {
                offer,
                release,
                seen: Mutex::default(),
            }),
        };
        let acceptor = TlsAcceptor::from(server_config(&key, None).unwrap());
        let inner = Arc::clone(&broker.inner);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, inner) = (acceptor.clone(), Arc::clone(&inner));
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else {
                        return;
                    };
                    let service = service_fn(move |request| {
                        let inner = Arc::clone(&inner);
                        async move { Ok::<_, std::convert::Infallible>(inner.answer(request).await) }
                    });
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(tls), service)
                        .await;
                });
            }
        });
        broker
    }

    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    pub(crate) fn configuration(&self) -> String {
        EXAMPLE
            .replace("8443", &self.port())
            .replace(&"1".repeat(64), &self.tls.to_string())
            .replace(&"2".repeat(64), &self.release.to_string())
            .replace(&"3".repeat(64), &self.inner.offer.manifest.to_string())
    }

    pub(crate) fn tee_keys(&self) -> Vec<Value> {
        self.inner.seen.lock().unwrap().tee_keys.clone()
    }

    /// Sessions that were asked for, the refused ones too.
    pub(crate) fn sessions(&self) -> usize {
        self.inner.seen.lock().unwrap().sessions
    }

    pub(crate) fn saw_binding_evidence(&self) -> bool {
        self.inner.seen.lock().unwrap().binding
    }
}

fn refusal(status: StatusCode) -> Response<Full<Bytes>> {
    let body = json!({ "type": "https://example/errors/PolicyDeny", "detail": "why" });
    let mut response = Response::new(Full::from(body.to_string()));
    *response.status_mut() = status;
    response
}

impl Inner {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let has_cookie = request
            .headers()
            .get("cookie")
            .is_some_and(|c| c == "kbs-session-id=abc");
        let json = request
            .headers()
            .get("content-type")
            .map(|kind| kind == "application/json");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(json, (!body.is_empty()).then_some(true), "what is sent is named");
        match path.as_str() {
            "/kbs/v0/auth" => self.auth(&body).await,
            _ if !has_cookie => refusal(StatusCode::UNAUTHORIZED),
            "/kbs/v0/attest" => self.attest(&body),
            "/kbs/v0/resource/default/model/demo" => self.resource(),
            _ => refusal(StatusCode::NOT_FOUND),
        }
    }

    async fn auth(&self, body: &[u8]) -> Response<Full<Bytes>> {
        let request: Value = serde_json::from_slice(body).unwrap();
        let expected = json!({
            "version": "0.4.0", "tee": "sample",
            "extra-params": { "supported-hash-algorithms": ["sha384"] },
        });
        assert_eq!(request, expected);
        {
            let mut seen = self.seen.lock().unwrap();
            seen.sessions += 1;
            if seen.sessions > self.offer.sessions {
                return refusal(StatusCode::UNAUTHORIZED);
            }
        }
        let nonce = match self.offer.fault {
            Fault::ShortNonce => STANDARD.encode([9; 31]),
            _ => STANDARD.encode(NONCE),
        };
        let extra = match self.offer.fault {
            Fault::SelectSha256 => json!({ "selected-hash-algorithm": "sha256" }),
            _ => json!(""),
        };
        let body = match self.offer.fault {
            Fault::RefuseSession => return refusal(StatusCode::UNAUTHORIZED),
            Fault::ServerError => return refusal(StatusCode::SERVICE_UNAVAILABLE),
            Fault::Silent => return std::future::pending().await,
            Fault::NotJson => "<html>".to_owned(),
            Fault::HugeBody => " ".repeat(1 << 20),
            _ => json!({ "nonce": nonce, "extra-params": extra }).to_string(),
        };
        let mut response = Response::new(Full::from(body));
        if self.offer.fault != Fault::NoCookie {
            let cookie = "kbs-session-id=abc; HttpOnly".parse().unwrap();
            response.headers_mut().insert("set-cookie", cookie);
        }
        response
    }

    fn attest(&self, body: &[u8]) -> Response<Full<Bytes>> {
        if self.offer.fault == Fault::RefuseEvidence {
            return refusal(StatusCode::UNAUTHORIZED);
        }
        let request: Value = serde_json::from_slice(body).unwrap();
        let nonce = request["runtime-data"]["nonce"].as_str().unwrap();
        let tee_pubkey = &request["runtime-data"]["tee-pubkey"];
        let additional = request["tee-evidence"]["additional_evidence"].as_str().unwrap();
        let evidence = request["tee-evidence"]["primary_evidence"].to_string();
        let evidence = Evidence::from_json(evidence.as_bytes()).unwrap();
        let now = Timestamp::from_unix(1_800_000_000);
        let claims = verify(&evidence, &Endorsements::none(), &Anchors::compiled(), now).unwrap();
        let expected = primary_report_data(additional, nonce, tee_pubkey, HashAlgorithm::Sha384);
        let init_data = request["init-data"]["body"].as_str().unwrap();
        let mut seen = self.seen.lock().unwrap();
        seen.binding = claims.get().report_data == expected
            && nonce == STANDARD.encode(NONCE)
            && FixedConfig::HostData(sha256(&[init_data.as_bytes()])) == claims.get().config
            && additional.starts_with("{\"anchorhold\":{\"identity\":");
        seen.tee_keys.push(tee_pubkey.clone());
        Response::new(Full::from(json!({ "token": "a.b.c" }).to_string()))
    }

    fn resource(&self) -> Response<Full<Bytes>> {
        match self.offer.fault {
            Fault::RefuseResource => return refusal(StatusCode::UNAUTHORIZED),
            Fault::NoResource => return refusal(StatusCode::NOT_FOUND),
            _ => {}
        }
        let tee = self.seen.lock().unwrap().tee_keys.last().unwrap().clone();
        let other = TeeKeyPair::generate();
        let to = match self.offer.fault {
            Fault::WrappedForOther => other.public().clone(),
            _ => TeePublicKey::from_jwk(&tee).unwrap(),
        };
        let body = self.offer.key.wrap_for(&to).to_vec();
        let mut statement = ReleaseStatement {
            nonce: NONCE,
            tee_pubkey_sha256: tee_pubkey_digest(&tee),
            resource: "default/model/demo".parse().unwrap(),
            key_id: "demo".parse().unwrap(),
            manifests: vec![self.offer.manifest],
            lease: self.offer.lease,
            broker_time: Timestamp::from_unix(1_800_000_000),
            jwe_sha256: sha256(&[&body]),
        };
        match self.offer.fault {
            Fault::OtherNonce => statement.nonce = [8; 32],
            Fault::OtherTeeKey => statement.tee_pubkey_sha256 = tee_pubkey_digest(&other.public_jwk()),
            Fault::OtherResource => statement.resource = "default/model/other".parse().unwrap(),
            Fault::OtherBody => statement.jwe_sha256 = Digest::new([1; 32]),
            Fault::OtherManifest => statement.manifests = vec![Digest::new([4; 32])],
            Fault::OtherKeyId => statement.key_id = "other".parse().unwrap(),
            _ => {}
        }
        let message = statement.signing_preimage();
        let signature = match self.offer.fault {
            Fault::SignedByOther => Ed25519KeyPair::generate().unwrap().sign(message.as_bytes()),
            _ => self.release.sign(message.as_bytes()),
        };
        let mut header = statement.into_header(Digest::from_slice(signature.as_ref()).unwrap());
        if self.offer.fault == Fault::LongerLease {
            header.lease.seconds = 1 << 40;
        }
        let mut response = Response::new(Full::from(body));
        if self.offer.fault != Fault::Unsigned {
            let header = header.encode().parse().unwrap();
            response.headers_mut().insert("anchorhold-release", header);
        }
        response
    }
}
