//! Counters for the operator, too coarse to say anything about one request.
//!
//! Why apart: the scraper is the untrusted host. What it may learn is decided here: how much work there is,
//! not what it is or whose.
//!
//! # Invariants
//! Counters are released at most once in [`limits::METRICS_PERIOD`] and rounded up to a multiple of
//! [`limits::METRICS_STEP`]. No label comes from a request; keys are numbered as the configuration has them, never named. There is no histogram: a single request would
//! show in one.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anchorhold_kernels::Kernels;
use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;

use crate::account::Counts;
use crate::clock::{Clock, Moment};
use crate::limits;

/// Names, meanings and order of the counters.
const COUNTERS: [(&str, &str); 8] = [
    ("requests", "Requests that were admitted to a model endpoint."),
    (
        "queue_full",
        "Requests refused because as many as may were waiting.",
    ),
    (
        "no_capacity",
        "Requests refused because no memory was free for prompt and answer.",
    ),
    (
        "cancelled",
        "Requests whose caller left before the answer was complete.",
    ),
    (
        "failed",
        "Requests that ended in an error after they were admitted.",
    ),
    ("prompt_tokens", "Tokens of prompts and of embedded texts."),
    ("completion_tokens", "Tokens of answers."),
    (
        "passes",
        "Passes of the model, each for all texts that were being generated.",
    ),
];

const REQUESTS: usize = 0;
const QUEUE_FULL: usize = 1;
const NO_CAPACITY: usize = 2;
const CANCELLED: usize = 3;
const FAILED: usize = 4;
const PROMPT_TOKENS: usize = 5;
const COMPLETION_TOKENS: usize = 6;
const PASSES: usize = 7;

type Values = [u64; COUNTERS.len()];

/// What is counted of each key: requests, tokens, long answers.
const OF_A_KEY: [(&str, &str); 3] = [
    ("key_requests", "Requests that were admitted, by key."),
    ("key_tokens", "Tokens of prompts and answers, by key."),
    ("key_long_answers", "Answers of 512 tokens and more, by key."),
];

struct Released {
    at: Moment,
    values: Values,
    keys: Vec<[u64; OF_A_KEY.len()]>,
}

/// The counters.
pub struct Metrics {
    clock: Arc<Clock>,
    kernels: Option<Kernels>,
    counters: [AtomicU64; COUNTERS.len()],
    keys: Vec<Arc<Counts>>,
    released: Mutex<Released>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All zero; the first release is one period from now.
    #[must_use]
    pub fn new(clock: Arc<Clock>) -> Self {
        let released = Mutex::new(Released {
            at: clock.now(),
            values: Values::default(),
            keys: Vec::new(),
        });
        Self {
            clock,
            kernels: None,
            counters: Default::default(),
            keys: Vec::new(),
            released,
        }
    }

    /// The same, with the name of the kernels in use.
    #[must_use]
    pub fn with_kernels(self, kernels: Kernels) -> Self {
        Self {
            kernels: Some(kernels),
            ..self
        }
    }

    /// The same, with what is counted of each API key, in the order of the configuration.
    #[must_use]
    pub fn with_keys(mut self, keys: Vec<Arc<Counts>>) -> Self {
        let released = self.released.get_mut().unwrap_or_else(PoisonError::into_inner);
        released.keys = vec![Default::default(); keys.len()];
        self.keys = keys;
        self
    }

