//! The process around the enclave: environment, panics, descriptors, threads and signals.
//!
//! Why apart: the only one that touches what the whole process shares, once with `unsafe`.
//!
//! # Invariants
//! [`prepare`] runs before the first thread. Afterwards there is no environment, and a panic writes one
//! constant line.

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

use crate::event::{self, Event};
use crate::limits;

/// The environment could not be cleared: something untrusted could still steer a dependency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnvironmentLeft;

impl std::fmt::Display for EnvironmentLeft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the environment could not be cleared")
    }
}

impl std::error::Error for EnvironmentLeft {}

/// Clears the environment, silences panics, forbids core dumps and debuggers, and asks for as many
/// descriptors as the system allows.
///
/// Call it first in `main`, before any thread is started.
///
/// # Errors
/// [`EnvironmentLeft`]: the process must not go on.
pub fn prepare() -> Result<(), EnvironmentLeft> {
    clear_environment()?;
    silence_panics();
    forbid_dumps();
    raise_descriptor_limit();
    Ok(())
}

/// Dependencies read variables (thread counts, certificate folders), and a kernel gives its first process
/// unknown boot parameters as variables. Neither is measured.
#[allow(clippy::disallowed_methods)] // the variables are listed only to be removed
#[allow(unsafe_code)] // removing variables is unsafe in edition 2024, for the sake of other threads
fn clear_environment() -> Result<(), EnvironmentLeft> {
    let names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    for name in names {
        let bytes = name.as_encoded_bytes();
        // `remove_var` panics on such a name; finding one left over below ends the process instead.
        if bytes.is_empty() || bytes.contains(&b'=') {
            continue;
        }
        // SAFETY: `prepare` is the first call of `main`, so no other thread exists that could read or
        // write the environment meanwhile.
        unsafe { std::env::remove_var(&name) };
    }
    match std::env::vars_os().next() {
        None => Ok(()),
        Some(_) => Err(EnvironmentLeft),
    }
}

/// A panic's message may hold what was being computed: neither it nor its place is looked at.
fn silence_panics() {
    std::panic::set_hook(Box::new(|_| event::emit(Event::Panicked)));
}

/// A core dump holds everything, and so does the memory that a debugger of the same user may read. In the VM
/// nobody else is there; as a plain process this only keeps honest tools out.
fn forbid_dumps() {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    // Both are refused by no Linux; should one be, the image's own settings still forbid dumps.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// The usual soft limit of 1024 is below the connections a configuration may allow. Without more, connections
/// beyond it wait.
fn raise_descriptor_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: maximum,
        maximum,
    };
    // A system that refuses leaves the lower limit in force, which accepting connections copes with.
    let _ = setrlimit(Resource::Nofile, wanted);
}

/// The runtime of TLS and HTTP. The model computes on all cores, and each of its operations waits for the slowest of
/// them: a thread that takes one away for a moment holds up all. So there are few here, one on small machines, which is
/// enough for some thousand requests a second.
///
/// # Errors
/// The system gives no threads.
pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 4).clamp(1, limits::RUNTIME_THREADS))
        // What requests that have ended left on a thread's stack is overwritten before it waits.
        .on_thread_park(anchorhold_memory::stack::rest)
        .enable_all()
        .build()
}

/// Waits for SIGTERM or SIGINT.
pub async fn stop_signal() {
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        // Without handlers the signals end the process at once, which is what they ask for.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
