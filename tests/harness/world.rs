//! One owner, one sealed model, one configuration, one policy: what most whole-system tests start from.
//!
//! Why apart: a test says only what is different in its world; all else is the working case.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use anchorhold_attestation::simulated::LaunchRecord;
use anchorhold_encoding::{Digest, sha256, sha384};
use serde_json::Value;

use crate::process::{Environment, Process, Programs, run, run_with};

/// The key, resource and model name of every world.
pub const KEY_ID: &str = "demo";
/// The resource the enclave asks for.
pub const RESOURCE: &str = "default/model/demo";
/// The name the API serves the model under.
pub const MODEL_NAME: &str = "demo";

/// Where [`free_address`] looks.
const FIRST_PORT: u16 = 12_000;
/// How many ports it looks at.
const PORTS: u16 = 20_191;

/// A folder with a store, a sealed model and everything that goes with them.
#[derive(Debug)]
pub struct World {
    /// The binaries.
    pub programs: Programs,
    folder: tempfile::TempDir,
    /// What `owner keygen` printed.
    pub owner: Value,
    /// What `owner seal` printed.
    pub sealed: Value,
    /// Where the broker is to listen.
    pub broker_address: String,
    /// The enclave's configuration, as text to be edited before [`World::write_policies`].
    pub config: String,
    /// The policy of owner and client, as text to be edited.
    pub policy: String,
    /// The broker's configuration, as text to be edited.
    pub broker: String,
    /// Variables of the broker's, the enclave's and the client's programs.
    pub environments: Environments,
}

/// Whose program gets which variables.
#[derive(Debug, Clone, Default)]
pub struct Environments {
    /// `owner broker`.
    pub broker: Environment,
    /// The enclave.
    pub enclave: Environment,
    /// `client ...`.
    pub client: Environment,
}

impl World {
    /// Makes a key of class `insecure`, seals `model`, and writes the texts of the working case.
    #[must_use]
    pub fn new(programs: Programs, model: &Path) -> Self {
        Self::of_class(programs, model, "insecure")
    }

    /// The same with a store of `class`.
    #[must_use]
    pub fn of_class(programs: Programs, model: &Path, class: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let store = text(&folder.path().join("store"));
        let keygen = [
            "owner", "keygen", "--store", &store, "--key-id", KEY_ID, "--class", class, "--json",
        ];
        let owner = run(programs.host, &keygen).expect(0).json();
        let mut world = Self {
            programs,
            folder,
            owner,
            sealed: Value::Null,
            broker_address: free_address(),
            config: String::new(),
            policy: String::new(),
            broker: String::new(),
            environments: Environments::default(),
        };
        world.sealed = world.seal(model, "model.sealed", &[]);
        world.config = world.working_config();
        world.policy = world.working_policy();
        world.broker = world.working_broker();
        world
    }

    /// Seals another folder under this world's key; gives what `owner seal` printed.
    #[must_use]
    pub fn seal(&self, model: &Path, out: &str, more: &[&str]) -> Value {
        let (store, model, out) = (text(&self.path("store")), text(model), text(&self.path(out)));
        let seal = [
            "owner", "seal", "--store", &store, "--key-id", KEY_ID, "--model", &model, "--out", &out,
            "--name",
        ];
        run(
            self.programs.host,
            &[seal.as_slice(), &[MODEL_NAME, "--json"], more].concat(),
        )
        .expect(0)
        .json()
    }

    /// A folder that seals but holds no tokenizer: for tests in which no model may be loaded.
    #[must_use]
    pub fn tiny_model() -> PathBuf {
        crate::tree::root().join("tests/tiny-models/llama")
    }

    /// The demo model's folder: a real chat model that every clone has.
    #[must_use]
    pub fn demo_model() -> PathBuf {
        crate::tree::root().join("xtask/demo-model")
    }

    /// A path in this world's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The manifest digest of the sealed model.
    #[must_use]
    pub fn manifest(&self) -> String {
        self.sealed["manifest_sha256"]
            .as_str()
            .expect("seal prints the manifest digest")
            .to_owned()
    }