    /// What its periods are counted by.
    pub(crate) fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    fn add(&self, counter: usize, count: u64) {
        if let Some(counter) = self.counters.get(counter) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// A request was admitted.
    pub(crate) fn request(&self) {
        self.add(REQUESTS, 1);
    }

    /// A request found the queue full.
    pub(crate) fn queue_full(&self) {
        self.add(QUEUE_FULL, 1);
    }

    /// A request found no memory free.
    pub(crate) fn no_capacity(&self) {
        self.add(NO_CAPACITY, 1);
    }

    /// The model made a pass.
    pub(crate) fn pass(&self) {
        self.add(PASSES, 1);
    }

    /// A caller left.
    pub(crate) fn cancelled(&self) {
        self.add(CANCELLED, 1);
    }

    /// A request failed.
    pub(crate) fn failed(&self) {
        self.add(FAILED, 1);
    }

    /// Tokens of a prompt.
    pub(crate) fn prompt_tokens(&self, count: u64) {
        self.add(PROMPT_TOKENS, count);
    }

    /// Tokens of an answer.
    pub(crate) fn completion_tokens(&self, count: u64) {
        self.add(COMPLETION_TOKENS, count);
    }

    /// The values of the newest release; makes one when the period is over.
    fn released(&self) -> (Values, Vec<[u64; OF_A_KEY.len()]>) {
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if now.since(released.at) >= limits::METRICS_PERIOD {
            released.at = now;
            let coarse = |counter: &AtomicU64| {
                counter
                    .load(Ordering::Relaxed)
                    .next_multiple_of(limits::METRICS_STEP)
            };
            for (value, counter) in released.values.iter_mut().zip(&self.counters) {
                *value = coarse(counter);
            }
            for (values, key) in released.keys.iter_mut().zip(&self.keys) {
                *values = [&key.requests, &key.tokens, &key.long_answers].map(coarse);
            }
        }
        (released.values, released.keys.clone())
    }

    /// The exposition text (Prometheus text format 0.0.4).
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(2048);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "# HELP anchorhold_build_info The version that runs.\n\
             # TYPE anchorhold_build_info gauge\n\
             anchorhold_build_info{{version=\"{}\"}} 1",
            env!("CARGO_PKG_VERSION")
        );
        if let Some(kernels) = self.kernels {
            let _ = writeln!(
                text,
                "# HELP anchorhold_kernels_info The set of kernels in use.\n\
                 # TYPE anchorhold_kernels_info gauge\n\
                 anchorhold_kernels_info{{set=\"{}\"}} 1",
                kernels.set()
            );
        }
        let (values, keys) = self.released();
        for ((name, meaning), value) in COUNTERS.iter().zip(values) {
            let _ = writeln!(
                text,
                "# HELP anchorhold_{name}_total {meaning} Released once a minute, rounded up to a multiple of {}.\n\
                 # TYPE anchorhold_{name}_total counter\n\
                 anchorhold_{name}_total {value}",
                limits::METRICS_STEP
            );
        }
        for (at, (name, meaning)) in OF_A_KEY.iter().enumerate().filter(|_| !keys.is_empty()) {
            let _ = writeln!(
                text,
                "# HELP anchorhold_{name}_total {meaning} Released once a minute, rounded up to a multiple of {}.\n\
                 # TYPE anchorhold_{name}_total counter",
                limits::METRICS_STEP
            );
            for (key, values) in keys.iter().enumerate() {
                let value = values.get(at).copied().unwrap_or_default();
                let _ = writeln!(text, "anchorhold_{name}_total{{key=\"{key}\"}} {value}");
            }
        }
        text
    }
}

/// `GET /metrics`, for a listener of its own: it is plain HTTP and must never share one with prompts.
pub fn router(metrics: Arc<Metrics>) -> Router {
    async fn scrape(State(metrics): State<Arc<Metrics>>) -> impl IntoResponse {
        (
            [(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")],
            metrics.text(),
        )
    }
    Router::new().route("/metrics", get(scrape)).with_state(metrics)
}

#[cfg(test)]
mod tests {
    use anchorhold_kernels::KernelSet;

    use super::*;

    fn line(metrics: &Metrics, name: &str) -> u64 {
        let text = metrics.text();
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }

    #[test]
    fn counters_are_released_once_a_period_and_rounded_up() {
        let clock = Arc::new(Clock::for_tests());
        let kernels = Kernels::at_most(KernelSet::Scalar);
        let metrics = Metrics::new(Arc::clone(&clock)).with_kernels(kernels);
        assert_eq!(line(&metrics, "anchorhold_kernels_info{set=\"scalar\"}"), 1);
        metrics.completion_tokens(17);
        metrics.request();
        assert_eq!(line(&metrics, "anchorhold_completion_tokens_total"), 0);
        clock.skip(limits::METRICS_PERIOD);
        assert_eq!(line(&metrics, "anchorhold_completion_tokens_total"), 32);
        assert_eq!(line(&metrics, "anchorhold_requests_total"), 16);
        assert_eq!(line(&metrics, "anchorhold_failed_total"), 0);
        metrics.completion_tokens(100);
        assert_eq!(line(&metrics, "anchorhold_completion_tokens_total"), 32);
        clock.skip(limits::METRICS_PERIOD);
        assert_eq!(line(&metrics, "anchorhold_completion_tokens_total"), 128);
    }

    #[test]
    fn keys_are_counted_by_number_and_as_coarsely() {
        let clock = Arc::new(Clock::for_tests());
        let keys: Vec<Arc<Counts>> = vec![Arc::default(), Arc::default()];
        let metrics = Metrics::new(Arc::clone(&clock)).with_keys(keys.clone());
        keys[1].tokens.fetch_add(33, Ordering::Relaxed);
        keys[1].long_answers.fetch_add(1, Ordering::Relaxed);
        assert_eq!(line(&metrics, "anchorhold_key_tokens_total{key=\"1\"}"), 0);
        clock.skip(limits::METRICS_PERIOD);
        assert_eq!(line(&metrics, "anchorhold_key_tokens_total{key=\"1\"}"), 48);
        assert_eq!(line(&metrics, "anchorhold_key_tokens_total{key=\"0\"}"), 0);
        assert_eq!(line(&metrics, "anchorhold_key_long_answers_total{key=\"1\"}"), 16);
        assert!(!Metrics::new(clock).text().contains("key_"));
    }
}
