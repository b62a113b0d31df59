//! The loop of the model's thread: whose turn it is.
//!
//! Why apart: fairness, cancellation and the lease meet here and nowhere else.
//!
//! # Invariants
//! Each round gives every running job one step: a slice of a prompt, a token, or one text to embed. Before
//! each step the job's caller must still be there and the lease alive; a prompt is paid for before it is
//! computed, and a token or a vector before it is handed out.

use anchorhold_models::{Delta, Embedding, Step};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::engine::backend::{Backend, Stepper};
use crate::engine::job::{Job, Refusal, Reply};
use crate::engine::queue::Queue;
use crate::lease::{Lease, NotCovered, Spent};
use crate::limits::RUNNING;
use crate::metrics::Metrics;

/// Runs until the queue ends or the lease does.
pub(super) fn run(backend: &dyn Backend, queue: &Queue<Job>, lease: &Lease, metrics: &Metrics) {
    let mut running: Vec<Turn<'_>> = Vec::with_capacity(RUNNING);
    loop {
        while running.len() < RUNNING {
            let next = if running.is_empty() {
                queue.pop()
            } else {
                queue.try_pop()
            };
            match next {
                Some(job) => running.extend(begin(job, backend, lease, metrics)),
                None if running.is_empty() => return,
                None => break,
            }
        }
        if queue.is_aborted() {
            for turn in running {
                turn.refuse(Refusal::ShuttingDown);
            }
            return;
        }
        running.retain_mut(|turn| match turn {
            Turn::Text(text) => text.advance(lease, metrics),
            Turn::Vectors(vectors) => vectors.advance(backend, lease, metrics),
        });
    }
}

/// A running job.
enum Turn<'m> {
    Text(Text<'m>),
    Vectors(Vectors),
}

impl Turn<'_> {
    fn refuse(self, refusal: Refusal) {
        // A caller that left needs no answer.
        match self {
            Self::Text(text) => drop(text.reply.try_send(Reply::Refused(refusal))),
            Self::Vectors(vectors) => drop(vectors.reply.try_send(Err(refusal))),
        }
    }
}

/// Prepares a job; `None` when nobody waits for it, or it was refused and told so.
fn begin<'m>(job: Job, backend: &'m dyn Backend, lease: &Lease, metrics: &Metrics) -> Option<Turn<'m>> {
    if job.is_abandoned() {
        metrics.cancelled();
        return None;
    }
    match job {
        Job::Embed { texts, reply } => Some(Turn::Vectors(Vectors {
            texts: texts.into_iter(),
            reply,
        })),
        Job::Generate { order, reply } => {
            let started = backend.start(order).and_then(|stepper| {
                let tokens = count(stepper.usage().prompt_tokens);
                let Spent { .. } = lease.admit(tokens).map_err(uncovered)?;
                metrics.prompt_tokens(tokens);
                Ok(stepper)
            });
            match started {
                Ok(stepper) => {
                    let text = Text { stepper, reply };
                    text.send(Reply::Started).then_some(Turn::Text(text))
                }
                Err(refusal) => {
                    // A caller that left needs no answer.
                    drop(reply.try_send(Reply::Refused(refusal)));
                    None
                }
            }
        }
    }
}

fn uncovered(why: NotCovered) -> Refusal {
    match why {
        NotCovered::Ended => Refusal::ShuttingDown,
        NotCovered::Budget => Refusal::LeaseBudget,
    }
}

/// Leases count in 64 bits on every machine.
fn count(tokens: usize) -> u64 {
    u64::try_from(tokens).unwrap_or(u64::MAX)
}

struct Text<'m> {
    stepper: Box<dyn Stepper + 'm>,
    reply: mpsc::Sender<Reply>,
}

impl Text<'_> {
    /// One step. `false` when it was the last.
    fn advance(&mut self, lease: &Lease, metrics: &Metrics) -> bool {
        if self.reply.is_closed() {
            metrics.cancelled();
            return false;
        }
        match self.step(lease, metrics) {
            Ok(Step::Prefilling { .. }) => true,
            Ok(Step::Delta(delta)) => {
                let there = self.tell(delta);
                if !there {
                    metrics.cancelled();
                }
                there
            }
            Ok(Step::Finished(finish)) => {
                let _ = self.send(Reply::Finished(finish));
                false
            }
            Err(refusal) => {
                let _ = self.send(Reply::Refused(refusal));
                false
            }
        }
    }

    fn step(&mut self, lease: &Lease, metrics: &Metrics) -> Result<Step, Refusal> {
        let Spent { .. } = lease.spend(0).map_err(|_| Refusal::ShuttingDown)?;
        let before = self.stepper.usage().completion_tokens;
        let step = self.stepper.step()?;
        let made = count(self.stepper.usage().completion_tokens.saturating_sub(before));
        let Spent { .. } = lease.spend(made).map_err(|_| Refusal::ShuttingDown)?;
        metrics.completion_tokens(made);
        Ok(step)
    }

    /// Passes a piece on, unless there is nothing in it. `false` when nobody is there.
    fn tell(&self, delta: Delta) -> bool {
        (delta.text.is_empty() && delta.tokens.is_empty()) || self.send(Reply::Piece(delta))
    }

    fn send(&self, reply: Reply) -> bool {
        self.reply.try_send(reply).is_ok()
    }
}

struct Vectors {
    texts: std::vec::IntoIter<Zeroizing<String>>,
    reply: mpsc::Sender<Result<Embedding, Refusal>>,
}

impl Vectors {
    /// One text. `false` when it was the last.
    fn advance(&mut self, backend: &dyn Backend, lease: &Lease, metrics: &Metrics) -> bool {
        if self.reply.is_closed() {
            metrics.cancelled();
            return false;
        }
        let Some(text) = self.texts.next() else {
            return false;
        };
        let vector = Self::embed(&text, backend, lease, metrics);
        let more = vector.is_ok() && self.texts.len() > 0;
        self.reply.try_send(vector).is_ok() && more
    }
    fn embed(
        text: &str,
        backend: &dyn Backend,
        lease: &Lease,
        metrics: &Metrics,
    ) -> Result<Embedding, Refusal> {
        let Spent { .. } = lease.spend(0).map_err(|_| Refusal::ShuttingDown)?;
        let vector = backend.embed(text)?;
        let tokens = count(vector.tokens);
        let Spent { .. } = lease.admit(tokens).map_err(uncovered)?;
        metrics.prompt_tokens(tokens);
        Ok(vector)
    }
}
