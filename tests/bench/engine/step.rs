//! Our side of a round, in a process of its own: `anchorhold-bench engine-step`.
//!
//! Why apart: its peak memory and its threads are its own, as llama.cpp's are.
//!
//! # Invariants
//! The model comes the way it comes in the enclave: unsealed from a sealed file. Only the engine's public interface is
//! timed; drawing tokens and making text of them are inside the time.

use std::path::PathBuf;
use std::time::Instant;

use anchorhold_kernels::{KernelSet, Kernels};
use anchorhold_models::{Decoder, Generation, LoadOptions, Model, SamplingParams, Step};
use serde_json::{Value, json};

use super::prepared::Prepared;
use super::vocabulary::prompt;
use super::work::Work;
use crate::arguments::Arguments;
use crate::{Failure, machine};

/// A prompt that touches all memory for the first time has at most so many tokens: llama-bench's warm-up does the same.
const WARM_UP: usize = 512;

pub(crate) fn run(mut arguments: Arguments) -> Result<Value, Failure> {
    let folder: PathBuf = arguments.needed("--model")?;
    let threads: usize = arguments.needed("--threads")?;
    let limit: KernelSet = arguments.value("--kernels")?.unwrap_or(KernelSet::Amx);
    let works: String = arguments.needed("--works")?;
    let plain_gather = arguments.flag("--plain-gather");
    arguments.end()?;
    let works: Vec<Work> = serde_json::from_str(&works)?;
    let options = LoadOptions {
        kernels: Kernels::at_most(limit),
        threads,
        dangerously_plain_gather: plain_gather,
        ..LoadOptions::default()
    };
    let begin = Instant::now();
    let model = Model::load(Prepared::at(folder).unseal()?, options, &())?;
    let loaded = begin.elapsed().as_secs_f64();
    let Model::Decoder(decoder) = model else {
        return Err("not a model that answers".into());
    };
    let mut rates = Vec::new();
    for work in works {
        rates.push(rate(&decoder, work)?);
    }
    Ok(json!({
        "kernels": options.kernels.set().name(),
        "rates": rates,
        "load_s": loaded,
        "computed_mib": decoder.memory().total() as f64 / f64::from(1 << 20),
        "peak_mib": machine::peak_kib("self").map(|kib| kib as f64 / 1024.0),
    }))
}

/// Tokens a second.
fn rate(decoder: &Decoder, work: Work) -> Result<f64, Failure> {
    let (streams, depth, tokens) = match work {
        Work::Prefill { tokens } => (1, tokens, 1),
        Work::Decode { depth, tokens } => (1, depth.max(1), tokens),
        Work::Batch {
            streams,
            prompt,
            tokens,
        } => (streams, prompt, tokens),
    };
    let mut warm = start(decoder, depth.min(WARM_UP), 0, 2)?;
    begin_all(decoder, std::slice::from_mut(&mut warm))?;
    go_on(decoder, std::slice::from_mut(&mut warm), 1)?;
    drop(warm);

    // The first token comes with the prompt's last slice.
    let mut running = (0..streams)
        .map(|number| start(decoder, depth, number, tokens + 1))
        .collect::<Result<Vec<_>, _>>()?;
    let begin = Instant::now();
    begin_all(decoder, &mut running)?;
    if matches!(work, Work::Prefill { .. }) {
        return Ok(depth as f64 / begin.elapsed().as_secs_f64());
    }
    let begin = Instant::now();
    go_on(decoder, &mut running, tokens)?;
    Ok((streams * tokens) as f64 / begin.elapsed().as_secs_f64())
}

/// Seconds until every stream has its first token, and tokens a second of all of them after that.
#[cfg(feature = "device")]
pub(super) fn first_and_rate(
    decoder: &Decoder,
    streams: usize,
    prompt: usize,
    tokens: usize,
) -> Result<(f64, f64), Failure> {
    let mut warm = start(decoder, prompt, 0, 2)?;
    begin_all(decoder, std::slice::from_mut(&mut warm))?;
    go_on(decoder, std::slice::from_mut(&mut warm), 1)?;
    drop(warm);
    let mut running = (0..streams)
        .map(|number| start(decoder, prompt, number, tokens + 1))
        .collect::<Result<Vec<_>, _>>()?;
    let begin = Instant::now();
    begin_all(decoder, &mut running)?;
    let first = begin.elapsed().as_secs_f64();
    let begin = Instant::now();
    go_on(decoder, &mut running, tokens)?;
    Ok((first, (streams * tokens) as f64 / begin.elapsed().as_secs_f64()))
}

pub(super) fn start(
    decoder: &Decoder,
    depth: usize,
    number: usize,
    tokens: usize,
) -> Result<Generation, Failure> {
    let prompt = decoder.text_prompt(&prompt(depth, number))?;
    if prompt.len() != depth {
        return Err(format!("a prompt of {depth} digits has {} tokens", prompt.len()).into());
    }
    let sampling = SamplingParams {
        temperature: 0.0,
        max_tokens: Some(tokens),
        ..SamplingParams::default()
    };
    Ok(decoder.start(prompt, sampling.validate()?)?)
}

/// Computes all prompts, and with them the first token of each answer.
pub(super) fn begin_all(decoder: &Decoder, running: &mut [Generation]) -> Result<(), Failure> {
    let mut waiting: Vec<&mut Generation> = running.iter_mut().collect();
    while !waiting.is_empty() {
        let steps = decoder.step(&mut waiting);
        let mut still = Vec::new();
        for (generation, step) in waiting.into_iter().zip(steps) {
            match step? {
                Step::Prefilling { .. } => still.push(generation),
                Step::Delta(_) => {}
                Step::Finished(_) => return Err("an answer ended before its first token".into()),
            }
        }
        waiting = still;
    }
    Ok(())
}

/// So many tokens for each.
pub(super) fn go_on(decoder: &Decoder, running: &mut [Generation], tokens: usize) -> Result<(), Failure> {
    let mut running: Vec<&mut Generation> = running.iter_mut().collect();
    for _ in 0..tokens {
        for step in decoder.step(&mut running) {
            if !matches!(step?, Step::Delta(_)) {
                return Err("an answer ended early".into());
            }
        }
    }
    Ok(())
}
