//! A model for tests: it answers with its prompt, and misbehaves when told to.
//!
//! Why apart: the engine's tests and the API's both need it.
//!
//! # Invariants
//! Counts its steps and tells when it is dropped. Does nothing by itself that a test did not ask for.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use anchorhold_models::{
    Delta, Embedding, Finish, FinishReason, SamplingParams, Step, TokenInfo, TokenLogprob, Usage,
};
use zeroize::Zeroizing;

use crate::engine::backend::{Abilities, Backend, Order, Prompt, Stepper};
use crate::engine::job::Refusal;

/// What a test sees of the model, which lives on another thread.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    steps: Arc<AtomicUsize>,
    dropped: Arc<AtomicBool>,
}

impl Seen {
    pub(crate) fn steps(&self) -> usize {
        self.steps.load(Ordering::SeqCst)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// The model. Its answer to a prompt is the prompt (of a chat, the last message), a word a token.
///
/// Prompts with a meaning: `panic` panics at the second token, `fail` fails there, `endless` never ends, `slices` is a prompt without an end,
/// `long` does not fit, `refuse` is refused by the template.
pub(crate) struct Fake {
    abilities: Abilities,
    seen: Seen,
    /// When there is one, each token waits for a permit.
    permits: Option<Mutex<Receiver<()>>>,
}

impl Fake {
    pub(crate) fn new(abilities: Abilities) -> (Self, Seen) {
        let seen = Seen::default();
        let fake = Self {
            abilities,
            seen: seen.clone(),
            permits: None,
        };
        (fake, seen)
    }

    pub(crate) fn decoder() -> (Self, Seen) {
        Self::new(Abilities::Decode { chat: true })
    }

    /// Makes a token for each `()` sent, or freely once the sender is dropped.
    pub(crate) fn paced() -> (Self, Seen, Sender<()>) {
        let (permit, permits) = channel();
        let (mut fake, seen) = Self::decoder();
        fake.permits = Some(Mutex::new(permits));
        (fake, seen, permit)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.seen.dropped.store(true, Ordering::SeqCst);
    }
}

impl Backend for Fake {
    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn start<'m>(&'m self, order: Order) -> Result<Box<dyn Stepper + 'm>, Refusal> {
        let text = match order.prompt {
            Prompt::Text(text) => text,
            Prompt::Chat(mut messages) => messages.pop().ok_or(Refusal::EmptyPrompt)?.content,
        };
        match text.as_str() {
            "long" => return Err(Refusal::ContextExceeded { limit: 32 }),
            "refuse" => return Err(Refusal::TemplateRefused),
            _ => {}
        }
        let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        Ok(Box::new(Echo {
            fake: self,
            prompt_tokens: words.len(),
            most: order.sampling.max_tokens.unwrap_or(order.most_tokens),
            kind: text.to_string(),
            words,
            sampling: order.sampling,
            prefilled: false,
            made: 0,
        }))
    }

    fn embed(&self, text: &str) -> Result<Embedding, Refusal> {
        self.seen.steps.fetch_add(1, Ordering::SeqCst);
        if text == "long" {
            return Err(Refusal::InputTooLong { limit: 32 });
        }
        let length = u16::try_from(text.len()).unwrap();
        Ok(Embedding {
            values: Zeroizing::new(vec![f32::from(length), 0.5, -1.0]),
            tokens: text.split(' ').count(),
        })
    }
}

struct Echo<'m> {
    fake: &'m Fake,
    kind: String,
    words: Vec<String>,
    sampling: SamplingParams,
    prefilled: bool,
    prompt_tokens: usize,
    most: usize,
    made: usize,
}

impl Stepper for Echo<'_> {
    fn step(&mut self) -> Result<Step, Refusal> {
        self.fake.seen.steps.fetch_add(1, Ordering::SeqCst);
        if !self.prefilled {
            self.prefilled = self.kind != "slices";
            return Ok(Step::Prefilling { done: 1, total: 1 });
        }
        if let Some(permits) = &self.fake.permits {
            // An error means that the test holds it back no longer.
            let _ = permits.lock().unwrap().recv();
        }
        if self.made == 1 {
            match self.kind.as_str() {
                "panic" => panic!("as the test asked"),
                "fail" => return Err(Refusal::Failed),
                _ => {}
            }
        }
        let word = if self.kind == "endless" {
            Some("on ")
        } else {
            self.words.get(self.made).map(String::as_str)
        };
        let reason = match word {
            None if self.kind == "panic" || self.kind == "fail" => {
                self.made = 1;
                return self.step();
            }
            None => FinishReason::Stop,
            Some(_) if self.made == self.most => FinishReason::Length,
            Some(word) => {
                self.made += 1;
                return Ok(Step::Delta(delta(word, &self.sampling)));
            }
        };
        Ok(Step::Finished(Finish {
            reason,
            usage: self.usage(),
        }))
    }

    fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.made,
        }
    }
}

fn delta(word: &str, sampling: &SamplingParams) -> Delta {
    let token = |bytes: &[u8], logprob| TokenLogprob {
        id: 7,
        logprob,
        bytes: Zeroizing::new(bytes.to_vec()),
    };
    let info = |top| TokenInfo {
        token: token(word.as_bytes(), -0.25),
        top: (0..top).map(|_| token(b"\xff", f32::NEG_INFINITY)).collect(),
    };
    Delta {
        text: Zeroizing::new(word.to_owned()),
        tokens: sampling.logprobs.map(info).into_iter().collect(),
    }
}
