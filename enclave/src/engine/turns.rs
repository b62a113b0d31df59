//! The loop of the model's thread: who takes part in the next pass.
//!
//! Why apart: fairness, cancellation and the lease meet here and nowhere else.
//!
//! # Invariants
//! Each round is one pass of the model for all that run: a slice of a prompt or a token each, and for each job
//! that embeds a text, or some short ones. Jobs join between two passes, in turns of the accounts and within one in the order they came, and leave between two passes; nobody is put off
//! for another. Before each pass whoever left is let go, its pages with it, and the lease must be alive; a prompt is
//! paid for before it is computed, and a token or a vector before it is handed out. Where somebody left, what their work has
//! left is overwritten before the thread waits or goes on.

use std::sync::Arc;

use anchorhold_memory::stack;
use anchorhold_models::{Delta, Embedding, Step};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::engine::backend::{Backend, Running};
use crate::engine::job::{Job, Refusal, Reply};
use crate::engine::queue::Queue;
use crate::lease::{Lease, NotCovered, Spent};
use crate::limits;
use crate::metrics::Metrics;

/// What the loop works under.
pub(super) struct Rules<'e> {
    pub(super) queue: &'e Queue<Job>,
    pub(super) lease: &'e Lease,
    pub(super) metrics: &'e Metrics,
    /// Jobs that run at one time.
    pub(super) running: usize,
}

/// Runs until the queue ends or the lease does.
pub(super) fn run<B: Backend>(backend: &B, rules: &Rules<'_>) {
    let mut running = All {
        texts: Vec::new(),
        vectors: Vec::new(),
        passes: 0,
        met: 0,
    };
    loop {
        // First, so that what they held is free for those who join.
        running.let_go(rules.metrics);
        // Nothing of those who are gone stays, also while others go on.
        if running.met > running.count() {
            backend.forget();
            stack::scrub();
            running.met = running.count();
        }
        while running.count() < rules.running {
            let next = if running.count() == 0 {
                // Somebody was refused: what is left of that is overwritten before the wait for another.
                if running.met > 0 {
                    break;
                }
                rules.queue.pop()
            } else {
                rules.queue.try_pop()
            };
            match next {
                Some(job) => running.join(job, backend, rules),
                None if running.count() == 0 => return,
                None => break,
            }
        }
        if rules.queue.is_aborted() {
            return running.refuse(Refusal::ShuttingDown);
        }
        running.pass(backend, rules);
        running
            .vectors
            .retain_mut(|vectors| vectors.advance(backend, rules));
    }
}

/// All that runs.
struct All<T> {
    texts: Vec<Text<T>>,
    vectors: Vec<Vectors>,
    /// Passes so far.
    passes: u64,
    /// Jobs that run, and those that ended since all that was left of others was overwritten.
    met: usize,
}

impl<T: Running> All<T> {
    fn count(&self) -> usize {
        self.texts.len() + self.vectors.len()
    }

    /// Ends what nobody waits for any more.
    fn let_go(&mut self, metrics: &Metrics) {
        let there = |closed: bool| {
            if closed {
                metrics.cancelled();
            }
            !closed
        };
        self.texts.retain(|text| there(text.reply.is_closed()));
        self.vectors.retain(|vectors| there(vectors.reply.is_closed()));
    }

    /// Prepares a job. Nothing runs when nobody waits for it, or it was refused and told so.
    fn join<B: Backend<Text = T>>(&mut self, job: Job, backend: &B, rules: &Rules<'_>) {
        self.met += 1;
        if job.is_abandoned() {
            rules.metrics.cancelled();
            return;
        }
        match job {
            Job::Embed {
                texts,
                account,
                reply,
            } => self.vectors.push(Vectors {
                texts: texts.into_iter(),
                account,
                reply,
            }),
            Job::Generate {
                order,
                account,
                reply,
            } => {
                let started = backend.start(*order).and_then(|text| {
                    let tokens = count(text.usage().prompt_tokens);
                    let Spent { .. } = rules.lease.admit(tokens).map_err(uncovered)?;
                    rules.metrics.prompt_tokens(tokens);
                    account.charge(tokens);
                    Ok(text)
                });
                match started {
                    Ok(text) => {
                        let text = Text {
                            text,
                            account,
                            reply,
                            paid: 0,
                            done: 0,
                            served: self.passes,
                        };
                        if text.send(Reply::Started) {
                            self.texts.push(text);
                        } else {
                            rules.metrics.cancelled();
                        }
                    }
                    Err(refusal) => {
                        if refusal == Refusal::NoCapacity {
                            rules.metrics.no_capacity();
                        }
                        // A caller that left needs no answer.
                        drop(reply.try_send(Reply::Refused(refusal)));
                    }
                }
            }
        }
    }

    /// One pass for all texts.
    fn pass<B: Backend<Text = T>>(&mut self, backend: &B, rules: &Rules<'_>) {
        if self.texts.is_empty() {
            return;
        }
        let Ok(Spent { .. }) = rules.lease.spend(0) else {
            return self.refuse(Refusal::ShuttingDown);
        };
        // A pass computes a bounded part of all prompts, the first of them first: whoever has waited longest for a
        // part is first, so that a long prompt holds up no short one, and short ones no long one.
        self.texts.sort_by_key(|text| text.served);
        self.passes = self.passes.saturating_add(1);
        let number = self.passes;
        let mut running: Vec<&mut T> = self.texts.iter_mut().map(|text| &mut text.text).collect();
        let mut steps = backend.step(&mut running).into_iter();
        rules.metrics.pass();
        self.texts.retain_mut(|text| {
            let step = steps.next().unwrap_or(Err(Refusal::Failed));
            text.take(step, number, rules)
        });
    }

