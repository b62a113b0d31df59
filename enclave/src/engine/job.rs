//! A request on its way to the model, and the way back.
//!
//! Why apart: the caller's half is the only thing that keeps a request alive. Dropping it is the cancellation.
//!
//! # Invariants
//! The way back never makes the model's thread wait: it holds a whole answer, whose length the token limit
//! bounds. A way back that ends before the answer does means the engine is gone.

use std::fmt;
use std::sync::Arc;

use anchorhold_models::{ConstraintError, Delta, Embedding, Finish};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::engine::backend::Order;

/// Why the engine does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// As many requests wait as may.
    QueueFull,
    /// The model is of the other kind.
    WrongModelKind,
    /// The model has no chat template.
    NoChatTemplate,
    /// The chat template refuses these messages.
    TemplateRefused,
    /// There is nothing to continue.
    EmptyPrompt,
    /// Prompt and answer do not fit.
    ContextExceeded {
        /// Tokens the model holds.
        limit: usize,
    },
    /// Memory for prompt and answer is not free now.
    NoCapacity,
    /// Prompt and answer need more memory than there is.
    NeverFits {
        /// Tokens that the memory would have to hold.
        needed: usize,
        /// Tokens that it holds.
        total: usize,
    },
    /// A text to embed does not fit.
    InputTooLong {
        /// Tokens the model takes.
        limit: usize,
    },
    /// A sampling parameter, or an id of the prompt, is out of its bounds.
    Sampling {
        /// The parameter.
        field: &'static str,
        /// What it may be.
        bounds: &'static str,
    },
    /// The answer cannot be held to the form that was asked for.
    Form(ConstraintError),
    /// Holding the answer to its form took more work than one answer may.
    FormExceeded,
    /// What is left of the lease's token budget does not cover the prompt.
    LeaseBudget,
    /// The engine takes no more work, or the lease ended.
    ShuttingDown,
    /// The model failed.
    Failed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::QueueFull => f.write_str("too many requests are waiting"),
            Self::WrongModelKind => f.write_str("the model does not do this"),
            Self::NoChatTemplate => f.write_str("the model has no chat template"),
            Self::TemplateRefused => f.write_str("the chat template refuses these messages"),
            Self::EmptyPrompt => f.write_str("the prompt is empty"),
            Self::ContextExceeded { limit } | Self::InputTooLong { limit } => {
                write!(f, "more than {limit} tokens")
            }
            Self::NoCapacity => f.write_str("no memory is free for prompt and answer"),
            Self::NeverFits { needed, total } => write!(f, "{needed} tokens, but memory for {total}"),
            Self::Sampling { field, bounds } => write!(f, "`{field}` must be {bounds}"),
            Self::Form(error) => error.fmt(f),
            Self::FormExceeded => f.write_str("the form of the answer takes too much work"),
            Self::LeaseBudget => f.write_str("the lease does not cover the prompt"),
            Self::ShuttingDown => f.write_str("the engine is shutting down"),
            Self::Failed => f.write_str("the model failed"),
        }
    }
}

impl std::error::Error for Refusal {}

/// What comes back while a text is generated.
pub enum Reply {
    /// The prompt was accepted.
    Started,
    /// A piece of the answer.
    Piece(Delta),
    /// The answer is complete.
    Finished(Finish),
    /// There will be no more of it.
    Refused(Refusal),
}

/// The caller's half of a text being generated. Dropping it frees the model for others before its next pass.
pub struct Answering(mpsc::Receiver<Reply>);

impl Answering {
    /// The next reply; [`Refusal::Failed`] when the engine is gone.
    pub async fn next(&mut self) -> Reply {
        self.0.recv().await.unwrap_or(Reply::Refused(Refusal::Failed))
    }

    /// The next reply, if it is there.
    pub fn try_next(&mut self) -> Option<Reply> {
        match self.0.try_recv() {
            Ok(reply) => Some(reply),
            Err(mpsc::error::TryRecvError::Empty) => None,
            Err(mpsc::error::TryRecvError::Disconnected) => Some(Reply::Refused(Refusal::Failed)),
        }
    }
}

/// The caller's half of texts being embedded.
pub struct Embeddings(mpsc::Receiver<Result<Embedding, Refusal>>);

impl Embeddings {
    /// The next vector, in the order of the texts.
    ///
    /// # Errors
    /// [`Refusal`]; there are no more vectors then.
    pub async fn next(&mut self) -> Result<Embedding, Refusal> {
        self.0.recv().await.unwrap_or(Err(Refusal::Failed))
    }
}

/// The engine's half.
pub(super) enum Job {
    Generate {
        order: Box<Order>,
        account: Arc<Account>,
        reply: mpsc::Sender<Reply>,
    },
    Embed {
        texts: Vec<Zeroizing<String>>,
        account: Arc<Account>,
        reply: mpsc::Sender<Result<Embedding, Refusal>>,
    },
}

impl Job {
    /// Nobody waits for it any more.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Generate { reply, .. } => reply.is_closed(),
            Self::Embed { reply, .. } => reply.is_closed(),
        }
    }

    /// Tells whoever waits that there will be no answer.
    pub(super) fn refuse(self, refusal: Refusal) {
        // A caller that left needs no answer.
        match self {
            Self::Generate { reply, .. } => drop(reply.try_send(Reply::Refused(refusal))),
            Self::Embed { reply, .. } => drop(reply.try_send(Err(refusal))),
        }
    }
}

/// Room for a whole answer: one piece a token, the start, the text held back, and the end. tokio allocates
/// the room as it is used.
pub(super) fn generate(order: Order, account: Arc<Account>) -> (Job, Answering) {
    let tokens = order.sampling.max_tokens.unwrap_or(order.most_tokens);
    let (reply, receiver) = mpsc::channel(tokens.saturating_add(4));
    let order = Box::new(order);
    let job = Job::Generate {
        order,
        account,
        reply,
    };
    (job, Answering(receiver))
}

pub(super) fn embed(texts: Vec<Zeroizing<String>>, account: Arc<Account>) -> (Job, Embeddings) {
    let (reply, receiver) = mpsc::channel(texts.len().saturating_add(1));
    let job = Job::Embed {
        texts,
        account,
        reply,
    };
    (job, Embeddings(receiver))
}
