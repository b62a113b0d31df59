//! When a server of ours is asked to stop.
//!
//! Why apart: every server of ours ends the same way, whatever it serves.
//!
//! # Invariants
//! SIGTERM and SIGINT mean the same: finish what is in progress, then end.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::Failure;

/// Resolves at the first SIGTERM or SIGINT after this call (the handlers are there when it returns).
///
/// # Errors
/// When the system gives no signal handler.
pub fn on_signal() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let failed = |_| {
        Failure::new(
            "signals",
            "cannot listen for signals",
            "check the limits on open files (ulimit -n)",
        )
    };
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
