//! An enclave, the product's own client, and an observer between them.
//!
//! Why apart: a test says only what it asks and what it expects to be seen.

use std::sync::Arc;

use anchorhold::client::bound::Question;
use anchorhold::client::enclave::Enclave;
use anchorhold::clock::Clock;
use anchorhold_attestation::Policy;
use anchorhold_tests::observer::{Observer, noted};
use anchorhold_tests::process::Process;
use anchorhold_tests::world::{MODEL_NAME, World};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, Uri};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// An observed enclave with the demo's model.
pub(crate) struct Scene {
    runtime: Runtime,
    observer: Observer,
    policy: String,
    _enclave: Process,
    _broker: Process,
    _world: World,
}

/// What came of one request on a connection of its own.
pub(crate) struct Seen {
    pub(crate) status: u16,
    /// The answer's text, for whoever holds the keys.
    pub(crate) text: String,
    /// Lengths of the records of the request.
    pub(crate) up: Vec<usize>,
    /// Lengths of the records of the answer.
    pub(crate) down: Vec<usize>,
}

impl Scene {
    /// With `extra` in the configuration.
    pub(crate) fn new(extra: &str) -> Self {
        let mut world = World::new(anchorhold_tests::programs!(), &World::demo_model());
        world.configure(|config| format!("{config}\n{extra}\n[anonymous]\nrequests_per_minute = 60000\n"));
        world.policy = world.policy.replace(
            "\"dangerously_host_time\"",
            "\"dangerously_host_time\", \"dangerously_unshaped_traffic\"",
        );
        let broker = world.start_broker();
        let serving = world.serve();
        Self {
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap(),
            observer: Observer::before(serving.port),
            policy: world.policy.clone(),
            _enclave: serving.process,
            _broker: broker,
            _world: world,
        }
    }

    /// Asks on a new connection and reads the answer to its proven end.
    pub(crate) fn ask(&self, path: &'static str, body: Value) -> Seen {
        let endpoint = format!("https://127.0.0.1:{}", self.observer.port)
            .parse()
            .unwrap();
        let policy = Policy::from_toml(self.policy.as_bytes()).unwrap();
        let enclave = Arc::new(Enclave::new(endpoint, policy, Clock::system()));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let question = Question {
            method: Method::POST,
            path: Uri::from_static(path),
            headers,
            body: body.to_string().into(),
        };
        self.runtime.block_on(async {
            // Evidence, and a bound connection that is kept.
            let models = Question {
                method: Method::GET,
                path: Uri::from_static("/v1/models"),
                headers: HeaderMap::new(),
                body: Default::default(),
            };
            enclave.ask(models).await.unwrap().whole().await.unwrap();
            let notes = self.observer.connections().pop().unwrap();
            let before = noted(&notes).len();
            let mut exchange = enclave.ask(question).await.unwrap();
            let status = exchange.status().as_u16();
            let text = if exchange.is_stream() {
                let mut text = String::new();
                while let Some(piece) = exchange.next_piece().await.unwrap() {
                    let Some(data) = piece.data else { continue };
                    let chunk: Value = serde_json::from_slice(&data).unwrap();
                    text += chunk["choices"][0]["delta"]["content"]
                        .as_str()
                        .unwrap_or_default();
                }
                exchange.finish();
                text
            } else {
                let body = exchange.whole().await.unwrap().body;
                let answer: Value = serde_json::from_slice(&body).unwrap();
                answer["choices"][0]["message"]["content"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            let records = noted(&notes).split_off(before);
            let lengths = |down| {
                records
                    .iter()
                    .filter(|record| record.down == down)
                    .map(|record| record.length)
                    .collect()
            };
            Seen {
                status,
                text,
                up: lengths(false),
                down: lengths(true),
            }
        })
    }
}

/// A chat of one message.
pub(crate) fn chat(content: &str, stream: bool, tokens: usize) -> Value {
    json!({
        "model": MODEL_NAME, "temperature": 0, "max_tokens": tokens, "stream": stream,
        "messages": [{"role": "user", "content": content}],
    })
}
