//! Why an answer cannot be begun or continued.
//!
//! Why apart: each stage below has a fault of its own that ends an answer.
//!
//! # Invariants
//! Counts only: nothing of a prompt or an answer.

use std::fmt;

use crate::constraint::Exceeded;
use crate::decoder::cache::NoPages;
use crate::matrix::ComputeError;
use crate::sampler::NotFinite;

/// An answer cannot be begun or continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GenerateError {
    /// Prompt and answer do not fit in the model's context.
    ContextExceeded {
        /// Tokens of the prompt.
        prompt: usize,
        /// Tokens asked for, at least 1.
        max_tokens: usize,
        /// Tokens that fit.
        context: usize,
    },
    /// Pages for prompt and answer are not free now; they will be when other answers end.
    OutOfPages {
        /// Pages that prompt and answer take.
        needed: usize,
        /// Pages that nobody has.
        free: usize,
    },
    /// Prompt and answer take more pages than there are.
    NeverFits {
        /// Pages that prompt and answer take.
        needed: usize,
        /// Pages that there are.
        total: usize,
    },
    /// The model computed a NaN or an infinity.
    NotFinite,
    /// The form that the answer is held to took more steps than are taken, or none of the model's tokens fits it.
    Constraint,
    /// An operation was given sizes that do not fit, or the generation is another model's.
    Compute,
}

impl fmt::Display for GenerateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ContextExceeded {
                prompt,
                max_tokens,
                context,
            } => write!(
                f,
                "the prompt has {prompt} tokens and {max_tokens} more were asked for, but the context holds {context}"
            ),
            Self::OutOfPages { needed, free } => {
                write!(
                    f,
                    "prompt and answer take {needed} pages of memory, and {free} are free now"
                )
            }
            Self::NeverFits { needed, total } => {
                write!(
                    f,
                    "prompt and answer take {needed} pages of memory, and there are {total} in all"
                )
            }
            Self::NotFinite => f.write_str("the model computed a number that is not finite"),
            Self::Constraint => f.write_str("the answer cannot be held to its form any further"),
            Self::Compute => f.write_str("an operation was given sizes that do not fit"),
        }
    }
}

impl std::error::Error for GenerateError {}

impl GenerateError {
    /// What the client, or for the last two the model's owner, can do about it.
    #[must_use]
    pub fn hint(&self) -> &'static str {
        match self {
            Self::ContextExceeded { .. } => "shorten the prompt or ask for fewer tokens",
            Self::OutOfPages { .. } => "try again when other answers have ended",
            Self::NeverFits { .. } => {
                "shorten the prompt, ask for fewer tokens, or give the model more memory for pages"
            }
            Self::Constraint => "simplify the schema: long bounds on lengths and patterns take the most",
            Self::NotFinite => "compare the weights with the published ones",
            Self::Compute => "report this as a defect",
        }
    }
}

impl From<ComputeError> for GenerateError {
    fn from(_: ComputeError) -> Self {
        Self::Compute
    }
}

impl From<NotFinite> for GenerateError {
    fn from(_: NotFinite) -> Self {
        Self::NotFinite
    }
}

impl From<Exceeded> for GenerateError {
    fn from(_: Exceeded) -> Self {
        Self::Constraint
    }
}

impl From<NoPages> for GenerateError {
    fn from(error: NoPages) -> Self {
        match error {
            NoPages::Now { needed, free } => Self::OutOfPages { needed, free },
            NoPages::Ever { needed, total } => Self::NeverFits { needed, total },
        }
    }
}
