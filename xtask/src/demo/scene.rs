//! The steps themselves: each runs a binary of the product and reports what that binary said.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::binaries::{Binaries, root};
use super::options::Options;
use super::report::{Report, short};
use super::stage::Stage;

const KEY_ID: &str = "demo";
const RESOURCE: &str = "default/model/demo";
const MODEL_NAME: &str = "anchorhold-demo";

/// Why the demonstration ended early.
pub(crate) enum Failure {
    /// A verifier said no. This is what an attack must lead to.
    Refused { by: String, reasons: Vec<String> },
    /// Something did not work.
    Broken(String),
}

impl Failure {
    pub(crate) fn broken(what: &str) -> Self {
        Self::Broken(what.to_owned())
    }
}

/// Everything the steps pass on to one another.
pub(crate) struct Scene {
    pub(crate) binaries: Binaries,
    pub(crate) stage: Stage,
    owner: Value,
    sealed: Value,
    measured: Value,
    /// `dangerously_` settings that this machine takes.
    pub(super) settings: Vec<String>,
    broker_address: String,
    pub(crate) enclave_address: String,
    /// SEV-SNP under a fake authority, in place of the simulated platform.
    pub(super) snp_fake: bool,
}

impl Scene {
    pub(crate) fn new(binaries: Binaries, snp_fake: bool) -> Result<Self, Failure> {
        Ok(Self {
            binaries,
            stage: Stage::new()?,
            owner: Value::Null,
            sealed: Value::Null,
            measured: Value::Null,
            settings: Vec::new(),
            broker_address: String::new(),
            enclave_address: String::new(),
            snp_fake,
        })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.stage.folder().join(name)
    }

    pub(super) fn path_text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub(crate) fn keygen(&mut self, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        let store = self.path_text("store");
        self.owner = self.host(
            "the owner",
            &[
                "owner", "keygen", "--store", &store, "--key-id", KEY_ID, "--class", "insecure", "--json",
            ],
        )?;
        report.step(
            "owner",
            "made a model key; it lies wrapped in the broker's store",
            started.elapsed(),
            &[
                ("class", field(&self.owner, "class")),
                ("release key", short(&field(&self.owner, "release_key"))),
                ("broker TLS key", short(&field(&self.owner, "tls_spki_sha256"))),
            ],
        );
        Ok(())
    }

    pub(crate) fn seal(&mut self, options: &Options, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        let model = options
            .model
            .clone()
            .unwrap_or_else(|| root().join("xtask/demo-model"));
        let (store, out) = (self.path_text("store"), self.path_text("model.sealed"));
        let model = model.to_string_lossy().into_owned();
        self.sealed = self.host(
            "the owner",
            &[
                "owner", "seal", "--store", &store, "--key-id", KEY_ID, "--model", &model, "--out", &out,
                "--name", MODEL_NAME, "--json",
            ],
        )?;
        report.step(
            "owner",
            "sealed the model: AES-256-GCM in chunks of 1 MiB, key commitment first",
            started.elapsed(),
            &[
                ("manifest", short(&field(&self.sealed, "manifest_sha256"))),
                ("bytes", field(&self.sealed, "sealed_bytes")),
            ],
        );
        Ok(())
    }

