//! Requests a second from several clients at one time.
//!
//! # Invariants
//! Each client is one of its own: it verified the enclave itself, and has a bound connection, before the clock
//! starts. It asks again as soon as it has checked the receipt of the answer before.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::sync::Barrier;

use crate::Failure;
use crate::arguments::Arguments;
use crate::figures::{Report, percentile, rounded};
use crate::model::Size;
use crate::stack::{self, Outcome, Stack};

const COLUMNS: &[&str] = &[
    "clients",
    "requests",
    "requests/s",
    "tokens/s",
    "p50 ms",
    "p99 ms",
    "429",
];

/// What the demo model answers in a few words.
const QUESTIONS: &[&str] = &[
    "What is the capital of France?",
    "What is the capital of Japan?",
    "Hello, I am Chadre.",
    "What is 3 plus 4?",
];

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let clients = arguments.list::<usize>("--clients", "1,8,32")?;
    let time = Duration::from_secs(arguments.value("--seconds")?.unwrap_or(10));
    arguments.end()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let work = tempfile::tempdir()?;
    let stack = Stack::start(&Size::Demo.folder(work.path())?)?;
    let mut report = Report::new("load", COLUMNS);
    for count in clients {
        let (seen, took) = runtime.block_on(all(&stack, count, time))?;
        let seconds = took.as_secs_f64();
        let answered = seen.milliseconds.len();
        report.row(vec![
            json!(count),
            json!(answered),
            rounded(answered as f64 / seconds),
            rounded(seen.tokens as f64 / seconds),
            rounded(percentile(&seen.milliseconds, 50)),
            rounded(percentile(&seen.milliseconds, 99)),
            json!(seen.refused),
        ]);
    }
    report.note(
        "demo model, chat, whole answers at temperature 0; clients, enclave and broker share the cores; time \
         from the question to the checked receipt",
    );
    Ok(report)
}

#[derive(Default)]
struct Seen {
    milliseconds: Vec<f64>,
    tokens: u64,
    refused: u64,
}

async fn all(stack: &Stack, count: usize, time: Duration) -> Result<(Seen, Duration), Failure> {
    let barrier = Arc::new(Barrier::new(count + 1));
    let mut clients = Vec::with_capacity(count);
    for number in 0..count {
        let enclave = stack.client()?;
        // Prepared one after the other: a client that fails here must not leave the others at the barrier.
        stack::whole(&enclave, ask(number)).await?;
        let barrier = Arc::clone(&barrier);
        clients.push(tokio::spawn(async move {
            barrier.wait().await;
            let end = Instant::now() + time;
            let mut seen = Seen::default();
            let mut next = number;
            while Instant::now() < end {
                next += 1;
                let asked = Instant::now();
                match stack::whole(&enclave, ask(next)).await? {
                    Outcome::Answered(tokens) => {
                        seen.milliseconds.push(asked.elapsed().as_secs_f64() * 1e3);
                        seen.tokens += tokens;
                    }
                    Outcome::Refused => {
                        seen.refused += 1;
                        // A client that is told to wait does; the enclave says a second or more.
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
            }
            Ok::<_, Failure>(seen)
        }));
    }
    barrier.wait().await;
    let begin = Instant::now();
    let mut total = Seen::default();
    for client in clients {
        let seen = client.await??;
        total.milliseconds.extend(seen.milliseconds);
        total.tokens += seen.tokens;
        total.refused += seen.refused;
    }
    Ok((total, begin.elapsed()))
}

fn ask(number: usize) -> anchorhold::client::bound::Question {
    let messages: Value = json!([{"role": "user", "content": QUESTIONS[number % QUESTIONS.len()]}]);
    stack::question(
        "/v1/chat/completions",
        json!({"messages": messages, "temperature": 0}),
    )
}
