//! What is asked of a model.
//!
//! Why apart: the API and the engine's loop are tested with models that panic, stall or count, and depend on
//! no tensor.
//!
//! # Invariants
//! [`Backend::step`] does one bounded piece of work a call, and the same for a text alone and among others.

use std::sync::Arc;

use anchorhold_models::{ChatMessage, Constraint, Embedding, Grammars, SamplingParams, Step, Tools, Usage};
use zeroize::Zeroizing;

use crate::engine::job::Refusal;

/// What a model can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abilities {
    /// It continues texts.
    Decode {
        /// It came with a chat template.
        chat: bool,
    },
    /// It turns texts into vectors.
    Embed {
        /// Numbers of each vector.
        width: usize,
    },
}

/// What to continue.
pub enum Prompt {
    /// A text as it is.
    Text(Zeroizing<String>),
    /// Messages, through the model's chat template.
    Chat(Vec<ChatMessage>),
    /// Tokens that whoever asks has made.
    Ids(Zeroizing<Vec<u32>>),
}

/// A text to generate.
pub struct Order {
    /// What to continue.
    pub prompt: Prompt,
    /// Functions that the model's chat template tells it of.
    pub tools: Option<Arc<Tools>>,
    /// The form that the answer is held to, made by the model's [`Backend::grammars`].
    pub constraint: Option<Constraint>,
    /// How. A `max_tokens` of the caller's own is kept to or refused.
    pub sampling: SamplingParams,
    /// Tokens at most where the caller named no number; fewer when the model's context ends before.
    pub most_tokens: usize,
}

/// A text being generated.
pub trait Running {
    /// Tokens so far; those of the prompt are known from the start.
    fn usage(&self) -> Usage;
}

/// A loaded model.
pub trait Backend: Send + 'static {
    /// A text being generated, with all that it holds: dropping it gives that back. Stays on the model's thread.
    type Text: Running;

    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// Makes the forms that answers can be held to; none for a model without answers.
    fn grammars(&self) -> Option<Grammars>;

    /// Prepares a text: renders, tokenizes, reserves what prompt and answer can need, and computes nothing with the
    /// weights yet.
    ///
    /// # Errors
    /// [`Refusal`].
    fn start(&self, order: Order) -> Result<Self::Text, Refusal>;

    /// One pass for all of `running`: a slice of a prompt, or a token, for each, slices bounded together and given to
    /// the first first. What is refused cannot go on, and is not passed again. The results are in the order of
    /// `running`.
    fn step(&self, running: &mut [&mut Self::Text]) -> Vec<Result<Step, Refusal>>;

    /// Somebody's work ended: overwrites what computing it left in memory that is kept.
    fn forget(&self) {}

    /// Embeds texts, together; each gets what it would get alone.
    ///
    /// # Errors
    /// [`Refusal`] of one of them; then none is embedded.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, Refusal>;
}
