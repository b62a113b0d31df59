//! The program inside the confidential VM. It takes no arguments: its configuration is measured.

use std::ffi::OsStr;
use std::process::ExitCode;

use anchorhold_enclave::event::{self, Event};
use anchorhold_enclave::{RunOutcome, process, run};
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
        _ => {
            event::usage();
            ExitCode::from(2)
        }
    }
}

fn serve() -> ExitCode {
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
    let outcome = runtime.block_on(run(std::io::stdin(), process::stop_signal(), |_| ()));
    // A blocking read of the descriptor, or an unsealing that a signal interrupted, is not waited for.
    runtime.shutdown_background();
    outcome.into()
}
