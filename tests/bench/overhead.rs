//! The cost of confidentiality: tokens a second through the whole stack against the bare engine.
//!
//! Why apart: the two are measured in turns within one run, so that whatever else the machine does hits both.
//!
//! # Invariants
//! Both answer the same prompt greedily with the same number of tokens, on the same number of threads. The
//! bare engine does what the enclave's model thread does: tokenize, compute, and turn tokens into text.

use std::path::Path;
use std::time::{Duration, Instant};

use anchorhold_models::{
    Class, Decoder, Expected, LoadOptions, Model, ModelKey, SamplingParams, SealOptions, SealedModel, Step,
    seal_dir,
};
use serde_json::json;

use crate::Failure;
use crate::arguments::Arguments;
use crate::figures::{Report, around_median, median, rounded};
use crate::model::Size;
use crate::stack::{self, Stack};

const COLUMNS: &[&str] = &[
    "model",
    "tokens",
    "bare tokens/s",
    "stack tokens/s",
    "cost %",
    "from %",
    "to %",
    "cost after first %",
    "added to first ms",
    "added/token us",
];

const PROMPT: &str = "one two three";

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let sizes = arguments.list::<Size>("--params", "demo,125m")?;
    let starts: usize = arguments.value("--starts")?.unwrap_or(3);
    let pairs: usize = arguments.value("--pairs")?.unwrap_or(9);
    let tokens: usize = arguments.value("--tokens")?.unwrap_or(192);
    arguments.end()?;
    let mut report = Report::new("overhead", COLUMNS);
    for size in sizes {
        let work = tempfile::tempdir()?;
        let folder = size.folder(work.path())?;
        let mut seen = Seen::default();
        for _ in 0..starts {
            compare(&folder, work.path(), pairs, tokens, &mut seen)?;
        }
        let (from, to) = around_median(&seen.costs);
        let mut row = vec![json!(size.name()), json!(tokens)];
        let figures = [
            median(&seen.bare),
            median(&seen.stack),
            median(&seen.costs),
            from,
            to,
        ];
        row.extend(figures.map(rounded));
        row.extend([median(&seen.later), median(&seen.firsts), median(&seen.each)].map(rounded));
        report.row(row);
    }
    report.note(format!(
        "medians of {starts} starts of both sides with {pairs} interleaved pairs each; from and to: where the median \
         of the cost lies in 95 of 100 such runs; cost = 1 - stack/bare over the whole answer, prompt included; \
         stack = library client, bound TLS 1.3 connection, event stream, receipt checked, on the same cores"
    ));
    Ok(report)
}

/// Of each pair: tokens a second, the cost in percent over all and after the first token, milliseconds added to
/// the first token, microseconds added to each.
#[derive(Default)]
struct Seen {
    bare: Vec<f64>,
    stack: Vec<f64>,
    costs: Vec<f64>,
    later: Vec<f64>,
    firsts: Vec<f64>,
    each: Vec<f64>,
}

/// Both sides are started anew: where the system happens to put weights makes one faster for as long as it runs.
fn compare(folder: &Path, work: &Path, pairs: usize, tokens: usize, seen: &mut Seen) -> Result<(), Failure> {
    let Model::Decoder(decoder) = through_sealing(folder, work)? else {
        return Err("not a model that answers".into());
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let stack = Stack::start(folder)?;
    let client = stack.client()?;
    let question = || {
        stack::question(
            "/v1/completions",
            json!({
                "prompt": PROMPT, "max_tokens": tokens, "temperature": 0,
                "repetition_penalty": 0.01, "frequency_penalty": -2, "presence_penalty": -2,
                "stream": true, "stream_options": {"include_usage": true},
            }),
        )
    };
    let through = || runtime.block_on(stack::stream(&client, question()));
    // Pages touched for the first time, and the connection, are no part of it.
    bare(&decoder, tokens)?;
    through()?;
    for pair in 0..pairs {
        // Each goes first as often as the other.
        let (bare, through) = if pair % 2 == 0 {
            let bare = bare(&decoder, tokens)?;
            (bare, through()?)
        } else {
            let through = through()?;
            (bare(&decoder, tokens)?, through)
        };
        if bare.tokens != tokens || through.tokens != u64::try_from(tokens)? {
            return Err("the answer ended early: the two cannot be compared".into());
        }
        let (one, other) = (bare.whole.as_secs_f64(), through.whole.as_secs_f64());
        let count = tokens as f64;
        seen.bare.push(count / one);
        seen.stack.push(count / other);
        seen.costs.push((1.0 - one / other) * 100.0);
        let rest = |whole: Duration, first: Duration| (whole - first).as_secs_f64();
        let (one_rest, other_rest) = (rest(bare.whole, bare.first), rest(through.whole, through.first));
        seen.later.push((1.0 - one_rest / other_rest) * 100.0);
        seen.firsts
            .push((through.first.as_secs_f64() - bare.first.as_secs_f64()) * 1e3);
        seen.each.push((other - one) / count * 1e6);
    }
    Ok(())
}

struct Bare {
    tokens: usize,
    first: Duration,
    whole: Duration,
}

fn bare(decoder: &Decoder, tokens: usize) -> Result<Bare, Failure> {
    let params = SamplingParams {
        temperature: 0.0,
        max_tokens: Some(tokens),
        repetition_penalty: 0.01,
        frequency_penalty: -2.0,
        presence_penalty: -2.0,
        ..Default::default()
    };
    let begin = Instant::now();
    let mut generation = decoder.start(decoder.text_prompt(PROMPT)?, params.validate()?)?;
    let mut first = None;
    loop {
        match decoder.step(&mut [&mut generation]).remove(0)? {
            Step::Prefilling { .. } => {}
            Step::Delta(delta) if delta.text.is_empty() => {}
            Step::Delta(_) => {
                first.get_or_insert_with(|| begin.elapsed());
            }
            Step::Finished(finish) => {
                return Ok(Bare {
                    tokens: finish.usage.completion_tokens,
                    first: first.ok_or("the answer has no text")?,
                    whole: begin.elapsed(),
                });
            }
        }
    }
}

/// The only door to a model.
fn through_sealing(folder: &Path, work: &Path) -> Result<Model, Failure> {
    let key = ModelKey::generate();
    let options = SealOptions {
        key_id: "bench".parse()?,
        class: Class::Insecure,
        name: "bench".parse()?,
        private_name: false,
    };
    let sealed = work.join("bare.sealed");
    let summary = seal_dir(folder, &sealed, &key, &options, &())?;
    let expected = Expected {
        key_id: options.key_id,
        class: options.class,
        manifest_sha256: summary.manifest_sha256,
        max_plaintext: u64::MAX,
    };
    let unsealed = SealedModel::open(&sealed)?.unseal(key, &expected, &())?;
    // The next start seals anew.
    std::fs::remove_file(&sealed)?;
    Ok(Model::load(unsealed, LoadOptions::default(), &())?)
}