    fn working_config(&self) -> String {
        format!(
            r#"version = "0.1.0"
algorithm = "sha256"
not_after = 4000000000
platform = "insecure-simulated"
dangerously_host_time = true

[broker]
url = "https://{}"
tls_spki_sha256 = "{}"
release_key = "{}"
resource = "{RESOURCE}"
attempts = 2

[model]
name = "{MODEL_NAME}"
key_id = "{KEY_ID}"
class = "insecure"
path = "{}"
manifest_sha256 = "{}"

[listen]
api = "127.0.0.1:0"
metrics = "127.0.0.1:0"
{}"#,
            self.broker_address,
            self.owner["tls_spki_sha256"].as_str().unwrap(),
            self.owner["release_key"].as_str().unwrap(),
            text(&self.path("model.sealed")),
            self.manifest(),
            self.confine(),
        )
    }

    /// The settings that this machine takes: what it does not let an enclave do, by the enclave's own `self-check`, taken once for
    /// all tests of a program and said.
    fn settings(&self) -> &'static [String] {
        static TAKEN: OnceLock<Vec<String>> = OnceLock::new();
        TAKEN.get_or_init(|| {
            let checked = run(self.programs.enclave, &["self-check", "--json"]).json();
            let measures = checked["measures"].as_array().expect("measures");
            let missing = measures.iter().filter(|measure| measure["holds"] == false);
            let settings = missing.map(|measure| {
                eprintln!(
                    "SKIPPED: this machine gives no {} ({}): every enclave here runs with `{} = true`",
                    measure["measure"], measure["code"], measure["setting"]
                );
                measure["setting"].as_str().expect("a setting").to_owned()
            });
            settings.collect()
        })
    }

    /// The table of them; empty where an enclave can do all.
    fn confine(&self) -> String {
        let lines: String = self
            .settings()
            .iter()
            .map(|setting| format!("{setting} = true\n"))
            .collect();
        if lines.is_empty() {
            lines
        } else {
            format!("\n[confine]\n{lines}")
        }
    }

    /// Every dangerous setting of the working case, as evidence names them.
    #[must_use]
    pub fn weakened(&self) -> Vec<String> {
        let mut all = vec!["dangerously_host_time".to_owned()];
        all.extend_from_slice(self.settings());
        all
    }

    /// The policy's line that accepts them.
    #[must_use]
    pub fn accepted(&self) -> String {
        format!("dangerously_accept_weakened = {:?}\n", self.weakened())
    }

    /// Digest of the configuration as it stands now.
    #[must_use]
    pub fn config_sha256(&self) -> Digest<32> {
        sha256(&[self.config.as_bytes()])
    }

    /// Measurement of the enclave binary, taken once for all tests of a program.
    #[must_use]
    pub fn measurement(&self) -> Digest<48> {
        static TAKEN: OnceLock<Digest<48>> = OnceLock::new();
        *TAKEN.get_or_init(|| sha384(&[&std::fs::read(self.programs.enclave).expect("the enclave's binary")]))
    }

    /// The policy of the working case for the configuration as it stands now.
    #[must_use]
    pub fn working_policy(&self) -> String {
        format!(
            r#"version = 1
manifest_sha256 = "{}"
config_sha256 = "{}"
any_chip_of = ["insecure-simulated"]
dangerously_accept_simulated = true
{}
[[reference_values]]
name = "under test"
platform = "insecure-simulated"
measurement = "{}"
minimum_tcb = 1
"#,
            self.manifest(),
            self.config_sha256(),
            self.accepted(),
            self.measurement(),
        )
    }

    fn working_broker(&self) -> String {
        format!(
            "listen = \"{}\"\n\n[[resource]]\npath = \"{RESOURCE}\"\nkey_id = \"{KEY_ID}\"\npolicy = \"policy.toml\"\n",
            self.broker_address
        )
    }

    /// Edits the configuration and makes the policy expect exactly the edited one.
    pub fn configure(&mut self, edit: impl FnOnce(String) -> String) {
        self.config = edit(std::mem::take(&mut self.config));
        self.policy = self.working_policy();
    }

    /// Writes the texts to their files.
    pub fn write_policies(&self) {
        for (name, content) in [
            ("enclave.toml", &self.config),
            ("policy.toml", &self.policy),
            ("broker.toml", &self.broker),
        ] {
            std::fs::write(self.path(name), content).expect("the folder is writable");
        }
    }

    /// Starts the broker and waits until it listens.
    #[must_use]
    pub fn start_broker(&self) -> Process {
        self.write_policies();
        let (store, config) = (text(&self.path("store")), text(&self.path("broker.toml")));
        let arguments = [
            "owner", "broker", "--store", &store, "--config", &config, "--json",
        ];
        let mut broker = Process::start_with(
            &self.environments.broker,
            Path::new(self.programs.host),
            &arguments,
            None,
        );
        broker.next().unwrap_or_else(|| panic!("the broker listens"));
        broker
    }

    /// The release log, checked and shown: one JSON object an entry.
    #[must_use]
    pub fn log(&self) -> Vec<Value> {
        let store = text(&self.path("store"));
        let shown = run(
            self.programs.host,
            &["owner", "log", "show", "--store", &store, "--json"],
        )
        .expect(0)
        .json();
        shown.as_array().expect("a list of entries").clone()
    }

    /// The names of the rules by which the newest entry of the release log is a denial.
    #[must_use]
    pub fn denied_rules(&self) -> Vec<String> {
        let log = self.log();
        let event = &log.last().expect("an entry")["event"];
        assert_eq!(event["decision"], "denied", "{event:#}");
        let reasons = event["reasons"].as_array().expect("reasons");
        reasons
            .iter()
            .map(|reason| reason["rule"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What the simulated platform hands an enclave: the launch record it would measure, and `config`.
    #[must_use]
    pub fn launch_input(&self, config: &str) -> Vec<u8> {
        let record = LaunchRecord {
            measurement: self.measurement(),
            host_data: sha256(&[config.as_bytes()]),
        };
        [record.encode().as_slice(), config.as_bytes()].concat()
    }

    /// Starts an enclave with `config` on the simulated platform, without waiting.
    #[must_use]
    pub fn start_enclave(&self, config: &str) -> Process {
        self.start_enclave_with(self.launch_input(config))
    }

    /// Starts an enclave with any bytes in place of the launch record and the configuration.
    #[must_use]
    pub fn start_enclave_with(&self, input: Vec<u8>) -> Process {
        Process::start_with(
            &self.environments.enclave,
            Path::new(self.programs.enclave),
            &[],
            Some(input),
        )
    }

    /// Starts the enclave of this world and waits until it serves.
    #[must_use]
    pub fn serve(&self) -> Serving {
        Serving::once_listening(self.start_enclave(&self.config))
    }

    /// Runs `anchorhold client ...` against an enclave with this world's policy.
    #[must_use]
    pub fn client(&self, port: u16, arguments: &[&str]) -> crate::process::Finished {
        let (url, policy) = (
            format!("https://127.0.0.1:{port}"),
            text(&self.path("policy.toml")),
        );
        let (command, rest) = arguments.split_first().expect("a client command");
        let all = [&["client", command, "--url", &url, "--policy", &policy], rest].concat();
        run_with(&self.environments.client, self.programs.host, &all)
    }
}

/// An enclave that serves.
#[derive(Debug)]
pub struct Serving {
    /// Port of the API on the loopback address.
    pub port: u16,
    /// Port of the metrics, once it was told.
    pub metrics: Option<u16>,
    /// The process.
    pub process: Process,
}

impl Serving {
    /// Waits until the enclave that `process` is serves.
    #[must_use]
    pub fn once_listening(mut process: Process) -> Self {
        let mut metrics = None;
        loop {
            let event = process.next().unwrap_or_else(|| panic!("the enclave serves"));
            let port = || u16::try_from(event["port"].as_u64().unwrap()).unwrap();
            match event["event"].as_str() {
                Some("metrics_listening") => metrics = Some(port()),
                Some("listening") => {
                    return Self {
                        port: port(),
                        metrics,
                        process,
                    };
                }
                _ => {}
            }
        }
    }
}

/// An address nobody listens on at the moment, below the ports that Linux gives out by itself (32768 and up,
/// `ip_local_port_range`): no connection and no other test gets it between now and its use.
#[must_use]
pub fn free_address() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time start at different places.
    let start = u16::try_from(std::process::id() % 331).unwrap() * 61;
    for _ in 0..PORTS {
        let offset = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let address = format!("127.0.0.1:{}", FIRST_PORT + offset);
        if TcpListener::bind(&address).is_ok() {
            return address;
        }
    }
    panic!("no free port");
}

/// A path as an argument.
#[must_use]
pub fn text(path: &Path) -> String {
    path.to_str().expect("test paths are UTF-8").to_owned()
}