    pub(crate) fn configure(&mut self, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        let (mut confine, mut accepted) = (String::new(), vec!["dangerously_host_time"]);
        for setting in &self.settings {
            let table = if confine.is_empty() { "\n[confine]\n" } else { "" };
            confine += &format!("{table}{setting} = true\n");
            accepted.push(setting);
        }
        self.broker_address = format!("127.0.0.1:{}", free_port()?);
        let not_after = unix_now()? + 24 * 3600;
        let manifest = field(&self.sealed, "manifest_sha256");
        let platform = self.platform();
        let config = format!(
            r#"version = "0.1.0"
algorithm = "sha256"
not_after = {not_after}
platform = "{platform}"
dangerously_host_time = true

[broker]
url = "https://{}"
tls_spki_sha256 = "{}"
release_key = "{}"
resource = "{RESOURCE}"

[model]
name = "{MODEL_NAME}"
key_id = "{KEY_ID}"
class = "insecure"
path = {}
manifest_sha256 = "{manifest}"

[listen]
api = "127.0.0.1:0"
{confine}"#,
            self.broker_address,
            field(&self.owner, "tls_spki_sha256"),
            field(&self.owner, "release_key"),
            // What JSON escapes, TOML reads as it was.
            Value::from(self.path_text("model.sealed")),
        );
        self.write("enclave.toml", &config)?;
        let (binary, config_path) = (
            self.binaries.enclave.to_string_lossy().into_owned(),
            self.path_text("enclave.toml"),
        );
        self.measured = self.host(
            "the publisher",
            &[
                "publisher",
                "measure",
                "--platform",
                "insecure-simulated",
                "--enclave",
                &binary,
                "--config",
                &config_path,
                "--json",
            ],
        )?;
        let (keys, rest) = self.machine()?;
        let policy = format!(
            r#"version = 1
manifest_sha256 = "{manifest}"
config_sha256 = "{}"
{keys}dangerously_accept_weakened = {accepted:?}

[[reference_values]]
name = "the enclave built a moment ago"
platform = "{platform}"
measurement = "{}"
{rest}"#,
            field(&self.measured, "config_sha256"),
            field(&self.measured, "measurement"),
        );
        self.write("policy.toml", &policy)?;
        let trust = if self.snp_fake {
            "anchors = \"amd/anchors\"\nendorsements = \"amd/endorsements.json\"\n"
        } else {
            ""
        };
        let broker = format!(
            "listen = \"{}\"\n{trust}\n[[resource]]\npath = \"{RESOURCE}\"\nkey_id = \"{KEY_ID}\"\npolicy = \"policy.toml\"\nlease_seconds = 3600\n",
            self.broker_address
        );
        self.write("broker.toml", &broker)?;
        report.step(
            "owner and client",
            "wrote one policy each may check: exactly this enclave, configuration and model",
            started.elapsed(),
            &[
                ("measurement", short(&field(&self.measured, "measurement"))),
                ("configuration", short(&field(&self.measured, "config_sha256"))),
                ("model", short(&manifest)),
            ],
        );
        Ok(())
    }

    pub(crate) fn start_broker(&mut self, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        let (store, config) = (self.path_text("store"), self.path_text("broker.toml"));
        let mut command = Command::new(&self.binaries.host);
        command
            .args([
                "owner", "broker", "--store", &store, "--config", &config, "--json",
            ])
            .stderr(Stdio::null());
        let output = self.stage.start(&mut command)?;
        let mut lines = BufReader::new(output);
        let line = next_json(&mut lines).ok_or_else(|| Failure::broken("the broker did not start"))?;
        if let Some(reason) = failure(&line) {
            return Err(Failure::Broken(format!("the broker did not start: {reason}")));
        }
        drain(lines);
        report.step(
            "owner",
            "started the key broker",
            started.elapsed(),
            &[("address", field(&line, "listening"))],
        );
        Ok(())
    }

