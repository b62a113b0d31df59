//! What is asked of a model.
//!
//! Why apart: the API and the engine's loop are tested with models that panic, stall or count, and depend on
//! no tensor.
//!
//! # Invariants
//! A [`Stepper`] does one bounded piece of work a call.

use anchorhold_models::{ChatMessage, Embedding, SamplingParams, Step, Usage};
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
}

/// A text to generate.
pub struct Order {
    /// What to continue.
    pub prompt: Prompt,
    /// How. A `max_tokens` of the caller's own is kept to or refused.
    pub sampling: SamplingParams,
    /// Tokens at most where the caller named no number; fewer when the model's context ends before.
    pub most_tokens: usize,
}

/// A text being generated.
pub trait Stepper {
    /// Does one slice of the prompt, or one token.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot go on; it is not called again.
    fn step(&mut self) -> Result<Step, Refusal>;

    /// Tokens so far; those of the prompt are known from the start.
    fn usage(&self) -> Usage;
}

/// A loaded model.
pub trait Backend: Send + 'static {
    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// Prepares a text: renders, tokenizes, and computes nothing with the weights yet.
    ///
    /// # Errors
    /// [`Refusal`].
    fn start<'m>(&'m self, order: Order) -> Result<Box<dyn Stepper + 'm>, Refusal>;

    /// Embeds one text.
    ///
    /// # Errors
    /// [`Refusal`].
    fn embed(&self, text: &str) -> Result<Embedding, Refusal>;
}
