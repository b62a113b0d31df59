//! Why a text is no prompt.
//!
//! Why apart: the engine says so, and so does whoever makes ids without it.
//!
//! # Invariants
//! Constants only: nothing of a text.

use std::fmt;

use crate::tokenizer::TokenizeError;

/// A text does not become a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PromptError {
    /// No token: there is nothing to continue.
    Empty,
    /// More text than fits in the model's context.
    TooLong,
    /// An id that the model's tokenizer does not have.
    UnknownId,
    /// The model's tokenizer failed.
    Failed,
}

impl fmt::Display for PromptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the prompt is empty",
            Self::TooLong => "the prompt is too long",
            Self::UnknownId => "the prompt has an id that is no token",
            Self::Failed => "the model's tokenizer failed",
        })
    }
}

impl std::error::Error for PromptError {}

impl PromptError {
    /// What the client, or for the last the model's owner, can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Empty => "send some text",
            Self::TooLong => "shorten the prompt",
            Self::UnknownId => "make ids with the model's own tokenizer",
            Self::Failed => "compare the model's tokenizer with the published one",
        }
    }
}

impl From<TokenizeError> for PromptError {
    fn from(error: TokenizeError) -> Self {
        match error {
            TokenizeError::TooLong => Self::TooLong,
            TokenizeError::Failed => Self::Failed,
        }
    }
}
