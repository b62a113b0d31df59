//! `anchorhold-bench`: the figures of docs/performance.md, each from one command.
//!
//! Why apart: a figure without a program that anyone can run is a claim. These take minutes and a quiet
//! machine, so they are no tests.
//!
//! - `seal`: sealing and unsealing beside the bare cipher and openssl
//! - `ready`: from the enclave's start to its first answer, by model size
//! - `overhead`: tokens a second through the whole stack against the bare engine
//! - `load`: requests a second from several clients
//! - `evidence`: how long a crowd of verifiers waits for evidence
//! - `arguments`, `figures`, `machine`, `model`, `stack`: what they share
//!
//! # Invariants
//! Whole-system figures come from the product's own `main`s, built beside this program. Every report names the
//! machine, and how busy it was.

#![allow(clippy::print_stdout, reason = "figures are for a person to read")]
#![allow(
    clippy::print_stderr,
    reason = "progress and errors stay apart from the figures"
)]

mod arguments;
mod evidence;
mod figures;
mod load;
mod machine;
mod model;
mod overhead;
mod ready;
mod seal;
mod stack;

use std::error::Error;
use std::process::ExitCode;

use arguments::Arguments;
use figures::Report;

const USAGE: &str = "usage: anchorhold-bench COMMAND [--json]
  seal     [--mib N] [--rounds N] [--folder DIR]
  ready    [--params demo,25m,125m,500m] [--rounds N]
  overhead [--params demo,125m] [--pairs N] [--tokens N]
  load     [--clients 1,8,32] [--seconds N]
  evidence [--clients N] [--over-ms N] [--report-ms N] [--devices-ms 0,300] [--rounds N]
Build first: cargo build --release -p anchorhold-tests --bins";

/// What a command can fail with: a person reads it, nothing handles it.
type Failure = Box<dyn Error + Send + Sync>;

fn main() -> ExitCode {
    let mut arguments = Arguments::new(std::env::args().skip(1));
    let command = arguments.word();
    let json = arguments.flag("--json");
    let outcome = match command.as_deref() {
        Some("seal") => seal::run(arguments),
        Some("ready") => ready::run(arguments),
        Some("overhead") => overhead::run(arguments),
        Some("load") => load::run(arguments),
        Some("evidence") => evidence::run(arguments),
        // A part of `seal` in a process of its own.
        Some("step") => {
            return match seal::step::run(arguments) {
                Ok(figures) => {
                    println!("{figures}");
                    ExitCode::SUCCESS
                }
                Err(error) => failed(&error),
            };
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(report) => {
            show(&report, json);
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn show(report: &Report, json: bool) {
    if json {
        println!("{}", report.json());
    } else {
        print!("{}", report.text());
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}
