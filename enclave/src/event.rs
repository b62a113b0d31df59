//! The only door to output: events whose fields are numbers, digests and constants.
//!
//! Why apart: what a type cannot hold cannot be written out. No variant has a `String`, so no prompt, answer,
//! key or message of a dependency passes.
//!
//! # Invariants
//! One event is one line of JSON on standard output. A line that cannot be written is dropped: the reader is
//! the untrusted host, and waiting for it would give it a lever.

use std::io::Write;

use anchorhold_encoding::Digest;
use anchorhold_kernels::{KernelSet, Kernels};
use serde::Serialize;

use crate::attester::COMPILED_PLATFORMS;
use crate::confine::self_check;

/// Everything the enclave says about itself.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The platform proves nothing; one line at each start.
    WarningSimulated {
        /// The same in words.
        warning: &'static str,
    },
    /// The configuration is the one the platform committed to.
    ConfigAccepted {
        /// SHA-256 of its bytes.
        config_sha256: Digest<32>,
    },
    /// Keys and the identity document are being made.
    Attesting,
    /// An RCAR session with the broker begins.
    KeyRequested {
        /// 1 for the first.
        attempt: u32,
    },
    /// The broker released the key.
    KeyReleased {
        /// The model it is for.
        manifest_sha256: Digest<32>,
        /// Lifetime of the lease.
        lease_seconds: u64,
        /// Tokens of the lease; 0: no budget.
        lease_tokens: u64,
    },
    /// Decryption begins.
    Unsealing {
        /// Plaintext to come.
        bytes: u64,
    },
    /// How the loaded model computes. The bytes follow from its shape and the configuration; nothing is measured.
    Engine {
        /// The set of kernels in use: a constant.
        kernels: &'static str,
        /// Threads that compute.
        threads: usize,
        /// Requests that run at one time.
        running: usize,
        /// Weights as they are packed.
        weights_bytes: u64,
        /// Keys and values of all requests together.
        kv_bytes: u64,
        /// What one pass needs besides.
        scratch_bytes: u64,
        /// The program itself and the tokenizer.
        program_bytes: u64,
        /// All of it: what the process takes when all pages are in use.
        memory_bytes: u64,
    },
    /// The model is loaded.
    Ready {
        /// Since the start of the process.
        milliseconds: u64,
    },
    /// The process has confined itself, and the kernel says so for every thread: no new privileges, no capabilities, no
    /// dumps, and this.
    Confined {
        /// Threads that were there.
        threads: usize,
        /// Memory is not swapped.
        locked_memory: bool,
        /// The version of Landlock; 0: none.
        landlock_abi: u32,
        /// Only listed system calls.
        seccomp: bool,
    },
    /// Less memory may be locked than the machine has.
    MemoryLimit {
        /// The machine's memory.
        needed_bytes: u64,
        /// RLIMIT_MEMLOCK.
        allowed_bytes: u64,
    },
    /// Clients can connect.
    Listening {
        /// TCP port.
        port: u16,
    },
    /// The scraper can connect.
    MetricsListening {
        /// TCP port.
        port: u16,
    },
    /// The operator's endorsements go with the evidence from now on. Their bodies are opaque.
    EndorsementsStapled {
        /// How many.
        items: usize,
    },
    /// No new work is taken.
    Draining {
        /// `signal`, `lease_ended`, `model_failed`, `listener_failed`, `devices_changed`.
        cause: &'static str,
    },
    /// Nothing is in flight any more and the model is gone.
    Drained,
    /// The broker renewed the lease.
    LeaseRenewed {
        /// Lifetime of the new lease.
        lease_seconds: u64,
    },
    /// An attempt to renew the lease failed; it is tried again until the lease ends.
    LeaseNotRenewed {
        /// A constant of [`crate::rcar`].
        code: &'static str,
    },
    /// The lease ended and was not renewed.
    LeaseEnded,
    /// The broker refused.
    Denied {
        /// A constant of [`crate::rcar`].
        code: &'static str,
    },
    /// The thread that owns the model panicked; its message is not looked at.
    ModelThreadFailed,
    /// GPUs were verified and appraised, and take work.
    DevicesReady {
        /// How many.
        devices: usize,
        /// When the first of what was believed of them ends, in seconds since 1970.
        valid_until: u64,
    },
    /// The GPUs are no longer those that were appraised: the model is wiped.
    DevicesChanged {
        /// A constant of [`crate::devices`].
        code: &'static str,
    },
    /// Some thread panicked; its message is not looked at.
    Panicked,
    /// The enclave cannot go on.
    Error {
        /// Which transition failed.
        stage: &'static str,
        /// A constant, for scripts.
        code: &'static str,
        /// What the operator can do.
        hint: &'static str,
        /// Line of the configuration; 0: none.
        line: u32,
        /// Key of the configuration; empty: none.
        key: &'static str,
    },
}

