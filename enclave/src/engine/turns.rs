//! The loop of the model's thread: whose turn it is.
//!
//! Why apart: fairness, cancellation and the lease meet here and nowhere else.
//!
//! # Invariants
//! Each round gives every running job one step: a slice of a prompt, a token, or one text to embed. Before
//! each step the job's caller must still be there and the lease must cover what the step may compute.

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::engine::backend::{Backend, Delta, Step, Stepper, Vector};
use crate::engine::job::{Job, Refusal, Reply};
use crate::engine::queue::Queue;
use crate::lease::{Lease, Spent};
use crate::limits::RUNNING;
use crate::metrics::Metrics;

/// Runs until the queue ends or the lease does.
pub(super) fn run(backend: &dyn Backend, queue: &Queue<Job>, lease: &Lease, metrics: &Metrics) {
    let mut running: Vec<Turn<'_>> = Vec::with_capacity(RUNNING);
    loop {
        while running.len() < RUNNING {
            let next = if running.is_empty() { queue.pop() } else { queue.try_pop() };
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
        Job::Generate {
            prompt,
            sampling,
            reply,
        } => {
            let started = backend.start(prompt, sampling).and_then(|stepper| {
                let prompt_tokens = stepper.usage().prompt_tokens;
                let paid = lease.spend(prompt_tokens).map_err(|_| Refusal::ShuttingDown)?;
                Ok((stepper, prompt_tokens, paid))
            });
            match started {
                Ok((stepper, prompt_tokens, Spent { .. })) => {
                    metrics.prompt_tokens(prompt_tokens);
                    reply.try_send(Reply::Started { prompt_tokens }).ok()?;
                    Some(Turn::Text(Text {
                        stepper,
                        reply,
                        next_token: None,
                    }))
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

struct Text<'m> {
    stepper: Box<dyn Stepper + 'm>,
    reply: mpsc::Sender<Reply>,
    /// The next token has been paid for.
    next_token: Option<Spent>,
}

impl Text<'_> {
    /// One step. `false` when it was the last.
    fn advance(&mut self, lease: &Lease, metrics: &Metrics) -> bool {
        if self.reply.is_closed() {
            metrics.cancelled();
            return false;
        }
        match self.step(lease) {
            Ok(Step::Prefilling) => true,
            Ok(Step::Token(delta)) => {
                metrics.completion_tokens(1);
                self.tell(delta)
            }
            Ok(Step::Finished(reason, delta)) => {
                let _ = self.tell(delta) && self.send(Reply::Finished(reason, self.stepper.usage()));
                false
            }
            Err(refusal) => {
                let _ = self.send(Reply::Refused(refusal));
                false
            }
        }
    }

    /// Pays for one token ahead: a step over the prompt does not use it up, a step that makes a token does.
    fn step(&mut self, lease: &Lease) -> Result<Step, Refusal> {
        let price = u64::from(self.next_token.is_none());
        let paid = lease.spend(price).map_err(|_| Refusal::ShuttingDown)?;
        let step = self.stepper.step()?;
        self.next_token = matches!(step, Step::Prefilling).then_some(paid);
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
    reply: mpsc::Sender<Result<Vector, Refusal>>,
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
        let vector = lease
            .spend(0)
            .map_err(|_| Refusal::ShuttingDown)
            .and_then(|alive| backend.embed(text).map(|vector| (alive, vector)))
            .and_then(|(Spent { .. }, vector)| {
                // The model counts the tokens, so they are paid for before the vector is handed out.
                let Spent { .. } = lease.spend(vector.tokens).map_err(|_| Refusal::ShuttingDown)?;
                metrics.prompt_tokens(vector.tokens);
                Ok(vector)
            });
        let more = vector.is_ok() && self.texts.len() > 0;
        self.reply.try_send(vector).is_ok() && more
    }
}
