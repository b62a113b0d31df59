//! The one owner of the model: a thread, a bounded queue in front of it, and a handle for the API.
//!
//! Why apart: the weights are used by exactly one thread, which alone decides who takes part in a pass, sees who has
//! left, spends from the lease before it computes, and drops the weights when it ends.
//!
//! - [`backend`]: what is asked of a model, so that tests can bring another
//! - `bridge`: the answer to that by `anchorhold_models`
//! - [`job`]: a request and the way back to whoever asked
//! - `queue`: the bounded queue
//! - `turns`: the loop of the thread
//!
//! # Invariants
//! A full queue refuses at once, and accounts take turns in it. A caller that left is noticed before the next pass. Nothing is computed
//! without [`crate::lease::Spent`]. Whatever ends the thread, the model is dropped with it.

pub mod backend;
mod bridge;
#[cfg(test)]
pub(crate) mod fake;
pub mod job;
mod queue;
#[cfg(test)]
mod tests;
mod turns;

#[cfg(all(test, feature = "insecure-simulated"))]
pub(crate) use bridge::tests::{demo_model, demo_model_with};

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use anchorhold_memory::stack;
use anchorhold_models::{Constraint, Grammars, Output};
use tokio::sync::{Semaphore, oneshot};
use zeroize::Zeroizing;

use crate::account::Account;
use crate::engine::backend::{Abilities, Backend, Order, Prompt};
use crate::engine::job::{Answering, Embeddings, Job, Refusal};
use crate::engine::queue::Queue;
use crate::engine::turns::Rules;
use crate::event::{Event, emit};
use crate::lease::Lease;
use crate::lifecycle::{Cause, Lifecycle};
use crate::limits;
use crate::metrics::Metrics;

/// The way to the model. Clones lead to the same one.
#[derive(Clone)]
pub struct EngineHandle {
    queue: Arc<Queue<Job>>,
    account: Arc<Account>,
    abilities: Abilities,
    grammars: Option<Grammars>,
    compiling: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

impl fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineHandle")
            .field("abilities", &self.abilities)
            .finish_non_exhaustive()
    }
}

/// The running engine.
#[derive(Debug)]
pub struct Engine {
    handle: EngineHandle,
    gone: oneshot::Receiver<()>,
}

impl Engine {
    /// A way to the model, for the API.
    #[must_use]
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Ends the thread within one step; whoever waits is told that the enclave is shutting down.
    pub fn stop(&self) {
        self.handle.queue.abort();
    }

    /// Waits until the thread has ended and the model is gone.
    pub async fn stopped(self) {
        // The sender is dropped by the thread's end, whatever ended it: an error is the same answer.
        let _ = self.gone.await;
    }
}

/// What the engine works under.
#[derive(Debug)]
pub struct Settings {
    /// Requests that may wait.
    pub queue: usize,
    /// Requests that run at one time, at least one.
    pub running: usize,
    /// What is spent from before anything is computed.
    pub lease: Arc<Lease>,
    /// Says when to stop, and is told when the model fails.
    pub lifecycle: Lifecycle,
    /// Told what was done.
    pub metrics: Arc<Metrics>,
}

/// The system gave no thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoThread;

impl fmt::Display for NoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the thread of the model could not be started")
    }
}

impl std::error::Error for NoThread {}

impl NoThread {
    /// What the operator can do.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        "raise the limit of processes (RLIMIT_NPROC, or the cgroup's pids.max)"
    }
}

/// Starts the thread that owns `backend`. It ends, and drops the model, when the lifecycle drains: after the
/// work at hand when the cause is a signal, within one step when the weights may no longer be used. Must be
/// called within a tokio runtime, which watches the lifecycle for it.
///
/// # Errors
/// [`NoThread`].
pub fn start<B: Backend>(backend: B, settings: Settings) -> Result<Engine, NoThread> {
    let Settings {
        queue,
        running,
        lease,
        lifecycle,
        metrics,
    } = settings;
    let queue = Arc::new(Queue::new(queue));
    let clock = metrics.clock();
    let handle = EngineHandle {
        queue: Arc::clone(&queue),
        account: Account::of_the_process(clock),
        abilities: backend.abilities(),
        grammars: backend.grammars(),
        compiling: Arc::new(Semaphore::new(limits::FORMS_AT_A_TIME)),
        metrics: Arc::clone(&metrics),
    };
    let (done, gone) = oneshot::channel();
    let thread = Thread {
        queue: Arc::clone(&queue),
        running: running.max(1),
        lease,
        lifecycle: lifecycle.clone(),
        metrics,
    };
    std::thread::Builder::new()
        .name("model".to_owned())
        .spawn(move || {
            thread.run(backend);
            // Nobody may wait for the end any more.
            let _ = done.send(());
        })
        .map_err(|_| NoThread)?;
    tokio::spawn(async move {
        match lifecycle.draining().await {
            Cause::Signal | Cause::ListenerFailed => queue.close(),
            Cause::LeaseEnded | Cause::ModelFailed | Cause::DevicesChanged => queue.abort(),
        }
    });
    Ok(Engine { handle, gone })
}

