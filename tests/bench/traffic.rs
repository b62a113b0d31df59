//! The attack on traffic: an observer of packets, and of all that anyone may ask, guesses what was talked about.
//!
//! Why apart: that a classifier learns nothing is a claim only where the same classifier learns much without the defence.
//!
//! - `classify.py`: the classifiers, of scikit-learn: a standard library that is well kept, so that nobody can say they were
//!   made to fail
//!
//! # Invariants
//! The observer has no key: it sees records on the wire and answers to questions of its own, and labels for training. Both
//! sides are recorded by the same code, and only the enclave's configuration differs. Questions come in an order drawn from
//! a fixed seed.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anchorhold::client::enclave::Enclave;
use anchorhold_tests::observer::{Observer, noted};
use anchorhold_tests::tree::root;
use hyper::header::{HeaderMap, RETRY_AFTER};
use hyper::{Method, Uri};
use serde_json::{Value, json};

use crate::Failure;
use crate::arguments::{Arguments, Usage};
use crate::figures::{Report, median, percentile, rounded};
use crate::model::Size;
use crate::stack::{self, Stack};

const COLUMNS: &[&str] = &[
    "traffic",
    "requests",
    "topics",
    "chance %",
    "best",
    "accuracy %",
    "p",
    "KiB down",
    "first ms",
    "whole ms",
];

/// Kinds of questions in the demo model's held-out list: their answers have 2 to 40 tokens.
const TOPICS: [&str; 4] = ["greeting", "capital", "term", "small-sum"];

/// Between two questions of the observer's own.
const POLL: Duration = Duration::from_millis(100);

/// One answer as it was seen.
struct Seen {
    topic: usize,
    begin: Instant,
    end: Instant,
    /// Toward the client; bytes; after the request was begun.
    records: Vec<(bool, usize, f64)>,
    /// To the first text, as the client itself sees it.
    first: Duration,
}

/// One answer to a question of the observer's.
struct Polled {
    at: Instant,
    /// Which question; what its answer took; its status; what it says in numbers.
    sample: (usize, f64, u16, Vec<f64>),
}

pub(crate) fn run(mut arguments: Arguments) -> Result<Report, Failure> {
    let requests = arguments.count("--requests", 2000)?;
    let clients = arguments.count("--clients", 2)?;
    let seed: u64 = arguments.value("--seed")?.unwrap_or(1);
    let shape: String = arguments.value("--shape")?.unwrap_or_default();
    let python: PathBuf = arguments.value("--python")?.unwrap_or_else(|| {
        std::env::var_os("ANCHORHOLD_PYTHON").map_or_else(|| PathBuf::from("python3"), PathBuf::from)
    });
    let keep: Option<PathBuf> = arguments.value("--keep")?;
    arguments.end()?;
    // Before minutes are spent.
    let found = Command::new(&python).args(["-c", "import sklearn"]).output();
    if !found.is_ok_and(|ran| ran.status.success()) {
        let hint = "no Python with scikit-learn: pip install -r tests/bench/traffic/requirements.txt, and name it with --python";
        return Err(Usage(hint.to_owned()).into());
    }
    let questions = questions(requests, seed)?;
    let mut report = Report::new("traffic", COLUMNS);
    let off = "dangerously_unshaped_traffic = true".to_owned();
    for (name, keys) in [("shaped", shape.replace(',', "\n")), ("unshaped", off)] {
        let (seen, polled) = record(&questions, clients, &keys)?;
        let traces = traces(&seen, &polled);
        if let Some(folder) = &keep {
            std::fs::write(folder.join(format!("{name}.json")), traces.to_string())?;
        }
        let judged = classify(&python, &traces)?;
        let of = |pick: fn(&Seen) -> f64| seen.iter().map(pick).collect::<Vec<f64>>();
        let bytes = of(|seen| {
            seen.records
                .iter()
                .map(|(down, length, _)| if *down { *length as f64 } else { 0.0 })
                .sum()
        });
        report.row(vec![
            json!(name),
            json!(seen.len()),
            json!(TOPICS.len()),
            rounded(100.0 / TOPICS.len() as f64),
            judged["best"].clone(),
            judged["accuracy_percent"].clone(),
            judged["p"].clone(),
            rounded(median(&bytes) / 1024.0),
            rounded(percentile(&of(|seen| seen.first.as_secs_f64() * 1e3), 50)),
            rounded(percentile(
                &of(|seen| (seen.end - seen.begin).as_secs_f64() * 1e3),
                50,
            )),
        ]);
        report.single(&format!("{name} classifiers"), judged["all"].clone());
        report.single(&format!("{name} records of an answer"), judged["records"].clone());
    }
    report.note(format!(
        "streamed chats of the demo model at temperature 0, {clients} clients, seed {seed}; five folds; best of three classifiers; p: \
         one-sided binomial, that accuracy is not above chance; the observer polls /metrics, /healthz, /readyz, /v1/models and asks \
         for completions of its own; KiB, first text and whole answer: medians"
    ));
    Ok(report)
}