/// Writes one event.
#[allow(clippy::disallowed_methods)] // this is the door
pub fn emit(event: Event) {
    let Ok(mut line) = serde_json::to_vec(&event) else {
        return;
    };
    line.push(b'\n');
    let mut output = std::io::stdout().lock();
    // A reader that went away is no reason to stop serving.
    let _ = output.write_all(&line).and_then(|()| output.flush());
}

/// Writes the answer to `--version`: name, version, the platforms this build has, and the kernels this CPU has, first
/// those that are used where no configuration sets a limit.
#[allow(clippy::disallowed_methods)] // this is the door
pub fn version() {
    let platforms = COMPILED_PLATFORMS.join(" ");
    let kernels = Kernels::detect().set();
    let here = KernelSet::ALL
        .into_iter()
        .filter(|set| Kernels::exactly(*set).is_some());
    let here: Vec<_> = here.map(KernelSet::name).collect();
    let mut output = std::io::stdout().lock();
    // A reader that went away has what it wanted.
    let _ = writeln!(
        output,
        "anchorhold-enclave {}\nplatforms: {platforms}\nkernels: {kernels} (this CPU has {})",
        env!("CARGO_PKG_VERSION"),
        here.join(" ")
    );
}

/// Writes what `self-check` found: a line for each measure, or one JSON object.
#[allow(clippy::disallowed_methods)] // this is the door
pub fn self_check(report: &self_check::Report, json: bool) {
    let mut output = std::io::stdout().lock();
    // A reader that went away has what it wanted.
    if json {
        let _ = serde_json::to_writer(&mut output, report).map(|()| output.write_all(b"\n"));
        return;
    }
    for line in &report.measures {
        let yes = if line.holds { "yes" } else { "no" };
        let _ = match line {
            self_check::Line { holds: true, .. } => match line.measure {
                "landlock" => writeln!(
                    output,
                    "{:14} {yes:3}  version {}",
                    line.measure, report.landlock_abi
                ),
                "seccomp" => writeln!(
                    output,
                    "{:14} {yes:3}  on all {} threads",
                    line.measure, report.threads
                ),
                _ => writeln!(output, "{:14} {yes}", line.measure),
            },
            _ if line.needed_bytes > 0 => writeln!(
                output,
                "{:14} {yes:3}  {}: {} bytes needed, {} allowed\n{:20}hint: {}",
                line.measure, line.code, line.needed_bytes, line.allowed_bytes, "", line.hint
            ),
            _ => writeln!(
                output,
                "{:14} {yes:3}  {}\n{:20}hint: {}",
                line.measure, line.code, "", line.hint
            ),
        };
    }
}

/// Writes, to standard error, which arguments are taken.
#[allow(clippy::disallowed_methods)] // this is the door
pub fn usage() {
    let mut output = std::io::stderr().lock();
    // Nothing is left to do when nobody reads it.
    let _ = output.write_all(
        b"error: anchorhold-enclave takes no arguments but --version, or self-check [--json]\n\n\
          hint: start it with `anchorhold operator launch --config FILE`\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_flat_object() {
        let text = |event| serde_json::to_string(&event).unwrap();
        assert_eq!(
            text(Event::Listening { port: 8443 }),
            r#"{"event":"listening","port":8443}"#
        );
        assert_eq!(text(Event::Drained), r#"{"event":"drained"}"#);
        assert_eq!(
            text(Event::KeyRequested { attempt: 2 }),
            r#"{"event":"key_requested","attempt":2}"#
        );
    }
}
