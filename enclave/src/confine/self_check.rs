//! Whether a machine lets an enclave confine itself, measure by measure.
//!
//! Why apart: an operator asks before there is a configuration, and gets all answers instead of the first.
//!
//! # Invariants
//! It takes the very steps that an enclave takes, strictly, on itself and on threads that wait meanwhile. It cannot
//! serve afterwards.

use std::sync::mpsc;
use std::thread;

use serde::Serialize;

use super::{ConfineError, Finding, Measure, Plan, begin, end};

/// What came of one measure.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Line {
    /// Its name.
    pub measure: &'static str,
    /// Whether the kernel says that it holds.
    pub holds: bool,
    /// Why not: a constant; empty when it holds.
    pub code: &'static str,
    /// What can be done; empty when it holds.
    pub hint: &'static str,
    /// The setting that does without; empty when there is none.
    pub setting: &'static str,
    /// Bytes that may have to be locked; 0 unless the limit is too low.
    pub needed_bytes: u64,
    /// Bytes that may be locked; 0 unless the limit is too low.
    pub allowed_bytes: u64,
}

/// What came of all.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether each holds.
    pub holds: bool,
    /// The version of Landlock; 0: none.
    pub landlock_abi: u32,
    /// How many threads were confined and asked.
    pub threads: usize,
    /// One by one.
    pub measures: Vec<Line>,
}

/// Confines this process as strictly as an enclave, and says what holds.
#[must_use]
pub fn self_check() -> Report {
    let (boundary, mut findings) = begin(&Plan::strictest());
    let landlock_abi = boundary.landlock_abi;
    // A thread that was there before the filter, as the enclave has many.
    let (stop, wait) = mpsc::channel::<()>();
    let waiting = thread::Builder::new().spawn(move || wait.recv());
    let (threads, more) = end(boundary);
    drop(stop);
    // It ended because nobody can send any more.
    let _ = waiting.map(thread::JoinHandle::join);
    findings.extend(more);
    let measures: Vec<Line> = Measure::ALL
        .into_iter()
        .map(|measure| line(measure, &findings))
        .collect();
    Report {
        holds: measures.iter().all(|line| line.holds),
        landlock_abi,
        threads,
        measures,
    }
}

/// A measure holds when it was tried and nothing about it failed.
fn line(measure: Measure, findings: &[Finding]) -> Line {
    let mut own = findings
        .iter()
        .filter(|finding| finding.measure == measure)
        .peekable();
    let tried = own.peek().is_some();
    let failed = own.find_map(|finding| finding.held.and_then(Result::err));
    let failed = failed.or((!tried).then_some(ConfineError::NoProc));
    let (needed_bytes, allowed_bytes) = match failed {
        Some(ConfineError::MemoryLimit { needed, allowed }) => (needed, allowed),
        _ => (0, 0),
    };
    Line {
        measure: measure.name(),
        holds: failed.is_none(),
        code: failed.map_or("", |error| error.code()),
        hint: failed.map_or("", |error| error.hint()),
        setting: measure.setting().unwrap_or(""),
        needed_bytes,
        allowed_bytes,
    }
}
