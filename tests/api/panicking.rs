//! `engine-that-panics [loud]`: the enclave's engine around a model that panics with the prompt (standard input) in
//! the panic's message. Ends well when the caller was refused and the enclave's life ended as it should.
//!
//! Why apart: what a process says when it panics can only be heard from outside. With `loud` the process is not
//! prepared as the enclave's is, to show what would be heard then.

use std::io::Read as _;
use std::process::ExitCode;
use std::sync::Arc;

use anchorhold_enclave::clock::Clock;
use anchorhold_enclave::config::Config;
use anchorhold_enclave::engine::backend::{Abilities, Backend, Order, Prompt, Running};
use anchorhold_enclave::engine::job::{Refusal, Reply};
use anchorhold_enclave::engine::{Settings, start};
use anchorhold_enclave::lease::{Lease, Terms};
use anchorhold_enclave::lifecycle::{Cause, Lifecycle};
use anchorhold_enclave::metrics::Metrics;
use anchorhold_enclave::process;
use anchorhold_models::{Embedding, Grammars, SamplingParams, Step, Usage};

/// Any valid configuration: the clock is made from its consent to the host's time.
const CONFIG: &str = r#"version = "0.1.0"
algorithm = "sha256"
not_after = 4000000000
platform = "insecure-simulated"
dangerously_host_time = true

[broker]
url = "https://127.0.0.1:1"
tls_spki_sha256 = "HEX"
release_key = "HEX"
resource = "default/model/demo"

[model]
name = "demo"
key_id = "demo"
class = "insecure"
path = "/model.sealed"
manifest_sha256 = "HEX"

[listen]
api = "127.0.0.1:0"
"#;

struct Panicking;

struct Text(String);

impl Backend for Panicking {
    type Text = Text;

    fn abilities(&self) -> Abilities {
        Abilities::Decode { chat: true }
    }

    fn grammars(&self) -> Option<Grammars> {
        None
    }

    fn start(&self, order: Order) -> Result<Text, Refusal> {
        match order.prompt {
            Prompt::Text(text) => Ok(Text(text.to_string())),
            Prompt::Chat(_) | Prompt::Ids(_) => Err(Refusal::Failed),
        }
    }

    fn step(&self, running: &mut [&mut Text]) -> Vec<Result<Step, Refusal>> {
        panic!("{}", running[0].0);
    }

    fn embed(&self, _: &[&str]) -> Result<Vec<Embedding>, Refusal> {
        Err(Refusal::WrongModelKind)
    }
}

impl Running for Text {
    fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: 1,
            completion_tokens: 0,
        }
    }
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_none() {
        process::prepare().expect("the environment can be cleared");
    }
    let mut prompt = String::new();
    std::io::stdin().read_to_string(&mut prompt).expect("a prompt");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(answer(prompt))
}

async fn answer(prompt: String) -> ExitCode {
    let config = Config::parse(CONFIG.replace("HEX", &"11".repeat(32)).as_bytes()).expect("a configuration");
    let clock = Arc::new(Clock::new(config.host_time));
    let lifecycle = Lifecycle::new();
    let terms = Terms::new(clock.now(), 3600, 0);
    let settings = Settings {
        queue: 1,
        running: 1,
        lease: Arc::new(Lease::new(terms, Arc::clone(&clock), lifecycle.clone())),
        lifecycle: lifecycle.clone(),
        metrics: Arc::new(Metrics::new(clock)),
    };
    let engine = start(Panicking, settings).expect("a thread");
    let order = Order {
        prompt: Prompt::Text(prompt.into()),
        tools: None,
        constraint: None,
        sampling: SamplingParams::default(),
        most_tokens: 4,
    };
    let Ok(mut answering) = engine.handle().generate(order) else {
        return ExitCode::FAILURE;
    };
    let refusal = loop {
        match answering.next().await {
            Reply::Started => {}
            Reply::Refused(refusal) => break refusal,
            Reply::Piece(_) | Reply::Finished(_) => return ExitCode::FAILURE,
        }
    };
    let cause = lifecycle.draining().await;
    engine.stopped().await;
    let right = refusal == Refusal::Failed && cause == Cause::ModelFailed;
    if right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
