//! Developer tasks. `cargo demo` runs the main job end to end on this machine, without hardware or network.
//!
//! Why apart: it drives the product's own binaries as a stranger would, and links none of them.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for people; it handles no secret"
)]

mod demo;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo demo [-- OPTIONS]
       cargo xtask demo [OPTIONS]

Seals a model, starts a key broker and an enclave, verifies the enclave and chats with it.

  --once QUESTION   ask one question, print the answer, leave
  --json            one JSON document on stdout instead of text (needs --once or --tamper)
  --model DIR       a supported Hugging Face folder instead of the built-in demo model
  --platform WHICH  insecure-simulated (the default), or snp-fake: SEV-SNP's evidence and its
                    real verifier, with a fake AMD in place of the processor
  --tamper WHAT     attack one step and show the refusal (exit status 3):
                    model, evidence, nonce, measurement or channel
";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).collect::<Vec<_>>().into_iter();
    match arguments.next().as_deref() {
        Some("demo") => match demo::Options::parse(arguments.clone()) {
            Ok(Some(options)) => demo::run(&options),
            Ok(None) => {
                print!("{USAGE}");
                ExitCode::SUCCESS
            }
            Err(problem) => {
                eprint!("error: {problem}\n\n{USAGE}");
                if arguments.any(|argument| argument == "--json") {
                    println!("{}", serde_json::json!({ "verdict": "error", "error": problem }));
                }
                ExitCode::from(2)
            }
        },
        Some("--help" | "-h") => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        _ => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}