    pub(crate) fn launch(&mut self, report: &mut Report) -> Result<(), Failure> {
        let mut last = Instant::now();
        let config = self.path_text("enclave.toml");
        let enclave = self.binaries.enclave.to_string_lossy().into_owned();
        let mut command = Command::new(&self.binaries.host);
        command
            .args([
                "operator",
                "launch",
                "--config",
                &config,
                "--enclave",
                &enclave,
                "--json",
            ])
            .stderr(Stdio::null());
        if self.snp_fake {
            command.arg("--fake-chip").arg(self.path("amd/chip"));
        }
        let output = self.stage.start(&mut command)?;
        let mut lines = BufReader::new(output);
        let mut reasons = Vec::new();
        // A broken network is no refusal; a digest or a tag that does not fit is one.
        let mut refused = false;
        while let Some(event) = next_json(&mut lines) {
            // The launcher's own words, when it came to no enclave.
            reasons.extend(failure(&event));
            let name = field(&event, "event");
            let took = last.elapsed();
            match name.as_str() {
                "config_accepted" => report.step(
                    "enclave",
                    "compared its configuration with the digest fixed at launch, then read it",
                    took,
                    &[("configuration", short(&field(&event, "config_sha256")))],
                ),
                "key_released" => report.step(
                    "broker",
                    "appraised the evidence and released the key to this enclave alone, signed and logged",
                    took,
                    &[
                        ("for the model", short(&field(&event, "manifest_sha256"))),
                        ("lease", format!("{} s", field(&event, "lease_seconds"))),
                    ],
                ),
                "ready" => report.step(
                    "enclave",
                    "unsealed the model into private memory and is ready",
                    took,
                    &[],
                ),
                "listening" => {
                    self.enclave_address = format!("127.0.0.1:{}", field(&event, "port"));
                    drain(lines);
                    return Ok(());
                }
                "denied" => reasons.push(format!("the broker answered {}", field(&event, "code"))),
                "error" => {
                    let (stage, code) = (field(&event, "stage"), field(&event, "code"));
                    refused |= ["launch", "unseal"].contains(&stage.as_str());
                    reasons.push(format!("{stage}: {code} ({})", field(&event, "hint")));
                }
                _ => continue,
            }
            last = Instant::now();
        }
        match self.stage.wait_for_newest()?.code() {
            Some(3) => Err(Failure::Refused {
                by: "the key broker or the enclave".to_owned(),
                reasons: self.with_log(reasons),
            }),
            _ if refused => Err(Failure::Refused {
                by: "the enclave".to_owned(),
                reasons,
            }),
            _ => Err(Failure::Broken(format!(
                "the enclave ended before it was ready: {}",
                reasons.join("; ")
            ))),
        }
    }

    /// The caller was only told a constant code; the owner's log says why.
    fn with_log(&self, mut reasons: Vec<String>) -> Vec<String> {
        let store = self.path_text("store");
        let Ok(log) = self.host(
            "the owner",
            &["owner", "log", "show", "--store", &store, "--json"],
        ) else {
            return reasons;
        };
        let last = log
            .as_array()
            .and_then(|entries| entries.last())
            .cloned()
            .unwrap_or(Value::Null);
        reasons.extend(
            last["event"]["reasons"]
                .as_array()
                .into_iter()
                .flatten()
                .map(reason_text),
        );
        reasons
    }

    pub(crate) fn verify(&mut self, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        let (url, policy) = (
            format!("https://{}", self.enclave_address),
            self.path_text("policy.toml"),
        );
        let verified = self.host(
            "the client",
            &self.client(
                &["client", "verify", "--url", &url, "--policy", &policy, "--json"],
                &[],
            ),
        )?;
        let checks: Vec<(String, String)> = verified["checks"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|check| (field(check, "check"), abbreviate(&field(check, "found"))))
            .collect();
        let facts: Vec<(&str, String)> = checks
            .iter()
            .map(|(rule, found)| (rule.as_str(), found.clone()))
            .collect();
        report.step(
            "client",
            "verified the enclave and bound the connection to that proof",
            started.elapsed(),
            &facts,
        );
        Ok(())
    }

    pub(crate) fn ask(&mut self, question: &str, report: &mut Report) -> Result<(), Failure> {
        let started = Instant::now();
        let (url, policy) = (
            format!("https://{}", self.enclave_address),
            self.path_text("policy.toml"),
        );
        let answered = self.host(
            "the client",
            // After `--` a question may begin with a hyphen.
            &self.client(
                &["client", "ask", "--url", &url, "--policy", &policy, "--json"],
                // The likeliest answer, each time.
                &["--temperature", "0", "--", question],
            ),
        )?;
        report.step(
            "client",
            "asked over the bound channel and checked the signed receipt",
            started.elapsed(),
            &[
                ("receipt", field(&answered, "receipt")),
                ("ended by", field(&answered, "finish_reason")),
            ],
        );
        report.answer(question, &field(&answered, "answer"));
        Ok(())
    }

    pub(crate) fn chat(&mut self, report: &mut Report) -> Result<(), Failure> {
        let (url, policy) = (
            format!("https://{}", self.enclave_address),
            self.path_text("policy.toml"),
        );
        report.talk("\nNow you: ask it something (Ctrl-D ends; it knows little and says so).\n");
        let mut command = Command::new(&self.binaries.host);
        command.args([
            "client",
            "chat",
            "--url",
            &url,
            "--policy",
            &policy,
            "--temperature",
            "0",
        ]);
        command.args(self.trust());
        let status = self.stage.converse(&mut command)?;
        match status.code() {
            Some(0) => Ok(()),
            Some(3) => Err(Failure::Refused {
                by: "the client".to_owned(),
                reasons: Vec::new(),
            }),
            _ => Err(Failure::broken("the chat ended with an error")),
        }
    }

