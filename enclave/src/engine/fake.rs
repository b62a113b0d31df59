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
    Delta, Embedding, Finish, FinishReason, Grammars, SamplingParams, Step, TokenInfo, TokenLogprob, Usage,
};
use zeroize::Zeroizing;

use crate::engine::backend::{Abilities, Backend, Order, Prompt, Running};
use crate::engine::job::Refusal;

/// What a test sees of the model, which lives on another thread.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    steps: Arc<AtomicUsize>,
    passes: Arc<Mutex<Vec<Pass>>>,
    dropped: Arc<AtomicBool>,
}

/// What a pass did for each of its texts; texts are counted from 0 as they are begun.
pub(crate) type Pass = Vec<(usize, Did)>;

/// What a text got of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Did {
    /// Words of its prompt, so many in all by then.
    Prompt(usize),
    /// Nothing: others had the pass's share of prompts.
    Waited,
    /// A word of its answer, or its end.
    Word,
}

impl Seen {
    pub(crate) fn steps(&self) -> usize {
        self.steps.load(Ordering::SeqCst)
    }

    /// Every pass so far.
    pub(crate) fn passes(&self) -> Vec<Pass> {
        self.passes.lock().unwrap().clone()
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.dropped.load(Ordering::SeqCst)
    }
}

/// The model. Its answer to a prompt is the prompt (of a chat, the last message), a word a token. A pass computes
/// [`SLICE`] words of prompts.
///
/// Prompts with a meaning: `panic` panics at the second token, `fail` fails there, `endless` never ends, `slices` is a prompt without an end,
/// `long` does not fit, `vast` fits no memory, `refuse` is refused by the template.
pub(crate) struct Fake {
    abilities: Abilities,
    seen: Seen,
    /// When there is one, each token waits for a permit.
    permits: Option<Mutex<Receiver<()>>>,
    /// Texts that memory is free for.
    places: Arc<AtomicUsize>,
    begun: AtomicUsize,
}

/// Words of prompts in a pass.
pub(crate) const SLICE: usize = 4;

impl Fake {
    pub(crate) fn new(abilities: Abilities) -> (Self, Seen) {
        let seen = Seen::default();
        let fake = Self {
            abilities,
            seen: seen.clone(),
            permits: None,
            places: Arc::new(AtomicUsize::new(usize::MAX)),
            begun: AtomicUsize::new(0),
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

    /// Has memory for so many texts.
    pub(crate) fn with_places(self, places: usize) -> Self {
        self.places.store(places, Ordering::SeqCst);
        self
    }

    fn step_one(&self, echo: &mut Echo, budget: &mut usize) -> (Result<Step, Refusal>, Did) {
        self.seen.steps.fetch_add(1, Ordering::SeqCst);
        if echo.kind == "slices" || echo.done < echo.prompt_tokens {
            let left = match echo.kind.as_str() {
                "slices" => usize::MAX,
                _ => echo.prompt_tokens - echo.done,
            };
            let taken = left.min(*budget);
            *budget -= taken;
            echo.done += taken;
            let (done, total) = (echo.done, echo.prompt_tokens);
            let did = if taken > 0 { Did::Prompt(done) } else { Did::Waited };
            return (Ok(Step::Prefilling { done, total }), did);
        }
        if let Some(permits) = &self.permits {
            // An error means that the test holds it back no longer.
            let _ = permits.lock().unwrap().recv();
        }
        (echo.word(), Did::Word)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.seen.dropped.store(true, Ordering::SeqCst);
    }
}

impl Backend for Fake {
    type Text = Echo;

    fn abilities(&self) -> Abilities {
        self.abilities
    }

    fn grammars(&self) -> Option<Grammars> {
        None
    }

    fn start(&self, order: Order) -> Result<Echo, Refusal> {
        let text = match order.prompt {
            Prompt::Text(text) => text,
            Prompt::Chat(mut messages) => messages.pop().ok_or(Refusal::EmptyPrompt)?.content,
            Prompt::Ids(ids) => Zeroizing::new(ids.iter().map(|id| format!("{id} ")).collect()),
        };
        match text.as_str() {
            "long" => return Err(Refusal::ContextExceeded { limit: 32 }),
            "vast" => {
                return Err(Refusal::NeverFits {
                    needed: 96,
                    total: 64,
                });
            }
            "refuse" => return Err(Refusal::TemplateRefused),
            _ => {}
        }
        let take = |free: usize| free.checked_sub(1);
        self.places
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, take)
            .map_err(|_| Refusal::NoCapacity)?;
        let words: Vec<String> = text.split_inclusive(' ').map(str::to_owned).collect();
        Ok(Echo {
            places: Arc::clone(&self.places),
            number: self.begun.fetch_add(1, Ordering::SeqCst),
            prompt_tokens: words.len(),
            most: order.sampling.max_tokens.unwrap_or(order.most_tokens),
            kind: text.to_string(),
            words,
            sampling: order.sampling,
            done: 0,
            made: 0,
        })
    }

    fn step(&self, running: &mut [&mut Echo]) -> Vec<Result<Step, Refusal>> {
        let mut budget = SLICE;
        let (steps, did) = running
            .iter_mut()
            .map(|echo| {
                let (step, did) = self.step_one(echo, &mut budget);
                (step, (echo.number, did))
            })
            .unzip();
        self.seen.passes.lock().unwrap().push(did);
        steps
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Embedding>, Refusal> {
        self.seen.steps.fetch_add(1, Ordering::SeqCst);
        let embed = |text: &&str| {
            if *text == "long" {
                return Err(Refusal::InputTooLong { limit: 32 });
            }
            let length = u16::try_from(text.len()).unwrap();
            Ok(Embedding {
                values: Zeroizing::new(vec![f32::from(length), 0.5, -1.0]),
                tokens: text.split(' ').count(),
            })
        };
        texts.iter().map(embed).collect()
    }
}

/// A text of the fake's.
pub(crate) struct Echo {
    places: Arc<AtomicUsize>,
    number: usize,
    kind: String,
    words: Vec<String>,
    sampling: SamplingParams,
    prompt_tokens: usize,
    most: usize,
    done: usize,
    made: usize,
}

impl Echo {
    fn word(&mut self) -> Result<Step, Refusal> {
        let word = match self.kind.as_str() {
            "panic" if self.made == 1 => panic!("as the test asked"),
            "fail" if self.made == 1 => return Err(Refusal::Failed),
            "endless" => Some("on "),
            _ => self.words.get(self.made).map(String::as_str),
        };
        let reason = match word {
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
}

impl Running for Echo {
    fn usage(&self) -> Usage {
        Usage {
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.made,
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.places.fetch_add(1, Ordering::SeqCst);
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
        ids: Zeroizing::new(Vec::new()),
        calls: Vec::new(),
    }
}