/// Topics and messages, as often each, in an order drawn from `seed`.
fn questions(count: usize, seed: u64) -> Result<Vec<(usize, Value)>, Failure> {
    let list: Vec<Value> =
        serde_json::from_slice(&std::fs::read(root().join("xtask/demo-model/heldout.json"))?)?;
    let of = |topic: &str| -> Vec<Value> {
        let same = list.iter().filter(|case| case["kind"] == topic);
        same.map(|case| case["messages"].clone()).collect()
    };
    let topics = TOPICS.map(of);
    let mut all = Vec::new();
    for number in 0..count {
        let topic = number % TOPICS.len();
        let cases = topics
            .get(topic)
            .filter(|cases| !cases.is_empty())
            .ok_or("a topic without questions")?;
        let case = cases
            .get(number / TOPICS.len() % cases.len())
            .ok_or("a question")?;
        all.push((topic, case.clone()));
    }
    // Fisher and Yates, on Knuth's generator: enough for an order.
    let mut state = seed;
    for at in (1..all.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33)? % (at + 1);
        all.swap(at, other);
    }
    Ok(all)
}

type Recorded = (Vec<Seen>, Vec<Polled>);

fn record(questions: &[(usize, Value)], clients: usize, keys: &str) -> Result<Recorded, Failure> {
    let work = tempfile::tempdir()?;
    let stack = Stack::start_with(
        &Size::Demo.folder(work.path())?,
        &format!("\n[traffic]\n{keys}\n"),
    )?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let next = AtomicUsize::new(0);
    let seen = Mutex::new(Vec::new());
    runtime
        .block_on(async {
            let asking = (0..clients).map(|_| async {
                let observer = Observer::before(stack.port());
                let client = stack.client_at(observer.port)?;
                // Evidence and the connection are the same whatever follows.
                models(&client).await?;
                loop {
                    let Some((topic, messages)) = questions.get(next.fetch_add(1, Ordering::Relaxed)) else {
                        return Ok::<(), Failure>(());
                    };
                    let one = ask(&client, &observer, *topic, messages).await?;
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(one);
                }
            });
            let mut polled = Vec::new();
            {
                let mut asking = std::pin::pin!(all(asking));
                let prober = stack.client_at(stack.port())?;
                models(&prober).await?;
                loop {
                    tokio::select! {
                        done = &mut asking => { done?; break; }
                        one = poll(&stack, &prober, polled.len() % 5) => polled.push(one?),
                    }
                    tokio::select! {
                        done = &mut asking => { done?; break; }
                        () = tokio::time::sleep(POLL) => {}
                    }
                }
            }
            Ok::<_, Failure>(polled)
        })
        .map(|polled| (seen.into_inner().unwrap_or_else(PoisonError::into_inner), polled))
}

/// All of them, at one time.
async fn all<F: Future<Output = Result<(), Failure>>>(
    futures: impl Iterator<Item = F>,
) -> Result<(), Failure> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(move |context| {
        let mut failed = Ok(());
        running.retain_mut(|future| match future.as_mut().poll(context) {
            std::task::Poll::Pending => true,
            std::task::Poll::Ready(outcome) => {
                failed = std::mem::replace(&mut failed, Ok(())).and(outcome);
                false
            }
        });
        match (failed, running.is_empty()) {
            (Ok(()), false) => std::task::Poll::Pending,
            (outcome, _) => std::task::Poll::Ready(outcome),
        }
    })
    .await
}

