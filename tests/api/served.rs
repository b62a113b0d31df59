//! A broker and an enclave that serves, for as long as a test needs them.
//!
//! Why apart: a test says only what is different about its enclave.
//!
//! # Invariants
//! Both processes end with the value, and their folder with them.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use anchorhold_tests::process::{Finished, Process};
use anchorhold_tests::world::{Serving, World, text};

use crate::wire::{Answer, Wire};

/// The name that requests must give as their model.
pub(crate) const MODEL: &str = anchorhold_tests::world::MODEL_NAME;

/// Tokens of a long answer: a second and more of work, so that a test can do something meanwhile.
pub(crate) const LONG: usize = 6_000;

/// Requests that run at one time where answers take a while.
pub(crate) const RUNNING: usize = 8;

/// No test of something else may meet the quota.
const GENEROUS: &str = "\n[anonymous]\nrequests_per_minute = 60000\n";

/// An enclave, its broker and their folder.
pub(crate) struct Served {
    // Fields are dropped in this order: the enclave first, the folder last.
    enclave: Mutex<Process>,
    broker: Mutex<Process>,
    /// Port of the API.
    pub(crate) port: u16,
    /// Port of the metrics.
    pub(crate) metrics: u16,
    pub(crate) world: World,
}

impl Served {
    /// Serves the model in `folder` with `extra` at the end of the configuration.
    pub(crate) fn new(folder: &Path, extra: &str) -> Self {
        let mut world = World::new(anchorhold_tests::programs!(), folder);
        world.configure(|config| config + extra);
        Self::of(world)
    }

    /// Starts what `world` describes.
    pub(crate) fn of(world: World) -> Self {
        let broker = world.start_broker();
        Self::around(world.serve(), broker, world)
    }

    /// Holds what serves already.
    pub(crate) fn around(serving: Serving, broker: Process, world: World) -> Self {
        let Serving {
            port,
            metrics,
            process,
            ..
        } = serving;
        let metrics = metrics.expect("every world has a metrics listener");
        Self {
            enclave: Mutex::new(process),
            broker: Mutex::new(broker),
            port,
            metrics,
            world,
        }
    }

    /// Serves the demo's model with `extra` and no quota.
    pub(crate) fn demo(extra: &str) -> Self {
        Self::new(&World::demo_model(), &format!("{extra}{GENEROUS}"))
    }

    /// Serves the demo's weights with room for [`LONG`] tokens, [`RUNNING`] at one time, and `limits` besides: answers
    /// that take a while.
    pub(crate) fn long(limits: &str) -> Self {
        // One thread: for a model this small a second gains nothing, and on a busy machine both wait for each other.
        Self::long_with(limits, &format!("running = {RUNNING}\nthreads = 1"))
    }

    /// The same with settings of the engine's.
    pub(crate) fn long_with(limits: &str, engine: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(World::demo_model()).unwrap() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        let path = folder.path().join("config.json");
        let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        config["max_position_embeddings"] = (2 * LONG).into();
        std::fs::write(&path, config.to_string()).unwrap();
        Self::new(
            folder.path(),
            &format!("\n[engine]\n{engine}\n[limits]\nmax_tokens = {LONG}\n{limits}\n{GENEROUS}"),
        )
    }

    /// One enclave with the demo's model for all tests that change nothing about it and run at the same time.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Served>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let served = Arc::new(Self::demo(""));
            *shared = Arc::downgrade(&served);
            served
        })
    }

    /// A new connection that nobody has bound.
    pub(crate) fn connect(&self) -> Wire {
        Wire::connect(self.port)
    }

    /// A new bound connection.
    pub(crate) fn bound(&self) -> Wire {
        let mut wire = self.connect();
        wire.bind();
        wire
    }

    /// Posts `body` on a bound connection of its own.
    pub(crate) fn post(&self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.bound().post(path, body.as_ref())
    }

    /// Demands that a new caller gets a right answer: whatever happened before, the server goes on.
    pub(crate) fn still_answers(&self) {
        let answer = self.post("/v1/chat/completions", chat("What is the capital of France?", ""));
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.json()["choices"][0]["message"]["content"],
            "The capital of France is Paris."
        );
    }

    /// The enclave's process.
    #[allow(dead_code, reason = "tests of memory look into it")]
    pub(crate) fn process_id(&self) -> u32 {
        self.enclave.lock().unwrap().id()
    }

    /// Asks the enclave to end.
    pub(crate) fn ask_to_end(&self) {
        self.enclave.lock().unwrap().ask_to_end();
    }

    /// Ends the enclave, then the broker; gives what each said, and the folder.
    pub(crate) fn end(self) -> (Finished, Finished, World) {
        let Self {
            enclave,
            broker,
            world,
            ..
        } = self;
        let end = |process: Mutex<Process>| {
            let process = process.into_inner().unwrap();
            process.ask_to_end();
            process.finish()
        };
        (end(enclave), end(broker), world)
    }

    /// Starts a proxy for this enclave, with `extra` arguments.
    pub(crate) fn proxy(&self, extra: &[&str]) -> (Process, Listening) {
        let url = format!("https://127.0.0.1:{}", self.port);
        let policy = text(&self.world.path("policy.toml"));
        let mut token_file = self.world.path("token");
        while token_file.exists() {
            token_file.set_extension(format!(
                "{}x",
                token_file.extension().unwrap_or_default().to_str().unwrap()
            ));
        }
        let token_path = text(&token_file);
        let first = [
            "client",
            "proxy",
            "--url",
            &url,
            "--policy",
            &policy,
            "--token-file",
            &token_path,
            "--json",
        ];
        let arguments = [&first, extra].concat();
        let mut process = Process::start(Path::new(self.world.programs.host), &arguments, None);
        let line = process.next().expect("the proxy listens");
        assert!(
            line.get("token").is_none(),
            "a token that goes to a file is not printed"
        );
        let token = std::fs::read_to_string(&token_file).unwrap().trim().to_owned();
        (
            process,
            Listening {
                base_url: line["base_url"].as_str().unwrap().to_owned(),
                token,
            },
        )
    }
}

/// Where a proxy listens, and what it wants to be shown.
pub(crate) struct Listening {
    pub(crate) base_url: String,
    pub(crate) token: String,
}

/// A chat of one message, with `more` members.
pub(crate) fn chat(content: &str, more: &str) -> String {
    let content = serde_json::to_string(content).unwrap();
    format!(
        r#"{{"model":"{MODEL}","temperature":0,"messages":[{{"role":"user","content":{content}}}]{more}}}"#
    )
}

/// A text to be continued, with `more` members.
pub(crate) fn completion(prompt: &str, more: &str) -> String {
    let prompt = serde_json::to_string(prompt).unwrap();
    format!(r#"{{"model":"{MODEL}","temperature":0,"prompt":{prompt}{more}}}"#)
}

/// A completion of `tokens` tokens, whatever the weights: each token said before is ever likelier.
pub(crate) fn endless(tokens: usize, more: &str) -> String {
    let penalties = r#""repetition_penalty":0.01,"frequency_penalty":-2,"presence_penalty":-2"#;
    completion(
        "one two three",
        &format!(r#","max_tokens":{tokens},{penalties}{more}"#),
    )
}
