//! The cost of leaving nothing in memory: the enclave with all measures against the same build with none.
//!
//! Why apart: both are asked in turns within one run, so that whatever else the machine does hits both.
//!
//! # Invariants
//! One program (`anchorhold-enclave-with-switches`), started twice; it differs from the enclave by a look at a word of memory for each
//! measure. Clients are the product's own library.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anchorhold::client::enclave::Enclave;
use anchorhold_memory::Measure;
use serde_json::json;

use crate::Failure;
use crate::arguments::Arguments;
use crate::figures::{Report, around_median, median, percentile, rounded};
use crate::model::Size;
use crate::stack::{self, Stack};

const COLUMNS: &[&str] = &[
    "model",
    "streams",
    "tokens/s without",
    "tokens/s with",
    "cost %",
    "from %",
    "to %",
    "p99 to first ms without",
    "p99 to first ms with",
];

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let sizes = arguments.list::<Size>("--params", "demo,125m")?;
    let streams = arguments.list::<usize>("--streams", "1,8")?;
    let pairs: usize = arguments.value("--pairs")?.unwrap_or(25);
    let tokens: usize = arguments.value("--tokens")?.unwrap_or(128);
    arguments.end()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let program = stack::beside(
        "anchorhold-enclave-with-switches",
        "cargo build --release -p anchorhold-enclave --features insecure-simulated,residue-switches --bins",
    )?;
    let all = Measure::ALL.map(Measure::name).join(",");
    let mut report = Report::new("residue", COLUMNS);
    for size in sizes {
        let work = tempfile::tempdir()?;
        let folder = size.folder(work.path())?;
        let start = |arguments: &[&str]| -> Result<(Stack, Arc<Enclave>), Failure> {
            let stack = Stack::start_program(&folder, Path::new(program), arguments)?;
            let client = stack.client()?;
            Ok((stack, client))
        };
        let sides = [start(&["--without", &all])?, start(&[])?];
        for streams in &streams {
            let mut seen = [Seen::default(), Seen::default()];
            let mut costs = Vec::new();
            // Pages touched for the first time, and connections, are no part of it.
            for (_, client) in &sides {
                runtime.block_on(ask(client, *streams, tokens))?;
            }
            for pair in 0..pairs {
                let mut took = [0.0; 2];
                // Each goes first as often as the other.
                for side in if pair % 2 == 0 { [0, 1] } else { [1, 0] } {
                    let (whole, firsts) = runtime.block_on(ask(&sides[side].1, *streams, tokens))?;
                    took[side] = whole.as_secs_f64();
                    seen[side].rates.push((streams * tokens) as f64 / took[side]);
                    seen[side].firsts.extend(firsts);
                }
                costs.push((1.0 - took[0] / took[1]) * 100.0);
            }
            let (from, to) = around_median(&costs);
            let mut row = vec![json!(size.name()), json!(streams)];
            let rates = seen.each_ref().map(|seen| median(&seen.rates));
            row.extend([rates[0], rates[1], median(&costs), from, to].map(rounded));
            row.extend(seen.each_ref().map(|seen| rounded(percentile(&seen.firsts, 99))));
            report.row(row);
        }
    }
    report.note(format!(
        "{pairs} interleaved pairs of rounds in which each stream gets {tokens} tokens; from and to: where the median of the cost lies in \
         95 of 100 such runs; clients, broker and both enclaves on the same cores"
    ));
    Ok(report)
}

/// What one side showed.
#[derive(Default)]
struct Seen {
    rates: Vec<f64>,
    /// Milliseconds to the first token, of each stream.
    firsts: Vec<f64>,
}

/// So many streams at one time: how long all took, and each stream's milliseconds to its first token.
async fn ask(client: &Arc<Enclave>, streams: usize, tokens: usize) -> Result<(Duration, Vec<f64>), Failure> {
    let begin = std::time::Instant::now();
    let mut running = tokio::task::JoinSet::new();
    for number in 0..streams {
        let client = Arc::clone(client);
        let question = stack::question(
            "/v1/completions",
            json!({
                "prompt": format!("one two three {number}"), "max_tokens": tokens, "temperature": 0,
                "repetition_penalty": 0.01, "frequency_penalty": -2, "presence_penalty": -2,
                "stream": true, "stream_options": {"include_usage": true},
            }),
        );
        running.spawn(async move { stack::stream(&client, question).await });
    }
    let mut firsts = Vec::with_capacity(streams);
    while let Some(streamed) = running.join_next().await {
        let streamed = streamed??;
        if streamed.tokens != u64::try_from(tokens)? {
            return Err("the answer ended early: the two cannot be compared".into());
        }
        firsts.push(streamed.first.as_secs_f64() * 1e3);
    }
    Ok((begin.elapsed(), firsts))
}