/// What the model's thread holds besides the model.
struct Thread {
    queue: Arc<Queue<Job>>,
    running: usize,
    lease: Arc<Lease>,
    lifecycle: Lifecycle,
    metrics: Arc<Metrics>,
}

impl Thread {
    /// After a panic the model may be in any state: nothing is done with it but dropping it.
    fn run<B: Backend>(self, backend: B) {
        let rules = Rules {
            queue: &self.queue,
            lease: &self.lease,
            metrics: &self.metrics,
            running: self.running,
        };
        let turns = || turns::run(&backend, &rules);
        if catch_unwind(AssertUnwindSafe(turns)).is_err() {
            emit(Event::ModelThreadFailed);
            self.lifecycle.drain(Cause::ModelFailed);
        }
        self.queue.abort();
        // A panic in a destructor must not hide the end from those who wait for it.
        drop(catch_unwind(AssertUnwindSafe(move || drop(backend))));
    }
}

impl EngineHandle {
    /// The same way, with turns and tokens on `account`.
    #[must_use]
    pub fn on_account(&self, account: &Arc<Account>) -> Self {
        Self {
            account: Arc::clone(account),
            ..self.clone()
        }
    }

    /// What the model can do.
    #[must_use]
    pub fn abilities(&self) -> Abilities {
        self.abilities
    }

    /// Makes the form that an answer is held to, beside the model and on a thread that may block. Few are made at a time, and
    /// one that nobody waits for any more counts until it is made.
    ///
    /// # Errors
    /// [`Refusal::Form`].
    pub async fn form(&self, output: Output) -> Result<Constraint, Refusal> {
        let grammars = self.grammars.clone().ok_or(Refusal::WrongModelKind)?;
        let turn = Arc::clone(&self.compiling).acquire_owned().await;
        let turn = turn.map_err(|_| Refusal::ShuttingDown)?;
        let made = tokio::task::spawn_blocking(move || {
            let made = stack::scrubbed(|| grammars.compile(output));
            drop(turn);
            made
        });
        made.await.map_err(|_| Refusal::Failed)?.map_err(Refusal::Form)
    }

    /// Queues a text to generate. Dropping the [`Answering`] cancels it, queued or running.
    ///
    /// # Errors
    /// [`Refusal`], at once.
    pub fn generate(&self, order: Order) -> Result<Answering, Refusal> {
        let Abilities::Decode { chat } = self.abilities else {
            return Err(Refusal::WrongModelKind);
        };
        if !chat && matches!(order.prompt, Prompt::Chat(_)) {
            return Err(Refusal::NoChatTemplate);
        }
        let (job, answering) = job::generate(order, Arc::clone(&self.account));
        self.push(job)?;
        Ok(answering)
    }

    /// Queues texts to embed. Dropping the [`Embeddings`] cancels it.
    ///
    /// # Errors
    /// [`Refusal`], at once.
    pub fn embed(&self, texts: Vec<Zeroizing<String>>) -> Result<Embeddings, Refusal> {
        if !matches!(self.abilities, Abilities::Embed { .. }) {
            return Err(Refusal::WrongModelKind);
        }
        let (job, embedding) = job::embed(texts, Arc::clone(&self.account));
        self.push(job)?;
        Ok(embedding)
    }

    fn push(&self, job: Job) -> Result<(), Refusal> {
        let (turn, shares) = (self.account.ordinal(), self.account.shares());
        self.queue
            .push(job, turn, shares, Job::is_abandoned)
            .inspect_err(|refusal| {
                if *refusal == Refusal::QueueFull {
                    self.metrics.queue_full();
                }
            })
    }
}
