//! Counters for the operator, too coarse to say anything about one request.
//!
//! Why apart: the scraper is the untrusted host. What it may learn is decided here: how much work there is,
//! not what it is or whose.
//!
//! # Invariants
//! Counters are released at most once in [`limits::METRICS_PERIOD`] and rounded up to a multiple of
//! [`limits::METRICS_STEP`]. No label comes from a request. There is no histogram: a single request would
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

struct Released {
    at: Moment,
    values: Values,
}

/// The counters.
pub struct Metrics {
    clock: Arc<Clock>,
    kernels: Option<Kernels>,
    counters: [AtomicU64; COUNTERS.len()],
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
        });
        Self {
            clock,
            kernels: None,
            counters: Default::default(),
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
    fn released(&self) -> Values {
        let mut released = self.released.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        if now.since(released.at) >= limits::METRICS_PERIOD {
            released.at = now;
            for (value, counter) in released.values.iter_mut().zip(&self.counters) {
                *value = counter
                    .load(Ordering::Relaxed)
                    .next_multiple_of(limits::METRICS_STEP);
            }
        }
        released.values
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
        for ((name, meaning), value) in COUNTERS.iter().zip(self.released()) {
            let _ = writeln!(
                text,
                "# HELP anchorhold_{name}_total {meaning} Released once a minute, rounded up to a multiple of {}.\n\
                 # TYPE anchorhold_{name}_total counter\n\
                 anchorhold_{name}_total {value}",
                limits::METRICS_STEP
            );
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
}
