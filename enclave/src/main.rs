//! The program inside the confidential VM. It takes no arguments to serve: its configuration is measured.

use std::ffi::OsStr;
use std::process::ExitCode;

use anchorhold_enclave::event::{self, Event};
use anchorhold_enclave::{RunOutcome, confine, process, run, start};
use anchorhold_memory::Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping::system();

fn main() -> ExitCode {
    if process::prepare().is_err() {
        event::emit(Event::Error {
            stage: "process",
            code: "environment",
            hint: "start the enclave without environment variables",
            line: 0,
            key: "",
        });
        return RunOutcome::Failed.into();
    }
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (None, _) => serve(),
        (Some(only), None) if only == OsStr::new("--version") => {
            event::version();
            ExitCode::SUCCESS
        }
        (Some(only), json) if only == OsStr::new("self-check") => match json {
            None => self_check(false),
            Some(json) if json == OsStr::new("--json") && arguments.next().is_none() => self_check(true),
            Some(_) => wrong_usage(),
        },
        _ => wrong_usage(),
    }
}

fn wrong_usage() -> ExitCode {
    event::usage();
    ExitCode::from(2)
}

/// 0: an enclave can confine itself here; 3: not without a `dangerously_` setting.
fn self_check(json: bool) -> ExitCode {
    let report = confine::self_check::self_check();
    event::self_check(&report, json);
    if report.holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(3)
    }
}

fn serve() -> ExitCode {
    // Whatever a thread gives up is its own: so before there is a second one.
    let restricted = match start(std::io::stdin()) {
        Ok(restricted) => restricted,
        Err(outcome) => return outcome.into(),
    };
    let Ok(runtime) = process::runtime() else {
        event::emit(Event::Error {
            stage: "process",
            code: "threads",
            hint: "this machine gives no threads",
            line: 0,
            key: "",
        });
        return RunOutcome::Failed.into();
    };
    let outcome = runtime.block_on(run(restricted, process::stop_signal(), |_| ()));
    // A blocking read of the descriptor, or an unsealing that a signal interrupted, is not waited for.
    runtime.shutdown_background();
    outcome.into()
}
