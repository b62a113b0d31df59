//! A model of `anchorhold_models` as the engine's backend.
//!
//! Why apart: the only file of this crate that knows how the library is called, and which of its errors are
//! the caller's.
//!
//! # Invariants
//! An error that may be the model's owner's fault is a failure: nothing about it reaches the caller.

use anchorhold_models::{
    ChatError, Decoder, EmbedError, Embedding, GenerateError, Generation, Grammars, Model, PromptError,
    SamplingParams, Step, Truncation, Usage,
};

use crate::engine::backend::{Abilities, Backend, Order, Prompt, Running};
use crate::engine::job::Refusal;

impl Backend for Model {
    type Text = Generation;

    fn abilities(&self) -> Abilities {
        match self {
            Self::Decoder(decoder) => Abilities::Decode {
                chat: decoder.info().chat,
            },
            Self::Embedder(embedder) => Abilities::Embed {
                width: embedder.info().width,
            },
        }
    }

    fn grammars(&self) -> Option<Grammars> {
        match self {
            Self::Decoder(decoder) => Some(decoder.grammars()),
            Self::Embedder(_) => None,
        }
    }

    fn start(&self, order: Order) -> Result<Generation, Refusal> {
        match self {
            Self::Decoder(decoder) => generation(decoder, order),
            Self::Embedder(_) => Err(Refusal::WrongModelKind),
        }
    }

    fn step(&self, running: &mut [&mut Generation]) -> Vec<Result<Step, Refusal>> {
        match self {
            Self::Decoder(decoder) => {
                let steps = decoder.step(running).into_iter();
                steps.map(|step| step.map_err(refusal)).collect()
            }
            // It never began one.
            Self::Embedder(_) => running.iter().map(|_| Err(Refusal::WrongModelKind)).collect(),
        }
    }

    fn forget(&self) {
        match self {
            Self::Decoder(decoder) => decoder.forget(),
            Self::Embedder(embedder) => embedder.forget(),
        }
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, Refusal> {
        let Self::Embedder(embedder) = self else {
            return Err(Refusal::WrongModelKind);
        };
        let context = embedder.info().context_length;
        embedder
            .embed(texts, Truncation::Refuse)
            .map_err(|error| match error {
                EmbedError::TooLong { .. } | EmbedError::TooManyBytes { .. } => {
                    Refusal::InputTooLong { limit: context }
                }
                EmbedError::Count { .. }
                | EmbedError::Tokenizer
                | EmbedError::NotFinite
                | EmbedError::Compute => Refusal::Failed,
            })
    }
}

fn generation(decoder: &Decoder, order: Order) -> Result<Generation, Refusal> {
    let context = decoder.info().context_length;
    let too_long = Refusal::ContextExceeded { limit: context };
    let not_a_prompt = |error| match error {
        PromptError::Empty => Refusal::EmptyPrompt,
        PromptError::TooLong => too_long,
        PromptError::UnknownId => Refusal::Sampling {
            field: "prompt_ids",
            bounds: "ids of the model's own tokenizer",
        },
        PromptError::Failed => Refusal::Failed,
    };
    let prompt = match order.prompt {
        Prompt::Text(text) => decoder.text_prompt(&text).map_err(not_a_prompt)?,
        Prompt::Ids(ids) => decoder.ids_prompt(ids).map_err(not_a_prompt)?,
        Prompt::Chat(messages) => {
            let prompt = decoder.chat_prompt_with(&messages, order.tools.as_deref());
            prompt.map_err(|error| match error {
                ChatError::NoTemplate => Refusal::NoChatTemplate,
                ChatError::Empty => Refusal::EmptyPrompt,
                ChatError::TooLong => too_long,
                ChatError::Refused => Refusal::TemplateRefused,
                ChatError::Failed => Refusal::Failed,
            })?
        }
    };
    // A limit that the caller did not name gives way to what there is; how much of it is in use now changes nothing.
    let (_, pages) = decoder.pages();
    let most = context.min(pages.saturating_mul(Decoder::PAGE));
    let room = most.saturating_sub(prompt.len());
    let max_tokens = order
        .sampling
        .max_tokens
        .unwrap_or_else(|| order.most_tokens.min(room).max(1));
    let sampling = SamplingParams {
        max_tokens: Some(max_tokens),
        ..order.sampling
    };
    let sampling = sampling.validate().map_err(|error| Refusal::Sampling {
        field: error.field,
        bounds: error.bounds,
    })?;
    decoder
        .start_within(prompt, sampling, order.constraint)
        .map_err(refusal)
}

fn refusal(error: GenerateError) -> Refusal {
    let tokens = |pages: usize| pages.saturating_mul(Decoder::PAGE);
    match error {
        GenerateError::ContextExceeded { context, .. } => Refusal::ContextExceeded { limit: context },
        GenerateError::OutOfPages { .. } => Refusal::NoCapacity,
        GenerateError::NeverFits { needed, total } => Refusal::NeverFits {
            needed: tokens(needed),
            total: tokens(total),
        },
        GenerateError::Constraint => Refusal::FormExceeded,
        GenerateError::NotFinite | GenerateError::Compute => Refusal::Failed,
    }
}

impl Running for Generation {
    fn usage(&self) -> Usage {
        Self::usage(self)
    }
}

#[cfg(test)]
pub(crate) mod tests;
