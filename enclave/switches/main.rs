//! The enclave with measures against residue that can be left out: `anchorhold-enclave-with-switches [--without NAME,NAME]`. For tests
//! alone (tests/residue), which must see that a scanner sees what stays.
//!
//! Why apart: the enclave takes no arguments, and no build of it has this feature.

use std::process::ExitCode;

use anchorhold_enclave::{process, run, start};
use anchorhold_memory::{Wiping, measures};

#[global_allocator]
static ALLOCATOR: Wiping = Wiping::system();

fn main() -> ExitCode {
    if process::prepare().is_err() {
        return ExitCode::FAILURE;
    }
    let mut arguments = std::env::args().skip(1);
    let names = match (arguments.next().as_deref(), arguments.next()) {
        (None, _) => String::new(),
        (Some("--without"), Some(names)) => names,
        _ => return ExitCode::from(2),
    };
    let mut names = names.split(',').filter(|name| !name.is_empty());
    if !names.all(|name| measures::switch_off(name).is_some()) {
        return ExitCode::from(2);
    }
    let restricted = match start(std::io::stdin()) {
        Ok(restricted) => restricted,
        Err(outcome) => return outcome.into(),
    };
    let Ok(runtime) = process::runtime() else {
        return ExitCode::FAILURE;
    };
    let outcome = runtime.block_on(run(restricted, process::stop_signal(), |_| ()));
    runtime.shutdown_background();
    outcome.into()
}
