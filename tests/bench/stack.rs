//! The whole stack: a broker, an enclave that serves a sealed model, and clients that trust neither.
//!
//! Why apart: three benchmarks start it in the same way.
//!
//! # Invariants
//! The programs are the ones built beside this one. Clients verify, bind and check receipts as the product
//! does: they are the product's own library.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anchorhold::client::bound::Question;
use anchorhold::client::enclave::Enclave;
use anchorhold::clock::Clock;
use anchorhold_attestation::Policy;
use anchorhold_tests::process::{Process, Programs};
use anchorhold_tests::world::{MODEL_NAME, Serving, World};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::Failure;

/// Callers without a key may ask this often (the most a configuration can say): a quota is not what is measured.
const ANONYMOUS: &str = "\n[anonymous]\nrequests_per_minute = 60000\n";

/// A program beside this one; `build` is how it comes there.
pub(crate) fn beside(name: &str, build: &str) -> Result<&'static str, Failure> {
    let folder = std::env::current_exe()?
        .parent()
        .map(Path::to_owned)
        .ok_or("a program lies in a folder")?;
    let path = folder.join(name);
    if !path.is_file() {
        return Err(format!("{name} is not beside this program: {build}").into());
    }
    let text = path.to_str().ok_or("the build folder's path is not UTF-8")?;
    Ok(Box::leak(text.to_owned().into_boxed_str()))
}

/// The programs beside this one.
pub(crate) fn programs() -> Result<Programs, Failure> {
    let program = |name| beside(name, "cargo build --release -p anchorhold-tests --bins");
    Ok(Programs {
        host: program("anchorhold-under-test")?,
        enclave: program("enclave-under-test")?,
    })
}

/// A world whose enclave may be asked without pause.
pub(crate) fn world(model: &Path) -> Result<World, Failure> {
    let mut world = World::new(programs()?, model);
    world.configure(|config| config + ANONYMOUS);
    Ok(world)
}

/// What is measured of an engine is measured without the beats that answers have; `traffic` measures those.
const UNSHAPED: &str = "\n[traffic]\ndangerously_unshaped_traffic = true\n";

/// An enclave that serves. It ends with its value.
pub(crate) struct Stack {
    port: u16,
    metrics: u16,
    policy: String,
    _enclave: Process,
    _broker: Process,
    _world: World,
}

impl Stack {
    pub(crate) fn start(model: &Path) -> Result<Self, Failure> {
        Self::start_program(model, Path::new(programs()?.enclave), &[])
    }

    /// With another program as the enclave.
    pub(crate) fn start_program(model: &Path, program: &Path, arguments: &[&str]) -> Result<Self, Failure> {
        Self::start_as(model, program, arguments, UNSHAPED)
    }

    /// With `extra` in the configuration.
    pub(crate) fn start_with(model: &Path, extra: &str) -> Result<Self, Failure> {
        Self::start_as(model, Path::new(programs()?.enclave), &[], extra)
    }

    fn start_as(model: &Path, program: &Path, arguments: &[&str], extra: &str) -> Result<Self, Failure> {
        let mut world = world(model)?;
        world.configure(|config| config + extra);
        world.policy = world.policy.replace(
            "\"dangerously_host_time\"",
            "\"dangerously_host_time\", \"dangerously_unshaped_traffic\"",
        );
        let broker = world.start_broker();
        let input = world.launch_input(&world.config);
        let serving = Serving::once_listening(Process::start(program, arguments, Some(input)));
        Ok(Self {
            port: serving.port,
            metrics: serving.metrics.ok_or("every world has a metrics listener")?,
            policy: world.policy.clone(),
            _enclave: serving.process,
            _broker: broker,
            _world: world,
        })
    }

    /// A client that has verified nothing yet.
    pub(crate) fn client(&self) -> Result<Arc<Enclave>, Failure> {
        self.client_at(self.port)
    }

    /// The same through whoever listens at `port`.
    pub(crate) fn client_at(&self, port: u16) -> Result<Arc<Enclave>, Failure> {
        let endpoint = format!("https://127.0.0.1:{port}").parse()?;
        let policy = Policy::from_toml(self.policy.as_bytes())?;
        Ok(Arc::new(Enclave::new(endpoint, policy, Clock::system())))
    }
}

impl Stack {
    /// Port of the API.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What the operator's listener says.
    pub(crate) async fn metrics(&self) -> Result<String, Failure> {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.metrics)).await?;
        let request = b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }
}

/// A question to the API.
pub(crate) fn question(path: &'static str, mut body: Value) -> Question {
    body["model"] = json!(MODEL_NAME);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Question {
        method: Method::POST,
        path: Uri::from_static(path),
        headers,
        body: body.to_string().into(),
    }
}

/// A streamed answer whose receipt was checked.
pub(crate) struct Streamed {
    /// Tokens of the answer, as the enclave counted them.
    pub(crate) tokens: u64,
    /// From the question to the first text.
    pub(crate) first: Duration,
    /// From the question to the checked receipt.
    pub(crate) whole: Duration,
}

/// Asks for a stream (the question must want one, with usage) and reads it to its proven end.
pub(crate) async fn stream(enclave: &Arc<Enclave>, question: Question) -> Result<Streamed, Failure> {
    let begin = Instant::now();
    let mut exchange = enclave.ask(question).await?;
    if !exchange.is_stream() {
        return Err(format!("the enclave answered {}", exchange.status()).into());
    }
    let (mut first, mut tokens) = (None, None);
    while let Some(piece) = exchange.next_piece().await? {
        let Some(data) = piece.data else { continue };
        first.get_or_insert_with(|| begin.elapsed());
        // Only the last chunk has counts; looking for them is what a program would do with every chunk.
        let chunk: Value = serde_json::from_slice(&data)?;
        tokens = chunk["usage"]["completion_tokens"].as_u64().or(tokens);
    }
    exchange.finish();
    Ok(Streamed {
        tokens: tokens.ok_or("the stream told no usage")?,
        first: first.ok_or("the stream had no text")?,
        whole: begin.elapsed(),
    })
}

/// What came of asking for a whole answer.
pub(crate) enum Outcome {
    /// An answer with a checked receipt, of so many tokens.
    Answered(u64),
    /// 429.
    Refused,
}

/// Asks for a whole answer and checks its receipt.
pub(crate) async fn whole(enclave: &Arc<Enclave>, question: Question) -> Result<Outcome, Failure> {
    let exchange = enclave.ask(question).await?;
    let status = exchange.status();
    let answer = exchange.whole().await?;
    if status == StatusCode::TOO_MANY_REQUESTS {
        return Ok(Outcome::Refused);
    }
    let body: Value = serde_json::from_slice(&answer.body)?;
    let tokens = body["usage"]["completion_tokens"].as_u64();
    match tokens {
        Some(tokens) if status.is_success() => Ok(Outcome::Answered(tokens)),
        _ => Err(format!("the enclave answered {status}").into()),
    }
}
