//! What is asked of a model.
//!
//! Why apart: the API and the engine's loop are tested with models that panic, stall or count, and depend on
//! no tensor.
//!
//! # Invariants
//! Whatever holds text is wiped on drop. A [`Stepper`] does one bounded piece of work a call.

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

/// Who a message of a chat is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions; OpenAI's newer name `developer` means the same.
    System,
    /// The person.
    User,
    /// The model, earlier.
    Assistant,
}

impl Role {
    /// The name that chat templates know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a chat.
pub struct Message {
    /// Who it is from.
    pub role: Role,
    /// What it says.
    pub content: Zeroizing<String>,
}

/// What to continue.
pub enum Prompt {
    /// A text as it is.
    Text(Zeroizing<String>),
    /// Messages, through the model's chat template.
    Chat(Vec<Message>),
}

/// How tokens are chosen. Ranges have been checked by the API.
pub struct Sampling {
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// Share of probability that is kept.
    pub top_p: f32,
    /// How many tokens are kept.
    pub top_k: Option<usize>,
    /// Share of the likeliest token's probability below which a token is not kept.
    pub min_p: f32,
    /// Makes the choice repeatable.
    pub seed: Option<u64>,
    /// Texts that end the answer, and are not part of it.
    pub stop: Vec<Zeroizing<String>>,
    /// Tokens of the answer at most.
    pub max_tokens: usize,
    /// Divides the logits of tokens seen before; 1 changes nothing.
    pub repetition_penalty: f32,
    /// Subtracted once from the logits of tokens in the answer; 0 changes nothing.
    pub presence_penalty: f32,
    /// Subtracted for each time a token is in the answer; 0 changes nothing.
    pub frequency_penalty: f32,
    /// How many alternatives are told for each token; `None`: no log-probabilities at all.
    pub logprobs: Option<usize>,
}

/// One token and how likely it was.
pub struct Alternative {
    /// Its bytes: not always UTF-8 by themselves.
    pub bytes: Zeroizing<Vec<u8>>,
    /// Natural logarithm of its probability under the model, before sampling changes it.
    pub logprob: f32,
}

/// A chosen token and the alternatives to it.
pub struct TokenInfo {
    /// The token.
    pub token: Alternative,
    /// The likeliest tokens, in descending order.
    pub top: Vec<Alternative>,
}

/// A piece of the answer.
pub struct Delta {
    /// Text; empty while a character or a stop text may still be incomplete.
    pub text: Zeroizing<String>,
    /// The tokens behind the piece, when log-probabilities were asked for.
    pub tokens: Vec<TokenInfo>,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinishReason {
    /// The model, or a stop text, ended it.
    Stop,
    /// The limit of tokens ended it.
    Length,
}

/// Tokens of prompt and answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the prompt.
    pub prompt_tokens: u64,
    /// Of the answer.
    pub completion_tokens: u64,
}

/// What one step did.
pub enum Step {
    /// Worked on the prompt; there is more of it.
    Prefilling,
    /// Made one token.
    Token(Delta),
    /// The answer is complete. The delta is the text that was held back until the end was known.
    Finished(FinishReason, Delta),
}

/// A text being generated.
pub trait Stepper {
    /// Does one slice of the prompt, or one token.
    ///
    /// # Errors
    /// [`Refusal`] when it cannot go on; it is not called again.
    fn step(&mut self) -> Result<Step, Refusal>;

    /// Tokens so far.
    fn usage(&self) -> Usage;
}

/// One text as a vector.
pub struct Vector {
    /// The numbers.
    pub values: Zeroizing<Vec<f32>>,
    /// Tokens of the text.
    pub tokens: u64,
}

/// A loaded model.
pub trait Backend: Send + 'static {
    /// What it can do.
    fn abilities(&self) -> Abilities;

    /// Prepares a text: renders, tokenizes, and computes nothing with the weights yet.
    ///
    /// # Errors
    /// [`Refusal`].
    fn start<'m>(&'m self, prompt: Prompt, sampling: Sampling) -> Result<Box<dyn Stepper + 'm>, Refusal>;

    /// Embeds one text.
    ///
    /// # Errors
    /// [`Refusal`].
    fn embed(&self, text: Zeroizing<String>) -> Result<Vector, Refusal>;
}
