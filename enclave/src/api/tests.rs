//! The router in process, with a model that echoes, on a connection that counts as bound.

mod answers;
mod errors;
mod evidence;
mod forms;
mod official;
mod paced;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_attestation::{Nonce, Platform, SignedReceipt, VerifiedReceipt};
use anchorhold_encoding::Digest;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::attester::Attester;
use crate::clock::Moment;
use crate::config::{Access, Config, Quota};
use crate::connection::Connection;
use crate::engine::backend::{Abilities, Backend};
use crate::engine::fake::{Fake, Seen};
use crate::engine::{Engine, Settings};
use crate::lease::Terms;
use crate::receipts::RECEIPT;

const NONCE: [u8; 32] = [9; 32];

/// An enclave around a fake model.
struct Enclave {
    router: Router,
    state: Arc<ApiState>,
    seen: Seen,
    _engine: Engine,
}

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    async fn of(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status, code and param of an error.
    fn refusal(&self) -> (u16, String, Option<String>) {
        assert!(!self.headers.contains_key(RECEIPT), "an error has no receipt");
        let error = &self.json()["error"];
        assert!(!error["message"].as_str().unwrap().is_empty());
        assert!(error["type"].is_string());
        let text = |name: &str| error[name].as_str().map(str::to_owned);
        (self.status.as_u16(), text("code").unwrap(), text("param"))
    }
}

impl Enclave {
    fn new() -> Self {
        let (fake, seen) = Fake::decoder();
        Self::around(fake, seen, |_| {})
    }

    fn embedder() -> Self {
        let (fake, seen) = Fake::new(Abilities::Embed { width: 3 });
        Self::around(fake, seen, |_| {})
    }

    fn around<B: Backend>(backend: B, seen: Seen, change: impl FnOnce(&mut ApiState)) -> Self {
        let identity = Arc::new(Identity::for_tests());
        let clock = Arc::new(Clock::for_tests());
        let lifecycle = Lifecycle::new();
        let metrics = Arc::new(Metrics::new(Arc::clone(&clock)));
        let terms = Terms::new(Moment::START, 3600, 0);
        let lease = Arc::new(Lease::new(terms, Arc::clone(&clock), lifecycle.clone()));
        let limits = Config::for_tests().limits;
        let settings = Settings {
            queue: limits.queue,
            running: 8,
            lease: Arc::clone(&lease),
            lifecycle: lifecycle.clone(),
            metrics: Arc::clone(&metrics),
        };
        let engine = crate::engine::start(backend, settings).unwrap();
        let launch = LaunchRecord {
            measurement: Digest::new([1; 48]),
            host_data: Digest::new([7; 32]),
        };
        let attester = Arc::new(Attester::new(Platform::InsecureSimulated, &launch).unwrap());
        let quota = Quota {
            requests_per_minute: 60_000,
        };
        let mut state = ApiState {
            stapled: Arc::default(),
            engine: engine.handle(),
            identity: Arc::clone(&identity),
            model_name: "demo".to_owned(),
            limits,
            traffic: None,
            auth: Auth::new(Access::Anonymous(quota), Arc::clone(&clock)),
            metrics,
            lifecycle,
            clock: Arc::clone(&clock),
            lease,
            receipts: Arc::new(Receipts::new(Arc::clone(&identity), clock)),
            evidence: EvidenceService::start(attester, identity),
        };
        change(&mut state);
        let state = Arc::new(state);
        Self {
            router: router(Arc::clone(&state)),
            state,
            seen,
            _engine: engine,
        }
    }

    async fn send(&self, request: Request) -> Response {
        self.send_on(Connection::bound_for_tests(Nonce::from_random(NONCE)), request)
            .await
    }

    async fn send_on(&self, connection: Connection, mut request: Request) -> Response {
        request.extensions_mut().insert(Arc::new(connection));
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::of(self.send(Request::get(path).body(Body::empty()).unwrap()).await).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        Answer::of(self.send(post(path, body)).await).await
    }

    /// The receipt, if this enclave signed it about this request and answer on this connection.
    fn receipt(&self, text: &str, request: &[u8], answer: &[&[u8]]) -> VerifiedReceipt {
        let receipt = SignedReceipt::parse(text).unwrap();
        let receipt = receipt
            .verify(&self.state.identity.document().receipt_key)
            .unwrap();
        let _ = receipt.matches(request, answer).unwrap();
        let received = anchorhold_attestation::ReceivedIdentity::parse(self.state.identity.bytes()).unwrap();
        let _ = receipt
            .matches_origin(&received, &Nonce::from_random(NONCE))
            .unwrap();
        receipt
    }
}

fn post(path: &str, body: impl Into<Body>) -> Request {
    Request::post(path)
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap()
}

fn chat(content: &str, more: &str) -> String {
    format!(r#"{{"model":"demo","messages":[{{"role":"user","content":"{content}"}}]{more}}}"#)
}