    /// A client's command line, told whom to believe.
    fn client(&self, command: &[&str], rest: &[&str]) -> Vec<String> {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        [words(command), self.trust(), words(rest)].concat()
    }

    /// Runs `anchorhold` and gives what it printed; exit status 3 becomes a refusal with its reasons.
    fn host<T: AsRef<str>>(&self, by: &str, arguments: &[T]) -> Result<Value, Failure> {
        let arguments: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        let output = self
            .stage
            .run(Command::new(&self.binaries.host).args(&arguments))?;
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        match output.status.code() {
            Some(0) => Ok(printed),
            Some(3) => {
                let listed: Vec<String> = printed["error"]["denied"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(reason_text)
                    .collect();
                let reasons = if listed.is_empty() {
                    vec![error_text(&printed, &output.stderr)]
                } else {
                    listed
                };
                Err(Failure::Refused {
                    by: by.to_owned(),
                    reasons,
                })
            }
            _ => Err(Failure::Broken(format!(
                "{}: {}",
                arguments[..2].join(" "),
                error_text(&printed, &output.stderr)
            ))),
        }
    }

    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        std::fs::write(self.path(name), text)
            .map_err(|_| Failure::broken("a file of the demonstration could not be written"))
    }
}

/// Seconds since 1970 by this machine's clock.
pub(super) fn unix_now() -> Result<u64, Failure> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| Failure::broken("this machine's clock is before 1970"))
}

/// The next line that is JSON; `None` at the end of the output.
fn next_json(lines: &mut BufReader<ChildStdout>) -> Option<Value> {
    let mut line = String::new();
    loop {
        line.clear();
        if lines.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Ok(value) = serde_json::from_str(&line) {
            return Some(value);
        }
    }
}

/// Keeps a pipe empty so that its writer never blocks.
fn drain(mut lines: BufReader<ChildStdout>) {
    std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
}

fn free_port() -> Result<u16, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0")
        .map_err(|_| Failure::broken("no free port on the loopback address"))?;
    let address = listener
        .local_addr()
        .map_err(|_| Failure::broken("no free port on the loopback address"))?;
    Ok(address.port())
}

pub(super) fn field(value: &Value, name: &str) -> String {
    match &value[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn reason_text(reason: &Value) -> String {
    let (rule, expected, found) = (
        field(reason, "rule"),
        field(reason, "expected"),
        field(reason, "found"),
    );
    format!(
        "{rule}: expected {}, found {}",
        abbreviate(&expected),
        abbreviate(&found)
    )
}

/// Long digests by their first digits; everything else as it is.
fn abbreviate(text: &str) -> String {
    let is_digest = |word: &str| word.len() >= 32 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    text.split(' ')
        .map(|word| {
            if is_digest(word) {
                short(word)
            } else {
                word.to_owned()
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

/// The reason and the hint of a failure that was reported as JSON.
fn failure(printed: &Value) -> Option<String> {
    let (message, hint) = (
        field(&printed["error"], "message"),
        field(&printed["error"], "hint"),
    );
    (!message.is_empty()).then(|| format!("{message} ({hint})"))
}

fn error_text(printed: &Value, stderr: &[u8]) -> String {
    failure(printed).unwrap_or_else(|| String::from_utf8_lossy(stderr).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_never_taken_for_a_start_and_keeps_its_hint() {
        let failed = serde_json::json!({"error": {"code": "listen", "message": "no", "hint": "do"}});
        assert_eq!(failure(&failed).as_deref(), Some("no (do)"));
        assert_eq!(error_text(&failed, b"other"), "no (do)");
        assert_eq!(error_text(&Value::Null, b"words\n"), "words");
        assert_eq!(failure(&serde_json::json!({"listening": "127.0.0.1:1"})), None);
        assert_eq!(
            failure(&serde_json::json!({"event": "error", "stage": "boot"})),
            None
        );
    }
}