async fn models(client: &Arc<Enclave>) -> Result<Duration, Failure> {
    let begin = Instant::now();
    let question = anchorhold::client::bound::Question {
        method: Method::GET,
        path: Uri::from_static("/v1/models"),
        headers: HeaderMap::new(),
        body: Default::default(),
    };
    client.ask(question).await?.whole().await?;
    Ok(begin.elapsed())
}

async fn ask(
    client: &Arc<Enclave>,
    observer: &Observer,
    topic: usize,
    messages: &Value,
) -> Result<Seen, Failure> {
    let body = json!({"messages": messages, "temperature": 0, "max_tokens": 64, "stream": true,
                      "stream_options": {"include_usage": true}});
    let begin = Instant::now();
    let streamed = stack::stream(client, stack::question("/v1/chat/completions", body)).await?;
    let end = Instant::now();
    let mut records = Vec::new();
    for notes in observer.connections() {
        for record in noted(&notes) {
            if record.at >= begin && record.at <= end {
                records.push((
                    record.down,
                    record.length,
                    (record.at - begin).as_secs_f64() * 1e3,
                ));
            }
        }
        notes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
    Ok(Seen {
        topic,
        begin,
        end,
        records,
        first: streamed.first,
    })
}

/// What the observer may ask itself: the operator's listener, liveness, models, and an answer of one token.
async fn poll(stack: &Stack, prober: &Arc<Enclave>, which: usize) -> Result<Polled, Failure> {
    let at = Instant::now();
    let (status, said) = match which {
        0 => {
            let text = stack.metrics().await?;
            let numbers = text.lines().filter(|line| !line.starts_with('#'));
            let numbers = numbers.filter_map(|line| line.rsplit(' ').next()?.parse().ok());
            (200, numbers.collect())
        }
        1 => {
            models(prober).await?;
            (200, Vec::new())
        }
        2 | 3 => {
            let path = if which == 2 { "/healthz" } else { "/readyz" };
            let question = anchorhold::client::bound::Question {
                method: Method::GET,
                path: Uri::from_static(path),
                headers: HeaderMap::new(),
                body: Default::default(),
            };
            let exchange = prober.ask(question).await?;
            let status = exchange.status().as_u16();
            exchange.whole().await?;
            (status, Vec::new())
        }
        _ => {
            let question = stack::question(
                "/v1/completions",
                json!({"prompt": "one", "max_tokens": 1, "temperature": 0}),
            );
            let exchange = prober.ask(question).await?;
            let status = exchange.status().as_u16();
            let after = exchange
                .headers()
                .get(RETRY_AFTER)
                .and_then(|value| value.to_str().ok()?.parse().ok());
            exchange.whole().await?;
            (status, vec![after.unwrap_or(0.0)])
        }
    };
    let took = at.elapsed().as_secs_f64() * 1e3;
    Ok(Polled {
        at,
        sample: (which, took, status, said),
    })
}

fn traces(seen: &[Seen], polled: &[Polled]) -> Value {
    let trace = |seen: &Seen| {
        let polls: Vec<_> = polled
            .iter()
            .filter(|one| one.at >= seen.begin && one.at <= seen.end)
            .map(|one| &one.sample)
            .collect();
        json!({"topic": seen.topic, "records": seen.records, "polls": polls})
    };
    json!({"topics": TOPICS.len(), "traces": seen.iter().map(trace).collect::<Vec<_>>()})
}

fn classify(python: &PathBuf, traces: &Value) -> Result<Value, Failure> {
    let mut running = Command::new(python)
        .arg(root().join("tests/bench/traffic/classify.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut input = running.stdin.take().ok_or("a pipe")?;
    input.write_all(traces.to_string().as_bytes())?;
    drop(input);
    let output = running.wait_with_output()?;
    if !output.status.success() {
        return Err("the classifiers failed".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
