//! Decoding through the enclave by HTTPS clients that stream, beside the engine alone.
//!
//! Why apart: HTTP, TLS and the compute pool share the cores, and nothing but the whole shows what that costs.
//!
//! # Invariants
//! Both sides have the same model, threads, prompts and tokens, in turns within a round. Tokens are counted while all streams
//! run: from the moment that the last of them had its first, until the first of them had its last.

use std::sync::Arc;
use std::time::Instant;

use anchorhold::client::enclave::Enclave;
use serde_json::{Value, json};

use super::compare::{Pairs, Spread};
use super::options::{Options, positive, subjects};
use super::ours;
use super::prepared::Prepared;
use super::vocabulary::prompt;
use super::work::{Unit, Work};
use crate::arguments::Arguments;
use crate::figures::{Report, rounded};
use crate::stack::{self, Stack};
use crate::{Failure, machine};

const COLUMNS: &[&str] = &[
    "model",
    "format",
    "threads",
    "streams",
    "tokens",
    "engine t/s",
    "https t/s",
    "loss %",
    "from %",
    "to %",
];

/// Tokens before each stream's answer.
const PROMPT: usize = 16;

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let quick = arguments.flag("--quick");
    let options = Options::parse(&mut arguments, quick)?;
    let (shapes, mixes) = subjects(&mut arguments, "q8_0,q4_0")?;
    let streams: Vec<usize> = arguments.list("--streams", "1,4,8,16")?;
    let tokens = arguments.count("--tokens", if quick { 32 } else { 128 })?;
    arguments.end()?;
    positive("--streams", &streams)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut report = Report::new("https", COLUMNS);
    for shape in &shapes {
        for mix in &mixes {
            let model = Prepared::random(&options.models_folder, shape, *mix)?;
            let stack = Stack::start(&model.folder().join("model"))?;
            let client = stack.client()?;
            let unit = |streams| Unit {
                shape: *shape,
                mix: *mix,
                threads: machine::cores(),
                kernels: None,
                works: vec![Work::Batch {
                    streams,
                    prompt: PROMPT,
                    tokens,
                }],
            };
            let engine = |streams| ours::measure(&unit(streams), &model, false).map(|found| found.rates[0].1);
            let https = |streams| runtime.block_on(together(&client, streams, tokens));
            let mut pairs = vec![Pairs::default(); streams.len()];
            for round in 0..options.rounds {
                for (streams, pairs) in streams.iter().zip(&mut pairs) {
                    // The connections, and memory that is touched for the first time, are no part of it.
                    runtime.block_on(together(&client, *streams, 2))?;
                    let (engine, https) = if round % 2 == 0 {
                        let engine = engine(*streams)?;
                        (engine, https(*streams)?)
                    } else {
                        let https = https(*streams)?;
                        (engine(*streams)?, https)
                    };
                    pairs.push(Some(https), Some(engine));
                }
            }
            for (streams, pairs) in streams.iter().zip(&pairs) {
                let value = |spread: Option<Spread>, pick: fn(Spread) -> f64| {
                    spread.map_or(Value::Null, |of| rounded(pick(of)))
                };
                let loss = |ratio: f64| rounded((1.0 - ratio) * 100.0);
                let ratio = pairs.ratio().ok_or("each round has a pair")?;
                report.row(vec![
                    json!(shape.name),
                    json!(mix.name()),
                    json!(machine::cores()),
                    json!(streams),
                    json!(tokens),
                    value(pairs.theirs(), |of| of.median),
                    value(pairs.ours(), |of| of.median),
                    loss(ratio.median),
                    loss(ratio.high),
                    loss(ratio.low),
                ]);
            }
        }
    }
    report.single("rounds", json!(options.rounds));
    report.note(
        "engine: a process with the engine alone; https: the enclave's own program, asked by clients with verified and bound \
         connections, tokens as ids, receipts checked; both on all cores, the clients among them; loss: 1 - https/engine within a \
         round, median, least and most",
    );
    Ok(report)
}

/// Tokens a second of so many streams at one time.
async fn together(client: &Arc<Enclave>, streams: usize, tokens: usize) -> Result<f64, Failure> {
    let all: Vec<_> = (0..streams)
        .map(|number| {
            let client = Arc::clone(client);
            let question = stack::question(
                "/v1/completions",
                json!({
                    "prompt": prompt(PROMPT, number), "max_tokens": tokens + 1, "temperature": 0, "stream": true,
                    "anchorhold": {"return_ids": true},
                }),
            );
            tokio::spawn(async move { times(&client, question).await })
        })
        .collect();
    let mut streams = Vec::new();
    for stream in all {
        streams.push(stream.await??);
    }
    if streams.iter().any(|times| times.len() != tokens + 1) {
        return Err("an answer ended early: the two cannot be compared".into());
    }
    let begin = streams.iter().filter_map(|times| times.first()).max();
    let end = streams.iter().filter_map(|times| times.last()).min();
    let (Some(begin), Some(end)) = (begin, end) else {
        return Err("no stream had a token".into());
    };
    let within = |time: &&Instant| *time > begin && *time <= end;
    let count: usize = streams
        .iter()
        .map(|times| times.iter().filter(within).count())
        .sum();
    Ok(count as f64 / (*end - *begin).as_secs_f64())
}

/// When each token came. The answer is read to its proven end.
async fn times(
    client: &Arc<Enclave>,
    question: anchorhold::client::bound::Question,
) -> Result<Vec<Instant>, Failure> {
    let mut exchange = client.ask(question).await?;
    if !exchange.is_stream() {
        return Err(format!("the enclave answered {}", exchange.status()).into());
    }
    let mut times = Vec::new();
    while let Some(piece) = exchange.next_piece().await? {
        let Some(data) = piece.data else { continue };
        let now = Instant::now();
        let chunk: Value = serde_json::from_slice(&data)?;
        let ids = chunk["choices"][0]["anchorhold"]["ids"]
            .as_array()
            .map_or(0, Vec::len);
        times.extend(std::iter::repeat_n(now, ids));
    }
    exchange.finish();
    Ok(times)
}
