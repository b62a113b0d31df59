//! The `anchorhold` command: everything is in the library, so that tests drive what people run.

use std::process::ExitCode;

use anchorhold_memory::Wiping;

#[global_allocator]
static ALLOCATOR: Wiping = Wiping::system();

fn main() -> ExitCode {
    anchorhold::cli::run(std::env::args_os())
}
