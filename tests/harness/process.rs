//! Programs of the product as processes: started, listened to, and ended whatever the test does.
//!
//! # Invariants
//! A process ends with its value: SIGTERM first, so that a launcher takes its enclave with it, then SIGKILL.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything may take before a test gives up on it: generous, since machines differ.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The binaries under test. Integration tests get them through [`crate::programs`].
#[derive(Debug, Clone, Copy)]
pub struct Programs {
    /// `anchorhold`.
    pub host: &'static str,
    /// `anchorhold-enclave`, with the simulated platform compiled in.
    pub enclave: &'static str,
}

/// The binaries cargo built for this integration test.
#[macro_export]
macro_rules! programs {
    () => {
        $crate::process::Programs {
            host: env!("CARGO_BIN_EXE_anchorhold-under-test"),
            enclave: env!("CARGO_BIN_EXE_enclave-under-test"),
        }
    };
}

/// Runs a program to its end.
pub fn run(program: &str, arguments: &[&str]) -> Finished {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    Finished::of(&output)
}

/// Variables to set for a program, beside what it inherits.
pub type Environment = Vec<(&'static str, String)>;

/// The same with variables set.
pub fn run_with(environment: &Environment, program: &str, arguments: &[&str]) -> Finished {
    let variables = environment.iter().map(|(name, value)| (name, value));
    let mut command = Command::new(program);
    let output = command
        .args(arguments)
        .envs(variables)
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    Finished::of(&output)
}

/// What a program that ended said.
#[derive(Debug)]
pub struct Finished {
    /// Exit status; -1 for a signal.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Finished {
    fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Standard output as one JSON document.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("not JSON: {self:?}"))
    }

    /// Standard output as one JSON document a line, as the enclave writes its events.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        let event = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("not JSON: {line}"));
        self.stdout.lines().map(event).collect()
    }

    /// Whether an event of this name was told.
    #[must_use]
    pub fn told(&self, event: &str) -> bool {
        self.events().iter().any(|told| told["event"] == event)
    }

    /// The code of the last event: why an enclave ended.
    #[must_use]
    pub fn last_code(&self) -> String {
        let events = self.events();
        let last = events.last().unwrap_or_else(|| panic!("no event: {self:?}"));
        last["code"]
            .as_str()
            .unwrap_or_else(|| panic!("it did not end with a code: {self:#?}"))
            .to_owned()
    }

    /// Demands an exit status.
    #[must_use]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// A program that runs and prints JSON lines.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: mpsc::Receiver<String>,
    stderr: mpsc::Receiver<String>,
    /// Everything read from its standard output so far.
    pub seen: Vec<String>,
    /// Everything read from its standard error so far.
    pub talk: Vec<String>,
}

impl Process {
    /// Starts a program with `input` on its standard input.
    pub fn start(program: &Path, arguments: &[&str], input: Option<Vec<u8>>) -> Self {
        Self::start_with(&Environment::new(), program, arguments, input)
    }

    /// The same with variables set.
    pub fn start_with(
        environment: &Environment,
        program: &Path,
        arguments: &[&str],
        input: Option<Vec<u8>>,
    ) -> Self {
        let mut child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(if input.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        if let Some(input) = input {
            let mut stdin = child.stdin.take().unwrap();
            // A program that refuses early closes its end: that is its right.
            std::thread::spawn(move || std::io::Write::write_all(&mut stdin, &input));
        }
        let lines = read_lines(child.stdout.take().unwrap());
        let stderr = read_lines(child.stderr.take().unwrap());
        Self {
            child,
            lines,
            stderr,
            seen: Vec::new(),
            talk: Vec::new(),
        }
    }

    /// The next line that is a JSON object, or `None` at the end of the output.
    #[allow(
        clippy::should_implement_trait,
        reason = "it waits and panics when that takes too long: no iterator"
    )]
    pub fn next(&mut self) -> Option<Value> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline
                .checked_duration_since(Instant::now())
                .expect("the program speaks in time");
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    let value = serde_json::from_str(&line).ok();
                    self.seen.push(line);
                    if value.is_some() {
                        return value;
                    }
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => return None,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("no line in time; so far: {:#?}", self.seen),
            }
        }
    }

    /// Reads events until one has this name; `None` if the program ends first.
    pub fn event(&mut self, name: &str) -> Option<Value> {
        loop {
            let event = self.next()?;
            if event["event"] == name {
                return Some(event);
            }
        }
    }

    /// Reads standard error until a line contains `text`; gives that line.
    pub fn says(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(line) = self.stderr.recv_timeout(left) else {
                panic!("it never said {text:?}; so far: {:#?}", self.talk)
            };
            self.talk.push(line.clone());
            if line.contains(text) {
                return line;
            }
        }
    }

    /// Waits for the end; gives the exit status and all that was said on both outputs.
    pub fn finish(mut self) -> Finished {
        while self.next().is_some() {}
        let code = self
            .child
            .wait()
            .expect("the program can be waited for")
            .code()
            .unwrap_or(-1);
        self.talk.extend(self.stderr.iter());
        Finished {
            code,
            stdout: self.seen.join("\n"),
            stderr: self.talk.join("\n"),
        }
    }

    /// Waits for the end of an enclave that must not come to serve.
    pub fn ends(mut self) -> Finished {
        while let Some(event) = self.next() {
            assert_ne!(event["event"], "listening", "it serves: {:#?}", self.seen);
        }
        self.finish()
    }

    /// Asks it to end (SIGTERM).
    pub fn ask_to_end(&self) {
        let pid = self.child.id().to_string();
        Command::new("sh")
            .args(["-c", &format!("kill -TERM {pid}")])
            .status()
            .expect("a shell");
    }

    /// Ends it at once (SIGKILL), as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("it can be killed");
        let _ = self.child.wait();
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.ask_to_end();
            let asked = Instant::now();
            while matches!(self.child.try_wait(), Ok(None)) && asked.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read_lines(pipe: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { return };
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