    fn refuse(&mut self, refusal: Refusal) {
        // A caller that left needs no answer.
        for text in self.texts.drain(..) {
            let _ = text.send(Reply::Refused(refusal));
        }
        for vectors in self.vectors.drain(..) {
            let _ = vectors.reply.try_send(Err(refusal));
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

/// A text being generated.
struct Text<T> {
    text: T,
    account: Arc<Account>,
    reply: mpsc::Sender<Reply>,
    /// Tokens of the answer taken from the lease.
    paid: usize,
    /// Tokens of the prompt computed.
    done: usize,
    /// The last pass in which it got on with its prompt, or before which it came.
    served: u64,
}

impl<T: Running> Text<T> {
    /// Takes what pass `number` gave. `false` when there is no more to come.
    fn take(&mut self, step: Result<Step, Refusal>, number: u64, rules: &Rules<'_>) -> bool {
        match step.and_then(|step| self.pay(step, rules)) {
            Ok(Step::Prefilling { done, .. }) => {
                if done > self.done {
                    (self.done, self.served) = (done, number);
                }
                true
            }
            Ok(Step::Delta(delta)) => {
                let there = self.tell(delta);
                if !there {
                    rules.metrics.cancelled();
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

    /// Pays for the tokens that a step made.
    fn pay(&mut self, step: Step, rules: &Rules<'_>) -> Result<Step, Refusal> {
        let made = self.text.usage().completion_tokens;
        let tokens = count(made.saturating_sub(self.paid));
        let Spent { .. } = rules.lease.spend(tokens).map_err(|_| Refusal::ShuttingDown)?;
        rules.metrics.completion_tokens(tokens);
        self.account.charge(tokens);
        self.account.grew(self.paid, made);
        self.paid = made;
        Ok(step)
    }

    /// Passes a piece on, unless there is nothing in it. `false` when nobody is there.
    fn tell(&self, delta: Delta) -> bool {
        delta.is_empty() || self.send(Reply::Piece(delta))
    }

    fn send(&self, reply: Reply) -> bool {
        self.reply.try_send(reply).is_ok()
    }
}

/// Texts being embedded.
struct Vectors {
    texts: std::vec::IntoIter<Zeroizing<String>>,
    account: Arc<Account>,
    reply: mpsc::Sender<Result<Embedding, Refusal>>,
}

impl Vectors {
    /// As many texts as are worth one pass. `false` when none is left.
    fn advance<B: Backend>(&mut self, backend: &B, rules: &Rules<'_>) -> bool {
        let texts = self.together();
        if texts.is_empty() {
            return false;
        }
        match Self::embed(&texts, backend, rules) {
            Ok(vectors) => {
                let mut vectors = vectors.into_iter();
                vectors.all(|vector| self.hand_out(Ok(vector), rules)) && self.texts.len() > 0
            }
            // One of them is refused, and those before it are not.
            Err(_) if texts.len() > 1 => {
                texts.iter().all(
                    |text| match Self::embed(std::slice::from_ref(text), backend, rules) {
                        Ok(vectors) => vectors.into_iter().all(|vector| self.hand_out(Ok(vector), rules)),
                        Err(refusal) => self.hand_out(Err(refusal), rules),
                    },
                ) && self.texts.len() > 0
            }
            Err(refusal) => self.hand_out(Err(refusal), rules),
        }
    }

    /// Takes the next texts: one, or some that are short together.
    fn together(&mut self) -> Vec<Zeroizing<String>> {
        let mut room = limits::EMBEDDED_TOGETHER;
        let fitting = self.texts.as_slice().iter().take_while(|text| {
            let fits = text.len() <= room;
            room = room.saturating_sub(text.len());
            fits
        });
        let count = fitting.count().max(1);
        self.texts.by_ref().take(count).collect()
    }

    fn embed<B: Backend>(
        texts: &[Zeroizing<String>],
        backend: &B,
        rules: &Rules<'_>,
    ) -> Result<Vec<Embedding>, Refusal> {
        let Spent { .. } = rules.lease.spend(0).map_err(|_| Refusal::ShuttingDown)?;
        let texts: Vec<&str> = texts.iter().map(|text| text.as_str()).collect();
        backend.embed(&texts)
    }

    /// Pays for a vector and hands it out. `false` when nothing more is to come.
    fn hand_out(&self, vector: Result<Embedding, Refusal>, rules: &Rules<'_>) -> bool {
        let paid = vector.and_then(|vector| {
            let tokens = count(vector.tokens);
            let Spent { .. } = rules.lease.admit(tokens).map_err(uncovered)?;
            rules.metrics.prompt_tokens(tokens);
            self.account.charge(tokens);
            Ok(vector)
        });
        let more = paid.is_ok();
        self.reply.try_send(paid).is_ok() && more
    }
}
