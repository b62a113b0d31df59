//! `anchorhold-bench`: the figures of docs/performance.md, each from one command.
//!
//! Why apart: a figure without a program that anyone can run is a claim. These take minutes and a quiet
//! machine, so they are no tests.
//!
//! - `seal`: sealing and unsealing beside the bare cipher and openssl
//! - `ready`: from the enclave's start to its first answer, by model size
//! - `overhead`: tokens a second through the whole stack against the bare engine
//! - `residue`: the same through an enclave that leaves nothing in memory, against one that does
//! - `load`: requests a second from several clients
//! - `evidence`: how long a crowd of verifiers waits for evidence
//! - `decode`, `prefill`, `batch`, `depth`, `all`, `perplexity`: the [`engine`] beside llama.cpp, on models made on the spot;
//!   `embeddings`: beside onnxruntime; `memory`: peaks of loading and answering beside what the engine computes; `cadence`: how
//!   evenly tokens come; `loading`: from a sealed file; `https`: through the enclave; `foreign`: beside busy threads; `bandwidth`: how
//!   fast memory is read, and waiting until it is
//! - `traffic`: a classifier guesses topics from records on the wire, with the shape of answers and without
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
mod engine;
mod evidence;
mod figures;
mod load;
mod machine;
mod model;
mod overhead;
mod ready;
mod residue;
mod seal;
mod stack;
mod traffic;

use std::error::Error;
use std::process::ExitCode;

use arguments::{Arguments, Usage};
use engine::options::Part;
use figures::Report;
use serde_json::Value;

const USAGE: &str = "usage: anchorhold-bench COMMAND [--json]
  seal     [--mib N] [--rounds N] [--folder DIR]
  ready    [--params demo,25m,125m,500m] [--rounds N]
  overhead [--params demo,125m] [--pairs N] [--tokens N]
  residue  [--params demo,125m] [--streams 1,8] [--pairs N] [--tokens N]
  load     [--clients 1,8,32] [--seconds N]
  evidence [--clients N] [--over-ms N] [--report-ms N] [--devices-ms 0,300] [--rounds N]
  traffic  [--requests N] [--clients N] [--seed N] [--shape tick_ms=50,least_ticks=8] [--python FILE] [--keep DIR]
  memory   [--models small] [--formats q8_0] [--quantise q8|q4 [--gguf]] [--tokenizer-json] [--streams N] [--positions N] [--threads N]
  cadence  [--models M] [--formats F] [--streams N] [--tokens N] [--every N] [--prompts 16,256] [--threads N] [--quick]
  loading  [--models M] [--formats F] [--quantise q8|q4] [--rounds N] [--models-folder DIR]
  https    [--models M] [--formats F] [--streams 1,4,8,16] [--tokens N] [--rounds N] [--quick]
  bandwidth [--threads 1,2] [--at-least GB/S]
  foreign  [--models M] [--formats F] [--foreign 0,1,4] [--tokens N] [--threads N] [--rounds N] [--no-rival] [--quick]
The engine beside llama.cpp (tests/bench/llama.sh builds that; --no-rival does without):
  decode   [--threads 1,2] [--tokens N] [ENGINE]
  prefill  [--threads N] [--tokens N] [ENGINE]
  batch    [--threads N] [--streams 1,2,4,8,16] [--tokens N] [ENGINE]
  depth    [--threads N] [--depths 0,512,2048] [--tokens N] [ENGINE]
  all      [ENGINE without --kernels]
  perplexity [--kernels avx2] [--no-rival]
  embeddings [--quick] [--rounds N] [--threads N] [--batches 1,8,32] [--kernels avx2] [--no-rival]
The engine on a device (docs/gpu.md):
  device   [--device cuda|cuda:N|host] [--precision bf16|f16|f32] [--models qwen3-0.6b,qwen3-8b] [--streams 1,8,32]
           [--prompt N] [--tokens N] [--rounds N] [--models-folder DIR]
ENGINE: [--quick] [--rounds N] [--models qwen3-0.6b,qwen2.5-1.5b,qwen3-1.7b,qwen2.5-3b,tiny,small,words]
        [--formats q8_0,q4_0,q4_0-pure,q4_k_m,bf16,f16,f32] [--kernels avx2] [--plain-gather] [--svg FILE]
        [--no-rival] [--models-folder DIR] [--tools-folder DIR]
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
        Some("residue") => residue::run(arguments),
        Some("load") => load::run(arguments),
        Some("evidence") => evidence::run(arguments),
        Some("traffic") => traffic::run(arguments),
        Some("decode") => engine::run(Part::Decode, arguments),
        Some("prefill") => engine::run(Part::Prefill, arguments),
        Some("batch") => engine::run(Part::Batch, arguments),
        Some("depth") => engine::run(Part::Depth, arguments),
        Some("all") => engine::run(Part::All, arguments),
        Some("perplexity") => engine::perplexity::run(arguments),
        Some("embeddings") => engine::embeddings::run(arguments),
        Some("memory") => engine::memory::run(arguments),
        Some("cadence") => engine::cadence::run(arguments),
        Some("loading") => engine::loading::run(arguments),
        Some("https") => engine::https::run(arguments),
        Some("bandwidth") => engine::bandwidth::run(arguments),
        Some("foreign") => engine::foreign::run(arguments),
        Some("device") => engine::device::run(arguments),
        // Parts of others in processes of their own.
        Some("step") => return show_step(seal::step::run(arguments)),
        Some("engine-step") => return show_step(engine::step::run(arguments)),
        Some("perplexity-step") => return show_step(engine::perplexity::step(arguments)),
        Some("embeddings-step") => return show_step(engine::embeddings::step(arguments)),
        Some("memory-step") => return show_step(engine::memory::step(arguments)),
        Some("cadence-step") => return show_step(engine::cadence::step(arguments)),
        Some("loading-step") => return show_step(engine::loading::step(arguments)),
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

fn show_step(outcome: Result<Value, Failure>) -> ExitCode {
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("error: {error}");
    if error.is::<Usage>() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    ExitCode::FAILURE
}
