//! How evenly tokens come while many answers run and new requests join.
//!
//! Why apart: a rate tells nothing of the one token that came late.
//!
//! # Invariants
//! All that runs is stepped together, as the enclave's model thread does, and a newcomer joins between two passes. Drawing
//! tokens and making text of them are inside the time.

use std::path::PathBuf;
use std::time::Instant;

use anchorhold_models::{Decoder, Generation, LoadOptions, Model, Step};
use serde_json::{Value, json};

use super::options::{Options, positive, subjects};
use super::ours;
use super::prepared::Prepared;
use super::step::{begin_all, start};
use crate::arguments::Arguments;
use crate::figures::{Report, median, percentile, rounded};
use crate::{Failure, machine};

const COLUMNS: &[&str] = &[
    "model",
    "format",
    "streams",
    "tokens",
    "median ms",
    "p99 ms",
    "p99/median",
    "newcomers",
    "prompt",
    "slices",
    "first token ms",
    "bound ms",
    "first/bound",
];

/// Tokens before each stream's answer.
const PROMPT: usize = 16;

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let quick = arguments.flag("--quick");
    let options = Options::parse(&mut arguments, quick)?;
    let (shapes, mixes) = subjects(&mut arguments, "q8_0,q4_0")?;
    let threads = arguments.count("--threads", machine::cores())?;
    let streams = arguments.count("--streams", 32)?;
    let tokens = arguments.count("--tokens", if quick { 64 } else { 256 })?;
    let every = arguments.count("--every", 16)?;
    let prompts: Vec<usize> = arguments.list("--prompts", "16,256")?;
    arguments.end()?;
    positive("--prompts", &prompts)?;
    let mut report = Report::new("cadence", COLUMNS);
    for shape in &shapes {
        for mix in &mixes {
            let model = Prepared::random(&options.models_folder, shape, *mix)?;
            for prompt in &prompts {
                let numbers = [
                    ("--threads", threads),
                    ("--streams", streams),
                    ("--tokens", tokens),
                    ("--every", every),
                    ("--prompt", *prompt),
                ];
                let mut step = vec![
                    "cadence-step".to_owned(),
                    "--model".to_owned(),
                    model.folder().display().to_string(),
                ];
                step.extend(
                    numbers
                        .iter()
                        .flat_map(|(name, value)| [(*name).to_owned(), value.to_string()]),
                );
                let found = ours::child(&step)?;
                let figure = |name: &str| found[name].as_f64().map_or(Value::Null, rounded);
                let mut row = vec![
                    json!(shape.name),
                    json!(mix.name()),
                    json!(streams),
                    json!(tokens),
                ];
                row.extend(["median_ms", "p99_ms", "p99_to_median"].map(figure));
                row.extend([found["newcomers"].clone(), json!(prompt), found["slices"].clone()]);
                row.extend(["first_ms", "bound_ms", "first_to_bound"].map(figure));
                report.row(row);
            }
        }
    }
    report.note(format!(
        "between tokens: of each stream, from one pass's end to the next's, newcomers' prompts computed within them; a newcomer \
         with a prompt of its own every {every} passes, gone after its first token; slices: passes until a newcomer's first \
         token; bound: so many passes of those in which a slice is computed, and one in which none is (medians)"
    ));
    Ok(report)
}

pub(crate) fn step(mut arguments: Arguments) -> Result<Value, Failure> {
    let folder: PathBuf = arguments.needed("--model")?;
    let mut number = |name: &str| -> Result<usize, Failure> { arguments.needed(name) };
    let (threads, streams, tokens) = (number("--threads")?, number("--streams")?, number("--tokens")?);
    let (every, prompt) = (number("--every")?, number("--prompt")?);
    arguments.end()?;
    let options = LoadOptions {
        threads,
        // Room for every stream and those that come later; memory is taken only for what is used.
        kv_bytes: Some(4 << 30),
        ..LoadOptions::default()
    };
    let Model::Decoder(decoder) = Model::load(Prepared::at(folder).unseal()?, options, &())? else {
        return Err("not a model that answers".into());
    };
    let mut running = (0..streams)
        .map(|number| start(&decoder, PROMPT, number, tokens + 1))
        .collect::<Result<Vec<_>, _>>()?;
    begin_all(&decoder, &mut running)?;
    let seen = watch(&decoder, &mut running, tokens, every, prompt)?;
    let (typical, late) = (median(&seen.passes), percentile(&seen.passes, 99));
    let slices = seen.firsts.iter().map(|(_, passes)| *passes).max();
    let firsts: Vec<f64> = seen.firsts.iter().map(|(time, _)| *time).collect();
    let bound = slices.map(|slices| slices as f64 * median(&seen.with_slice) + median(&seen.without));
    let first = (!firsts.is_empty()).then(|| median(&firsts));
    Ok(json!({
        "median_ms": typical,
        "p99_ms": late,
        "p99_to_median": late / typical,
        "newcomers": firsts.len(),
        "slices": slices,
        "first_ms": first,
        "bound_ms": bound,
        "first_to_bound": first.zip(bound).map(|(first, bound)| first / bound),
    }))
}

/// Milliseconds.
#[derive(Default)]
struct Seen {
    /// Of each pass: every stream has a token from each.
    passes: Vec<f64>,
    /// Of those in which a newcomer's slice was computed, and of the others.
    with_slice: Vec<f64>,
    without: Vec<f64>,
    /// From a newcomer's coming to its first token, and how many passes that were.
    firsts: Vec<(f64, usize)>,
}

fn watch(
    decoder: &Decoder,
    running: &mut [Generation],
    tokens: usize,
    every: usize,
    prompt: usize,
) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    let mut newcomer: Option<(Generation, Instant, usize)> = None;
    for pass in 0..tokens {
        if newcomer.is_none() && pass % every == every / 2 {
            let came = Instant::now();
            newcomer = Some((start(decoder, prompt, pass, 1)?, came, 0));
        }
        let begin = Instant::now();
        let mut all: Vec<&mut Generation> = running.iter_mut().collect();
        let newcomers = newcomer.iter_mut().map(|(generation, ..)| generation);
        all.extend(newcomers);
        let mut steps = decoder.step(&mut all);
        let time = begin.elapsed().as_secs_f64() * 1e3;
        let last = (steps.len() > running.len()).then(|| steps.pop()).flatten();
        for step in steps {
            if !matches!(step?, Step::Delta(_)) {
                return Err("a stream had no token of a pass".into());
            }
        }
        seen.passes.push(time);
        let Some(last) = last else {
            seen.without.push(time);
            continue;
        };
        seen.with_slice.push(time);
        let Some((_, came, passes)) = &mut newcomer else {
            continue;
        };
        *passes += 1;
        if !matches!(last?, Step::Prefilling { .. }) {
            seen.firsts.push((came.elapsed().as_secs_f64() * 1e3, *passes));
            newcomer = None;
        }
    }
    Ok(seen)
}
